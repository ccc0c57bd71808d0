//! Russet, the kernel proper.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod device;
mod vfs;

machine::entry!(kernel_main);

fn kernel_main() -> ! {
    machine::power::off()
}
