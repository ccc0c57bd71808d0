//! Reduces the kernel's debug information to the table its stack traces are made with.
//!
//!     traces KERNEL.elf OUTPUT
//!
//! The kernel reads the table as a boot module (`klib::traces`, which also describes the format): for each piece of
//! code the function, file and line, and the functions it is inlined into. DWARF itself takes tens of MB.

use addr2line::Loader;
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::HashMap;
use std::error::Error;
use std::{env, fs, process};

const MAGIC: &[u8; 8] = b"RUSSETTR";
const VERSION: u32 = 1;
/// No node.
const NONE: u32 = u32::MAX;
/// Rows in a block, whose first address is written in full.
const BLOCK_ROWS: usize = 64;
/// Longer names of functions are cut: types of generic code can fill pages.
const NAME_MAX_BYTES: usize = 200;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, elf, output] = arguments.as_slice() else {
        eprintln!("usage: traces KERNEL.elf OUTPUT");
        process::exit(2);
    };
    if let Err(error) = reduce(elf, output) {
        eprintln!("traces: {elf}: {error}");
        process::exit(1);
    }
}

fn reduce(elf: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(elf)?;
    let file = object::File::parse(&*bytes)?;
    let text = file.section_by_name(".text").ok_or("no .text section")?;
    let (start, end) = (text.address(), text.address() + text.size());
    let loader = Loader::new(elf).map_err(|error| error.to_string())?;
    let symbols = file.symbol_map();
    let mut table = Table::default();
    for address in boundaries(&loader, &file, start, end)? {
        let node = table.node_of(&loader, symbols.containing(address).map(|symbol| symbol.name()), address)?;
        if table.rows.last().is_none_or(|&(_, last)| last != node) {
            table.rows.push((u32::try_from(address - start)?, node));
        }
    }
    let written = table.encode(start, text.data()?);
    fs::write(output, written)?;
    Ok(())
}

/// Every address in `[start, end)` at which the line or the function changes.
fn boundaries(loader: &Loader, file: &object::File<'_>, start: u64, end: u64) -> Result<Vec<u64>, Box<dyn Error>> {
    let mut addresses = vec![start];
    let ranges = loader.find_location_range(start, end).map_err(|error| error.to_string())?;
    for (address, len, _) in ranges {
        addresses.extend([address, address + len]);
    }
    addresses.extend(file.symbols().map(|symbol| symbol.address()));
    addresses.retain(|address| (start..end).contains(address));
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// A place in the source; `parent` is where its function is inlined.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    function: u32,
    file: u32,
    line: u32,
    parent: u32,
}

#[derive(Default)]
struct Table {
    rows: Vec<(u32, u32)>,
    nodes: Vec<u8>,
    node_places: HashMap<Node, u32>,
    strings: Vec<u8>,
    string_offsets: Vec<u32>,
    string_numbers: HashMap<String, u32>,
    /// By symbol the file that the function begins in: for code that the compiler shares between several lines, which
    /// the debug information gives line 0 and just any file.
    files: HashMap<String, String>,
}

impl Table {
    /// The node for `address`; NONE where nothing is known. The debug information names a function without its path,
    /// so that the one that is not inlined gets the name of its symbol.
    fn node_of(&mut self, loader: &Loader, symbol: Option<&str>, address: u64) -> Result<u32, Box<dyn Error>> {
        let mut frames = Vec::new();
        let mut found = loader.find_frames(address).map_err(|error| error.to_string())?;
        while let Some(frame) = found.next().map_err(|error| error.to_string())? {
            let function = match &frame.function {
                Some(function) => cut(format!("{:#}", rustc_demangle::demangle(&function.raw_name()?))),
                None => String::new(),
            };
            let place = match frame.location.and_then(|place| place.file.zip(place.line)) {
                Some((file, line)) if line != 0 => (shorten(file), line),
                _ => (String::new(), 0),
            };
            frames.push((function, place));
        }
        if frames.iter().all(|(function, _)| function.is_empty()) {
            return Ok(NONE);
        }
        if let (Some((function, (file, line))), Some(symbol)) = (frames.last_mut(), symbol) {
            *function = cut(format!("{:#}", rustc_demangle::demangle(symbol)));
            if *line == 0 {
                *file = self.files.get(symbol).cloned().unwrap_or_default();
            } else {
                self.files.entry(symbol.into()).or_insert_with(|| file.clone());
            }
        }
        let mut node = NONE;
        for (function, (file, line)) in frames.into_iter().rev() {
            let (function, file) = (self.string(&function), self.string(&file));
            node = self.number(Node { function, file, line, parent: node });
        }
        Ok(node)
    }

