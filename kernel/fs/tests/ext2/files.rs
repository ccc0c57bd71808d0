//! A volume that is written, by paths: what the kernel's file layer does, without its caches.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::image;
use crate::image::fs_under_test::ext2::{
    Before, Edit, Error, Ext2, Inode, NewFile, NewKind, Progress, ROOT_INODE, Rename, Timestamp, Writer, recover,
};
use crate::image::fs_under_test::{FileType, WriteStore};
use crate::recorder::Recorder;

pub type Outcome<T> = Result<T, Error<Infallible>>;

pub struct Files {
    pub store: Arc<Recorder>,
    pub volume: Ext2<Arc<Recorder>>,
    pub writer: Writer,
    clock: i64,
    /// Files without a name that are still in use.
    pub open: Vec<Inode>,
}

impl Files {
    /// Mounts `store` for writing, after recovery if it needs that.
    pub fn mount(store: Recorder) -> Outcome<Files> {
        let store = Arc::new(store);
        let recovered = recover(&store)?;
        let volume = Ext2::mount(store.clone())?;
        let writer = volume.begin_writing(recovered, Timestamp { seconds: 1_000_000_000, nanoseconds: 0 })?;
        Ok(Files { store, volume, writer, clock: 1_000_000_001, open: Vec::new() })
    }

    /// Unmounts; the image.
    pub fn unmount(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close(0);
        }
        self.edit().end_writing().unwrap();
        self.store.bytes()
    }

    pub fn edit(&mut self) -> Edit<'_, Arc<Recorder>> {
        self.clock += 1;
        let now = Timestamp { seconds: self.clock, nanoseconds: 123_456_789 };
        self.volume.edit(&mut self.writer, now)
    }

    /// As the kernel does between two operations.
    fn make_room(&mut self) {
        if self.edit().changed_blocks() > self.writer.transaction_limit() {
            self.edit().commit().unwrap();
        }
    }

    pub fn commit(&mut self) {
        self.edit().commit().unwrap();
    }

    pub fn inode(&self, path: &str) -> Inode {
        image::resolve(&self.volume, path)
    }

    fn parent<'p>(&self, path: &'p str) -> (Inode, &'p [u8]) {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.inode(directory), name.as_bytes())
    }

    pub fn make(&mut self, path: &str, kind: NewKind<'_>) -> Outcome<Inode> {
        self.make_room();
        let (mut directory, name) = self.parent(path);
        let new = NewFile { kind, permissions: 0o640, uid: 70_000, gid: 5 };
        self.retry(|files| files.edit().create(&mut directory, name, &new))
    }

    /// What is freed may be used after a checkpoint.
    fn retry<T>(&mut self, mut operation: impl FnMut(&mut Files) -> Outcome<T>) -> Outcome<T> {
        match operation(self) {
            Err(Error::NoSpace) if self.writer.held_blocks() > 0 => {
                self.edit().checkpoint().unwrap();
                operation(self)
            }
            outcome => outcome,
        }
    }

    pub fn write(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Outcome<()> {
        let mut inode = self.inode(path);
        self.write_inode(&mut inode, offset, bytes)
    }

    pub fn write_inode(&mut self, inode: &mut Inode, offset: u64, bytes: &[u8]) -> Outcome<()> {
        const AT_ONCE: usize = 64 * 1024;
        for (number, part) in bytes.chunks(AT_ONCE).enumerate() {
            self.make_room();
            let offset = offset + (number * AT_ONCE) as u64;
            let new = self.retry(|files| files.edit().grow(inode, offset, part.len() as u64))?;
            let block_len = self.volume.geometry().block_size() as u64;
            for (first, count) in new {
                for block in first..first + count {
                    let place = self.volume.map_block(inode, block)?.unwrap();
                    self.store.write_through(place * block_len, &vec![0; block_len as usize]).unwrap();
                }
            }
            self.put(inode, offset, part);
        }
        Ok(())
    }

    /// Writes to blocks that are there.
    fn put(&self, inode: &Inode, offset: u64, bytes: &[u8]) {
        let block_len = self.volume.geometry().block_size() as u64;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = at % block_len;
            let len = ((block_len - within) as usize).min(bytes.len() - done);
            let place = self.volume.map_block(inode, at / block_len).unwrap().expect("a block");
            self.store.write_through(place * block_len + within, &bytes[done..done + len]).unwrap();
            done += len;
        }
    }

    pub fn truncate(&mut self, path: &str, size: u64) -> Outcome<()> {
        let mut inode = self.inode(path);
        let block_len = self.volume.geometry().block_size() as u64;
        let tail = size.next_multiple_of(block_len).min(inode.size.next_multiple_of(block_len)).saturating_sub(size);
        if size < inode.size && self.volume.map_block(&inode, size / block_len)?.is_some() {
            self.put(&inode, size, &vec![0; tail as usize]);
        }
        while self.edit().resize(&mut inode, size)? == Progress::More {
            self.make_room();
        }
        self.make_room();
        Ok(())
    }

    pub fn punch(&mut self, path: &str, first: u64, count: u64) -> Outcome<()> {
        let mut inode = self.inode(path);
        self.make_room();
        while self.edit().punch(&mut inode, first, count)? == Progress::More {
            self.make_room();
        }
        Ok(())
    }

    pub fn link(&mut self, from: &str, to: &str) -> Outcome<()> {
        self.make_room();
        let (mut directory, name) = self.parent(to);
        let mut target = self.inode(from);
        self.retry(|files| files.edit().link(&mut directory, name, &mut target))
    }

    /// Removes a name; a file in use stays among `open`, if `keep_open`.
    pub fn unlink(&mut self, path: &str, keep_open: bool) -> Outcome<()> {
        self.make_room();
        let (mut directory, name) = self.parent(path);
        let mut target = self.inode(path);
        self.edit().unlink(&mut directory, name, &mut target)?;
        self.lost_name(target, keep_open);
        Ok(())
    }

    fn lost_name(&mut self, inode: Inode, keep_open: bool) {
        if inode.links_count == 0 {
            self.open.push(inode);
            if !keep_open {
                self.close(self.open.len() - 1);
            }
        }
    }

    /// Frees a file without a name.
    pub fn close(&mut self, index: usize) {
        let mut inode = self.open.remove(index);
        while self.edit().remove_orphan(&mut inode).unwrap() == Progress::More {
            self.make_room();
        }
    }

    pub fn rename(&mut self, from: &str, to: &str, exchange: bool) -> Outcome<()> {
        self.make_room();
        let ((mut directory, name), (mut new_directory, new_name)) = (self.parent(from), self.parent(to));
        let mut moved = self.inode(from);
        let mut replaced = match self.volume.lookup(&new_directory, new_name)? {
            Some(link) => Some(self.volume.read_inode(link.inode)?),
            None => None,
        };
        let same = directory.number == new_directory.number;
        self.retry(|files| {
            let rename = Rename {
                directory: &mut directory,
                name,
                moved: &mut moved,
                new_directory: (!same).then_some(&mut new_directory),
                new_name,
                replaced: replaced.as_mut(),
            };
            if exchange { files.edit().exchange(rename) } else { files.edit().rename(rename) }
        })?;
        if let Some(replaced) = replaced {
            self.lost_name(replaced, false);
        }
        Ok(())
    }

    pub fn set_attribute(&mut self, path: &str, name: (u8, &[u8]), value: Option<&[u8]>) -> Outcome<()> {
        self.make_room();
        let mut inode = self.inode(path);
        self.retry(|files| files.edit().set_attribute(&mut inode, name, value, Before::Any))
    }

    pub fn set_permissions(&mut self, path: &str, permissions: u16) -> Outcome<()> {
        let mut inode = self.inode(path);
        inode.mode = inode.mode & 0xf000 | permissions;
        self.edit().update(&inode)
    }
}

