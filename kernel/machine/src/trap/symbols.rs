//! Names for the kernel's addresses. GRUB loads the ELF symbol and string tables behind the image and passes the section
//! headers on: function names, demangled here. The table of `klib::traces` comes as a boot module: files, lines and
//! inlined functions as well. `boot` keeps the memory of both reserved. Without the module, or with that of another
//! build, the symbols have to do.

use crate::addr::PhysAddr;
use crate::boot::info::{BootInfo, SymbolSections};
use crate::mm::phys;
use core::fmt;
use klib::traces::{Frame, TraceTable};
use spin::Once;
use xmas_elf::symbol_table::{Entry64, Type};

/// The loaded tables.
struct Table {
    entries: &'static [Entry64],
    strings: &'static [u8],
}

static TABLE: Once<Table> = Once::new();
static TRACES: Once<TraceTable<'static>> = Once::new();

unsafe extern "C" {
    static text_start: u8;
    /// Where `.text` itself ends; what follows to the page's end is padding.
    static text_contents_end: u8;
}

/// Takes the tables over. Their memory stays reserved.
pub(crate) fn init(info: &BootInfo) {
    if let Some(sections) = &info.symbols {
        take_symbols(sections);
    }
    if let Some((start, end)) = info.traces {
        take_traces(start, end);
    }
}

fn take_traces(start: u64, end: u64) {
    let Some(bytes) = phys::bytes(PhysAddr::new(start), (end - start) as usize) else { return };
    let Some(table) = TraceTable::parse(bytes) else {
        return log::warn!("traces: the boot module is no such table, or damaged");
    };
    let (text, text_end) = (&raw const text_start, &raw const text_contents_end);
    // SAFETY: (1) the linker's symbols enclose the kernel's code, which is mapped and never written.
    let code = unsafe { core::slice::from_raw_parts(text, text_end as usize - text as usize) };
    if !table.is_of(text as u64, code) {
        return log::warn!("traces: the boot module is of another build of the kernel");
    }
    TRACES.call_once(|| table);
}

fn take_symbols(sections: &SymbolSections) {
    let Some(symbols) = phys::bytes(sections.symbols, sections.symbols_len) else { return };
    let Some(strings) = phys::bytes(sections.strings, sections.strings_len) else { return };
    let count = symbols.len() / size_of::<Entry64>();
    if !(symbols.as_ptr() as usize).is_multiple_of(align_of::<Entry64>()) {
        return;
    }
    // SAFETY: (1) the bytes are mapped, initialised, never written again; (2) aligned as just checked; (3) every bit
    // pattern is an Entry64, which holds integers only.
    let entries = unsafe { core::slice::from_raw_parts(symbols.as_ptr().cast::<Entry64>(), count) };
    TABLE.call_once(|| Table { entries, strings });
}

/// The source places of the code at `address`: innermost function first, then those it is inlined into.
pub(super) fn frames(address: u64) -> impl Iterator<Item = Frame<'static>> {
    TRACES.get().into_iter().flat_map(move |table| table.frames(address))
}

/// Gives `visit` the names of the functions that the code at `address` is in, innermost first: those that are inlined into
/// others, too.
pub fn for_each_function(address: u64, visit: &mut dyn FnMut(&dyn fmt::Display)) {
    let mut known = false;
    for frame in frames(address) {
        known = true;
        visit(&frame.function);
    }
    match (known, lookup(address)) {
        (true, _) => {}
        (false, Some(location)) => visit(&format_args!("{:#}", rustc_demangle::demangle(location.name))),
        (false, None) => visit(&format_args!("{address:#x}")),
    }
}

/// A kernel function and how far into it an address lies.
pub struct Location {
    name: &'static str,
    /// Bytes from the function's start.
    pub offset: u64,
}

/// The function that `address` lies in.
pub fn lookup(address: u64) -> Option<Location> {
    use xmas_elf::symbol_table::Entry;
    let table = TABLE.get()?;
    let entry = table
        .entries
        .iter()
        .filter(|entry| matches!(entry.get_type(), Ok(Type::Func | Type::NoType)) && entry.shndx() != 0)
        .filter(|entry| entry.value() <= address && (entry.size() == 0 || address < entry.value() + entry.size()))
        .max_by_key(|entry| (entry.value(), entry.size()))?;
    let rest = table.strings.get(entry.name() as usize..)?;
    let len = rest.iter().position(|&byte| byte == 0)?;
    let name = core::str::from_utf8(&rest[..len]).ok()?;
    Some(Location { name, offset: address - entry.value() })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}+{:#x}", rustc_demangle::demangle(self.name), self.offset)
    }
}
