//! The tree of device nodes, shown on /dev: one tmpfs for the whole kernel, in which each driver's device gets a node.
//!
//! As on Linux (devtmpfs) programs may add names of their own. The memory devices of `mem(4)` and `random(4)` are here.

use super::change;
use super::device::{self, FileOperations, device_number};
use super::flags::S_IFMT;
use super::inode::{FileType, NewKind, NewNode, Positions};
use super::location::{Location, Mount, Volume};
use super::mount_options::MountOptions;
use super::tmpfs::TmpFs;
use super::transfer::{Sink, Source, outcome};
use super::{FsContext, Result, Who};
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use machine::sync::Once;

static TREE: Once<Location> = Once::new();

/// Fills bytes with random numbers.
pub type RandomFill = fn(&mut [u8]);

/// Makes the tree and the memory devices.
pub(super) fn init(random: RandomFill) -> Result<()> {
    let volume = Volume::new(TmpFs::new("devtmpfs", 0o755), None)?;
    let mount = Mount::new(volume, String::from("devtmpfs"), MountOptions::default());
    TREE.call_once(|| Location::mount_root(&mount));
    register_device("null", 0o020666, device_number(1, 3), Arc::new(Null));
    register_device("zero", 0o020666, device_number(1, 5), Arc::new(Zero));
    register_device("full", 0o020666, device_number(1, 7), Arc::new(Full));
    register_device("random", 0o020666, device_number(1, 8), Arc::new(Random(random)));
    register_device("urandom", 0o020666, device_number(1, 9), Arc::new(Random(random)));
    for (name, target) in LINKS {
        make(name, NewNode { kind: NewKind::Symlink(target.as_bytes()), mode: 0o777, uid: 0, gid: 0 })?;
    }
    Ok(())
}

/// Names by which programs and shells count on finding their own descriptors.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The root of the tree.
pub fn root() -> Result<Location> {
    TREE.get().cloned().ok_or(Errno::ENODEV)
}

/// The volume to mount.
pub(super) fn volume() -> Result<Arc<Volume>> {
    root().map(|root| root.mount.volume.clone())
}

/// Makes `operations` the device `rdev` ([`device_number`]) and gives it the node `name`, which may lie in directories
/// (`pts/0`). `mode` is `S_IFCHR` or `S_IFBLK` and permission bits.
pub fn register_device(name: &str, mode: u32, rdev: u64, operations: Arc<dyn FileOperations>) {
    let kind = match FileType::from_mode((mode & S_IFMT) as u16) {
        Some(FileType::BlockDevice) => FileType::BlockDevice,
        _ => FileType::CharDevice,
    };
    device::register_number(kind == FileType::BlockDevice, rdev, name, operations);
    let node = NewNode { kind: NewKind::Special(kind, rdev), mode, uid: 0, gid: 0 };
    if let Err(error) = make(name, node) {
        log::warn!("devfs: no node for {name}: {error}");
    }
}

/// Undoes [`register_device`]; whoever has the device open keeps it.
pub fn remove_device(name: &str, block: bool, rdev: u64) {
    device::forget_number(block, rdev);
    let removed = root().and_then(|root| {
        let context = FsContext { root: root.clone(), cwd: root, who: Who::default() };
        change::remove_file(&context, None, name.as_bytes())
    });
    // A program may have removed the name already.
    if let Err(error) = removed
        && error != Errno::ENOENT
    {
        log::warn!("devfs: the node {name} stays: {error}");
    }
}

fn make(name: &str, node: NewNode<'_>) -> Result<()> {
    let root = root()?;
    let context = FsContext { root: root.clone(), cwd: root.clone(), who: Who::default() };
    for (slash, _) in name.match_indices('/') {
        let directory = NewNode { kind: NewKind::Directory, mode: 0o755, uid: 0, gid: 0 };
        match change::make(&context, None, &name.as_bytes()[..slash], &directory) {
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    change::make(&context, None, name.as_bytes(), &node).map(|_| ())
}

/// Reads nothing, takes everything.
struct Null;

impl FileOperations for Null {
    fn positions(&self) -> Positions {
        Positions::All
    }

    fn read(&self, _: u64, _: u32, _: &mut dyn Sink) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        // Linux does not look at the bytes: a bad address is no error.
        Ok(source.remaining())
    }
}

/// Reads zeros, takes everything.
struct Zero;

impl FileOperations for Zero {
    fn positions(&self) -> Positions {
        Positions::All
    }

    fn read(&self, _: u64, _: u32, sink: &mut dyn Sink) -> Result<usize> {
        read_zeros(sink)
    }

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        Ok(source.remaining())
    }
}

/// Reads zeros, has no room.
struct Full;

impl FileOperations for Full {
    fn positions(&self) -> Positions {
        Positions::All
    }

    fn read(&self, _: u64, _: u32, sink: &mut dyn Sink) -> Result<usize> {
        read_zeros(sink)
    }

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        match source.remaining() {
            0 => Ok(0),
            _ => Err(Errno::ENOSPC),
        }
    }
}

/// Reads random numbers; what is written is taken and not counted as random.
struct Random(RandomFill);

impl FileOperations for Random {
    fn positions(&self) -> Positions {
        Positions::All
    }

    fn read(&self, _: u64, _: u32, sink: &mut dyn Sink) -> Result<usize> {
        let before = sink.remaining();
        let mut buffer = [0; 256];
        let mut result = Ok(());
        while sink.remaining() > 0 && result.is_ok() {
            let len = sink.remaining().min(buffer.len());
            (self.0)(&mut buffer[..len]);
            result = sink.put(&buffer[..len]);
        }
        outcome(before, sink.remaining(), result)
    }

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        Ok(source.remaining())
    }
}

fn read_zeros(sink: &mut dyn Sink) -> Result<usize> {
    let before = sink.remaining();
    let result = sink.zeros(before);
    outcome(before, sink.remaining(), result)
}
