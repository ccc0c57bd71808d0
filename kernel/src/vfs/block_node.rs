//! Block nodes: what all users of a disk or partition share, device nodes and mounted file systems: its pages, who has it
//! open, and who has it for himself.
//!
//! The pages are the content of `/dev/vda` and the cache of a file system's metadata at once. What files hold goes past
//! them, so a device node beside a mounted file system may show old content of files, as on Linux. Whoever opens a node
//! that nobody had open finds what is on the device.
//!
//! Locks: `NODES` (rank Table) for the list and for claims. Each node's `opening` (sleeping) makes its first opening and
//! the writing back after its last use follow each other; under it pages are written.

use super::Result;
use super::inode::{FileSystem, FileType, Inode, Metadata, Statistics};
use super::page_cache::{Backing, DirtyPage, PageCache};
use super::write_back::{self, Unwritten};
use crate::block::{self, Completion, Disk, Requests};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use drivers::block::{Operation, SECTOR_LEN};
use machine::PAGE_SIZE;
use machine::mm::Frame;
use machine::sync::{Mutex, Once, Rank, SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;
const SECTOR: u64 = SECTOR_LEN as u64;

/// All nodes: whole disks in the order in which they were found, each followed by its partitions.
static NODES: SpinLock<Vec<Arc<BlockNode>>> = SpinLock::new("block nodes", Rank::Table, Vec::new());

/// A disk or partition with its pages.
pub struct BlockNode {
    disk: Arc<Disk>,
    pages: Arc<PageCache>,
    opening: Mutex<()>,
    /// How many have it open. From 0 up only under `opening`.
    openings: AtomicUsize,
    /// Somebody has it for himself. Set under the lock of `NODES`.
    claimed: AtomicBool,
    /// Its partition is not there any more. Changed under `opening`.
    removed: AtomicBool,
    /// Block size that programs have set, in bytes.
    pub block_size: AtomicUsize,
    /// Changes that may not be on the device yet.
    unwritten: Unwritten,
}

/// A node in use, until this is dropped.
pub struct Opened {
    node: Arc<BlockNode>,
    claims: bool,
}

/// All nodes, by disk.
pub fn block_nodes() -> Vec<Arc<BlockNode>> {
    NODES.lock().clone()
}

/// Whole disk `index`, as the kernel shell counts them.
pub fn whole_disk(index: usize) -> Option<Arc<BlockNode>> {
    NODES.lock().iter().filter(|node| node.disk.parent().is_none()).nth(index).cloned()
}

/// The node with this major and minor number.
pub fn block_node(number: (u32, u32)) -> Option<Arc<BlockNode>> {
    NODES.lock().iter().find(|node| node.disk.number() == number).cloned()
}

/// Makes the node of `disk`.
pub fn add_block_node(disk: Arc<Disk>) -> Result<Arc<BlockNode>> {
    static SYSTEM: Once<Arc<BlockNodes>> = Once::new();
    if SYSTEM.get().is_none() {
        let system: Arc<dyn FileSystem> = SYSTEM.call_once(|| Arc::new(BlockNodes)).clone();
        write_back::register(Arc::downgrade(&system));
    }
    let node = Arc::new(BlockNode {
        pages: PageCache::new(Box::new(Pages { disk: disk.clone() })),
        disk,
        opening: Mutex::new("block node", ()),
        openings: AtomicUsize::new(0),
        claimed: AtomicBool::new(false),
        removed: AtomicBool::new(false),
        block_size: AtomicUsize::new(PAGE_SIZE),
        unwritten: Unwritten::new(),
    });
    let mut nodes = NODES.lock();
    nodes.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let behind = nodes.iter().rposition(|other| other.is_same_disk(&node)).map_or(nodes.len(), |last| last + 1);
    nodes.insert(behind, node.clone());
    Ok(node)
}

/// Takes the partitions of `whole` off the list, which are returned; EBUSY if one is in use.
pub fn remove_partitions(whole: &BlockNode) -> Result<Vec<Arc<BlockNode>>> {
    let partitions: Vec<_> =
        block_nodes().into_iter().filter(|node| node.disk.parent().is_some() && node.is_same_disk(whole)).collect();
    for node in &partitions {
        let _held = node.opening.lock();
        if node.openings.load(Ordering::Acquire) == 0 {
            node.removed.store(true, Ordering::Relaxed);
        }
    }
    let all_removed = partitions.iter().all(|node| node.removed.load(Ordering::Relaxed));
    if !all_removed {
        partitions.iter().for_each(|node| node.removed.store(false, Ordering::Relaxed));
        return Err(Errno::EBUSY);
    }
    for node in &partitions {
        let _held = node.opening.lock();
        node.forget_pages();
    }
    let mut nodes = NODES.lock();
    let removed: Vec<_> = nodes.extract_if(.., |node| node.removed.load(Ordering::Relaxed)).collect();
    drop(nodes);
    drop(removed);
    Ok(partitions)
}

/// Pages of all block nodes.
pub fn buffer_total() -> usize {
    block_nodes().iter().map(|node| node.pages.len()).sum()
}

impl BlockNode {
    /// What it is.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// Its pages.
    pub fn cache(&self) -> &Arc<PageCache> {
        &self.pages
    }

    /// How many bytes it has.
    pub fn len_bytes(&self) -> u64 {
        self.disk.sectors().saturating_mul(SECTOR)
    }

    /// Fills `out` with the bytes from `offset` on.
    pub fn read_bytes(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.for_each_page(offset, out.len(), |index, within, part| {
            self.pages.page(index)?.read(within, &mut out[part]);
            Ok(())
        })
    }

    /// Calls `each` with page number, offset in it, and the range of the bytes at `offset .. offset + len` that lies there;
    /// EIO if they are not all there.
    pub fn for_each_page(
        &self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, usize, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len_bytes()) {
            return Err(Errno::EIO);
        }
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let part = (PAGE_SIZE - within).min(len - done);
            each(at / PAGE, within, done..done + part)?;
            done += part;
        }
        Ok(())
    }

    /// Whether anybody has it open.
    pub fn is_open(&self) -> bool {
        self.openings.load(Ordering::Acquire) > 0
    }

    /// Opens it. With `claim`, EBUSY if somebody else has claimed it, or the disk that it is a part of, or a part of it; a
    /// claim keeps others from claiming, not from opening. ENXIO if its partition has gone.
    pub fn open(self: &Arc<Self>, claim: bool) -> Result<Opened> {
        if claim {
            self.claim()?;
        }
        // From here on a failure gives the claim back.
        let opened = Opened { node: self.clone(), claims: claim };
        let _held = self.opening.lock();
        if self.openings.fetch_add(1, Ordering::AcqRel) == 0 {
            self.forget_pages();
        }
        match self.removed.load(Ordering::Relaxed) {
            true => Err(Errno::ENXIO),
            false => Ok(opened),
        }
    }

    /// Writes back what has changed, and forgets pages so that reads see the device: for a file system that is about to be
    /// mounted, and for those who ask for it (BLKFLSBUF).
    pub fn refresh(&self) -> Result<()> {
        self.make_safe()?;
        self.discard(0, self.len_bytes());
        Ok(())
    }

    /// Writes back what has changed, and has the device make it safe.
    fn make_safe(&self) -> Result<()> {
        self.unwritten.clear();
        let written = self.pages.write_back();
        let flushed = block::flush(&self.disk).map_err(|_| Errno::EIO);
        if self.pages.dirty_pages() > 0 {
            // Written again meanwhile, or mapped: there will be something to write in time.
            self.has_changed();
        }
        written.and(flushed)
    }

    /// Nobody has it open: writes back and gives up all pages. Called with `opening` held.
    fn forget_pages(&self) {
        if self.pages.len() == 0 {
            return;
        }
        if let Err(error) = self.make_safe() {
            log::error!("{}: writing back: {error}", self.disk.name());
        }
        self.pages.cut(0);
        self.unwritten.clear();
    }

    /// Gives up clean pages, a few at a time.
    fn discard(&self, start: u64, end: u64) {
        const AT_ONCE: u64 = 256 * PAGE;
        let mut at = start;
        while at < end
            && let Some(page) = self.pages.next_present(at / PAGE)
        {
            at = page * PAGE;
            self.pages.discard_clean(at, end.min(at + AT_ONCE));
            at += AT_ONCE;
        }
    }

    fn claim(&self) -> Result<()> {
        let nodes = NODES.lock();
        let is_taken = |other: &Arc<BlockNode>| {
            // Parts of one disk may be claimed by different owners.
            let both_parts = self.disk.partition() != 0 && other.disk.partition() != 0;
            let conflicts = self.is_same_disk(other) && (!both_parts || core::ptr::eq(self, &raw const **other));
            conflicts && other.claimed.load(Ordering::Acquire)
        };
        if nodes.iter().any(is_taken) {
            return Err(Errno::EBUSY);
        }
        self.claimed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether both are on one disk.
    fn is_same_disk(&self, other: &BlockNode) -> bool {
        let whole = |disk: &Disk| disk.parent().map_or(disk.number(), |whole| whole.number());
        whole(&self.disk) == whole(&other.disk)
    }

    fn has_changed(&self) {
        self.unwritten.note();
    }
}

