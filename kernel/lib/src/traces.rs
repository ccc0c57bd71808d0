//! The table behind stack traces: for each piece of the kernel's code the function, file and line, and the functions it
//! is inlined into. `tools/traces` makes it of the kernel's debug information; the boot loader passes it as a module.
//!
//! All numbers are little-endian. Header: the eight bytes `RUSSETTR`; then 32-bit version, number of rows, rows in a block,
//! bytes of rows, bytes of nodes, number of strings, bytes of strings; then 64-bit address and length of the code and
//! its fingerprint. Behind it: for each block its first address, from the start of the code, and its place in the rows;
//! the place of each string; rows; nodes; strings. A row is two variable-length numbers: distance from the address
//! before, and the change, its sign in the lowest bit, of the node's place plus one (0: nothing is known). A row holds up
//! to the next one's address. A node is four such numbers: its function's and its file's string, the line, and how far
//! before it the node is that it is inlined into (0: none).
//!
//! Nothing is trusted: a damaged table gives fewer frames, or none.

const MAGIC: &[u8; 8] = b"RUSSETTR";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 8 + 7 * 4 + 3 * 8;
/// Inlined functions in one place at most.
const MAX_INLINED: usize = 32;

/// A table in memory.
#[derive(Clone, Copy, Debug)]
pub struct TraceTable<'a> {
    start: u64,
    len: u64,
    fingerprint: u64,
    block_rows: usize,
    row_count: usize,
    firsts: &'a [u8],
    offsets: &'a [u8],
    string_offsets: &'a [u8],
    rows: &'a [u8],
    nodes: &'a [u8],
    strings: &'a [u8],
}

/// A place in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Name of the function.
    pub function: &'a str,
    /// Path of the file; empty if it is not known.
    pub file: &'a str,
    /// Line; 0 if it is not known.
    pub line: u32,
}

