//! Making processes and waiting for them (`clone(2)`, `wait4(2)`, `waitid(2)`).

use bitflags::bitflags;
use linux_raw_sys::general as raw;

use crate::pod::pod_struct;
use crate::signal::Signal;

bitflags! {
    /// What a new task shares with its maker. The lowest eight bits are the signal that tells of its end; unknown bits
    /// are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct CloneFlags: u64 {
        /// Address space.
        const VM = raw::CLONE_VM as u64;
        /// Working directory, root and umask.
        const FS = raw::CLONE_FS as u64;
        /// Descriptors.
        const FILES = raw::CLONE_FILES as u64;
        /// Signal handlers.
        const SIGHAND = raw::CLONE_SIGHAND as u64;
        /// Give a descriptor of the new process.
        const PIDFD = raw::CLONE_PIDFD as u64;
        /// Trace it too.
        const PTRACE = raw::CLONE_PTRACE as u64;
        /// The maker waits until it executes a program or ends.
        const VFORK = raw::CLONE_VFORK as u64;
        /// It has the maker's parent.
        const PARENT = raw::CLONE_PARENT as u64;
        /// It is a thread of the maker's process.
        const THREAD = raw::CLONE_THREAD as u64;
        /// New mount namespace.
        const NEWNS = raw::CLONE_NEWNS as u64;
        /// System V semaphore undo values.
        const SYSVSEM = raw::CLONE_SYSVSEM as u64;
        /// Set the thread pointer.
        const SETTLS = raw::CLONE_SETTLS as u64;
        /// Store its identifier in the maker's memory.
        const PARENT_SETTID = raw::CLONE_PARENT_SETTID as u64;
        /// When it ends, clear its identifier in memory and wake a futex there.
        const CHILD_CLEARTID = raw::CLONE_CHILD_CLEARTID as u64;
        /// Passed over.
        const DETACHED = raw::CLONE_DETACHED as u64;
        /// May not be traced.
        const UNTRACED = raw::CLONE_UNTRACED as u64;
        /// Store its identifier in its own memory.
        const CHILD_SETTID = raw::CLONE_CHILD_SETTID as u64;
        /// New cgroup namespace.
        const NEWCGROUP = raw::CLONE_NEWCGROUP as u64;
        /// New namespace of host names.
        const NEWUTS = raw::CLONE_NEWUTS as u64;
        /// New namespace of System V objects.
        const NEWIPC = raw::CLONE_NEWIPC as u64;
        /// New namespace of users.
        const NEWUSER = raw::CLONE_NEWUSER as u64;
        /// New namespace of processes.
        const NEWPID = raw::CLONE_NEWPID as u64;
        /// New namespace of networks.
        const NEWNET = raw::CLONE_NEWNET as u64;
        /// I/O context.
        const IO = raw::CLONE_IO as u64;
        /// Signal handlers back to the default.
        const CLEAR_SIGHAND = raw::CLONE_CLEAR_SIGHAND;
        /// Start in the given cgroup.
        const INTO_CGROUP = raw::CLONE_INTO_CGROUP;
        const _ = !0;
    }
}

impl CloneFlags {
    /// The number of the signal that tells of the end, out of the lowest eight bits (`CSIGNAL`).
    pub fn exit_signal(self) -> u8 {
        self.bits() as u8
    }
}

pod_struct! {
    /// The arguments of `clone3(2)`.
    pub struct CloneArgs: 88 {
        /// What is shared ([`CloneFlags`]).
        pub flags: u64,
        /// Where to store the descriptor of `PIDFD`.
        pub pidfd: u64,
        /// Where the child stores its identifier.
        pub child_tid: u64,
        /// Where the maker stores it.
        pub parent_tid: u64,
        /// Signal that tells of the end.
        pub exit_signal: u64,
        /// Lowest address of the stack.
        pub stack: u64,
        /// Bytes of the stack.
        pub stack_size: u64,
        /// Thread pointer.
        pub tls: u64,
        /// Array of wanted process identifiers.
        pub set_tid: u64,
        /// Its length.
        pub set_tid_size: u64,
        /// Descriptor of the cgroup.
        pub cgroup: u64,
    }
}

