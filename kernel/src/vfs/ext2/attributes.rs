//! Extended attributes of ext2: names with their classes, as the format has them.

use super::super::Result;
use super::super::inode::SetAttribute;
use super::node::Node;
use abi::Errno;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use fs::ext2::{Attribute, Before, Error};

/// Beginnings of names and what stands for them on the disk.
const CLASSES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// A name as class and rest.
fn split(name: &[u8]) -> Result<(u8, &[u8])> {
    CLASSES.iter().find_map(|(prefix, class)| Some((*class, name.strip_prefix(*prefix)?))).ok_or(Errno::EOPNOTSUPP)
}

impl Node {
    pub(super) fn get_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let (class, rest) = split(name)?;
        let found = self.all_attributes()?.into_iter().find(|found| found.class == class && found.name == rest);
        found.map(|found| found.value).ok_or(Errno::ENODATA)
    }

    pub(super) fn list_attributes(&self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut name = Vec::new();
        for attribute in self.all_attributes()? {
            // Others, access control lists above all, mean nothing here.
            let Some((prefix, _)) = CLASSES.iter().find(|(_, class)| *class == attribute.class) else { continue };
            name.clear();
            name.extend_from_slice(prefix);
            name.extend_from_slice(&attribute.name);
            each(&name);
        }
        Ok(())
    }

    pub(super) fn change_attribute(&self, name: &[u8], value: Option<&[u8]>, how: SetAttribute) -> Result<()> {
        let name = split(name)?;
        let before = match how {
            SetAttribute::Any => Before::Any,
            SetAttribute::New => Before::Absent,
            SetAttribute::Old => Before::Present,
        };
        self.has_grown.store(true, Ordering::Relaxed);
        self.volume.edit(|edit| {
            let mut inode = self.inode();
            edit.set_attribute(&mut inode, name, value, before)?;
            self.set_inode(inode);
            Ok(())
        })
    }

    /// All that there are. Nobody changes them meanwhile: a block that gets other attributes would be half of each.
    fn all_attributes(&self) -> Result<Vec<Attribute>> {
        let _writer = self.volume.writer.lock();
        self.volume.format.attributes(&self.inode()).map_err(|error: Error<Errno>| self.volume.errno(error))
    }
}
