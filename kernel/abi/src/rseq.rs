//! Restartable sequences (`rseq(2)`): the area that a thread registers, and what it says of a critical section (Linux's
//! `include/uapi/linux/rseq.h`, which `linux-raw-sys` lacks).

use crate::pod::pod_struct;

/// Bytes of an area at least, and its alignment (AT_RSEQ_ALIGN).
pub const RSEQ_LEN: u32 = 32;
/// Bytes of it that have a meaning (AT_RSEQ_FEATURE_SIZE): up to `mm_cid`.
pub const RSEQ_FEATURE_LEN: u32 = 28;
/// `flags` of the call that ends a registration.
pub const RSEQ_FLAG_UNREGISTER: u32 = 1;
/// `cpu_id` of an area that is not registered.
pub const RSEQ_CPU_ID_UNINITIALIZED: u32 = u32::MAX;

/// Where the fields of an area are. `cpu_id_start` and `cpu_id` lie side by side, as do `node_id` and `mm_cid`.
pub mod area {
    /// The CPU, always one that there is; then that CPU once more, or why there is none.
    pub const CPU_IDS: u64 = 0;
    /// Address of the critical section that the thread is in; 0 for none.
    pub const SECTION: u64 = 8;
    /// Once how to restart; must be 0.
    pub const FLAGS: u64 = 16;
    /// The NUMA node, then a number that no other thread has which runs in the same address space now.
    pub const NODE_AND_MM_CID: u64 = 20;
}

pod_struct! {
    /// A critical section (`struct rseq_cs`).
    pub struct RseqSection: 32 {
        /// Version of the structure; must be 0.
        pub version: u32,
        /// Once how to restart; must be 0.
        pub flags: u32,
        /// Its first instruction.
        pub start_ip: u64,
        /// Bytes up to the end of its last instruction, the one that commits.
        pub post_commit_offset: u64,
        /// Where it goes on when it is aborted; the four bytes before are the signature.
        pub abort_ip: u64,
    }
}

impl RseqSection {
    /// Whether it is one: inside of a program's addresses, which end at `end`, and left by its abort.
    pub fn is_sound(&self, end: u64) -> bool {
        let section_end = self.start_ip.checked_add(self.post_commit_offset);
        let within = section_end.is_some_and(|section_end| section_end < end) && self.abort_ip < end;
        self.version == 0 && within && !self.contains(self.abort_ip)
    }

    /// Whether the instruction at `ip` is one of its.
    pub fn contains(&self, ip: u64) -> bool {
        ip.wrapping_sub(self.start_ip) < self.post_commit_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 0x1000;
    const SOUND: RseqSection =
        RseqSection { version: 0, flags: 0, start_ip: 0x100, post_commit_offset: 0x20, abort_ip: 0x200 };

    #[test]
    fn a_section_ends_before_its_end() {
        assert!(SOUND.contains(0x100) && SOUND.contains(0x11f));
        assert!(!SOUND.contains(0xff) && !SOUND.contains(0x120) && !SOUND.contains(u64::MAX));
        assert!(!RseqSection { post_commit_offset: 0, ..SOUND }.contains(0x100));
    }

    #[test]
    fn what_is_no_section_is_told() {
        assert!(SOUND.is_sound(END));
        for wrong in [
            RseqSection { version: 1, ..SOUND },
            RseqSection { start_ip: END, ..SOUND },
            RseqSection { post_commit_offset: END, ..SOUND },
            RseqSection { start_ip: u64::MAX, ..SOUND },
            RseqSection { abort_ip: END, ..SOUND },
            RseqSection { abort_ip: 0x100, ..SOUND },
            RseqSection { abort_ip: 0x11f, ..SOUND },
        ] {
            assert!(!wrong.is_sound(END), "{wrong:x?}");
        }
        assert!(RseqSection { abort_ip: 0x120, ..SOUND }.is_sound(END));
    }
}
