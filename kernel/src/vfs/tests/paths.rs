//! The path walk.

use super::super::{FsContext, lookup};
use super::{TestResult, fails, in_words, make_directory, make_file, make_link, private_tree, same};
use abi::Errno;
use alloc::string::String;
use alloc::vec::Vec;
use macros::kernel_test;

/// `/a/b/file`, and links to it in several ways.
fn small_tree() -> Result<FsContext, String> {
    let tree = private_tree()?;
    make_directory(&tree, b"/a")?;
    make_directory(&tree, b"/a/b/")?;
    make_file(&tree, b"/a/b/file", b"content")?;
    make_link(&tree, b"/absolute", b"/a/b")?;
    make_link(&tree, b"/a/relative", b"b/../b/file")?;
    make_link(&tree, b"/slashed", b"a/b/file/")?;
    make_link(&tree, b"/dangling", b"nowhere")?;
    make_link(&tree, b"/loop", b"loop")?;
    Ok(tree)
}

fn leads_to(tree: &FsContext, path: &[u8], wanted: &[u8]) -> TestResult {
    let what = String::from_utf8_lossy(path).into_owned();
    let found = lookup(tree, None, path, true).map_err(in_words(&what))?;
    same(&what, found.path(), wanted.to_vec())
}

#[kernel_test]
fn paths_lead_where_they_should() -> TestResult {
    let tree = small_tree()?;
    for (path, wanted) in [
        (b"/".as_slice(), b"/".as_slice()),
        (b"//", b"/"),
        (b"/..", b"/"),
        (b"/../../a", b"/a"),
        (b"a", b"/a"),
        (b"a/", b"/a"),
        (b"./a/./b//file", b"/a/b/file"),
        (b"/a/b/..", b"/a"),
        (b"/absolute/file", b"/a/b/file"),
        (b"/absolute/..", b"/a"),
        (b"/absolute/", b"/a/b"),
        (b"/a/relative", b"/a/b/file"),
    ] {
        leads_to(&tree, path, wanted)?;
    }
    let link = lookup(&tree, None, b"/absolute", false).map_err(in_words("link"))?;
    same("unfollowed link", link.path(), b"/absolute".to_vec())?;
    same("its target", link.read_link(), Ok(b"/a/b".to_vec()))
}

#[kernel_test]
fn bad_paths_fail_as_on_linux() -> TestResult {
    let tree = small_tree()?;
    let long_name = [b'n'; 256];
    let long_path = [b'/'; 4096];
    for (path, wanted) in [
        (b"".as_slice(), Errno::ENOENT),
        (b"/none", Errno::ENOENT),
        (b"/none/file", Errno::ENOENT),
        (b"/a/b/file/", Errno::ENOTDIR),
        (b"/a/b/file/.", Errno::ENOTDIR),
        (b"/a/b/file/..", Errno::ENOTDIR),
        (b"/a/b/file/x", Errno::ENOTDIR),
        (b"/slashed", Errno::ENOTDIR),
        (b"/dangling", Errno::ENOENT),
        (b"/dangling/x", Errno::ENOENT),
        (b"/loop", Errno::ELOOP),
        (b"/loop/x", Errno::ELOOP),
        (&long_name, Errno::ENAMETOOLONG),
        (&long_path, Errno::ENAMETOOLONG),
    ] {
        fails(&String::from_utf8_lossy(&path[..path.len().min(20)]), lookup(&tree, None, path, true), wanted)?;
    }
    let longest = [b'/'; 4095];
    leads_to(&tree, &longest, b"/")
}

#[kernel_test]
fn forty_links_are_followed_and_no_more() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"0", b"")?;
    for number in 1..=41u32 {
        let (name, target) = (alloc::format!("{number}"), alloc::format!("{}", number - 1));
        make_link(&tree, name.as_bytes(), target.as_bytes())?;
    }
    leads_to(&tree, b"40", b"/0")?;
    fails("41 links", lookup(&tree, None, b"41", true), Errno::ELOOP)
}

#[kernel_test]
fn a_path_starts_at_its_base_and_ends_at_the_root_of_the_process() -> TestResult {
    let mut tree = small_tree()?;
    let base = lookup(&tree, None, b"/a", true).map_err(in_words("base"))?;
    let found = lookup(&tree, Some(&base), b"b/file", true).map_err(in_words("from the base"))?;
    same("from the base", found.path(), b"/a/b/file".to_vec())?;
    let file = found;
    fails("a file as base", lookup(&tree, Some(&file), b"x", true), Errno::ENOTDIR)?;
    tree.root = base.clone();
    tree.cwd = base;
    let root = lookup(&tree, None, b"../../..", true).map_err(in_words("above the root"))?;
    same("above the root", root.path(), b"/a".to_vec())?;
    // An absolute link starts at the process's root, where there is no `a`.
    make_link(&tree, b"/out", b"/a/b")?;
    fails("out of the root", lookup(&tree, None, b"out", true), Errno::ENOENT)
}

#[kernel_test]
fn deep_trees_come_and_go() -> TestResult {
    let mut tree = private_tree()?;
    let top = tree.clone();
    let mut levels = Vec::new();
    for _ in 0..3000 {
        make_directory(&tree, b"d")?;
        tree.cwd = lookup(&tree, None, b"d", true).map_err(in_words("down"))?;
        levels.push(tree.cwd.clone());
    }
    same("length of the path", tree.cwd.path().len(), 6000)?;
    let deepest = tree.cwd.clone();
    levels.reverse();
    for above in levels.iter().skip(1) {
        super::super::remove_directory(&top, Some(above), b"d").map_err(in_words("rmdir"))?;
    }
    drop(levels);
    tree.cwd = top.root.clone();
    // The last reference to a chain of removed directories.
    drop(deepest);
    Ok(())
}

/// Names are compared by `asm/memory.S`.
#[kernel_test]
fn bytes_are_compared_as_one_by_one() -> TestResult {
    let one_by_one = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.cmp(b)).find(|order| order.is_ne());
    let text: Vec<u8> = (0..64u8).map(|byte| byte.wrapping_mul(37)).collect();
    for (start, len) in (0..8).flat_map(|start| (0..40).map(move |len| (start, len))) {
        let a = &text[start..start + len];
        // A copy that lies otherwise, so that words do not begin where they do in the first.
        let mut other = alloc::vec![0; 3];
        other.extend_from_slice(a);
        same("equal", core::hint::black_box(a).cmp(&other[3..]), core::cmp::Ordering::Equal)?;
        for at in 0..len {
            for change in [1, 0x80, 0xff] {
                other[3 + at] = a[at].wrapping_add(change);
                let wanted = one_by_one(a, &other[3..]).unwrap_or(core::cmp::Ordering::Equal);
                same("order", core::hint::black_box(a).cmp(&other[3..]), wanted)?;
                same("equality", core::hint::black_box(a) == &other[3..], false)?;
            }
            other[3 + at] = a[at];
        }
    }
    Ok(())
}
