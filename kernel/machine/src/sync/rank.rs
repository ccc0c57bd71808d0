//! The one ordered list of all ranks of spinlocks, outermost first. `lockdep` checks it in debug builds.

/// Place of a lock in the order; a lock may be taken while only locks of lower rank are held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rank {
    /// Kernel-wide tables looked up by the shell and system calls.
    Table,
    /// Stops and continuations of a process.
    JobControl,
    /// A process and what it owns.
    Process,
    /// Address-space areas.
    AddressSpace,
    /// File systems and open files.
    File,
    /// A terminal's line discipline.
    Terminal,
    /// The state inside a sleeping lock.
    Mutex,
    /// Page cache of one inode.
    PageCache,
    /// User page tables.
    PageTable,
    /// The random generator.
    Random,
    /// A device's configuration space or registers. From here on interrupts take locks too: whatever is taken with
    /// interrupts on ranks before.
    Device,
    /// A driver's request queue.
    Queue,
    /// Tables of interrupt handlers.
    Interrupt,
    /// List of a wait queue's watchers.
    Watchers,
    /// What an epoll instance has been told of.
    Ready,
    /// List of a wait queue's sleepers.
    WaitQueue,
    /// A task's own state.
    Task,
    /// Timers of a CPU.
    Timer,
    /// Run queue of a CPU.
    RunQueue,
    /// List of all tasks, which the watchdog walks in interrupts.
    TaskList,
    /// Samples of a CPU.
    Profile,
    /// Kernel page tables and stack slots.
    KernelSpace,
    /// Kernel heap.
    Heap,
    /// Frame allocator.
    Frames,
    /// TLB shootdown requests.
    Shootdown,
    /// Console and log: taken under anything.
    Console,
}
