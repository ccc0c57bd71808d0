//! The machine: everything that needs `unsafe`, behind an interface that does not.
//!
//! From below: [`addr`], [`cpu`], [`percpu`], [`sync`]; memory in [`mm`]; interrupts and time in [`trap`], [`irq`], [`time`];
//! [`task`] and [`user`] for what runs; [`io`] for drivers. `boot` ties them together and calls the kernel proper, which
//! this crate knows only through [`hooks::Hooks`] and the closures given to it.
//!
//! Exported macros, reviewed as unsafe code: [`percpu!`], [`entry!`], [`kernel_test_record!`].

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

extern crate alloc;

pub mod acpi;
pub mod addr;
pub mod boot;
pub mod console;
pub mod cpu;
pub mod crash;
mod debugger;
pub mod hooks;
pub mod io;
pub mod irq;
pub mod kept_log;
pub mod ktest;
pub mod mm;
pub mod panic;
pub mod percpu;
pub mod power;
pub mod profile;
mod report;
pub mod smp;
pub mod sync;
pub mod task;
pub mod time;
pub mod trace;
pub mod trap;
pub mod user;
pub mod vdso;
#[cfg(debug_assertions)]
mod watchdog;

pub use addr::{PAGE_SIZE, PhysAddr};
