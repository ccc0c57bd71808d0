//! A disk as the format crate sees it: bytes at offsets, through the pages of its block node, which writes them back.
//!
//! What files hold goes this way too: their own pages are copies of these, so that the two never contradict each other.

use super::super::Result;
use super::super::block_node::Opened;
use super::super::inode::Inode;
use abi::Errno;
use fs::{BlockStore, WriteStore};
use machine::PAGE_SIZE;
use machine::mm::frame;

const PAGE: u64 = PAGE_SIZE as u64;

/// A disk's bytes, cached.
pub(super) struct DeviceStore {
    opened: Opened,
}

impl DeviceStore {
    /// The bytes of what is open.
    pub fn new(opened: Opened) -> Self {
        DeviceStore { opened }
    }

    /// Has the pages of a long run read in few requests. An error shows where one of them is wanted.
    fn fetch(&self, start: u64, len: usize) {
        if len > PAGE_SIZE {
            let first = start / PAGE;
            let end = start.saturating_add(len as u64).div_ceil(PAGE);
            self.opened.node().cache().read_ahead(first, (end - first) as usize);
        }
    }
}

impl BlockStore for DeviceStore {
    type Error = Errno;

    fn len_bytes(&self) -> u64 {
        self.opened.node().len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        self.fetch(offset_bytes, out.len());
        self.opened.node().read_bytes(offset_bytes, out)
    }
}

impl WriteStore for DeviceStore {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let node = self.opened.node();
        let cache = node.cache();
        self.fetch(offset_bytes, bytes.len());
        node.for_each_page(offset_bytes, bytes.len(), |index, within, part| {
            // The page is kept until it is dirty: a clean one may go at any time.
            let page = cache.page(index)?;
            let (start, end) = (offset_bytes + part.start as u64, offset_bytes + part.end as u64);
            page.write(within, &bytes[part]);
            node.wrote(start, end)
        })?;
        // A file that is extended by very much writes zeros, with nobody else to hold it up.
        match cache.dirty_pages() > frame::total() / 16 {
            true => cache.write_back(),
            false => Ok(()),
        }
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.write(offset_bytes, bytes)
    }

    fn barrier(&self) -> Result<()> {
        self.opened.node().sync()
    }

    fn flush(&self) -> Result<()> {
        self.opened.node().sync()
    }
}