/// All of a regular file.
pub fn content<S: image::fs_under_test::BlockStore>(volume: &Ext2<S>, inode: &Inode) -> Vec<u8>
where
    S::Error: std::fmt::Debug,
{
    let mut bytes = vec![0; inode.size as usize];
    let len = volume.read_at(inode, 0, &mut bytes).unwrap();
    assert_eq!(len, bytes.len());
    bytes
}

/// What a tree holds: path, then kind, permissions, links and size; content is for the caller to look at.
pub fn list<S: image::fs_under_test::BlockStore>(volume: &Ext2<S>) -> Vec<(String, Inode)>
where
    S::Error: std::fmt::Debug,
{
    let mut found = vec![(String::new(), volume.read_inode(ROOT_INODE).unwrap())];
    let mut next = 0;
    while let Some((path, inode)) = found.get(next).cloned() {
        next += 1;
        if inode.kind != FileType::Directory {
            continue;
        }
        let mut names = Vec::new();
        volume
            .read_dir(&inode, 0, |entry| {
                names.push((String::from_utf8_lossy(entry.name).into_owned(), entry.link));
                ControlFlow::Continue(())
            })
            .unwrap();
        for (name, link) in names {
            if name != "." && name != ".." && !(path.is_empty() && name == "lost+found") {
                let child = volume.read_inode(link.inode).unwrap();
                assert!(link.kind.is_none_or(|kind| kind == child.kind), "kind of {path}/{name}");
                found.push((format!("{path}/{name}"), child));
            }
        }
    }
    found.remove(0);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// e2fsck must find nothing.
pub fn check_clean(directory: &Path, bytes: &[u8]) {
    let image = directory.join("checked");
    std::fs::write(&image, bytes).unwrap();
    image::run("e2fsck", &["-fn".as_ref(), image.as_os_str()], &[0]);
}
