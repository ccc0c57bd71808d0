//! Memory without a name that several processes map: what `MAP_SHARED | MAP_ANONYMOUS` makes, `/dev/zero` shared, and
//! System V segments.
//!
//! Its pages are a page cache without a file: made when first touched, shared by all who map it, given back with the
//! last one who has it. Areas have it by a [`Share`]; a segment is told when there is one more or one fewer, whatever made it
//! so: a fork, a hole in the middle, the end of a process. That may be with the areas' lock held.

use crate::vfs::{PageCache, Quota};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Deref;
use machine::mm::Frame;
use machine::sync::Once;

/// What counts the areas that map its memory.
pub trait Segment: Send + Sync {
    /// There is one more.
    fn attached(&self);

    /// There is one fewer.
    fn detached(&self);

    /// How `/proc/[pid]/maps` shows it.
    fn label(&self) -> Label;
}

/// What a segment is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// The key it was made with.
    pub key: i32,
    /// Its number.
    pub id: i32,
}

/// The memory.
pub struct SharedMemory {
    pages: Arc<PageCache>,
    /// How many pages it has.
    len: u64,
    segment: Option<Box<dyn Segment>>,
}

impl SharedMemory {
    /// `len` pages of zeros.
    pub fn new(len: u64) -> Arc<Self> {
        static UNBOUNDED: Once<Arc<Quota>> = Once::new();
        // What bounds it is the memory there is.
        let quota = UNBOUNDED.call_once(|| Quota::new(usize::MAX));
        Arc::new(SharedMemory { pages: PageCache::in_memory(quota), len, segment: None })
    }

    /// `len` pages of zeros that are a segment's, within `quota`.
    pub fn of_segment(len: u64, quota: &Arc<Quota>, segment: Box<dyn Segment>) -> Arc<Self> {
        Arc::new(SharedMemory { pages: PageCache::in_memory(quota), len, segment: Some(segment) })
    }

    /// How many pages it has.
    pub fn pages(&self) -> u64 {
        self.len
    }

    /// What it is called, if it is a segment.
    pub fn label(&self) -> Option<Label> {
        self.segment.as_ref().map(|segment| segment.label())
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

    /// How many pages have been made.
    pub fn present(&self) -> u64 {
        self.pages.len() as u64
    }
}

/// An area's part in such memory.
pub struct Share {
    memory: Arc<SharedMemory>,
    /// Its segment counts it.
    counted: bool,
}

impl Share {
    /// A first part. If it is a segment's, that has counted it already.
    pub fn new(memory: Arc<SharedMemory>) -> Self {
        let counted = memory.segment.is_some();
        Share { memory, counted }
    }

    /// One that does not count.
    pub(super) fn uncounted(&self) -> Self {
        Share { memory: self.memory.clone(), counted: false }
    }

    /// Whether both are of the same memory.
    pub(super) fn is_of(&self, other: &Share) -> bool {
        Arc::ptr_eq(&self.memory, &other.memory)
    }

    /// Who counts it.
    fn segment(&self) -> Option<&dyn Segment> {
        self.memory.segment.as_deref().filter(|_| self.counted)
    }
}

impl Deref for Share {
    type Target = SharedMemory;

    fn deref(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Clone for Share {
    fn clone(&self) -> Self {
        if let Some(segment) = self.segment() {
            segment.attached();
        }
        Share { memory: self.memory.clone(), counted: self.counted }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(segment) = self.segment() {
            segment.detached();
        }
    }
}
