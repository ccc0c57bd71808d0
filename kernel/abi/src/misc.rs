//! Structures about the system: uname(2), sysinfo(2), getrlimit(2), getrusage(2).

use crate::pod::pod_struct;
use crate::time::Timeval;
use linux_raw_sys::{general as raw, system};

/// Bytes of each field of `struct new_utsname`.
const NAME_LEN: usize = 65;

/// `struct new_utsname` of uname(2): six fields of 65 bytes, each ended by a zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Utsname([u8; 6 * NAME_LEN]);
const _: () = assert!(size_of::<Utsname>() == size_of::<system::new_utsname>());

impl Utsname {
    /// System, node, release, version, machine and domain name, cut to 64 bytes each.
    pub fn new(fields: [&str; 6]) -> Self {
        let mut bytes = [0; 6 * NAME_LEN];
        for (field, slot) in fields.iter().zip(bytes.chunks_exact_mut(NAME_LEN)) {
            let len = field.len().min(NAME_LEN - 1);
            slot[..len].copy_from_slice(&field.as_bytes()[..len]);
        }
        Utsname(bytes)
    }
}

impl crate::pod::Pod for Utsname {
    const SIZE: usize = 6 * NAME_LEN;
    fn write_bytes(&self, out: &mut [u8]) {
        out[..Self::SIZE].copy_from_slice(&self.0);
    }
    fn read_bytes(bytes: &[u8]) -> Self {
        let mut own = [0; 6 * NAME_LEN];
        own.copy_from_slice(&bytes[..Self::SIZE]);
        Utsname(own)
    }
}

pod_struct! {
    /// `struct sysinfo` of sysinfo(2).
    Sysinfo, 112 as system::sysinfo {
        0 uptime: i64,
        8 loads: [u64; 3],
        32 totalram: u64,
        40 freeram: u64,
        48 sharedram: u64,
        56 bufferram: u64,
        64 totalswap: u64,
        72 freeswap: u64,
        80 procs: u16,
        88 totalhigh: u64,
        96 freehigh: u64,
        104 mem_unit: u32,
    }
}

pod_struct! {
    /// `struct rlimit64` of prlimit(2); `struct rlimit` looks the same on x86-64.
    Rlimit64, 16 as raw::rlimit64 {
        0 current: u64,
        8 maximum: u64,
    }
}

pod_struct! {
    /// `struct rusage` of getrusage(2).
    Rusage, 144 as raw::rusage {
        0 utime: Timeval,
        16 stime: Timeval,
        32 maxrss: i64,
        40 ixrss: i64,
        48 idrss: i64,
        56 isrss: i64,
        64 minflt: i64,
        72 majflt: i64,
        80 nswap: i64,
        88 inblock: i64,
        96 oublock: i64,
        104 msgsnd: i64,
        112 msgrcv: i64,
        120 nsignals: i64,
        128 nvcsw: i64,
        136 nivcsw: i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    #[test]
    fn names_are_cut_and_ended() {
        let long = "x".repeat(80);
        let names = Utsname::new(["Russet", &long, "", "", "x86_64", ""]);
        let mut bytes = [1; Utsname::SIZE];
        names.write_bytes(&mut bytes);
        assert_eq!(&bytes[..7], b"Russet\0");
        assert_eq!((bytes[65 + 63], bytes[65 + 64]), (b'x', 0));
    }
}
