//! ext2 on block device 2, the image that `make disk` builds.

use super::super::flags::{O_CREAT, O_DIRECTORY, O_RDWR, O_WRONLY, SEEK_DATA, SEEK_END};
use super::super::{
    DiskFormat, FsContext, MountOptions, MountSource, UnmountHow, lookup, mount, open, reclaim, remove_file, unmount,
    whole_disk,
};
use super::{TestResult, entries, fails, in_words, private_tree, read_file, same};
use crate::block::Completion;
use crate::sched;
use abi::Errno;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use machine::PAGE_SIZE;
use macros::kernel_test;

const IMAGE: usize = 2;

/// Runs `test` in a tree that shows the image on `/disk`.
fn with_image(test: impl FnOnce(&FsContext) -> TestResult) -> TestResult {
    let tree = private_tree()?;
    let image = whole_disk(IMAGE).ok_or("there is no block device 2")?;
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    mount(MountSource::Block(image, DiskFormat::Any), &tree, b"/disk", options).map_err(|error| error.to_string())?;
    test(&tree)?;
    unmount(&tree, b"/disk", UnmountHow::default()).map_err(|error| error.to_string())
}

#[kernel_test]
fn files_of_the_image_are_read() -> TestResult {
    with_image(|tree| {
        same("hello.txt", text(tree, b"/disk/hello.txt")?.trim_end(), "Hello, world!")?;
        same("nested.txt", text(tree, b"/disk/nested-dir/nested.txt")?.trim_end(), "Nested hello")?;
        let root = entries(tree, b"/disk")?;
        same("hello.txt is listed", root.iter().any(|name| name == "hello.txt"), true)?;
        let hello = lookup(tree, None, b"/disk/hello.txt", true).map_err(in_words("hello.txt"))?;
        let metadata = hello.metadata().map_err(in_words("metadata"))?;
        same("kind", metadata.mode & 0o170_000, 0o100_000)?;
        same("links", metadata.nlink, 1)?;
        let up = lookup(tree, None, b"/disk/nested-dir/../..", true).map_err(in_words("up"))?;
        same("up", up.path(), b"/".to_vec())
    })
}

#[kernel_test]
fn the_image_cannot_be_written() -> TestResult {
    with_image(|tree| {
        fails("create", open(tree, None, b"/disk/new", O_CREAT | O_WRONLY, 0o644), Errno::EROFS)?;
        fails("write", open(tree, None, b"/disk/hello.txt", O_RDWR, 0), Errno::EROFS)?;
        fails("unlink", remove_file(tree, None, b"/disk/hello.txt"), Errno::EROFS)?;
        fails("absent", open(tree, None, b"/disk/none", 0, 0), Errno::ENOENT)?;
        fails("not a directory", open(tree, None, b"/disk/hello.txt", O_DIRECTORY, 0), Errno::ENOTDIR)
    })
}

#[kernel_test]
fn pages_are_those_of_read_and_end_in_zeros() -> TestResult {
    with_image(|tree| {
        let file = open(tree, None, b"/disk/bin/busybox", 0, 0).map_err(in_words("open"))?;
        let size = file.seek(0, SEEK_END).map_err(in_words("seek"))?;
        let content = read_file(tree, b"/disk/bin/busybox")?;
        same("size", content.len() as u64, size)?;
        let last = (size - 1) / PAGE_SIZE as u64;
        let mut page = [0; PAGE_SIZE];
        for index in [0, last / 2, last] {
            file.page(index).map_err(in_words("page"))?.read(0, &mut page);
            let start = index as usize * PAGE_SIZE;
            let stored = (content.len() - start).min(PAGE_SIZE);
            same("page equals read", page[..stored] == content[start..][..stored], true)?;
            same("zeros behind the end", page[stored..].iter().all(|&byte| byte == 0), true)?;
        }
        fails("page behind the end", file.page(last + 1), Errno::EFAULT)?;
        same("data at 0", file.seek(0, SEEK_DATA), Ok(0))
    })
}

#[kernel_test]
fn many_tasks_read_one_file_cold() -> TestResult {
    with_image(|tree| {
        let wanted = checksum(&read_file(tree, b"/disk/bin/busybox")?);
        // Twice, for the second chance: the readers below find nothing in memory.
        reclaim(usize::MAX);
        reclaim(usize::MAX);
        let (all, wrong) = (Completion::new(), Arc::new(AtomicU32::new(0)));
        for _ in 0..6 {
            let (tree, done, wrong) = (tree.clone(), all.clone(), wrong.clone());
            all.add();
            let work = move || {
                let found = read_file(&tree, b"/disk/bin/busybox").map(|content| checksum(&content));
                if found != Ok(wanted) {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
                drop(tree);
                done.end(true);
            };
            sched::spawn("file reader", work).map_err(|_| "no memory for a task")?;
        }
        all.all_started(true);
        all.wait().map_err(|_| "a reader failed")?;
        same("readers that saw something else", wrong.load(Ordering::Relaxed), 0)
    })
}

/// Pages of a file that is just being written cannot go; who finds nothing else has to wait for them.
#[kernel_test]
fn who_needs_memory_waits_for_busy_pages() -> TestResult {
    with_image(|tree| {
        let busybox = lookup(tree, None, b"/disk/bin/busybox", true).map_err(in_words("busybox"))?;
        let pages = busybox.inode().pages().ok_or("a file without pages")?.clone();
        // Afterwards nothing but this file has pages to give.
        while reclaim(usize::MAX) > 0 {}
        read_file(tree, b"/disk/bin/busybox")?;
        let (locked, released) = (Completion::new(), Completion::new());
        locked.add();
        released.add();
        let (their_pages, their_locked, their_released) = (pages.clone(), locked.clone(), released.clone());
        let work = move || {
            {
                let _held = their_pages.writer.lock();
                their_locked.end(true);
                sched::sleep(Duration::from_millis(30));
            }
            drop(their_pages);
            their_released.end(true);
        };
        sched::spawn("file writer", work).map_err(|_| "no memory for a task")?;
        locked.all_started(true);
        locked.wait().map_err(|_| "not locked")?;
        while reclaim(usize::MAX) > 0 {}
        same("pages that were busy and have gone", pages.len(), 0)?;
        released.all_started(true);
        released.wait().map_err(|_| "not released".to_string())
    })
}

fn text(tree: &FsContext, path: &[u8]) -> Result<String, String> {
    String::from_utf8(read_file(tree, path)?).map_err(|error| error.to_string())
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
