//! From the assembly entry to the kernel proper: one list of steps, each relying on those before.

pub mod info;
pub mod timeline;

use crate::addr::KERNEL_BASE;
use crate::cpu;
use crate::hooks::{self, Hooks};
use crate::mm::{early, frame, space};
use crate::sync::Once;
use crate::{acpi, console, irq, percpu, smp, time, trap};
use core::arch::global_asm;
use info::BootInfo;

const MULTIBOOT2_MAGIC: u32 = 0x36d7_6289;
const BOOT_STACK_LEN: usize = 64 * 1024;
/// Status of a kernel that cannot run on this machine.
const EXIT_UNSUITABLE: u8 = 0x66;
/// With less usable RAM than this the kernel does not start, since user programs could not either.
const LEAST_RAM: u64 = 33 << 20;

global_asm!(
    include_str!("../../../../asm/boot.S"),
    magic = const MULTIBOOT2_MAGIC,
    to_physical = const KERNEL_BASE.wrapping_neg(),
    stack_size = const BOOT_STACK_LEN,
    exit_code = const EXIT_UNSUITABLE,
    main = sym machine_main,
);

unsafe extern "C" {
    /// TSC at the multiboot entry, written by `asm/boot.S`.
    static boot_tsc: u64;
}

static INFO: Once<BootInfo> = Once::new();

unsafe extern "Rust" {
    /// The kernel proper, named by [`crate::entry!`].
    safe fn russet_kernel_main() -> !;
}

/// Names the kernel proper's first function, `fn() -> !`. It runs on the boot CPU with interrupts off.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn russet_kernel_main() -> ! {
            $main()
        }
    };
}

/// The first Rust code.
extern "C" fn machine_main(info_address: u32) -> ! {
    // SAFETY: (1) called once, by asm/boot.S, before anything else.
    unsafe { percpu::init_boot_cpu() };
    // SAFETY: (1) written by asm/boot.S before this.
    time::set_boot_tsc(unsafe { boot_tsc });
    console::init();
    timeline::mark("serial ports");
    // SAFETY: (1) the address GRUB passed; (2) the first tables are in use.
    let Some(info) = (unsafe { info::read(info_address) }) else {
        unsuitable("the boot loader's multiboot2 information is malformed")
    };
    let info = INFO.call_once(|| info);
    if info.areas().is_empty() {
        unsuitable("the boot loader passed no memory map");
    }
    early::init(info);
    let (ram, _) = early::totals();
    if ram < LEAST_RAM {
        console::emergency(format_args!("\nrusset: {} KiB of usable RAM", ram >> 10));
        unsuitable("more than 32 MiB of RAM are needed");
    }
    cpu::features::init_this_cpu();
    if space::init(info).is_err() || frame::init().is_err() {
        unsuitable("no RAM left for page tables and frame descriptors");
    }
    timeline::mark("memory");
    trap::symbols::init(info);
    let Some(root) = info.acpi_root else { unsuitable("the firmware gives no ACPI tables (RSDP)") };
    let platform = match acpi::read(root) {
        Ok(platform) => platform,
        Err(error) => {
            console::emergency(format_args!("\nrusset: ACPI: {error}"));
            unsuitable("the ACPI tables cannot be used")
        }
    };
    timeline::mark("ACPI tables");
    irq::silence_8259();
    if let Err(error) = irq::lapic::init(platform.local_apic) {
        console::emergency(format_args!("\nrusset: local APIC: {error}"));
        unsuitable("no local APIC");
    }
    smp::init_this_cpu();
    irq::init_ioapics(&platform.io_apics, platform.overrides.clone());
    time::init(platform.hpet);
    crate::power::init(platform.power);
    timeline::mark("interrupts and clocks");
    acpi::keep(platform);
    russet_kernel_main()
}

/// Installs the hooks, brings the other CPUs up and lets interrupts in. `idle` is what the other CPUs end in. How many
/// CPUs are up.
pub fn start(hooks: &'static Hooks, idle: fn() -> !) -> u32 {
    hooks::install(hooks);
    #[cfg(debug_assertions)]
    crate::watchdog::start();
    let count = smp::start(&acpi::platform().cpus, idle);
    timeline::mark("other CPUs");
    count
}

/// Lets interrupts in on this CPU, for the first time.
pub fn enable_interrupts() {
    time::start_ticks();
    cpu::start_interrupts();
}

/// What the boot loader told.
pub fn info() -> &'static BootInfo {
    match INFO.get() {
        Some(info) => info,
        None => panic!("boot information used before it is read"),
    }
}

/// Bytes of usable RAM in the memory map.
pub fn usable_ram() -> u64 {
    early::totals().0
}

fn unsuitable(why: &str) -> ! {
    console::emergency(format_args!("\nrusset: cannot start: {why}\n"));
    crate::power::exit(EXIT_UNSUITABLE)
}
