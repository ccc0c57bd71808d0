//! A [`WriteStore`], its writes put in order, as the block device that `hadris-fat` wants: sectors of 512 bytes.
//!
//! Every access is checked against the store's length, so that a number from a damaged disk that the crate let through
//! is an error here, never an access elsewhere.

use hadris_io::{Error, ErrorKind, ErrorType};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};

use super::ordered::Ordered;
use crate::WriteStore;

/// Bytes of a block of the device. The sectors of the file system may be larger.
const BLOCK: u64 = 512;
const BLOCK_SIZE: BlockSize = match BlockSize::new(BLOCK as u32) {
    Some(size) => size,
    None => panic!("a block has bytes"),
};

/// A store in blocks.
pub(super) struct Device<S> {
    pub store: Ordered<S>,
    pub writable: bool,
}

impl<S: WriteStore> Device<S>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    pub fn new(store: S, writable: bool) -> Self {
        Device { store: Ordered::new(store), writable }
    }

    /// The byte at which block `first` begins, if `len` bytes from there on are on the device.
    fn place(&self, first: BlockIndex, len: usize) -> Result<u64, Error<S::Error>> {
        let start = first.get().checked_mul(BLOCK);
        let end = start.and_then(|start| start.checked_add(len as u64));
        match (start, end) {
            (Some(start), Some(end)) if end <= self.store.len_bytes() => Ok(start),
            _ => Err(Error::new(ErrorKind::Corrupt, "an address lies behind the end of the device")),
        }
    }
}

impl<S: WriteStore> ErrorType for Device<S>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    type Error = S::Error;
}

impl<S: WriteStore> BlockDevice for Device<S>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    fn block_size(&self) -> BlockSize {
        BLOCK_SIZE
    }

    fn block_count(&self) -> u64 {
        self.store.len_bytes() / BLOCK
    }

    fn writable(&self) -> bool {
        self.writable
    }

    fn read_blocks(&mut self, first: BlockIndex, buf: &mut [u8]) -> Result<(), Error<S::Error>> {
        let start = self.place(first, buf.len())?;
        self.store.read(start, buf).map_err(|error| Error::device(error, "reading the device failed"))
    }

    fn write_blocks(&mut self, first: BlockIndex, buf: &[u8]) -> Result<(), Error<S::Error>> {
        let start = self.place(first, buf.len())?;
        self.store.write(start, buf).map_err(|error| Error::device(error, "writing to the device failed"))
    }

    fn flush(&mut self) -> Result<(), Error<S::Error>> {
        self.store.commit().map_err(|error| Error::device(error, "flushing the device failed"))
    }
}
