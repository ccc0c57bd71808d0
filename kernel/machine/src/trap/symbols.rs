//! The kernel's own symbols: GRUB loads the ELF symbol and string tables behind the image and passes the section
//! headers on; `boot` keeps their memory reserved. Function names come demangled.

use crate::boot::info::SymbolSections;
use crate::mm::phys;
use core::fmt;
use spin::Once;
use xmas_elf::symbol_table::{Entry64, Type};

/// The loaded tables.
struct Table {
    entries: &'static [Entry64],
    strings: &'static [u8],
}

static TABLE: Once<Table> = Once::new();

/// Takes the sections over. Their memory stays reserved.
pub(crate) fn init(sections: &SymbolSections) {
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
