//! The same trees through `ext4-view`, a reader that shares no code with ours.

use std::ops::ControlFlow;

use ext4_view::{Ext4, PathBuf};

use crate::image::fs_under_test::FileType;
use crate::image::fs_under_test::ext2::{Ext2, Inode, ROOT_INODE};
use crate::image::{self, Memory};
use crate::tree;

#[test]
fn an_independent_reader_sees_the_same() {
    let scratch = image::scratch("oracle");
    tree::plant(&scratch.join("tree"));
    // It knows neither revision 0, nor directories without file types, nor how `rec_len` says 65536.
    let known = |options: &&&[&str]| !["-r", "^filetype", "65536"].iter().any(|unknown| options.contains(unknown));
    let mut layouts = 0;
    for options in tree::LAYOUTS.iter().filter(known) {
        let image = image::make(&scratch, options, "16M");
        let bytes = Memory::load(&image);
        let theirs = Ext4::load(Box::new(bytes.0.clone())).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let ours = Ext2::mount(bytes).unwrap();
        let root = ours.read_inode(ROOT_INODE).unwrap();
        let count = compare(&ours, &theirs, &PathBuf::new("/"), &root);
        assert_eq!(count, 12 + 7 + 9 + 1, "{options:?}");
        layouts += 1;
    }
    assert_eq!(layouts, 5);
}

/// Compares all below `directory`, and returns the number of names.
fn compare(ours: &Ext2<Memory>, theirs: &Ext4, path: &PathBuf, directory: &Inode) -> usize {
    let mut our_names = Vec::new();
    ours.read_dir(directory, 0, |entry| {
        our_names.push((entry.name.to_vec(), entry.link));
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut their_names: Vec<Vec<u8>> =
        theirs.read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().as_ref().to_vec()).collect();
    our_names.sort_by(|a, b| a.0.cmp(&b.0));
    their_names.sort();
    assert!(our_names.iter().map(|(name, _)| name).eq(&their_names), "names in {}", path.display());

    our_names.retain(|(name, _)| name != b"." && name != b"..");
    let mut count = our_names.len();
    for (name, link) in &our_names {
        let inode = ours.read_inode(link.inode).unwrap();
        let path = path.join(name);
        compare_inode(ours, theirs, &path, &inode);
        if inode.kind == FileType::Directory {
            count += compare(ours, theirs, &path, &inode);
        }
    }
    count
}

fn compare_inode(ours: &Ext2<Memory>, theirs: &Ext4, path: &PathBuf, inode: &Inode) {
    let metadata = theirs.symlink_metadata(path).unwrap();
    assert_eq!(inode.mode & 0xfff, metadata.mode() & 0xfff, "mode of {}", path.display());
    assert_eq!((inode.uid, inode.gid, inode.size), (metadata.uid(), metadata.gid(), metadata.len()));
    match inode.kind {
        FileType::Regular => {
            let mut content = vec![0; inode.size as usize];
            assert_eq!(ours.read_at(inode, 0, &mut content), Ok(content.len()));
            assert!(content == theirs.read(path).unwrap(), "content of {}", path.display());
        }
        FileType::Symlink => {
            let mut target = vec![0; inode.size as usize];
            assert_eq!(ours.read_link(inode, &mut target), Ok(target.len()));
            assert_eq!(target, theirs.read_link(path).unwrap().as_ref());
        }
        _ => assert!(metadata.is_dir()),
    }
}
