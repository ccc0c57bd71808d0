//! Extended attributes by place: who may read and set which, as `xattr(7)` says. The file systems keep them.

use super::access::{READ, WRITE};
use super::inode::{FileType, Metadata, SetAttribute};
use super::location::Location;
use super::{Result, Who, flags, report};
use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use abi::inotify::IN_ATTRIB;
use alloc::vec::Vec;

/// What a name begins with says who may use it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `user.`: as the file's content, and only of regular files and directories.
    User,
    /// `trusted.`: seen by those with CAP_SYS_ADMIN alone.
    Trusted,
    /// `security.`: everybody reads, those with CAP_SYS_ADMIN set.
    Security,
}

impl Class {
    /// The class of `name`. EOPNOTSUPP for one that there is not, EINVAL if nothing comes behind it.
    fn of(name: &[u8]) -> Result<Class> {
        let classes =
            [(&b"user."[..], Class::User), (&b"trusted."[..], Class::Trusted), (&b"security."[..], Class::Security)];
        let (prefix, class) = classes.iter().find(|(prefix, _)| name.starts_with(prefix)).ok_or(Errno::EOPNOTSUPP)?;
        if name.len() == prefix.len() { Err(Errno::EINVAL) } else { Ok(*class) }
    }
}

impl Location {
    /// The value of the attribute `name`.
    pub fn attribute(&self, who: &Who, name: &[u8]) -> Result<Vec<u8>> {
        let class = Class::of(name)?;
        let file = self.metadata()?;
        match class {
            Class::Trusted if !who.has(CAP_SYS_ADMIN) => return Err(Errno::ENODATA),
            Class::User if !self.has_user_attributes() => return Err(Errno::ENODATA),
            Class::User => who.check(&file, READ)?,
            Class::Trusted | Class::Security => {}
        }
        self.inode().attribute(name)
    }

    /// The names of all attributes that `who` may know of, each with a zero behind it.
    pub fn attributes(&self, who: &Who) -> Result<Vec<u8>> {
        let mut names = Vec::new();
        let mut result = Ok(());
        self.inode().each_attribute(&mut |name| {
            let hidden = Class::of(name).is_ok_and(|class| class == Class::Trusted) && !who.has(CAP_SYS_ADMIN);
            if hidden || result.is_err() {
                return;
            }
            match names.try_reserve(name.len() + 1) {
                Ok(()) => {
                    names.extend_from_slice(name);
                    names.push(0);
                }
                Err(_) => result = Err(Errno::ENOMEM),
            }
        })?;
        result.map(|()| names)
    }

    /// Sets the attribute `name`, or removes it.
    pub fn set_attribute(&self, who: &Who, name: &[u8], value: Option<&[u8]>, how: SetAttribute) -> Result<()> {
        self.mount.check_writable()?;
        let class = Class::of(name)?;
        match class {
            Class::Trusted | Class::Security if !who.has(CAP_SYS_ADMIN) => return Err(Errno::EPERM),
            Class::User => self.check_user_attribute(who, &self.metadata()?)?,
            Class::Trusted | Class::Security => {}
        }
        self.inode().set_attribute(name, value, how)?;
        report::used(&self.dentry, IN_ATTRIB);
        Ok(())
    }

    /// Whether it is of a kind whose permission bits say who may write to it.
    fn has_user_attributes(&self) -> bool {
        matches!(self.file_type(), FileType::Regular | FileType::Directory)
    }

    fn check_user_attribute(&self, who: &Who, file: &Metadata) -> Result<()> {
        if !self.has_user_attributes() {
            return Err(Errno::EPERM);
        }
        if self.is_dir() && file.mode & flags::S_ISVTX != 0 {
            who.check_owner(file)?;
        }
        who.check(file, WRITE)
    }
}
