//! Images made by e2fsprogs, and stores over them.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_under_test::BlockStore;
use fs_under_test::ext2::{Ext2, Inode, ROOT_INODE};

/// Short name for the crate, which would else hide behind `std::fs`.
pub use ::fs as fs_under_test;

/// A directory below the target directory for one test, with an empty `tree` in it. Removed at the end, unless the test
/// failed.
pub struct Scratch(PathBuf);

/// Makes the directory `name`.
pub fn scratch(name: &str) -> Scratch {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(path.join("tree")).unwrap();
    Scratch(path)
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// Runs a program of e2fsprogs and returns what it printed. `accepted` are the exit statuses that mean success.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A], accepted: &[i32]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{program} (package e2fsprogs): {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|code| accepted.contains(&code)),
        "{program}: {}\n{printed}\n{complaint}",
        output.status
    );
    printed
}

/// Makes `scratch/image` of `size` (as `mke2fs` takes it) from `scratch/tree`.
pub fn make(scratch: &Path, options: &[&str], size: &str) -> PathBuf {
    make_as("ext2", scratch, options, size)
}

/// The same of another type that `mke2fs` knows.
pub fn make_as(kind: &str, scratch: &Path, options: &[&str], size: &str) -> PathBuf {
    let image = scratch.join("image");
    let tree = scratch.join("tree");
    let mut arguments: Vec<&OsStr> = ["-q", "-F", "-t", kind, "-d"].map(OsStr::new).to_vec();
    arguments.push(tree.as_os_str());
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(image.as_os_str());
    arguments.push(OsStr::new(size));
    run("mke2fs", &arguments, &[0]);
    image
}

/// Runs `commands` in `debugfs` on `image`, writing if the commands do.
pub fn debugfs(image: &Path, commands: &str) -> String {
    let script = image.with_extension("debugfs");
    fs::write(&script, commands).unwrap();
    run("debugfs", &[OsStr::new("-w"), OsStr::new("-f"), script.as_os_str(), image.as_os_str()], &[0])
}

/// A store over memory. A read outside of it fails the test, since the crate promises never to ask for one.
#[derive(Clone)]
pub struct Memory(pub Vec<u8>);

impl Memory {
    pub fn load(image: &Path) -> Memory {
        Memory(fs::read(image).unwrap())
    }
}

impl BlockStore for Memory {
    type Error = Infallible;

    fn len_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Infallible> {
        let inside = offset_bytes.checked_add(out.len() as u64).is_some_and(|end| end <= self.len_bytes());
        assert!(inside, "read of {} bytes at {offset_bytes} of {}", out.len(), self.0.len());
        out.copy_from_slice(&self.0[offset_bytes as usize..][..out.len()]);
        Ok(())
    }
}

/// A store over a file, for images too large for memory.
pub struct Disk(File);

impl Disk {
    pub fn open(image: &Path) -> Disk {
        Disk(File::open(image).unwrap())
    }
}

impl BlockStore for Disk {
    type Error = std::io::Error;

    fn len_bytes(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read_exact_at(out, offset_bytes)
    }
}

/// The inode at an absolute path of names, none of them a symbolic link on the way.
pub fn resolve<S: BlockStore>(volume: &Ext2<S>, path: &str) -> Inode
where
    S::Error: std::fmt::Debug,
{
    path.split('/').filter(|name| !name.is_empty()).fold(volume.read_inode(ROOT_INODE).unwrap(), |directory, name| {
        let link = volume.lookup(&directory, name.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path}: no {name}"));
        volume.read_inode(link.inode).unwrap()
    })
}

/// Numbers that look random and come again with the same seed (xorshift64).
pub struct Numbers(u64);

impl Numbers {
    pub fn seeded(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// `len` bytes, no block of which equals another.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}
