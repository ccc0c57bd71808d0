//! File systems whose files are made when they are looked at, from tables of names and functions: proc and sysfs.
//!
//! A file is an [`Entry`] of a table, seen for a [`Subject`]: what the file is about, as numbers. It keeps nothing of what
//! it tells of alive, and each use looks the subject up anew. A text is made when it is read from offset 0 and stays for
//! the reads that follow.
//!
//! Lock: an open file's text is under a sleeping lock of its own, held while it is made and copied to the reader.

mod text;

pub use text::Text;

use super::device::FileOperations;
use super::flags::{O_ACCMODE, O_RDONLY, PERMISSION_BITS};
use super::inode::{DirEntry, FileSystem, FileType, Inode, Metadata, NewNode, Positions, Statistics, directory_type};
use super::location::Location;
use super::transfer::{Sink, Source};
use super::{Result, clock};
use abi::Errno;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use machine::PAGE_SIZE;
use machine::sync::Mutex;

/// What a file is about. The numbers mean something to the functions of its table.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Subject {
    /// Which object.
    pub object: u64,
    /// Tells it from others that have the same number at other times; 0 for what never ends. Names of files about what
    /// ends are not remembered.
    pub stamp: u64,
    /// Which part of it.
    pub part: u32,
    /// Which member of that.
    pub member: u32,
}

/// Makes a text.
pub type Make = fn(Subject, &mut Text) -> Result<()>;

/// A member's number and what it is; None if there is none any more.
pub type Next = Result<Option<(u64, Subject)>>;

/// Set in [`Entry::mode`]: for those alone who may look into the subject.
pub const PRIVATE: u32 = 1 << 31;

/// Set in [`Entry::mode`]: only for some subjects ([`PseudoFs::has`]).
pub const SOME: u32 = 1 << 30;

/// A row of a table: one name.
pub struct Entry {
    /// The name; empty for roots and members.
    pub name: &'static str,
    /// Permission bits, [`PRIVATE`] and [`SOME`].
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a name stands for.
pub enum Kind {
    /// A regular file.
    Text(Make),
    /// A regular file that shows a constant.
    Value(&'static (dyn fmt::Display + Sync)),
    /// A regular file that takes what is written to it: one write is one value.
    Setting(Make, fn(Subject, &[u8]) -> Result<()>),
    /// A regular file that is read and written at any position. Whether the caller may is asked each time.
    Bytes(&'static Bytes),
    /// A symbolic link to a path.
    Link(Make),
    /// A symbolic link to a place, whatever the path that it shows.
    Magic(Make, fn(Subject) -> Result<Location>),
    /// A directory.
    Directory(&'static [Entry]),
    /// A directory that has members besides.
    Members(&'static [Entry], &'static Members),
}

/// Bytes that lie at positions, some of them.
pub struct Bytes {
    /// Fills a buffer from a position on; how many bytes. EIO if there is none there.
    pub read: fn(Subject, u64, &mut [u8]) -> Result<usize>,
    /// Puts bytes there; how many.
    pub write: fn(Subject, u64, &[u8]) -> Result<usize>,
}

/// Names that come and go.
pub struct Members {
    /// The first member from a number on, and what it is.
    pub next: fn(Subject, u64) -> Next,
    /// Makes a member's name; None for its number.
    pub name: Option<Make>,
    /// What each is.
    pub entry: Entry,
}

/// A file system made of tables.
pub struct PseudoFs {
    /// Its type, as `/proc/mounts` shows it.
    pub type_name: &'static str,
    /// `f_type` of `statfs(2)`.
    pub magic: u64,
    /// Its root.
    pub root: Entry,
    /// ENOENT if there is no such subject any more; EACCES if the current process may not look into it and has to.
    pub check: fn(Subject, bool) -> Result<()>,
    /// Whether a subject has a row that is marked [`SOME`].
    pub has: fn(Subject, &Entry) -> bool,
    /// Fills in whom a file belongs to, and what its permission bits are if the table does not say it.
    pub describe: fn(Subject, &Entry, &mut Metadata),
}

/// Bytes that go through a buffer at once.
const PIECE: usize = 512;

/// Directory positions below this are `.`, `..` and the rows of the table; from here on they are members' numbers.
const FIRST_MEMBER: i64 = 1 << 12;

/// `file_system` as something to be mounted.
pub fn mountable(file_system: &'static PseudoFs) -> Arc<dyn FileSystem> {
    Arc::new(Mounted(file_system))
}

struct Mounted(&'static PseudoFs);

impl FileSystem for Mounted {
    fn type_name(&self) -> &'static str {
        self.0.type_name
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        Ok(Node::make(self.0, &self.0.root, Subject::default()))
    }

    fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics { magic: self.0.magic, block_size: PAGE_SIZE as u64, ..Statistics::default() })
    }
}

/// A file.
#[derive(Clone, Copy)]
struct Node {
    system: &'static PseudoFs,
    entry: &'static Entry,
    subject: Subject,
}

impl Node {
    fn make(system: &'static PseudoFs, entry: &'static Entry, subject: Subject) -> Arc<dyn Inode> {
        Arc::new(Node { system, entry, subject })
    }