impl Opened {
    /// What is open.
    pub fn node(&self) -> &Arc<BlockNode> {
        &self.node
    }
}

impl Drop for Opened {
    /// Does not sleep: pages are written back and forgotten by the write-back task, or by whoever opens it next.
    fn drop(&mut self) {
        if self.claims {
            self.node.claimed.store(false, Ordering::Release);
        }
        if self.node.openings.fetch_sub(1, Ordering::AcqRel) == 1 && self.node.pages.len() > 0 {
            write_back::hurry();
        }
    }
}

/// The content of a device node.
impl Inode for BlockNode {
    fn file_type(&self) -> FileType {
        FileType::BlockDevice
    }

    /// Asked of the name in the directory, not of the node.
    fn metadata(&self) -> Result<Metadata> {
        Err(Errno::ENODEV)
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        Some(&self.pages)
    }

    fn size(&self) -> u64 {
        self.len_bytes()
    }

    fn check_write(&self, start: u64, end: u64) -> Result<u64> {
        if self.disk.read_only() {
            return Err(Errno::EPERM);
        }
        match start < self.len_bytes() {
            true => Ok(end.min(self.len_bytes())),
            false => Err(Errno::ENOSPC),
        }
    }

    fn wrote(&self, start: u64, end: u64) -> Result<()> {
        self.pages.mark_dirty(start, end);
        self.has_changed();
        Ok(())
    }

