//! What a signal handler finds on its stack: `siginfo_t`, and `ucontext_t` with the interrupted registers.
//!
//! `linux-raw-sys` lacks the contexts; their layouts are those of the x86-64 psABI's Linux supplement as
//! `sigreturn(2)` reads them, with sizes asserted.

use linux_raw_sys::general as raw;

use crate::pod::{Pod, pod_struct};
use crate::signal::{SigSet, SigaltStack, Signal};

/// `si_code`: sent by `kill(2)`.
pub const SI_USER: i32 = 0;
/// `si_code`: sent by the kernel.
pub const SI_KERNEL: i32 = 0x80;
/// `si_code`: sent by `sigqueue(3)`.
pub const SI_QUEUE: i32 = -1;
/// `si_code`: a timer expired.
pub const SI_TIMER: i32 = -2;
/// `si_code`: sent by `tkill(2)` or `tgkill(2)`.
pub const SI_TKILL: i32 = -6;
/// `si_code`: the lowest of those in a row that say what they come with.
pub const SI_DETHREAD: i32 = -7;
/// `si_code`: a name has been looked up (`getaddrinfo_a(3)`).
pub const SI_ASYNCNL: i32 = -60;
/// `si_code` of signals about files (`F_SETSIG`): there is something to read, there is room to write, an error, a hang-up.
pub const POLL_IN: i32 = raw::POLL_IN as i32;
/// See [`POLL_IN`].
pub const POLL_OUT: i32 = raw::POLL_OUT as i32;
/// See [`POLL_IN`].
pub const POLL_ERR: i32 = raw::POLL_ERR as i32;
/// See [`POLL_IN`].
pub const POLL_HUP: i32 = raw::POLL_HUP as i32;
/// `si_code` of `SIGSEGV`: nothing mapped there.
pub const SEGV_MAPERR: i32 = 1;
/// `si_code` of `SIGSEGV`: the mapping forbids it.
pub const SEGV_ACCERR: i32 = 2;
/// `si_code` of `SIGBUS`: unaligned access.
pub const BUS_ADRALN: i32 = 1;
/// `si_code` of `SIGBUS`: beyond the end of the mapped file.
pub const BUS_ADRERR: i32 = 2;
/// `si_code` of `SIGFPE`: division by zero.
pub const FPE_INTDIV: i32 = 1;
/// `si_code` of `SIGFPE`: integer overflow.
pub const FPE_INTOVF: i32 = 2;
/// `si_code` of `SIGFPE`: floating-point division by zero.
pub const FPE_FLTDIV: i32 = 3;
/// `si_code` of `SIGFPE`: floating-point overflow.
pub const FPE_FLTOVF: i32 = 4;
/// `si_code` of `SIGFPE`: floating-point underflow.
pub const FPE_FLTUND: i32 = 5;
/// `si_code` of `SIGFPE`: inexact floating-point result.
pub const FPE_FLTRES: i32 = 6;
/// `si_code` of `SIGFPE`: invalid floating-point operation.
pub const FPE_FLTINV: i32 = 7;
/// `si_code` of `SIGILL`: no such instruction.
pub const ILL_ILLOPN: i32 = 2;
/// `si_code` of `SIGILL`: privileged instruction.
pub const ILL_PRVOPC: i32 = 5;
/// `si_code` of `SIGTRAP`: breakpoint.
pub const TRAP_BRKPT: i32 = 1;
/// `si_code` of `SIGTRAP`: single step.
pub const TRAP_TRACE: i32 = 2;
/// `si_code` of `SIGTRAP`: an address of the debug registers.
pub const TRAP_HWBKPT: i32 = 4;
/// `si_code` of `SIGCHLD`: it ended by itself.
pub const CLD_EXITED: i32 = 1;
/// `si_code` of `SIGCHLD`: a signal killed it.
pub const CLD_KILLED: i32 = 2;
/// `si_code` of `SIGCHLD`: a signal killed it, with a core dump.
pub const CLD_DUMPED: i32 = 3;
/// `si_code` of `SIGCHLD`: it stopped for its tracer.
pub const CLD_TRAPPED: i32 = 4;
/// `si_code` of `SIGCHLD`: it stopped.
pub const CLD_STOPPED: i32 = 5;
/// `si_code` of `SIGCHLD`: it goes on.
pub const CLD_CONTINUED: i32 = 6;

pod_struct! {
    /// What the kernel knows of a signal: all of `siginfo_t` that any kind of signal fills in.
    pub struct KernelSiginfo: 48 {
        /// Signal number.
        pub si_signo: i32,
        /// Unused on Linux.
        pub si_errno: i32,
        /// Why (`SI_*`, `SEGV_*`, …).
        pub si_code: i32,
        #[doc(hidden)]
        pub __pad0: i32,
        /// The union of the C structure.
        pub fields: [u64; 4],
    }
}

pod_struct! {
    /// `siginfo_t` in user memory.
    pub struct Siginfo: 128 {
        /// What is known.
        pub known: KernelSiginfo,
        /// The rest of its union, zeros in what the kernel writes.
        pub rest: [u64; 10],
    }
}

