//! Files in memory that no directory ever shows (`memfd_create(2)`), and sealing such files (`fcntl(2)`, "File sealing").
//!
//! They are files of a tmpfs of their own, which is seen through a mount that is in no table. Seals are kept by the inode,
//! which refuses what they forbid; stores by mappings are refused here and by who maps (`File::may_be_stored_to`).
//!
//! Locks: a seal is added with the cache's writer lock held, so that no write is under way, and then the address spaces
//! that map the file are asked one after the other. Who maps looks at the seals once his address space is known to the cache
//! and with its lock held: one of the two finds the other. A shared mapping that comes while it is not yet clear whether a
//! seal against stores may be set is refused, too.

use super::dentry::Dentry;
use super::file::File;
use super::flags::{O_ACCMODE, O_RDONLY, O_RDWR};
use super::inode::{NewKind, NewNode};
use super::location::{Location, Mount, Volume};
use super::mount_options::MountOptions;
use super::open::open_location;
use super::tmpfs::TmpFs;
use super::{Result, Who};
use abi::Errno;
use abi::fcntl::{F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE};
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::sync::Once;

const ALL: u32 = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | WRITES | F_SEAL_EXEC;
const WRITES: u32 = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/// What a program that is to stay executable must not suffer either.
const UNCHANGEABLE: u32 = F_SEAL_SHRINK | F_SEAL_GROW | WRITES;
/// Bits for those who may execute a file.
const EXECUTABLE: u32 = 0o111;

/// The root of the file system they are in.
static HOME: Once<Location> = Once::new();

/// Makes the file system.
pub(super) fn init() -> Result<()> {
    let volume = Volume::new(TmpFs::new("tmpfs", 0), None)?;
    let mount = Mount::new(volume, String::from("none"), MountOptions::default());
    HOME.call_once(|| Location::mount_root(&mount));
    Ok(())
}

/// An empty file for reading and writing that is shown by this name, belongs to `who`, and has these permission bits and
/// seals. ENOMEM.
pub fn create_in_memory(name: &[u8], who: &Who, mode: u32, seals: u32) -> Result<Arc<File>> {
    let home = HOME.get().ok_or(Errno::ENOSYS)?;
    let new = NewNode { kind: NewKind::Regular, mode, uid: who.user, gid: who.group };
    let inode = home.inode().create_unnamed(&new)?;
    if let Some(own) = inode.seals() {
        own.store(seals, Ordering::Release);
    }
    open_location(&home.beside(Dentry::unnamed(inode, name.into(), &home.dentry, false)), O_RDWR)
}

impl File {
    /// Its seals, as `fcntl(F_GET_SEALS)`. EINVAL if it is of a kind that has none.
    pub fn seals(&self) -> Result<u32> {
        let seals = self.paged().and_then(|(inode, _)| inode.seals()).ok_or(Errno::EINVAL)?;
        Ok(seals.load(Ordering::Acquire))
    }

    /// Adds seals, as `fcntl(F_ADD_SEALS)`. EPERM if it is not open for writing or is sealed against more of them, EINVAL
    /// for unknown ones and files that have none, EBUSY for F_SEAL_WRITE while a mapping may store to it.
    pub fn add_seals(&self, seals: u32) -> Result<()> {
        if self.flags() & O_ACCMODE == O_RDONLY {
            return Err(Errno::EPERM);
        }
        if seals & !ALL != 0 {
            return Err(Errno::EINVAL);
        }
        let (inode, pages) = self.paged().ok_or(Errno::EINVAL)?;
        let own = inode.seals().ok_or(Errno::EINVAL)?;
        let _writer = pages.writer.lock();
        let old = own.load(Ordering::Acquire);
        if old & F_SEAL_SEAL != 0 {
            return Err(Errno::EPERM);
        }
        let stays_program = seals & F_SEAL_EXEC != 0 && inode.metadata()?.mode & EXECUTABLE != 0;
        let new = old | seals | if stays_program { UNCHANGEABLE } else { 0 };
        own.store(new, Ordering::SeqCst);
        if new & !old & F_SEAL_WRITE != 0 && pages.has_storing_mapper() {
            own.store(old, Ordering::SeqCst);
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    /// Whether shared mappings made from now on may store to it, as far as its seals matter.
    pub fn may_be_stored_to(&self) -> bool {
        let seals = self.paged().and_then(|(inode, _)| inode.seals());
        seals.is_none_or(|seals| seals.load(Ordering::SeqCst) & WRITES == 0)
    }
}
