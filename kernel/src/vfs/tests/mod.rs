//! Kernel tests of the file layer, run by the shell command `test vfs`.
//!
//! Most work in a tree of their own, which no other task sees ([`private_tree`]); those of ext2 mount block device 2, the
//! image that `make disk` builds, in such a tree.

mod changes;
mod disk;
mod mounts;
mod opening;
mod pages;
mod paths;
mod pseudo;

use super::inode::{NewKind, NewNode};
use super::location::{Location, Mount, Volume};
use super::tmpfs::TmpFs;
use super::transfer::{SliceSource, VecSink};
use super::{File, FsContext, MountOptions, Who, flags, make, open};
use abi::Errno;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use klib::sort::sort_by;

type TestResult = Result<(), String>;

/// An empty file system in memory that is its own root.
fn private_tree() -> Result<FsContext, String> {
    let volume = Volume::new(TmpFs::new("tmpfs", 0o755), None).map_err(in_words("a volume"))?;
    let mount = Mount::new(volume, String::from("test"), MountOptions::default());
    let root = Location::mount_root(&mount);
    Ok(FsContext { root: root.clone(), cwd: root, who: Who::default() })
}

/// Fails unless both are equal.
fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> TestResult {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} instead of {wanted:?}")),
    }
}

/// Fails unless `result` is the error `wanted`.
fn fails<T>(what: &str, result: super::Result<T>, wanted: Errno) -> TestResult {
    match result {
        Err(error) => same(what, error, wanted),
        Ok(_) => Err(format!("{what}: succeeded instead of {}", wanted.name())),
    }
}

fn in_words(what: &str) -> impl Fn(Errno) -> String + '_ {
    move |error| format!("{what}: {}", error.name())
}

fn make_directory(context: &FsContext, path: &[u8]) -> TestResult {
    let new = NewNode { kind: NewKind::Directory, mode: 0o755, uid: 0, gid: 0 };
    make(context, None, path, &new).map(|_| ()).map_err(in_words("mkdir"))
}

fn make_link(context: &FsContext, path: &[u8], target: &[u8]) -> TestResult {
    let new = NewNode { kind: NewKind::Symlink(target), mode: 0o777, uid: 0, gid: 0 };
    make(context, None, path, &new).map(|_| ()).map_err(in_words("symlink"))
}

fn make_file(context: &FsContext, path: &[u8], content: &[u8]) -> TestResult {
    let file = open(context, None, path, flags::O_CREAT | flags::O_WRONLY | flags::O_TRUNC, 0o644)
        .map_err(in_words("open for writing"))?;
    let written = file.write(&mut SliceSource::new(content)).map_err(in_words("write"))?;
    same("bytes written", written, content.len())
}

fn read_file(context: &FsContext, path: &[u8]) -> Result<Vec<u8>, String> {
    let file = open(context, None, path, flags::O_RDONLY, 0).map_err(in_words("open"))?;
    read_all(&file)
}

fn read_all(file: &File) -> Result<Vec<u8>, String> {
    let mut sink = VecSink::new(usize::MAX);
    file.read(&mut sink).map_err(in_words("read"))?;
    Ok(sink.into_bytes())
}

/// Names in a directory, `.` and `..` included, in the order given; with `at_most` entries for each call.
fn names(context: &FsContext, path: &[u8], at_most: usize) -> Result<Vec<Vec<u8>>, String> {
    let directory = open(context, None, path, flags::O_DIRECTORY, 0).map_err(in_words("open directory"))?;
    let mut all = Vec::new();
    loop {
        let mut now = 0;
        let emit = &mut |entry: super::DirEntry<'_>| {
            if now == at_most {
                return false;
            }
            now += 1;
            all.push(entry.name.to_vec());
            true
        };
        directory.read_dir(emit).map_err(in_words("read directory"))?;
        if now == 0 {
            return Ok(all);
        }
    }
}

/// The names without `.` and `..`, sorted.
fn entries(context: &FsContext, path: &[u8]) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = names(context, path, 3)?
        .iter()
        .filter(|name| !matches!(name.as_slice(), b"." | b".."))
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    sort_by(&mut found, |a, b| a < b);
    Ok(found)
}