pod_struct! {
    /// What a read of `signalfd(2)` tells of a signal.
    pub struct SignalfdSiginfo: 128 {
        /// Signal number.
        pub ssi_signo: u32,
        /// Unused on Linux.
        pub ssi_errno: i32,
        /// Why (`SI_*`, …).
        pub ssi_code: i32,
        /// Process that sent it.
        pub ssi_pid: u32,
        /// User that sent it.
        pub ssi_uid: u32,
        /// Descriptor (`SIGIO`).
        pub ssi_fd: i32,
        /// Timer that expired.
        pub ssi_tid: u32,
        /// Events (`SIGIO`).
        pub ssi_band: u32,
        /// Expirations missed.
        pub ssi_overrun: u32,
        /// Number of the exception.
        pub ssi_trapno: u32,
        /// Exit status or signal of a child.
        pub ssi_status: i32,
        /// Value given to `sigqueue(3)`, as an integer.
        pub ssi_int: i32,
        /// The same as a pointer.
        pub ssi_ptr: u64,
        /// User time of a child.
        pub ssi_utime: u64,
        /// System time of a child.
        pub ssi_stime: u64,
        /// Address of a fault.
        pub ssi_addr: u64,
        #[doc(hidden)]
        pub __pad: [u64; 6],
    }
}

impl From<&KernelSiginfo> for SignalfdSiginfo {
    /// Which fields count depends on why the signal came (`signalfd(2)`).
    fn from(info: &KernelSiginfo) -> Self {
        let [first, second, third, fourth] = info.fields;
        let mut out = SignalfdSiginfo {
            ssi_signo: info.si_signo as u32,
            ssi_errno: info.si_errno,
            ssi_code: info.si_code,
            ..SignalfdSiginfo::ZERO
        };
        let faults = [Signal::SIGILL, Signal::SIGFPE, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGTRAP];
        let is = |signal: Signal| info.si_signo == i32::from(signal.number());
        if info.si_code == SI_TIMER {
            (out.ssi_tid, out.ssi_overrun) = (first as u32, (first >> 32) as u32);
        } else if info.si_code > 0 && info.si_code != SI_KERNEL && faults.into_iter().any(is) {
            out.ssi_addr = first;
            return out;
        } else {
            (out.ssi_pid, out.ssi_uid) = (first as u32, (first >> 32) as u32);
        }
        if is(Signal::SIGCHLD) && info.si_code > 0 {
            (out.ssi_status, out.ssi_utime, out.ssi_stime) = (second as i32, third, fourth);
        } else {
            (out.ssi_int, out.ssi_ptr) = (second as i32, second);
        }
        out
    }
}

const _: () = assert!(Siginfo::SIZE == size_of::<raw::siginfo_t>());

impl KernelSiginfo {
    /// Sent by a process: `code` is [`SI_USER`], [`SI_TKILL`] or [`SI_QUEUE`] (then `value` is its argument).
    pub fn sent(signal: Signal, code: i32, pid: i32, uid: u32, value: u64) -> KernelSiginfo {
        let mut info = KernelSiginfo::new(signal, code);
        info.fields[0] = u64::from(pid as u32) | u64::from(uid) << 32;
        info.fields[1] = value;
        info
    }

    /// A file is ready: `code` is `POLL_IN` and its kin, `band` the events of `poll(2)`.
    pub fn io(signal: Signal, code: i32, band: u32, descriptor: i32) -> KernelSiginfo {
        let mut info = KernelSiginfo::new(signal, code);
        info.fields[0] = band.into();
        info.fields[1] = u64::from(descriptor as u32);
        info
    }

    /// Sent by the kernel for no particular reason.
    pub fn kernel(signal: Signal) -> KernelSiginfo {
        KernelSiginfo::new(signal, SI_KERNEL)
    }

    /// An instruction failed; `address` is that of the memory or the instruction.
    pub fn fault(signal: Signal, code: i32, address: u64) -> KernelSiginfo {
        let mut info = KernelSiginfo::new(signal, code);
        info.fields[0] = address;
        info
    }

    /// A child changed state: `code` is `CLD_*`, `status` its exit status or signal number, times in 1/100 s.
    pub fn child(code: i32, pid: i32, uid: u32, status: i32, user_ticks: i64, system_ticks: i64) -> KernelSiginfo {
        let mut info = KernelSiginfo::new(Signal::SIGCHLD, code);
        info.fields[0] = u64::from(pid as u32) | u64::from(uid) << 32;
        info.fields[1] = u64::from(status as u32);
        info.fields[2] = user_ticks as u64;
        info.fields[3] = system_ticks as u64;
        info
    }

    /// The same about process or thread `pid`.
    pub fn about(mut self, pid: i32) -> KernelSiginfo {
        self.fields[0] = self.fields[0] & !u64::from(u32::MAX) | u64::from(pid as u32);
        self
    }

