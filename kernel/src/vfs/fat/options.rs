//! The options of a FAT's mount, as `mount(8)` has them for vfat.

use super::super::Result;
use super::super::inode::Metadata;
use abi::Errno;

/// Bits of a mode that a FAT has something for.
const RWX: u32 = 0o777;
const WRITE: u32 = 0o222;

/// Whose its files are, and which permissions they lack: the format says nothing of either.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FatOptions {
    /// Owner of all files.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// Permission bits that files do not have.
    pub fmask: u32,
    /// Those that directories do not have.
    pub dmask: u32,
}

impl FatOptions {
    /// What counts where no option says otherwise: what is mounted belongs to who mounts it.
    pub fn new(uid: u32, gid: u32, umask: u32) -> Self {
        FatOptions { uid, gid, fmask: umask, dmask: umask }
    }

    /// Takes a list such as `uid=1000,umask=022`: EINVAL for what is no option, or has a bad value. Options that choose what
    /// this file system does anyway, or that are of no effect here, are let be.
    pub fn parse(mut self, text: &[u8]) -> Result<Self> {
        let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| Errno::EINVAL);
            let mask = || number(8).map(|mask| mask & RWX);
            match name {
                "uid" => self.uid = number(10)?,
                "gid" => self.gid = number(10)?,
                "umask" => (self.fmask, self.dmask) = (mask()?, mask()?),
                "fmask" => self.fmask = mask()?,
                "dmask" => self.dmask = mask()?,
                "rw" | "ro" | "quiet" | "utf8" | "flush" | "codepage" | "iocharset" | "shortname" | "errors" | "tz" => {
                }
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(self)
    }

    /// Permission bits of a directory, or of a file.
    pub fn mode(&self, is_directory: bool, read_only: bool) -> u32 {
        match (is_directory, read_only) {
            (true, _) => RWX & !self.dmask,
            (false, false) => RWX & !self.fmask,
            (false, true) => RWX & !self.fmask & !WRITE,
        }
    }

    /// What chmod(2) to `mode` does to a file that is as `now` says: Some(read-only) if its attribute is to change, None if
    /// the request cannot be kept and is let be, as on Linux. EPERM for bits that no FAT has.
    pub fn change_mode(&self, now: &Metadata, mode: u32, is_directory: bool) -> Result<Option<bool>> {
        if mode & !RWX != 0 {
            return Err(Errno::EPERM);
        }
        let mask = if is_directory { self.dmask } else { self.fmask };
        let (wanted, all) = (mode & !mask & WRITE, WRITE & !mask);
        let keeps_others = (mode & !mask & !WRITE) == (now.mode & RWX & !WRITE);
        let can_be = keeps_others && !is_directory && all != 0 && (wanted == 0 || wanted == all);
        Ok(can_be.then_some(wanted == 0))
    }
}
