//! Pure data structures and parsers of the kernel, tested on the host.
//!
//! No module here does I/O, takes a lock or knows the machine: bytes go in, values come out. Input is taken to be
//! hostile wherever it comes from outside the kernel (firmware tables, files, a terminal): an error that names the
//! thing, never a panic.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod acpi;
pub mod bytes;
pub mod calendar;
pub mod crc32;
pub mod elf_load;
pub mod font;
pub mod initial_stack;
pub mod input;
pub mod interval_map;
pub mod keyboard;
pub mod ldisc;
pub mod line_edit;
pub mod objects;
pub mod profile;
pub mod rate_limit;
pub mod small_map;
pub mod sort;
pub mod trace;
pub mod traces;
pub mod virtio;
pub mod vt;
pub mod words;
