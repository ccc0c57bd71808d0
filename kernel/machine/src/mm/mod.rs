//! Memory: frames, the kernel's own space, heap, user page tables.
//!
//! From below: `early` hands out memory once at boot; `frame` describes every frame and gives them out by the buddy
//! system, `block` contiguous ones; `table` edits page tables; `space` is the kernel's half of the address space; `heap` serves `alloc`;
//! `user_space` is one process's half, `unmap`, `protect`, `fork` and
//! `move_pages` edit it at large, `huge` has its 2 MiB pages; `tlb` keeps other CPUs' translations true.

mod block;
mod buddy;
pub(crate) mod early;
mod fork;
pub mod frame;
mod heap;
mod huge;
mod move_pages;
pub mod phys;
mod protect;
pub mod space;
mod table;
pub(crate) mod tlb;
mod unmap;
mod user_space;

pub use block::{FrameBlock, HugeFrame, huge_pages};
pub use frame::{Frame, FrameKind, OutOfMemory};

pub use heap::{HeapStatistics, statistics as heap_statistics};
pub use huge::CollapseError;
pub use tlb::synchronize as synchronize_cpus;
pub use user_space::{Around, MapError, Mapping, Protection, UserSpace, switch_to_kernel};

core::arch::global_asm!(include_str!("../../../../asm/memory.S"));
