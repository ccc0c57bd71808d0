//! Russet, the kernel proper.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

machine::entry!(kernel_main);

fn kernel_main() -> ! {
    machine::power::off()
}
