//! The file system of pseudo-terminals' slaves, on /dev/pts: a name for each master that is open, and `ptmx`.
//!
//! There is one for the whole kernel, however often it is mounted; the options of the last mount that gave some count.

use super::device::TerminalFile;
use super::pty::Master;
use super::registry::{self, Attributes, Handle, Pty};
use crate::clock;
use crate::process;
use crate::vfs::inode::Inode;
use crate::vfs::inode::directory_type;
use crate::vfs::{
    self, AttributeChange, DirEntry, FileOperations, FileSystem, FileType, Metadata, MountError, MountSource, NewNode,
    Result, Statistics, device_number, pseudo,
};
use abi::Errno;
use alloc::sync::Arc;
use machine::PAGE_SIZE;
use machine::sync::{Rank, SpinLock};

/// `DEVPTS_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x1cd1;
/// Inode numbers: the root's, `ptmx`'s, and from here on the slaves'.
const ROOT: u64 = 1;
const PTMX: u64 = 2;
const FIRST_SLAVE: u64 = 3;

/// Mount options.
struct Options {
    /// Permission bits of slaves.
    mode: u32,
    /// Permission bits of `ptmx`.
    ptmx_mode: u32,
    /// Owner and group of slaves, if not those of who makes them.
    uid: Option<u32>,
    gid: Option<u32>,
}

/// As distributions mount it: the group `tty` (5) may write messages.
static OPTIONS: SpinLock<Options> =
    SpinLock::new("devpts options", Rank::Table, Options { mode: 0o620, ptmx_mode: 0o666, uid: None, gid: Some(5) });

/// What to mount, with the options of mount(8): EINVAL for those that it does not know.
pub fn source(options: &[u8]) -> Result<MountSource> {
    for option in options.split(|&byte| byte == b',').filter(|option| !option.is_empty()) {
        let (name, value) = core::str::from_utf8(option).ok().and_then(|it| it.split_once('=')).unwrap_or(("", ""));
        let radix = if name.ends_with("mode") { 8 } else { 10 };
        let number = u32::from_str_radix(value, radix);
        let mut kept = OPTIONS.lock();
        match (name, number) {
            ("mode", Ok(mode)) => kept.mode = mode & 0o777,
            ("ptmxmode", Ok(mode)) => kept.ptmx_mode = mode & 0o777,
            ("uid", Ok(uid)) => kept.uid = Some(uid),
            ("gid", Ok(gid)) => kept.gid = Some(gid),
            ("max", Ok(_)) => {}
            _ if option == b"newinstance" => {}
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(MountSource::Other("devpts", Arc::new(DevPts)))
}

/// Mounts it on /dev/pts.
pub fn mount() -> core::result::Result<(), MountError> {
    let source = source(b"").map_err(|error| MountError::Source("devpts".into(), error))?;
    vfs::mount(source, &vfs::root_context(), b"/dev/pts", vfs::MountOptions::default())
}

/// Of the node of a slave that is made now.
fn attributes() -> Attributes {
    let owner = process::current_thread().map_or((0, 0), |thread| {
        let credentials = thread.process().credentials();
        (credentials.user.file, credentials.group.file)
    });
    let options = OPTIONS.lock();
    let owner = (options.uid.unwrap_or(owner.0), options.gid.unwrap_or(owner.1));
    Attributes { mode: options.mode, owner, times: [clock::time_of_day(); 3] }
}

/// `/dev/ptmx`: each opening makes a pseudo-terminal.
pub struct Multiplexer;

impl FileOperations for Multiplexer {
    fn open(&self, _: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        Ok(Some(Arc::new(Master::new(attributes())?)))
    }
}

struct DevPts;

impl FileSystem for DevPts {
    fn type_name(&self) -> &'static str {
        "devpts"
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        Ok(Arc::new(Node::Root))
    }

    fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics { magic: MAGIC, block_size: PAGE_SIZE as u64, ..Statistics::default() })
    }
}