const _: () = assert!(size_of::<CloneArgs>() == size_of::<raw::clone_args>());

impl CloneArgs {
    /// Bytes of the first version, the least that a program may pass.
    pub const SIZE_VER0: usize = raw::CLONE_ARGS_SIZE_VER0 as usize;
}

bitflags! {
    /// What `wait4(2)` and `waitid(2)` wait for.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct WaitFlags: u32 {
        /// Do not wait.
        const NOHANG = raw::WNOHANG;
        /// Also children that stopped.
        const STOPPED = raw::WSTOPPED;
        /// Children that ended (`waitid`).
        const EXITED = raw::WEXITED;
        /// Also children that go on.
        const CONTINUED = raw::WCONTINUED;
        /// Leave it waitable.
        const NOWAIT = raw::WNOWAIT;
        /// Children of this thread alone.
        const NOTHREAD = 0x2000_0000;
        /// All children.
        const ALL = 0x4000_0000;
        /// Children made by `clone` alone.
        const CLONE = 0x8000_0000;
    }
}

/// What happened to a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitStatus {
    /// It called `exit` with this status.
    Exited(u8),
    /// A signal killed it; `core_dumped` if that signal's action is a core dump and one was made.
    Signaled {
        /// The signal.
        signal: Signal,
        /// Whether there is a core dump.
        core_dumped: bool,
    },
    /// A signal stopped it.
    Stopped(Signal),
    /// It stopped for its tracer (`ptrace(2)`): a signal's number, and an event in the bits above.
    Trapped(u32),
    /// It goes on after a stop.
    Continued,
}

impl WaitStatus {
    /// The number that `wait4(2)` stores, to be taken apart by `WIFEXITED` and its kin.
    pub fn encode(self) -> i32 {
        match self {
            WaitStatus::Exited(status) => i32::from(status) << 8,
            WaitStatus::Signaled { signal, core_dumped } => i32::from(signal.number()) | i32::from(core_dumped) << 7,
            WaitStatus::Stopped(signal) => i32::from(signal.number()) << 8 | 0x7f,
            WaitStatus::Trapped(code) => (code << 8 | 0x7f) as i32,
            WaitStatus::Continued => 0xffff,
        }
    }
}

pod_struct! {
    /// How a thread is scheduled (`sched_setattr(2)`).
    pub struct SchedAttr: 56 {
        /// Bytes of the structure.
        pub size: u32,
        /// Number of the policy.
        pub sched_policy: u32,
        /// `SCHED_FLAG_*`.
        pub sched_flags: u64,
        /// Nice value, of the fair policies.
        pub sched_nice: i32,
        /// Priority, of the real-time ones.
        pub sched_priority: u32,
        /// Of the deadline policy, in ns.
        pub sched_runtime: u64,
        /// See `sched_runtime`.
        pub sched_deadline: u64,
        /// See `sched_runtime`.
        pub sched_period: u64,
        /// Least use of a CPU's speed to reckon with.
        pub sched_util_min: u32,
        /// And the greatest.
        pub sched_util_max: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_encoded_as_the_macros_expect() {
        assert_eq!(WaitStatus::Exited(3).encode(), 0x300);
        assert_eq!(WaitStatus::Signaled { signal: Signal::SIGKILL, core_dumped: false }.encode(), 9);
        assert_eq!(WaitStatus::Signaled { signal: Signal::SIGSEGV, core_dumped: true }.encode(), 0x8b);
        assert_eq!(WaitStatus::Stopped(Signal::SIGSTOP).encode(), 0x137f);
        assert_eq!(WaitStatus::Trapped(0x80 | 5).encode(), 0x857f);
        assert_eq!(WaitStatus::Trapped(5 | 4 << 8).encode(), 0x4057f);
        assert_eq!(WaitStatus::Continued.encode(), 0xffff);
    }

    #[test]
    fn flags_of_fork_and_of_a_thread() {
        assert_eq!(CloneFlags::from_bits_retain(0x11).exit_signal(), 17);
        let thread = CloneFlags::from_bits_retain(0x3d_0f00);
        assert!(thread.contains(CloneFlags::VM | CloneFlags::THREAD | CloneFlags::CHILD_CLEARTID));
    }
}
