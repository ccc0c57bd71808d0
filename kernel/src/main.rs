//! Russet, the kernel proper.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

machine::entry!(kernel_main);

fn kernel_main() -> ! {
    machine::console::write_bytes(b"hello from the kernel\n");
    for (stage, us) in machine::boot::timeline::stages() {
        machine::console::write_bytes(alloc::format!("{stage} {us}\n").as_bytes());
    }
    machine::power::off()
}
