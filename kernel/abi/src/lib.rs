//! The Linux x86-64 ABI as Russet speaks it: error numbers, system call numbers, flags and the structures that cross
//! the border between a user program and the kernel.
//!
//! Nothing here does anything; it says how things look from the other side. Values come from `linux-raw-sys`, and every
//! structure's size and field offsets are asserted against it at compile time. Structures turn into bytes and back field
//! by field ([`Pod`](pod::Pod)), so no padding byte of the kernel's memory ever reaches a user program.
#![no_std]
#![forbid(unsafe_code)]

pub mod auxv;
pub mod block;
pub mod capability;
pub mod errno;
pub mod fcntl;
pub mod fs;
pub mod inet;
pub mod inotify;
pub mod input;
pub mod ipc;
pub mod mm;
pub mod pod;
pub mod poll;
pub mod process;
pub mod ptrace;
pub mod rseq;
pub mod sigframe;
pub mod signal;
pub mod socket;
pub mod syscall;
pub mod system;
pub mod termios;
pub mod time;
pub mod vt;

pub use errno::Errno;
pub use pod::Pod;
pub use signal::{SigSet, Signal};
