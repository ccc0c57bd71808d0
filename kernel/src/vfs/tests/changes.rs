//! Making, linking, removing and renaming, on tmpfs.

use super::super::flags::{O_RDONLY, RENAME_EXCHANGE, RENAME_NOREPLACE};
use super::super::inode::{AttributeChange, NewKind, NewNode};
use super::super::{FsContext, link, lookup, make, open, remove_directory, remove_file, rename};
use super::{
    TestResult, entries, fails, in_words, make_directory, make_file, make_link, names, private_tree, read_all,
    read_file, same,
};
use abi::Errno;
use alloc::format;
use alloc::vec::Vec;
use macros::kernel_test;

fn links(tree: &FsContext, path: &[u8]) -> Result<u64, alloc::string::String> {
    let found = lookup(tree, None, path, false).map_err(in_words("lookup"))?;
    found.metadata().map(|metadata| metadata.nlink).map_err(in_words("metadata"))
}

fn renamed(tree: &FsContext, from: &[u8], to: &[u8], how: u32) -> super::super::Result<()> {
    rename(tree, (None, from), (None, to), how)
}

#[kernel_test]
fn names_come_and_go() -> TestResult {
    let tree = private_tree()?;
    let directory = NewNode { kind: NewKind::Directory, mode: 0o755, uid: 0, gid: 0 };
    fails("absent before", lookup(&tree, None, b"d", true), Errno::ENOENT)?;
    make_directory(&tree, b"d")?;
    fails("made twice", make(&tree, None, b"d", &directory), Errno::EEXIST)?;
    fails("mkdir /", make(&tree, None, b"/", &directory), Errno::EEXIST)?;
    make_file(&tree, b"d/f", b"x")?;
    fails("rmdir of a full one", remove_directory(&tree, None, b"d"), Errno::ENOTEMPTY)?;
    fails("unlink of a directory", remove_file(&tree, None, b"d"), Errno::EISDIR)?;
    fails("rmdir of a file", remove_directory(&tree, None, b"d/f"), Errno::ENOTDIR)?;
    fails("rmdir .", remove_directory(&tree, None, b"d/."), Errno::EINVAL)?;
    fails("rmdir ..", remove_directory(&tree, None, b"d/.."), Errno::ENOTEMPTY)?;
    fails("rmdir /", remove_directory(&tree, None, b"/"), Errno::EBUSY)?;
    same("unlink", remove_file(&tree, None, b"d/f"), Ok(()))?;
    fails("unlink twice", remove_file(&tree, None, b"d/f"), Errno::ENOENT)?;
    let inside = lookup(&tree, None, b"d", true).map_err(in_words("d"))?;
    same("rmdir", remove_directory(&tree, None, b"d"), Ok(()))?;
    fails("gone", lookup(&tree, None, b"d", true), Errno::ENOENT)?;
    fails("made in a removed one", make(&tree, Some(&inside), b"x", &directory), Errno::ENOENT)
}

#[kernel_test]
fn an_open_file_outlives_its_name() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"file", b"still here")?;
    let file = open(&tree, None, b"file", O_RDONLY, 0).map_err(in_words("open"))?;
    same("unlink", remove_file(&tree, None, b"file"), Ok(()))?;
    same("links left", file.metadata().map(|metadata| metadata.nlink), Ok(0))?;
    same("content", read_all(&file)?, b"still here".to_vec())?;
    make_file(&tree, b"file", b"another")?;
    same("a new one", read_file(&tree, b"file")?, b"another".to_vec())
}

#[kernel_test]
fn hard_links_share_a_file() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"one", b"first")?;
    make_directory(&tree, b"d")?;
    let one = lookup(&tree, None, b"one", true).map_err(in_words("one"))?;
    same("link", link(&one, &tree, None, b"d/two"), Ok(()))?;
    same("links", links(&tree, b"d/two")?, 2)?;
    fails("name taken", link(&one, &tree, None, b"d/two"), Errno::EEXIST)?;
    let directory = lookup(&tree, None, b"d", true).map_err(in_words("d"))?;
    fails("link to a directory", link(&directory, &tree, None, b"e"), Errno::EPERM)?;
    make_file(&tree, b"d/two", b"second")?;
    same("seen by the other name", read_file(&tree, b"one")?, b"second".to_vec())?;
    same("unlink", remove_file(&tree, None, b"one"), Ok(()))?;
    same("links left", links(&tree, b"d/two")?, 1)?;
    same("links of directories", (links(&tree, b"d")?, links(&tree, b"/")?), (2, 3))
}