    fn page_dirtied(&self, index: u64) -> Result<()> {
        let start = index * PAGE;
        let end = self.check_write(start, start + PAGE)?;
        self.pages.mark_mapped(start, end);
        self.has_changed();
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let safe = self.make_safe();
        if self.pages.take_failure() { Err(Errno::EIO) } else { safe }
    }

    fn exchange_with_device(&self, start: u64, len: u64) -> Result<()> {
        if !start.is_multiple_of(SECTOR) || !len.is_multiple_of(SECTOR) {
            return Err(Errno::EINVAL);
        }
        self.pages.write_back()?;
        self.discard(start, start.saturating_add(len).min(self.len_bytes()));
        Ok(())
    }
}

/// The pages of a disk, to and from the device.
struct Pages {
    disk: Arc<Disk>,
}

impl Backing for Pages {
    fn len_bytes(&self) -> u64 {
        self.disk.sectors().saturating_mul(SECTOR)
    }

    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> Result<()> {
        let mut requests = Requests::new(&self.disk, Operation::Read, completion);
        for (index, frame) in (first..).zip(frames) {
            let at = index.checked_mul(PAGE).ok_or(Errno::EIO)?;
            // The device's last page may be a part of one.
            let len = self.len_bytes().saturating_sub(at).min(PAGE) as usize;
            if len > 0 {
                requests.add(frame, 0, len, at)?;
            }
            frame.fill_zero_from(len);
        }
        requests.submit();
        Ok(())
    }

    fn start_write(&self, pages: &[DirtyPage], completion: &Arc<Completion>) -> Result<()> {
        let mut requests = Requests::new(&self.disk, Operation::Write, completion);
        for page in pages {
            for part in page.parts() {
                requests.add(&page.frame, part.start, part.len(), page.index * PAGE + part.start as u64)?;
            }
        }
        requests.submit();
        Ok(())
    }
}

/// All block nodes for the write-back task, as if they were one file system.
struct BlockNodes;

impl FileSystem for BlockNodes {
    fn type_name(&self) -> &'static str {
        "block devices"
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENODEV)
    }

    fn statistics(&self) -> Result<Statistics> {
        Err(Errno::ENODEV)
    }

    fn sync(&self) -> Result<()> {
        let mut result = Ok(());
        for node in block_nodes().iter().filter(|node| node.pages.dirty_pages() > 0) {
            result = result.and(node.make_safe());
        }
        result
    }

    fn settle(&self) {
        for node in block_nodes().iter().filter(|node| !node.is_open() && node.pages.len() > 0) {
            let _held = node.opening.lock();
            if !node.is_open() {
                node.forget_pages();
            }
        }
    }

    fn unwritten_ms(&self) -> Option<u64> {
        block_nodes().iter().filter_map(|node| node.unwritten.age_ms()).max()
    }
}