impl<'a> TraceTable<'a> {
    /// Reads the header; None if it is not such a table.
    pub fn parse(bytes: &'a [u8]) -> Option<TraceTable<'a>> {
        if bytes.get(..8)? != MAGIC || word(bytes, 8)? != VERSION {
            return None;
        }
        let len = |index: usize| word(bytes, 8 + 4 * index).map(|len| len as usize);
        let long = |index: usize| {
            let at = 8 + 7 * 4 + 8 * index;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let (row_count, block_rows, string_count) = (len(1)?, len(2)?, len(5)?);
        let blocks = row_count.checked_div(block_rows)? + usize::from(!row_count.is_multiple_of(block_rows));
        let mut rest = bytes.get(HEADER_LEN..)?;
        let mut take = |len: usize| {
            let (taken, left) = rest.split_at_checked(len)?;
            rest = left;
            Some(taken)
        };
        Some(TraceTable {
            start: long(0)?,
            len: long(1)?,
            fingerprint: long(2)?,
            block_rows,
            row_count,
            firsts: take(blocks.checked_mul(4)?)?,
            offsets: take(blocks.checked_mul(4)?)?,
            string_offsets: take(string_count.checked_mul(4)?)?,
            rows: take(len(3)?)?,
            nodes: take(len(4)?)?,
            strings: take(len(6)?)?,
        })
    }

    /// Whether the table was made of this code, which begins at `start`.
    pub fn is_of(&self, start: u64, code: &[u8]) -> bool {
        let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let fingerprint = code.iter().step_by(61).fold(0xcbf2_9ce4_8422_2325, fold);
        (self.start, self.len, self.fingerprint) == (start, code.len() as u64, fingerprint)
    }

    /// The place of the code at `address`, innermost function first, then those it is inlined into.
    pub fn frames(&self, address: u64) -> impl Iterator<Item = Frame<'a>> {
        let table = *self;
        let mut node = self.node_at(address);
        (0..MAX_INLINED).map_while(move |_| {
            let (frame, parent) = table.node(node?)?;
            node = parent;
            Some(frame)
        })
    }

    fn node_at(&self, address: u64) -> Option<usize> {
        let address = address.checked_sub(self.start).filter(|&address| address < self.len)?;
        let blocks = self.firsts.len() / 4;
        let (mut low, mut high) = (0, blocks);
        while low < high {
            let middle = (low + high) / 2;
            if u64::from(word(self.firsts, 4 * middle)?) <= address { low = middle + 1 } else { high = middle }
        }
        let block = low.checked_sub(1)?;
        let mut at = word(self.offsets, 4 * block)? as usize;
        let (mut here, mut node, mut found) = (u64::from(word(self.firsts, 4 * block)?), 0u32, 0u32);
        for _ in 0..self.block_rows.min(self.row_count - block * self.block_rows) {
            here += u64::from(number(self.rows, &mut at)?);
            if here > address {
                break;
            }
            let step = number(self.rows, &mut at)?;
            node = node.wrapping_add(step >> 1 ^ (step & 1).wrapping_neg());
            found = node;
        }
        Some(found.checked_sub(1)? as usize)
    }

    fn node(&self, place: usize) -> Option<(Frame<'a>, Option<usize>)> {
        let mut at = place;
        let (function, file) = (number(self.nodes, &mut at)?, number(self.nodes, &mut at)?);
        let (line, back) = (number(self.nodes, &mut at)?, number(self.nodes, &mut at)? as usize);
        let parent = if back == 0 { None } else { Some(place.checked_sub(back)?) };
        Some((Frame { function: self.string(function)?, file: self.string(file)?, line }, parent))
    }

    fn string(&self, index: u32) -> Option<&'a str> {
        let at = (index as usize).checked_mul(4)?;
        let start = word(self.string_offsets, at)? as usize;
        let end = word(self.string_offsets, at + 4).map_or(self.strings.len(), |end| end as usize);
        core::str::from_utf8(self.strings.get(start..end)?).ok()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Seven bits a byte, lowest first, the top bit set in all but the last.
fn number(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..32).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Code of 300 bytes at 0x1000: `outer` at a.rs:1; from 16 on `inner` at b.rs:200, inlined at a.rs:2; from 280 on
    /// nothing.
    fn example() -> Vec<u8> {
        let mut out = Vec::from(MAGIC);
        let strings = b"outera.rsinnerb.rs";
        let rows: [u8; 7] = [0, 2, 16, 8 << 1, 0x88, 2, 17];
        let nodes: [u8; 13] = [0, 1, 1, 0, /**/ 0, 1, 2, 0, /**/ 2, 3, 0xc8, 1, 4];
        for value in [VERSION, 3, 64, rows.len() as u32, nodes.len() as u32, 4, strings.len() as u32] {
            out.extend(value.to_le_bytes());
        }
        let code = [7u8; 300];
        let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let fingerprint = code.iter().step_by(61).fold(0xcbf2_9ce4_8422_2325, fold);
        for value in [0x1000, 300, fingerprint] {
            out.extend(value.to_le_bytes());
        }
        for value in [0u32, 0, /**/ 0, 5, 9, 14] {
            out.extend(value.to_le_bytes());
        }
        out.extend(rows);
        out.extend(nodes);
        out.extend(strings);
        out
    }

    #[test]
    fn inlined_functions_come_first() {
        let bytes = example();
        let table = TraceTable::parse(&bytes).unwrap();
        let outer = |line| Frame { function: "outer", file: "a.rs", line };
        let inner = Frame { function: "inner", file: "b.rs", line: 200 };
        assert_eq!(table.frames(0x1000).collect::<Vec<_>>(), [outer(1)]);
        assert_eq!(table.frames(0x100f).collect::<Vec<_>>(), [outer(1)]);
        assert_eq!(table.frames(0x1010).collect::<Vec<_>>(), [inner, outer(2)]);
        assert_eq!(table.frames(0x1117).collect::<Vec<_>>(), [inner, outer(2)]);
        assert_eq!(table.frames(0x1118).count(), 0);
        assert_eq!(table.frames(0x0fff).count(), 0);
        assert_eq!(table.frames(0x2000).count(), 0);
    }

    #[test]
    fn it_knows_its_code() {
        let bytes = example();
        let table = TraceTable::parse(&bytes).unwrap();
        assert!(table.is_of(0x1000, &[7; 300]));
        assert!(!table.is_of(0x1000, &[7; 299]) && !table.is_of(0x2000, &[7; 300]) && !table.is_of(0x1000, &[8; 300]));
    }

    proptest! {
        #[test]
        fn damage_is_survived(at in 0usize..200, value: u8, end in 0usize..200, address in 0xff0u64..0x1200) {
            let mut bytes = example();
            let index = at % bytes.len();
            bytes[index] = value;
            bytes.truncate(bytes.len() - end % bytes.len());
            if let Some(table) = TraceTable::parse(&bytes) {
                prop_assert!(table.frames(address).count() <= MAX_INLINED);
            }
        }
    }
}
