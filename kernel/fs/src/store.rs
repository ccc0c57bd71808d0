//! What a file system needs from below. The formats of this crate own the trait; the kernel implements it over its
//! cache of block-device pages, the host tests over memory and files.

use alloc::sync::Arc;

use crate::Changes;

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

    /// Calls `work` once with the metadata that the running transaction has changed, which the store keeps beside it so
    /// that all readers see it. The store's lock for it may be one that forbids to sleep: `work` only copies.
    ///
    /// A store that is never written has none; this is what the given implementation does.
    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        work(&mut Changes::new());
    }
}

/// A device, or a part of one, that can be written too.
///
/// Between the two ways of writing lies the whole safety of a journal: what is given to [`write`](Self::write) may reach
/// the device at any time and in any order until a `flush`; what is given to [`write_through`](Self::write_through) is
/// safe after the next `barrier`.
pub trait WriteStore: BlockStore {
    /// Replaces bytes at `offset_bytes`, within one block, in the cache: readers see them at once.
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Replaces bytes at `offset_bytes`, which may span several blocks, on the device. Readers see them, too.
    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Returns when all that was given to `write_through` is safe from loss of power.
    fn barrier(&self) -> Result<(), Self::Error>;

    /// Returns when all that was given to `write` or `write_through` is safe from loss of power.
    fn flush(&self) -> Result<(), Self::Error>;
}

impl<S: BlockStore + ?Sized> BlockStore for &S {
    type Error = S::Error;

    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        (**self).with_changes(work);
    }

    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(offset_bytes, out)
    }
}

impl<S: BlockStore + ?Sized> BlockStore for Arc<S> {
    type Error = S::Error;

    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        (**self).with_changes(work);
    }

    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(offset_bytes, out)
    }
}

impl<S: WriteStore + ?Sized> WriteStore for &S {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write(offset_bytes, bytes)
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write_through(offset_bytes, bytes)
    }

    fn barrier(&self) -> Result<(), Self::Error> {
        (**self).barrier()
    }

    fn flush(&self) -> Result<(), Self::Error> {
        (**self).flush()
    }
}

impl<S: WriteStore + ?Sized> WriteStore for Arc<S> {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write(offset_bytes, bytes)
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write_through(offset_bytes, bytes)
    }

    fn barrier(&self) -> Result<(), Self::Error> {
        (**self).barrier()
    }

    fn flush(&self) -> Result<(), Self::Error> {
        (**self).flush()
    }
}
