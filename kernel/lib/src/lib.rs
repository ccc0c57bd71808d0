//! Pure data structures and parsers: no I/O, no unsafe code, tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
