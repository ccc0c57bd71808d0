//! Russet, the kernel proper: starts everything, then idles.
//!
//! The machine (`machine::boot`) has brought up the boot CPU, memory, interrupts and clocks. From here on: scheduler and
//! other CPUs, then, in a task of their own, devices, file systems, terminal and shell.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
pub mod clock;
pub mod device;
pub mod futex;
pub mod input;
pub mod ipc;
pub mod ports;
pub mod process;
pub mod procfs;
pub mod random;
pub mod sched;
pub mod screen;
pub mod shell;
pub mod storage;
pub mod syscall;
pub mod sysfs;
pub mod tty;
pub mod user_loop;
pub mod version;
pub mod vfs;
pub mod vm;

use machine::boot::timeline;

machine::entry!(kernel_main);

/// The first code of the kernel proper, on the boot CPU.
fn kernel_main() -> ! {
    screen::init();
    let cpus = sched::start(process::page_fault, process::write_user_place);
    log::info!("{cpus} CPUs, {} KiB of usable RAM", machine::boot::usable_ram() >> 10);
    if sched::spawn("init", init).is_err() {
        panic!("no memory for the first task");
    }
    sched::idle()
}

/// Everything that may sleep.
fn init() {
    clock::init();
    device::init();
    timeline::mark("devices");
    if let Err(error) = vfs::init(random::fill, clock::time_of_day) {
        panic!("the first file system cannot be made: {error}");
    }
    storage::init();
    process::init(process::Hooks {
        user_loop: user_loop::enter,
        session_ended: tty::session_ended,
        undo: ipc::sysv::sem::undo,
    });
    if sched::spawn("timers", process::alarm::serve).is_err() {
        panic!("no memory for the task that serves timers");
    }
    if sched::load::start().is_err() {
        panic!("no memory for the task that samples the load");
    }
    ipc::init();
    tty::init();
    input::init();
    ports::init();
    if let Err(error) = procfs::init() {
        log::warn!("no /proc: {error}");
    }
    if let Err(error) = sysfs::init() {
        log::warn!("no /sys: {error}");
    }
    timeline::mark("file systems and terminal");
    if shell::start().is_err() {
        panic!("no memory for the shell");
    }
}
