//! Memory without a name that several processes map: what `MAP_SHARED | MAP_ANONYMOUS` makes, and `/dev/zero` shared.
//!
//! Its pages are a page cache without a file: made when first touched, shared by all who map it, given back with the
//! last mapping.

use crate::vfs::{PageCache, Quota};
use abi::Errno;
use alloc::sync::Arc;
use machine::mm::Frame;
use machine::sync::Once;

/// The memory.
pub struct SharedMemory {
    pages: Arc<PageCache>,
    /// How many pages it has.
    len: u64,
}

impl SharedMemory {
    /// `len` pages of zeros.
    pub fn new(len: u64) -> Arc<Self> {
        static UNBOUNDED: Once<Arc<Quota>> = Once::new();
        // What bounds it is the memory there is.
        let quota = UNBOUNDED.call_once(|| Quota::new(usize::MAX));
        Arc::new(SharedMemory { pages: PageCache::in_memory(quota), len })
    }

    /// Page `index`, made if it was not touched before. EFAULT behind the end.
    pub fn page(&self, index: u64) -> Result<Frame, Errno> {
        if index >= self.len {
            return Err(Errno::EFAULT);
        }
        self.pages.page(index)
    }

    /// Whether page `index` has been made.
    pub fn has(&self, index: u64) -> bool {
        self.pages.next_present(index) == Some(index)
    }
}
