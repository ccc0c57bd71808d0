//! Names in a directory: making, linking, removing and renaming files. The VFS holds the directories' locks.

use super::super::Result;
use super::super::inode::{FileType, Inode, NewKind, NewNode};
use super::node::Node;
use abi::Errno;
use abi::fs::split_dev;
use alloc::sync::Arc;
use core::any::Any;
use fs::ext2::{self, DeviceNumber, NewFile, Rename};

impl Node {
    pub(super) fn create_file(&self, name: &[u8], new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let device = |number| {
            let (major, minor) = split_dev(number);
            DeviceNumber { major, minor }
        };
        let kind = match new.kind {
            NewKind::Regular => ext2::NewKind::Regular,
            NewKind::Directory => ext2::NewKind::Directory,
            NewKind::Symlink(target) => ext2::NewKind::Symlink(target),
            NewKind::Special(FileType::CharDevice, number) => ext2::NewKind::CharDevice(device(number)),
            NewKind::Special(FileType::BlockDevice, number) => ext2::NewKind::BlockDevice(device(number)),
            NewKind::Special(FileType::Fifo, _) => ext2::NewKind::Fifo,
            NewKind::Special(FileType::Socket, _) => ext2::NewKind::Socket,
            NewKind::Special(..) => return Err(Errno::EINVAL),
        };
        let file = NewFile { kind, permissions: new.mode as u16, uid: new.uid, gid: new.gid };
        let made = self.volume.edit(|edit| {
            let mut directory = self.inode();
            let made = edit.create(&mut directory, name, &file)?;
            self.set_inode(directory);
            Ok(made)
        })?;
        Ok(self.volume.adopt(made)?)
    }

    pub(super) fn create_without_name(&self, new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let kind = ext2::NewKind::Regular;
        let file = NewFile { kind, permissions: new.mode as u16, uid: new.uid, gid: new.gid };
        let made = self.volume.edit(|edit| edit.create_unnamed(&mut self.inode(), &file))?;
        Ok(self.volume.adopt(made)?)
    }

    pub(super) fn link_file(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = same_kind(target)?;
        self.volume.edit(|edit| {
            let (mut directory, mut inode) = (self.inode(), target.inode());
            edit.link(&mut directory, name, &mut inode)?;
            self.set_inode(directory);
            target.set_inode(inode);
            Ok(())
        })
    }

    pub(super) fn remove_name(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = same_kind(target)?;
        self.volume.edit(|edit| {
            let (mut directory, mut inode) = (self.inode(), target.inode());
            edit.unlink(&mut directory, name, &mut inode)?;
            self.set_inode(directory);
            target.set_inode(inode);
            Ok(())
        })
    }

    pub(super) fn rename_file(
        &self,
        name: &[u8],
        new_parent: &Arc<dyn Inode>,
        new_name: &[u8],
        exchange: bool,
    ) -> Result<()> {
        let new_parent = same_kind(new_parent)?;
        let moved = self.named(name)?.ok_or(Errno::ENOENT)?;
        let replaced = new_parent.named(new_name)?;
        let within = self.number() == new_parent.number();
        self.volume.edit(|edit| {
            let (mut directory, mut new_directory) = (self.inode(), new_parent.inode());
            let mut moved_inode = moved.inode();
            let mut replaced_inode = replaced.as_ref().map(|node| node.inode());
            let rename = Rename {
                directory: &mut directory,
                name,
                moved: &mut moved_inode,
                new_directory: (!within).then_some(&mut new_directory),
                new_name,
                replaced: replaced_inode.as_mut(),
            };
            if exchange {
                edit.exchange(rename)?
            } else {
                edit.rename(rename)?
            }
            self.set_inode(directory);
            if !within {
                new_parent.set_inode(new_directory);
            }
            moved.set_inode(moved_inode);
            if let (Some(node), Some(inode)) = (&replaced, replaced_inode) {
                node.set_inode(inode);
            }
            Ok(())
        })
    }

    /// The file called `name` here.
    fn named(&self, name: &[u8]) -> Result<Option<Arc<Node>>> {
        let link = self.volume.format.lookup(&self.inode(), name).map_err(|error| self.volume.errno(error))?;
        link.map(|link| self.volume.node(link.inode)).transpose()
    }
}

/// The VFS keeps to one mount, so the other inode is of this kind too.
fn same_kind(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or(Errno::EXDEV)
}
