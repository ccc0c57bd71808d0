//! Capabilities (`capabilities(7)`, `capget(2)`) and the numbers of `prctl(2)`.

use linux_raw_sys::general as raw;
/// The capabilities, by number.
pub use raw::{
    _LINUX_CAPABILITY_VERSION_1 as VERSION_1, _LINUX_CAPABILITY_VERSION_2 as VERSION_2,
    _LINUX_CAPABILITY_VERSION_3 as VERSION_3, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID,
    CAP_IPC_LOCK, CAP_IPC_OWNER, CAP_KILL, CAP_LAST_CAP, CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE, CAP_MKNOD,
    CAP_NET_BIND_SERVICE, CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_CHROOT,
    CAP_SYS_NICE, CAP_SYS_PTRACE, CAP_SYS_RESOURCE, CAP_SYS_TIME, CAP_SYS_TTY_CONFIG, CAP_SYSLOG,
};

/// Numbers and arguments of `prctl(2)`.
pub mod prctl {
    pub use linux_raw_sys::prctl::{
        PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_LOWER, PR_CAP_AMBIENT_RAISE,
        PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_NAME,
        PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP, PR_GET_SECUREBITS, PR_GET_THP_DISABLE,
        PR_GET_TID_ADDRESS, PR_GET_TIMERSLACK, PR_GET_TIMING, PR_GET_TSC, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE,
        PR_SET_KEEPCAPS, PR_SET_MM, PR_SET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_SET_SECUREBITS,
        PR_SET_THP_DISABLE, PR_SET_TIMERSLACK, PR_SET_TIMING, PR_SET_TSC, PR_SET_VMA, PR_SET_VMA_ANON_NAME,
        PR_TIMING_STATISTICAL, PR_TSC_ENABLE,
    };
}

use crate::pod::pod_struct;

pod_struct! {
    /// Version of the structures, and whom they are about.
    pub struct CapHeader = raw::__user_cap_header_struct {
        /// One of the versions.
        pub version: u32,
        /// Thread; 0 for the caller.
        pub pid: i32,
    }
}

pod_struct! {
    /// 32 capabilities of each set.
    pub struct CapData = raw::__user_cap_data_struct {
        /// What counts.
        pub effective: u32,
        /// What may be made to count.
        pub permitted: u32,
        /// What may be kept over execve(2).
        pub inheritable: u32,
    }
}

/// Bits of `PR_SET_SECUREBITS` (Linux's `include/uapi/linux/securebits.h`); each has one above it that locks it.
pub mod secure {
    /// User 0 gets no capabilities by execve(2).
    pub const NO_ROOT: u32 = 1;
    /// Changes of the user change no capabilities.
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    /// Permitted ones stay when no user number is 0 any more.
    pub const KEEP_CAPS: u32 = 1 << 4;
    /// None can be raised in the ambient set.
    pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
    /// All.
    pub const ALL: u32 = 0xff;
    /// Those that lock the ones below them.
    pub const LOCKS: u32 = 0xaa;
}
