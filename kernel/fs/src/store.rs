//! What a file system needs from below. The formats of this crate own the trait; the kernel implements it over its
//! cache of block-device pages, the host tests over memory and files.

use alloc::sync::Arc;

/// A device, or a part of one, that can be read by byte offset.
///
/// Implementations may sleep. They may be called by several tasks at once.
pub trait BlockStore {
    /// Why the device could not deliver, such as an I/O error or a failed allocation of a cache page.
    type Error;

    /// Length of the device in bytes. Constant for the life of the store.
    fn len_bytes(&self) -> u64;

    /// Fills all of `out` with the bytes that start at `offset_bytes`.
    ///
    /// Callers in this crate only ask for ranges inside [`len_bytes`](Self::len_bytes). A read of metadata stays within
    /// one file-system block, so that a cache serves it from one page or buffer; only file data spans several blocks.
    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Self::Error>;
}

impl<S: BlockStore + ?Sized> BlockStore for &S {
    type Error = S::Error;

    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(offset_bytes, out)
    }
}

impl<S: BlockStore + ?Sized> BlockStore for Arc<S> {
    type Error = S::Error;

    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(offset_bytes, out)
    }
}