    fn check(&self) -> Result<()> {
        (self.system.check)(self.subject, self.entry.mode & PRIVATE != 0)
    }

    /// The rows of a directory, and its members.
    fn rows(&self) -> Result<(&'static [Entry], Option<&'static Members>)> {
        match self.entry.kind {
            Kind::Directory(rows) => Ok((rows, None)),
            Kind::Members(rows, members) => Ok((rows, Some(members))),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether its subject has this row of the table.
    fn has(&self, row: &Entry) -> bool {
        row.mode & SOME == 0 || (self.system.has)(self.subject, row)
    }

    fn find_member(&self, members: &'static Members, name: &[u8]) -> Result<Option<Subject>> {
        let Some(make) = members.name else {
            let Some(number) = number(name) else { return Ok(None) };
            let found = (members.next)(self.subject, number)?;
            return Ok(found.filter(|&(found, _)| found == number).map(|(_, subject)| subject));
        };
        let mut from = 0;
        while let Some((number, subject)) = (members.next)(self.subject, from)? {
            if made(make, subject)? == name {
                return Ok(Some(subject));
            }
            from = number + 1;
        }
        Ok(None)
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        match self.entry.kind {
            Kind::Text(_) | Kind::Value(_) | Kind::Setting(..) | Kind::Bytes(_) => FileType::Regular,
            Kind::Link(_) | Kind::Magic(..) => FileType::Symlink,
            Kind::Directory(_) | Kind::Members(..) => FileType::Directory,
        }
    }

    fn metadata(&self) -> Result<Metadata> {
        let now = clock::now();
        let kind = self.file_type();
        let links = self.rows().map_or(1, |(rows, _)| {
            2 + rows.iter().filter(|row| matches!(row.kind, Kind::Directory(_) | Kind::Members(..))).count()
        });
        let mut metadata = Metadata {
            ino: inode_number(self.entry, self.subject),
            mode: u32::from(kind.mode_bits()) | self.entry.mode & PERMISSION_BITS,
            nlink: links as u64,
            blksize: PAGE_SIZE as u64 / 4,
            atime: now,
            mtime: now,
            ctime: now,
            ..Metadata::default()
        };
        (self.system.describe)(self.subject, self.entry, &mut metadata);
        Ok(metadata)
    }

    fn is_lasting(&self) -> bool {
        self.subject.stamp == 0 && !core::ptr::eq(self.entry, &self.system.root)
    }

    fn open(&self, flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        self.check()?;
        if self.file_type() != FileType::Regular {
            return Ok(None);
        }
        if flags & O_ACCMODE != O_RDONLY {
            (self.system.check)(self.subject, true)?;
        }
        if let Kind::Bytes(bytes) = self.entry.kind {
            let whole = Subject { part: 0, ..self.subject };
            return Ok(Some(Arc::new(BytesFile { node: Node { subject: whole, ..*self }, bytes })));
        }
        Ok(Some(Arc::new(TextFile { node: *self, text: Mutex::new("pseudo file", None) })))
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let (rows, members) = self.rows()?;
        self.check()?;
        if let Some(row) = rows.iter().find(|row| row.name.as_bytes() == name && self.has(row)) {
            return Ok(Node::make(self.system, row, self.subject));
        }
        let members = members.ok_or(Errno::ENOENT)?;
        let subject = self.find_member(members, name)?.ok_or(Errno::ENOENT)?;
        Ok(Node::make(self.system, &members.entry, subject))
    }

    fn read_dir(&self, position: i64, parent: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let (rows, members) = self.rows()?;
        self.check()?;
        let first = usize::try_from(position).map_err(|_| Errno::EINVAL)?;
        for at in first..rows.len() + 2 {
            let (ino, kind, name) = match at {
                0 => (inode_number(self.entry, self.subject), FileType::Directory, "."),
                1 => (parent, FileType::Directory, ".."),
                _ => {
                    let row = &rows[at - 2];
                    if !self.has(row) {
                        continue;
                    }
                    let node = Node { entry: row, ..*self };
                    (inode_number(row, self.subject), node.file_type(), row.name)
                }
            };
            let (next_offset, kind) = (at as i64 + 1, directory_type(kind));
            if !emit(DirEntry { ino, next_offset, kind, name: name.as_bytes() }) {
                return Ok(());
            }
        }
        let Some(members) = members else { return Ok(()) };
        let mut from = (position - FIRST_MEMBER).max(0) as u64;
        while let Some((number, subject)) = (members.next)(self.subject, from)? {
            let name = match members.name {
                Some(make) => made(make, subject)?,
                None => number.to_string().into_bytes(),
            };
            let ino = inode_number(&members.entry, subject);
            let kind = directory_type(Node { entry: &members.entry, ..*self }.file_type());
            from = number + 1;
            if !emit(DirEntry { ino, next_offset: FIRST_MEMBER + from as i64, kind, name: &name }) {
                break;
            }
        }
        Ok(())
    }

    /// As on Linux: there is no place for another name.
    fn create(&self, _: &[u8], _: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOENT)
    }

    fn link(&self, _: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::ENOENT)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let (Kind::Link(make) | Kind::Magic(make, _)) = self.entry.kind else { return Err(Errno::EINVAL) };
        self.check()?;
        made(make, self.subject)
    }

