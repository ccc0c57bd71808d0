//! What the system says of itself and of its limits: `uname(2)`, `sysinfo(2)`, `getrlimit(2)`, `getrusage(2)`, `times(2)`.

use linux_raw_sys::general as raw;
/// Resources with a limit.
pub use raw::{
    RLIM_NLIMITS, RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK,
    RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO, RLIMIT_RTTIME,
    RLIMIT_SIGPENDING, RLIMIT_STACK,
};

use crate::pod::{Pod, pod_struct};
use crate::time::Timeval;

/// Numbers of `reboot(2)`.
pub mod reboot {
    use linux_raw_sys::general as raw;
    /// First argument.
    pub use raw::LINUX_REBOOT_MAGIC1 as MAGIC1;
    /// Second argument: any of these.
    pub const MAGIC2: [u32; 4] =
        [raw::LINUX_REBOOT_MAGIC2, raw::LINUX_REBOOT_MAGIC2A, raw::LINUX_REBOOT_MAGIC2B, raw::LINUX_REBOOT_MAGIC2C];
    /// What to do.
    pub use raw::{
        LINUX_REBOOT_CMD_CAD_OFF as CAD_OFF, LINUX_REBOOT_CMD_CAD_ON as CAD_ON, LINUX_REBOOT_CMD_HALT as HALT,
        LINUX_REBOOT_CMD_POWER_OFF as POWER_OFF, LINUX_REBOOT_CMD_RESTART as RESTART,
        LINUX_REBOOT_CMD_RESTART2 as RESTART2,
    };
}

/// No limit, in [`Rlimit64`].
pub const RLIM_INFINITY: u64 = u64::MAX;

pod_struct! {
    /// What `uname(2)` gives: text that ends with a NUL.
    pub struct Utsname: 390 {
        /// Operating system.
        pub sysname: [u8; 65],
        /// Host name.
        pub nodename: [u8; 65],
        /// Release.
        pub release: [u8; 65],
        /// Version.
        pub version: [u8; 65],
        /// Hardware.
        pub machine: [u8; 65],
        /// Domain of the host name.
        pub domainname: [u8; 65],
    }
}

const _: () = assert!(Utsname::SIZE == size_of::<linux_raw_sys::system::new_utsname>());

impl Utsname {
    /// A field that holds `text`, cut to 64 bytes.
    pub fn field(text: &[u8]) -> [u8; 65] {
        let mut field = [0; 65];
        let len = text.len().min(64);
        field[..len].copy_from_slice(&text[..len]);
        field
    }
}

pod_struct! {
    /// Limit of a resource.
    pub struct Rlimit64 = raw::rlimit64 {
        /// What is enforced now; [`RLIM_INFINITY`] for no limit.
        pub rlim_cur: u64,
        /// How far it may be raised.
        pub rlim_max: u64,
    }
}

pod_struct! {
    /// What `sysinfo(2)` gives.
    pub struct Sysinfo = linux_raw_sys::system::sysinfo {
        /// Seconds since the start.
        pub uptime: i64,
        /// Load of 1, 5 and 15 minutes, times 65536.
        pub loads: [u64; 3],
        /// Memory in all, in units of `mem_unit`, as are the following.
        pub totalram: u64,
        /// Free memory.
        pub freeram: u64,
        /// Shared memory.
        pub sharedram: u64,
        /// Memory that buffers take.
        pub bufferram: u64,
        /// Swap space in all.
        pub totalswap: u64,
        /// Free swap space.
        pub freeswap: u64,
        /// Number of tasks.
        pub procs: u16,
        #[doc(hidden)]
        pub pad: u16,
        pad __pad0: u32,
        /// Always 0 on 64-bit machines.
        pub totalhigh: u64,
        /// Always 0 on 64-bit machines.
        pub freehigh: u64,
        /// Bytes in a unit.
        pub mem_unit: u32,
        pad __pad1: u32,
    }
}

pod_struct! {
    /// What `getrusage(2)` and `wait4(2)` give.
    pub struct Rusage = raw::rusage {
        /// Time in user mode.
        pub ru_utime: Timeval,
        /// Time in the kernel.
        pub ru_stime: Timeval,
        /// Most resident memory so far, in KiB.
        pub ru_maxrss: i64,
        /// Not kept by Linux.
        pub ru_ixrss: i64,
        /// Not kept by Linux.
        pub ru_idrss: i64,
        /// Not kept by Linux.
        pub ru_isrss: i64,
        /// Page faults without I/O.
        pub ru_minflt: i64,
        /// Page faults with I/O.
        pub ru_majflt: i64,
        /// Not kept by Linux.
        pub ru_nswap: i64,
        /// Blocks of 512 bytes read.
        pub ru_inblock: i64,
        /// Blocks of 512 bytes written.
        pub ru_oublock: i64,
        /// Not kept by Linux.
        pub ru_msgsnd: i64,
        /// Not kept by Linux.
        pub ru_msgrcv: i64,
        /// Not kept by Linux.
        pub ru_nsignals: i64,
        /// Times it gave up the CPU.
        pub ru_nvcsw: i64,
        /// Times the CPU was taken.
        pub ru_nivcsw: i64,
    }
}

pod_struct! {
    /// What `times(2)` gives, in ticks of 1/100 s.
    pub struct Tms: 32 {
        /// Time in user mode.
        pub tms_utime: i64,
        /// Time in the kernel.
        pub tms_stime: i64,
        /// Time of waited-for children in user mode.
        pub tms_cutime: i64,
        /// Time of waited-for children in the kernel.
        pub tms_cstime: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utsname_fields_end_with_a_nul() {
        assert_eq!(&Utsname::field(b"Linux")[..7], b"Linux\0\0");
        let long = Utsname::field(&[b'x'; 100]);
        assert_eq!((long[63], long[64]), (b'x', 0));
    }

    #[test]
    fn sysinfo_has_its_padding_zero() {
        let info = Sysinfo { procs: 7, mem_unit: 1, ..Default::default() };
        let mut image = [0xee; Sysinfo::SIZE];
        info.write_bytes(&mut image);
        assert_eq!(image[80..88], [7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(image[104..112], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Sysinfo::SIZE, 112);
    }
}
