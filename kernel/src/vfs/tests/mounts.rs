//! Mounts and unmounts.

use super::super::{FsContext, MountOptions, MountSource, UnmountHow, lookup, mount, open, unmount};
use super::{TestResult, entries, fails, in_words, make_directory, make_file, private_tree, read_file, same};
use abi::Errno;
use alloc::string::{String, ToString};
use alloc::vec;
use macros::kernel_test;

fn mount_at(tree: &FsContext, at: &[u8]) -> TestResult {
    mount(MountSource::Tmpfs, tree, at, MountOptions::default()).map_err(|error| error.to_string())
}

fn unmount_at(tree: &FsContext, at: &[u8]) -> super::super::Result<()> {
    unmount(tree, at, UnmountHow::default()).map_err(|error| error.errno())
}

#[kernel_test]
fn mounts_nest_and_stack() -> TestResult {
    let tree = private_tree()?;
    make_directory(&tree, b"m")?;
    make_file(&tree, b"m/below", b"1")?;
    mount_at(&tree, b"m")?;
    same("covered", entries(&tree, b"m")?, vec![])?;
    make_directory(&tree, b"m/inner")?;
    mount_at(&tree, b"/m/inner")?;
    make_file(&tree, b"m/inner/deep", b"2")?;
    let inner = lookup(&tree, None, b"m/inner", true).map_err(in_words("inner"))?;
    same("path", inner.path(), b"/m/inner".to_vec())?;
    let up = lookup(&tree, Some(&inner), b"../..", true).map_err(in_words("up"))?;
    same("up across both", up.path(), b"/".to_vec())?;
    drop((inner, up));
    fails("busy: a mount in it", unmount_at(&tree, b"m"), Errno::EBUSY)?;
    mount_at(&tree, b"m/inner")?;
    same("the upper one", entries(&tree, b"m/inner")?, vec![])?;
    same("unmount the upper one", unmount_at(&tree, b"m/inner"), Ok(()))?;
    let open_file = open(&tree, None, b"m/inner/deep", 0, 0).map_err(in_words("open"))?;
    fails("busy: an open file", unmount_at(&tree, b"m/inner"), Errno::EBUSY)?;
    drop(open_file);
    same("unmount the lower one", unmount_at(&tree, b"m/inner"), Ok(()))?;
    fails("not mounted", unmount_at(&tree, b"m/inner"), Errno::EINVAL)?;
    same("unmount m", unmount_at(&tree, b"m"), Ok(()))?;
    same("uncovered", read_file(&tree, b"m/below")?, b"1".to_vec())
}

#[kernel_test]
fn a_mount_point_is_busy_and_visible() -> TestResult {
    let tree = private_tree()?;
    mount_at(&tree, b"made")?;
    same("made and listed", entries(&tree, b"/")?, vec![String::from("made")])?;
    let busy = super::super::remove_directory(&tree, None, b"made");
    fails("rmdir", busy, Errno::EBUSY)?;
    fails("rename", super::super::rename(&tree, (None, b"made"), (None, b"x"), 0), Errno::EBUSY)?;
    make_file(&tree, b"made/f", b"")?;
    make_file(&tree, b"outside", b"")?;
    let across = super::super::rename(&tree, (None, b"made/f"), (None, b"f"), 0);
    fails("across mounts", across, Errno::EXDEV)?;
    let outside = lookup(&tree, None, b"outside", true).map_err(in_words("outside"))?;
    fails("link across mounts", super::super::link(&outside, &tree, None, b"made/g"), Errno::EXDEV)?;
    same("unmount", unmount_at(&tree, b"made"), Ok(()))
}

#[kernel_test]
fn read_only_mounts_refuse_changes() -> TestResult {
    let tree = private_tree()?;
    mount(MountSource::Tmpfs, &tree, b"ro", MountOptions { read_only: true, ..MountOptions::default() })
        .map_err(|error| error.to_string())?;
    let flags = super::super::flags::O_CREAT | super::super::flags::O_WRONLY;
    fails("create", open(&tree, None, b"ro/f", flags, 0o644), Errno::EROFS)?;
    // A directory that cannot be made stands for itself while something is mounted on it.
    mount_at(&tree, b"ro/inner")?;
    same("listed", entries(&tree, b"ro")?, vec![String::from("inner")])?;
    make_file(&tree, b"ro/inner/f", b"x")?;
    same("unmount the inner one", unmount_at(&tree, b"ro/inner"), Ok(()))?;
    same("gone", entries(&tree, b"ro")?, vec![])?;
    fails("not found", lookup(&tree, None, b"ro/inner", true), Errno::ENOENT)?;
    same("unmount", unmount_at(&tree, b"ro"), Ok(()))
}

#[kernel_test]
fn a_new_root_takes_the_mounts_along() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"old", b"")?;
    mount_at(&tree, b"dev")?;
    make_file(&tree, b"dev/node", b"n")?;
    mount_at(&tree, b"/")?;
    same("new root", entries(&tree, b"/")?, vec![String::from("dev")])?;
    same("dev moved", read_file(&tree, b"/dev/node")?, b"n".to_vec())?;
    same("relative too", read_file(&tree, b"dev/node")?, b"n".to_vec())?;
    let up = lookup(&tree, None, b"/dev/../..", true).map_err(in_words("up"))?;
    same("up", up.is_same(&tree.root.clone().top()), true)?;
    drop(up);
    same("unmount the root", unmount_at(&tree, b"/"), Ok(()))?;
    same("dev moved back", read_file(&tree, b"/dev/node")?, b"n".to_vec())?;
    same("old root", entries(&tree, b"/")?, vec![String::from("dev"), String::from("old")])?;
    same("unmount dev", unmount_at(&tree, b"dev"), Ok(()))
}

#[kernel_test]
fn errors_name_what_is_wrong() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"file", b"")?;
    let text = |result: Result<(), super::super::MountError>| result.map_err(|error| error.to_string());
    let on_file = text(mount(MountSource::Tmpfs, &tree, b"file", MountOptions::default()));
    same("a file as place", on_file, Err(String::from("file: Not a directory (ENOTDIR)")))?;
    let nowhere = text(mount(MountSource::Tmpfs, &tree, b"none/deeper", MountOptions::default()));
    same("no place", nowhere, Err(String::from("none/deeper: No such file or directory (ENOENT)")))
}