    fn jump(&self) -> Result<Option<Box<dyn Any>>> {
        let Kind::Magic(_, place) = self.entry.kind else { return Ok(None) };
        self.check()?;
        Ok(Some(Box::new(place(self.subject)?)))
    }
}

/// An open file of bytes at positions.
struct BytesFile {
    /// Of the whole object: it stays when the part does not by which it was opened.
    node: Node,
    bytes: &'static Bytes,
}

impl FileOperations for BytesFile {
    fn read(&self, offset: u64, _: u32, sink: &mut dyn Sink) -> Result<usize> {
        self.node.check()?;
        let mut page = [0; PIECE];
        let mut done = 0;
        while sink.remaining() > 0 {
            let wanted = &mut page[..sink.remaining().min(PIECE)];
            let len = match (self.bytes.read)(self.node.subject, offset + done as u64, wanted) {
                Err(_) if done > 0 => 0,
                read => read?,
            };
            sink.put(&page[..len])?;
            done += len;
            if len < PIECE {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, offset: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        self.node.check()?;
        let mut page = [0; PIECE];
        let mut done = 0;
        while source.remaining() > 0 {
            let len = source.take(&mut page)?;
            let put = match (self.bytes.write)(self.node.subject, offset + done as u64, &page[..len]) {
                Err(_) if done > 0 => 0,
                put => put?,
            };
            done += put;
            if put < len {
                break;
            }
        }
        Ok(done)
    }

    fn positions(&self) -> Positions {
        Positions::Bytes(0)
    }
}

/// An open file.
struct TextFile {
    node: Node,
    /// What the last read from offset 0 has made.
    text: Mutex<Option<Vec<u8>>>,
}

impl FileOperations for TextFile {
    fn read(&self, offset: u64, _: u32, sink: &mut dyn Sink) -> Result<usize> {
        let mut kept = self.text.lock();
        if offset == 0 || kept.is_none() {
            let mut text = Text::default();
            match self.node.entry.kind {
                Kind::Text(make) | Kind::Setting(make, _) => make(self.node.subject, &mut text)?,
                Kind::Value(value) => writeln!(text, "{value}"),
                _ => return Err(Errno::EINVAL),
            }
            *kept = Some(text.finish()?);
        }
        let bytes = kept.as_deref().unwrap_or(&[]);
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
        let now = &rest[..rest.len().min(sink.remaining())];
        sink.put(now)?;
        Ok(now.len())
    }

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        let Kind::Setting(_, take) = self.node.entry.kind else { return Err(Errno::EINVAL) };
        let mut buffer = [0; 256];
        let len = source.take(&mut buffer)?;
        if source.remaining() > 0 {
            return Err(Errno::EINVAL);
        }
        take(self.node.subject, &buffer[..len])?;
        Ok(len)
    }

    /// It has positions; how long it is, shows when it is read.
    fn positions(&self) -> Positions {
        Positions::Bytes(0)
    }
}

/// What `make` makes.
fn made(make: Make, subject: Subject) -> Result<Vec<u8>> {
    let mut text = Text::default();
    make(subject, &mut text)?;
    text.finish()
}

/// A number as it stands in a name: decimal, without leading zeros.
pub fn number(name: &[u8]) -> Option<u64> {
    if name.is_empty() || name.len() > 1 && name[0] == b'0' || name.len() > 10 {
        return None;
    }
    let digit = |&byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    name.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

/// Always the same for one file; that two files have the same one is as unlikely as chance allows.
fn inode_number(entry: &Entry, subject: Subject) -> u64 {
    let within = u64::from(subject.part) << 32 | u64::from(subject.member);
    let words = [core::ptr::from_ref(entry).addr() as u64, subject.object, subject.stamp, within];
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (words.into_iter().fold(0, mix) >> 1).max(1)
}
