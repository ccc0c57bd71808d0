//! Tracing another thread: requests, options, events and registers of `ptrace(2)`.

use bitflags::bitflags;
use linux_raw_sys::ptrace as raw;

/// What a tracer asks for.
pub use raw::{
    PTRACE_ARCH_PRCTL, PTRACE_ATTACH, PTRACE_CONT, PTRACE_DETACH, PTRACE_GET_SYSCALL_INFO, PTRACE_GETEVENTMSG,
    PTRACE_GETFPREGS, PTRACE_GETREGS, PTRACE_GETREGSET, PTRACE_GETSIGINFO, PTRACE_GETSIGMASK, PTRACE_INTERRUPT,
    PTRACE_KILL, PTRACE_LISTEN, PTRACE_PEEKDATA, PTRACE_PEEKTEXT, PTRACE_PEEKUSR, PTRACE_POKEDATA, PTRACE_POKETEXT,
    PTRACE_POKEUSR, PTRACE_SEIZE, PTRACE_SETFPREGS, PTRACE_SETOPTIONS, PTRACE_SETREGS, PTRACE_SETREGSET,
    PTRACE_SETSIGINFO, PTRACE_SETSIGMASK, PTRACE_SINGLESTEP, PTRACE_SYSCALL, PTRACE_TRACEME,
};
/// Why a tracee stopped, in the third byte of a wait status.
pub use raw::{
    PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_EXIT, PTRACE_EVENT_FORK, PTRACE_EVENT_STOP, PTRACE_EVENT_VFORK,
    PTRACE_EVENT_VFORK_DONE,
};
/// What `PTRACE_GET_SYSCALL_INFO` tells of.
pub use raw::{PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT, PTRACE_SYSCALL_INFO_NONE};

use crate::pod::pod_struct;

/// Sets of registers (`NT_*` of `elf(5)`): those of [`UserRegs`], the FXSAVE area, the XSAVE area.
pub const NT_PRSTATUS: u64 = 1;
/// See [`NT_PRSTATUS`].
pub const NT_PRFPREG: u64 = 2;
/// See [`NT_PRSTATUS`].
pub const NT_X86_XSTATE: u64 = 0x202;
/// `arch` of [`SyscallInfo`]: x86-64, little-endian.
pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

bitflags! {
    /// What a tracer is told of besides, and how.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Options: u32 {
        /// Stops at system calls have bit 7 set beside SIGTRAP.
        const TRACESYSGOOD = raw::PTRACE_O_TRACESYSGOOD;
        /// A new process, which is traced too.
        const TRACEFORK = raw::PTRACE_O_TRACEFORK;
        /// One made by `vfork(2)`.
        const TRACEVFORK = raw::PTRACE_O_TRACEVFORK;
        /// One made by `clone(2)` otherwise, or a thread.
        const TRACECLONE = raw::PTRACE_O_TRACECLONE;
        /// A new program.
        const TRACEEXEC = raw::PTRACE_O_TRACEEXEC;
        /// The child of `vfork(2)` has let go of the memory.
        const TRACEVFORKDONE = raw::PTRACE_O_TRACEVFORKDONE;
        /// The thread is about to end.
        const TRACEEXIT = raw::PTRACE_O_TRACEEXIT;
        /// A filter of system calls asks; there are none.
        const TRACESECCOMP = raw::PTRACE_O_TRACESECCOMP;
        /// The tracees are killed when the tracer ends.
        const EXITKILL = raw::PTRACE_O_EXITKILL;
    }
}

pod_struct! {
    /// Registers (`struct user_regs_struct` of `sys/user.h`).
    #[allow(missing_docs, reason = "the names are the CPU's")]
    pub struct UserRegs: 216 {
        pub r15: u64,
        pub r14: u64,
        pub r13: u64,
        pub r12: u64,
        pub rbp: u64,
        pub rbx: u64,
        pub r11: u64,
        pub r10: u64,
        pub r9: u64,
        pub r8: u64,
        pub rax: u64,
        pub rcx: u64,
        pub rdx: u64,
        pub rsi: u64,
        pub rdi: u64,
        /// Number of the system call that the thread is in; all ones outside one.
        pub orig_rax: u64,
        pub rip: u64,
        pub cs: u64,
        pub rflags: u64,
        pub rsp: u64,
        pub ss: u64,
        pub fs_base: u64,
        pub gs_base: u64,
        pub ds: u64,
        pub es: u64,
        pub fs: u64,
        pub gs: u64,
    }
}

/// Where the debug registers begin in `struct user`, and the bytes of that.
pub const DEBUG_REGISTERS_OFFSET: u64 = 848;
/// See [`DEBUG_REGISTERS_OFFSET`].
pub const USER_LEN: u64 = 912;

pod_struct! {
    /// What `PTRACE_GET_SYSCALL_INFO` gives. Behind `stack_pointer` lies, by `op`, the number of the call and its arguments, or
    /// its result and whether that is an error.
    pub struct SyscallInfo: 80 {
        /// `PTRACE_SYSCALL_INFO_*`.
        pub op: u8,
        #[doc(hidden)]
        pub __pad: [u8; 3],
        /// [`AUDIT_ARCH_X86_64`].
        pub arch: u32,
        /// `rip`.
        pub instruction_pointer: u64,
        /// `rsp`.
        pub stack_pointer: u64,
        /// See above.
        pub words: [u64; 7],
    }
}

const _: () = {
    assert!(
        core::mem::offset_of!(raw::ptrace_syscall_info, stack_pointer)
            == core::mem::offset_of!(SyscallInfo, stack_pointer)
    );
    assert!(core::mem::offset_of!(raw::pt_regs, rsp) == core::mem::offset_of!(UserRegs, rsp));
};

impl SyscallInfo {
    /// Bytes that matter before the words.
    pub const HEAD: usize = core::mem::offset_of!(SyscallInfo, words);
    /// And with a call's number and arguments, or its result.
    pub const WITH_ENTRY: usize = SyscallInfo::HEAD + 7 * 8;
    /// See [`SyscallInfo::WITH_ENTRY`].
    pub const WITH_EXIT: usize = SyscallInfo::HEAD + 8 + 1;
}
