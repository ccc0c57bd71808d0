//! Flags of memory mappings (`mmap(2)`, `mremap(2)`, `madvise(2)`, `msync(2)`).

use bitflags::bitflags;
use linux_raw_sys::general as raw;
/// Advice to `madvise(2)`.
pub use raw::{
    MADV_COLD, MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED, MADV_FREE,
    MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_MERGEABLE, MADV_NOHUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ,
    MADV_POPULATE_WRITE, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_UNMERGEABLE, MADV_WILLNEED, MADV_WIPEONFORK,
};

bitflags! {
    /// What may be done with memory. Unknown bits are not part of it: `from_bits` refuses them, as `mprotect(2)` does.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Prot: u32 {
        /// Read it.
        const READ = raw::PROT_READ;
        /// Write it.
        const WRITE = raw::PROT_WRITE;
        /// Execute it.
        const EXEC = raw::PROT_EXEC;
        /// Use it for atomic operations; without meaning on x86.
        const SEM = raw::PROT_SEM;
        /// Extend the change to the beginning of a mapping that grows down.
        const GROWSDOWN = raw::PROT_GROWSDOWN;
        /// Extend the change to the end of a mapping that grows up.
        const GROWSUP = raw::PROT_GROWSUP;
    }
}

bitflags! {
    /// How memory is mapped. The lowest four bits are the type, see [`MapFlags::map_type`]; unknown bits are kept, as
    /// `mmap(2)` passes over them except with `MAP_SHARED_VALIDATE`.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct MapFlags: u32 {
        /// Exactly at the address, whatever was there.
        const FIXED = raw::MAP_FIXED;
        /// Without a file.
        const ANONYMOUS = raw::MAP_ANONYMOUS;
        /// Below 2 GiB.
        const BIT32 = raw::MAP_32BIT;
        /// Above 4 GiB.
        const ABOVE4G = raw::MAP_ABOVE4G;
        /// Grows downwards, as a stack does.
        const GROWSDOWN = raw::MAP_GROWSDOWN;
        /// Passed over.
        const DENYWRITE = raw::MAP_DENYWRITE;
        /// Passed over.
        const EXECUTABLE = raw::MAP_EXECUTABLE;
        /// Never swapped out.
        const LOCKED = raw::MAP_LOCKED;
        /// Without reserving swap space.
        const NORESERVE = raw::MAP_NORESERVE;
        /// Filled at once.
        const POPULATE = raw::MAP_POPULATE;
        /// Filled as far as no I/O is needed.
        const NONBLOCK = raw::MAP_NONBLOCK;
        /// For a stack; passed over.
        const STACK = raw::MAP_STACK;
        /// With huge pages.
        const HUGETLB = raw::MAP_HUGETLB;
        /// Persistent memory.
        const SYNC = raw::MAP_SYNC;
        /// Exactly at the address; fail if something is there.
        const FIXED_NOREPLACE = raw::MAP_FIXED_NOREPLACE;
        /// Not cleared.
        const UNINITIALIZED = raw::MAP_UNINITIALIZED;
        const _ = !0;
    }
}

/// Who sees what is written to a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapType {
    /// All who map the file, and the file itself.
    Shared,
    /// The process alone.
    Private,
    /// As `Shared`, and unknown flags are refused.
    SharedValidate,
}

impl MapFlags {
    /// The type; `None` if it is none of the three, for which `mmap(2)` gives `EINVAL`.
    pub fn map_type(self) -> Option<MapType> {
        match self.bits() & raw::MAP_TYPE {
            raw::MAP_SHARED => Some(MapType::Shared),
            raw::MAP_PRIVATE => Some(MapType::Private),
            raw::MAP_SHARED_VALIDATE => Some(MapType::SharedValidate),
            _ => None,
        }
    }
}

bitflags! {
    /// How a mapping is resized.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct MremapFlags: u32 {
        /// It may move.
        const MAYMOVE = raw::MREMAP_MAYMOVE;
        /// It moves to the given address.
        const FIXED = raw::MREMAP_FIXED;
        /// The old addresses stay mapped, and empty.
        const DONTUNMAP = raw::MREMAP_DONTUNMAP;
    }
}

bitflags! {
    /// How a mapping is written back.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct MsyncFlags: u32 {
        /// Without waiting.
        const ASYNC = raw::MS_ASYNC;
        /// Other mappings of the file become current.
        const INVALIDATE = raw::MS_INVALIDATE;
        /// Until it is on disk.
        const SYNC = raw::MS_SYNC;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_mapping() {
        assert_eq!(MapFlags::from_bits_retain(0x22).map_type(), Some(MapType::Private));
        assert_eq!(MapFlags::from_bits_retain(0x22) - MapFlags::ANONYMOUS, MapFlags::from_bits_retain(2));
        assert_eq!(MapFlags::from_bits_retain(0x03).map_type(), Some(MapType::SharedValidate));
        assert_eq!(MapFlags::ANONYMOUS.map_type(), None);
        assert_eq!(Prot::from_bits(0x10), None);
    }
}