/// A file.
enum Node {
    Root,
    Ptmx,
    Slave(Arc<Pty>),
}

impl Node {
    fn number(&self) -> u64 {
        match self {
            Node::Root => ROOT,
            Node::Ptmx => PTMX,
            Node::Slave(pty) => FIRST_SLAVE + u64::from(pty.index),
        }
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        if matches!(self, Node::Root) { FileType::Directory } else { FileType::CharDevice }
    }

    fn metadata(&self) -> Result<Metadata> {
        let (attributes, rdev) = match self {
            Node::Root => (Attributes { mode: 0o755, owner: (0, 0), times: [clock::time_of_day(); 3] }, 0),
            Node::Ptmx => {
                let mode = OPTIONS.lock().ptmx_mode;
                (Attributes { mode, owner: (0, 0), times: [clock::time_of_day(); 3] }, device_number(5, 2))
            }
            Node::Slave(pty) => (*pty.node.lock(), pty.terminal.number()),
        };
        let [atime, mtime, ctime] = attributes.times;
        Ok(Metadata {
            ino: self.number(),
            mode: u32::from(self.file_type().mode_bits()) | attributes.mode,
            nlink: if rdev == 0 { 2 } else { 1 },
            uid: attributes.owner.0,
            gid: attributes.owner.1,
            rdev,
            blksize: PAGE_SIZE as u64 / 4,
            atime,
            mtime,
            ctime,
            ..Metadata::default()
        })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let Node::Slave(pty) = self else { return Err(Errno::EPERM) };
        let mut node = pty.node.lock();
        node.mode = change.mode.unwrap_or(node.mode);
        node.owner = (change.uid.unwrap_or(node.owner.0), change.gid.unwrap_or(node.owner.1));
        let [access, content, _] = node.times;
        node.times = [change.atime.unwrap_or(access), change.mtime.unwrap_or(content), clock::time_of_day()];
        Ok(())
    }

    /// Names come and go.
    fn is_lasting(&self) -> bool {
        matches!(self, Node::Ptmx)
    }

    fn open(&self, flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        match self {
            Node::Root => Ok(None),
            Node::Ptmx => Multiplexer.open(flags),
            Node::Slave(pty) => Ok(Some(Arc::new(TerminalFile::open(Handle::Pair(pty.clone()), flags)?))),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name == b"ptmx" {
            return Ok(Arc::new(Node::Ptmx));
        }
        let index = pseudo::number(name).ok_or(Errno::ENOENT)?;
        match registry::next_pair(index as usize) {
            Some(pty) if u64::from(pty.index) == index => Ok(Arc::new(Node::Slave(pty))),
            _ => Err(Errno::ENOENT),
        }
    }

    /// As on Linux.
    fn create(&self, _: &[u8], _: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EACCES)
    }

    fn read_dir(&self, position: i64, parent: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if !matches!(self, Node::Root) {
            return Err(Errno::ENOTDIR);
        }
        let (directory, device) = (directory_type(FileType::Directory), directory_type(FileType::CharDevice));
        let fixed = [(".", ROOT, directory), ("..", parent, directory), ("ptmx", PTMX, device)];
        let first = usize::try_from(position).map_err(|_| Errno::EINVAL)?;
        for (at, (name, ino, kind)) in fixed.into_iter().enumerate().skip(first) {
            if !emit(DirEntry { ino, next_offset: at as i64 + 1, kind, name: name.as_bytes() }) {
                return Ok(());
            }
        }
        let mut index = first.saturating_sub(fixed.len());
        while let Some(pty) = registry::next_pair(index) {
            index = pty.index as usize + 1;
            let (ino, next_offset) = (FIRST_SLAVE + u64::from(pty.index), (fixed.len() + index) as i64);
            if !emit(DirEntry { ino, next_offset, kind: device, name: alloc::format!("{}", pty.index).as_bytes() }) {
                break;
            }
        }
        Ok(())
    }
}