#[kernel_test]
fn rename_moves_replaces_and_exchanges() -> TestResult {
    let tree = private_tree()?;
    for directory in [b"a".as_slice(), b"a/sub", b"b"] {
        make_directory(&tree, directory)?;
    }
    make_file(&tree, b"a/f", b"f")?;
    make_file(&tree, b"b/g", b"g")?;
    same("move", renamed(&tree, b"a/f", b"b/f", 0), Ok(()))?;
    fails("old name", lookup(&tree, None, b"a/f", true), Errno::ENOENT)?;
    fails("noreplace", renamed(&tree, b"b/f", b"b/g", RENAME_NOREPLACE), Errno::EEXIST)?;
    same("replace", renamed(&tree, b"b/f", b"b/g", 0), Ok(()))?;
    same("content", read_file(&tree, b"b/g")?, b"f".to_vec())?;
    fails("below itself", renamed(&tree, b"a", b"a/sub/a", 0), Errno::EINVAL)?;
    fails("over an ancestor", renamed(&tree, b"a/sub", b"a", 0), Errno::ENOTEMPTY)?;
    fails("file over directory", renamed(&tree, b"b/g", b"a", 0), Errno::EISDIR)?;
    fails("directory over file", renamed(&tree, b"a", b"b/g", 0), Errno::ENOTDIR)?;
    fails("over a full one", renamed(&tree, b"a", b"b", 0), Errno::ENOTEMPTY)?;
    fails("the root", renamed(&tree, b"/", b"x", 0), Errno::EBUSY)?;
    same("to itself", renamed(&tree, b"a", b"a", 0), Ok(()))?;
    same("exchange", renamed(&tree, b"a/sub", b"b/g", RENAME_EXCHANGE), Ok(()))?;
    same("file in a", entries(&tree, b"a")?, Vec::from(["sub".into()]))?;
    same("content after", read_file(&tree, b"a/sub")?, b"f".to_vec())?;
    let moved = lookup(&tree, None, b"b/g", true).map_err(in_words("b/g"))?;
    same("path of the moved", moved.path(), b"/b/g".to_vec())?;
    same("links", (links(&tree, b"a")?, links(&tree, b"b")?), (2, 3))?;
    same("over an empty one", renamed(&tree, b"b/g", b"b/h", 0), Ok(()))?;
    same("names", entries(&tree, b"b")?, Vec::from(["h".into()]))
}

#[kernel_test]
fn long_directories_are_listed_whole() -> TestResult {
    let tree = private_tree()?;
    make_directory(&tree, b"d")?;
    for number in 0..300 {
        make_file(&tree, format!("d/file{number:03}").as_bytes(), b"")?;
    }
    for at_most in [1, 7, 1000] {
        let all = names(&tree, b"d", at_most)?;
        same("entries", all.len(), 302)?;
        same("first two", &all[..2], &[b".".to_vec(), b"..".to_vec()])?;
    }
    let sorted = entries(&tree, b"d")?;
    same("first", sorted[0].as_str(), "file000")?;
    same("last", sorted[299].as_str(), "file299")
}

#[kernel_test]
fn attributes_change() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"f", b"x")?;
    make_link(&tree, b"l", b"f")?;
    let file = lookup(&tree, None, b"l", true).map_err(in_words("lookup"))?;
    let change = AttributeChange { mode: Some(0o104_751), uid: Some(7), mtime: Some((5, 6)), ..Default::default() };
    same("change", file.set_attributes(&change), Ok(()))?;
    let metadata = file.metadata().map_err(in_words("metadata"))?;
    same("mode", metadata.mode, 0o104_751)?;
    same("owner", (metadata.uid, metadata.gid), (7, 0))?;
    same("time", metadata.mtime, (5, 6))
}