    /// Where the node is in the list of nodes. Its parent is there already.
    fn number(&mut self, node: Node) -> u32 {
        if let Some(&place) = self.node_places.get(&node) {
            return place;
        }
        let place = self.nodes.len() as u32;
        let back = if node.parent == NONE { 0 } else { place - node.parent };
        for number in [node.function, node.file, node.line, back] {
            push_number(&mut self.nodes, number);
        }
        self.node_places.insert(node, place);
        place
    }

    fn string(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.string_numbers.get(text) {
            return number;
        }
        let number = self.string_offsets.len() as u32;
        self.string_offsets.push(self.strings.len() as u32);
        self.strings.extend(text.as_bytes());
        self.string_numbers.insert(text.into(), number);
        number
    }

    /// The file: header, first addresses of blocks, offsets of blocks and of strings, rows, nodes, strings.
    fn encode(&self, start: u64, text: &[u8]) -> Vec<u8> {
        let (mut firsts, mut offsets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for block in self.rows.chunks(BLOCK_ROWS) {
            firsts.extend(block[0].0.to_le_bytes());
            offsets.extend((rows.len() as u32).to_le_bytes());
            let (mut address, mut node) = (block[0].0, 0);
            for &(next_address, next_node) in block {
                push_number(&mut rows, next_address - address);
                // Neighbours are near in the list of nodes, too: the difference, its sign in the lowest bit.
                let next_node = next_node.wrapping_add(1);
                let step = next_node.wrapping_sub(node) as i32;
                push_number(&mut rows, (step << 1 ^ step >> 31) as u32);
                (address, node) = (next_address, next_node);
            }
        }
        let mut out = Vec::from(MAGIC);
        let lens =
            [self.rows.len(), BLOCK_ROWS, rows.len(), self.nodes.len(), self.string_offsets.len(), self.strings.len()];
        out.extend(VERSION.to_le_bytes());
        lens.iter().for_each(|&len| out.extend((len as u32).to_le_bytes()));
        out.extend(start.to_le_bytes());
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(fingerprint(text).to_le_bytes());
        out.extend(firsts);
        out.extend(offsets);
        self.string_offsets.iter().for_each(|offset| out.extend(offset.to_le_bytes()));
        out.extend(rows);
        out.extend(&self.nodes);
        out.extend(&self.strings);
        out
    }
}

/// Seven bits a byte, lowest first, the top bit set in all but the last.
fn push_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// FNV-1a of every 61st byte: the kernel computes the same of its own code, so that it never uses another build's table.
fn fingerprint(text: &[u8]) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.iter().step_by(61).fold(0xcbf2_9ce4_8422_2325, fold)
}

/// The path without what is the same for a whole crate or only of the machine it was built on.
fn shorten(path: &str) -> String {
    if let Some(at) = path.find("/library/") {
        return path[at + "/library/".len()..].into();
    }
    if let Some(at) = path.find("/registry/src/") {
        let rest = &path[at + "/registry/src/".len()..];
        return rest.split_once('/').map_or(rest, |(_, rest)| rest).into();
    }
    match path.rfind("/kernel/") {
        Some(at) => path[at + "/kernel/".len()..].trim_start_matches("./").into(),
        None => path.into(),
    }
}

/// A name that is not longer than [`NAME_MAX_BYTES`], much.
fn cut(mut name: String) -> String {
    if name.len() > NAME_MAX_BYTES {
        let end = (0..=NAME_MAX_BYTES).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}