    /// Whether its code says which fields there are: else they may be any of `siginfo_t`, more than are here.
    pub fn has_known_fields(&self) -> bool {
        self.si_code >= SI_DETHREAD || self.si_code == SI_ASYNCNL
    }

    fn new(signal: Signal, si_code: i32) -> KernelSiginfo {
        KernelSiginfo { si_signo: i32::from(signal.number()), si_code, ..KernelSiginfo::ZERO }
    }
}

impl From<KernelSiginfo> for Siginfo {
    fn from(known: KernelSiginfo) -> Siginfo {
        Siginfo { known, rest: [0; 10] }
    }
}

pod_struct! {
    /// The interrupted registers (`mcontext_t`).
    #[expect(missing_docs, reason = "the fields are registers of the CPU")]
    pub struct Sigcontext: 256 {
        pub r8: u64,
        pub r9: u64,
        pub r10: u64,
        pub r11: u64,
        pub r12: u64,
        pub r13: u64,
        pub r14: u64,
        pub r15: u64,
        pub rdi: u64,
        pub rsi: u64,
        pub rbp: u64,
        pub rbx: u64,
        pub rdx: u64,
        pub rax: u64,
        pub rcx: u64,
        pub rsp: u64,
        pub rip: u64,
        pub rflags: u64,
        pub cs: u16,
        pub gs: u16,
        pub fs: u16,
        pub ss: u16,
        /// Error code of the exception.
        pub err: u64,
        /// Vector of the exception.
        pub trapno: u64,
        /// Lowest word of the signal mask.
        pub oldmask: u64,
        pub cr2: u64,
        /// User address of the saved FPU state; 0 if there is none.
        pub fpstate: u64,
        #[doc(hidden)]
        pub reserved: [u64; 8],
    }
}

pod_struct! {
    /// What `rt_sigreturn(2)` restores (`ucontext_t` as the kernel knows it).
    pub struct Ucontext: 304 {
        /// [`UC_FP_XSTATE`] and [`UC_SIGCONTEXT_SS`].
        pub uc_flags: u64,
        /// Always 0.
        pub uc_link: u64,
        /// The alternate stack.
        pub uc_stack: SigaltStack,
        /// The registers.
        pub uc_mcontext: Sigcontext,
        /// The signal mask.
        pub uc_sigmask: SigSet,
    }
}

/// `uc_flags`: the FPU state is in XSAVE format.
pub const UC_FP_XSTATE: u64 = 1;
/// `uc_flags`: `ss` in the context is valid.
pub const UC_SIGCONTEXT_SS: u64 = 2;
/// `uc_flags`: `ss` is to be restored as it is.
pub const UC_STRICT_RESTORE_SS: u64 = 4;

pod_struct! {
    /// The whole frame: at its lowest address is what the handler returns to.
    pub struct RtSigframe: 440 {
        /// `sa_restorer`.
        pub pretcode: u64,
        /// The context, third argument of the handler.
        pub uc: Ucontext,
        /// Why the signal came, second argument of the handler.
        pub info: Siginfo,
    }
}

pod_struct! {
    /// What the saved FPU state tells of itself, in bytes that the CPU leaves to software (`struct _fpx_sw_bytes`).
    pub struct FpxSwBytes: 48 {
        /// Says that the rest is there.
        pub magic1: u32,
        /// Bytes with the mark behind the state.
        pub extended_size: u32,
        /// Components that are in it, as in XCR0.
        pub xstate_bv: u64,
        /// Bytes of the state.
        pub xstate_size: u32,
        #[doc(hidden)]
        pub padding: [u32; 7],
    }
}

impl From<FpxSwBytes> for [u64; 6] {
    fn from(bytes: FpxSwBytes) -> Self {
        zerocopy::transmute!(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siginfo_layouts() {
        let mut image = [0; Siginfo::SIZE];
        Siginfo::from(KernelSiginfo::sent(Signal::SIGUSR1, SI_USER, 42, 1000, 0)).write_bytes(&mut image);
        assert_eq!(image[..12], [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(image[16..24], [42, 0, 0, 0, 0xe8, 3, 0, 0]);
        Siginfo::from(KernelSiginfo::fault(Signal::SIGSEGV, SEGV_MAPERR, 0x1234)).write_bytes(&mut image);
        assert_eq!((image[8], &image[16..18]), (1, &[0x34, 0x12][..]));
        Siginfo::from(KernelSiginfo::child(CLD_KILLED, 7, 0, 9, 1, 2)).write_bytes(&mut image);
        assert_eq!((image[16], image[24], image[32], image[40]), (7, 9, 1, 2));
    }

    #[test]
    fn context_offsets() {
        assert_eq!(core::mem::offset_of!(Ucontext, uc_mcontext), 40);
        assert_eq!(core::mem::offset_of!(Sigcontext, rip), 128);
        assert_eq!(core::mem::offset_of!(Sigcontext, fpstate), 184);
        assert_eq!(core::mem::offset_of!(Ucontext, uc_sigmask), 296);
        assert_eq!(core::mem::offset_of!(RtSigframe, info), 312);
    }
}
