//! ext4 images without a journal to replay: read as their source says, never written, and harmless when broken.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};

use crate::fuzz::visit_all;
use crate::image::fs_under_test::FileType;
use crate::image::fs_under_test::ext2::{Ext2, recover};
use crate::image::{self, Memory, Numbers, resolve};
use crate::recorder;

/// Options of `mke2fs`: what its own settings make, and each feature on or off.
const LAYOUTS: [&[&str]; 6] = [
    &[],
    &["-b", "1024", "-O", "^has_journal"],
    &["-b", "4096", "-O", "64bit,metadata_csum,metadata_csum_seed"],
    &["-b", "1024", "-O", "^64bit,^metadata_csum,uninit_bg,^flex_bg"],
    &["-b", "2048", "-O", "^extent,^64bit", "-I", "128"],
    &["-b", "1024", "-O", "^resize_inode,sparse_super2", "-G", "4"],
];

/// A file with so many holes that its extents need blocks of their own, and other kinds.
fn plant(scratch: &image::Scratch) -> Vec<(String, Vec<u8>)> {
    let tree = scratch.join("tree");
    let mut numbers = Numbers::seeded(4);
    let mut files = vec![("/whole".to_string(), numbers.bytes(300_000)), ("/empty".to_string(), Vec::new())];
    fs::create_dir_all(tree.join("many")).unwrap();
    for number in 0..600 {
        files.push((format!("/many/a file with a long name, number {number}"), numbers.bytes(number % 50)));
    }
    for (path, bytes) in &files {
        fs::write(tree.join(&path[1..]), bytes).unwrap();
    }
    let mut sparse = vec![0; 400 * 8192 + 5];
    let file = fs::File::create(tree.join("sparse")).unwrap();
    file.set_len(sparse.len() as u64).unwrap();
    for at in (0..400).map(|number| number * 8192) {
        let bytes = numbers.bytes(1000);
        file.write_all_at(&bytes, at as u64).unwrap();
        sparse[at..at + 1000].copy_from_slice(&bytes);
    }
    files.push(("/sparse".to_string(), sparse));
    symlink("fast", tree.join("fast")).unwrap();
    symlink("s".repeat(200), tree.join("slow")).unwrap();
    files
}

#[test]
fn what_mke2fs_put_there_is_read() {
    let scratch = image::scratch("ext4");
    let files = plant(&scratch);
    for options in LAYOUTS {
        let image = image::make_as("ext4", &scratch, options, "24M");
        let volume = Ext2::mount(Memory::load(&image)).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        for (path, wanted) in &files {
            let inode = resolve(&volume, path);
            assert_eq!(inode.size, wanted.len() as u64, "{options:?}: {path}");
            let mut found = vec![1; wanted.len()];
            assert_eq!(volume.read_at(&inode, 0, &mut found), Ok(wanted.len()), "{options:?}: {path}");
            assert!(found == *wanted, "{options:?}: {path}");
        }
        for (name, target) in [("/fast", "fast".to_string()), ("/slow", "s".repeat(200))] {
            let inode = resolve(&volume, name);
            assert_eq!(inode.kind, FileType::Symlink);
            let mut found = vec![0; target.len()];
            assert_eq!(volume.read_link(&inode, &mut found), Ok(target.len()));
            assert_eq!(found, target.as_bytes());
        }
        let refused = volume.writable().unwrap_err().to_string();
        assert!(refused.contains("s_feature_"), "{refused}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let scratch = image::scratch("ext4-refused");
    for (options, wanted) in [("inline_data", "inline_data"), ("meta_bg,^resize_inode", "meta_bg"), ("mmp", "mmp")] {
        let image = image::make_as("ext4", &scratch, &["-O", options], "24M");
        let error = Ext2::mount(Memory::load(&image)).err().unwrap().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    // A journal to replay, which is not ours to replay.
    let path = image::make_as("ext4", &scratch, &[], "24M");
    let mut image = Memory::load(&path);
    image.0[1024 + 96] |= 0x4;
    let store = recorder::Recorder::of(image.0.clone());
    assert_eq!(recover(&store), Ok(false));
    let error = Ext2::mount(image).err().unwrap().to_string();
    assert!(error.contains("journal"), "{error}");
}

/// Broken at random, most often in what the first blocks hold and in nodes of extents.
#[test]
fn broken_images_give_errors() {
    let scratch = image::scratch("ext4-fuzz");
    plant(&scratch);
    let path = image::make_as("ext4", &scratch, &["-b", "1024", "-N", "800", "-O", "^has_journal"], "6M");
    let sound = Memory::load(&path);
    let nodes: Vec<usize> =
        (0..sound.0.len()).step_by(4).filter(|&at| sound.0[at..].starts_with(&[0x0a, 0xf3])).collect();
    assert!(nodes.len() > 600);
    assert!(visit_all(sound.clone()) > 600);
    for seed in 1..=300 {
        let mut numbers = Numbers::seeded(seed);
        let mut image = sound.clone();
        for _ in 0..8 {
            let at = match numbers.below(3) {
                0 => 1024 + numbers.below(3072) as usize,
                1 => numbers.below(400_000) as usize,
                _ => nodes[numbers.below(nodes.len() as u64) as usize] + numbers.below(64) as usize,
            };
            image.0[at] = [0, 1, 0xff, 0x80, numbers.next() as u8][numbers.below(5) as usize];
        }
        visit_all(image);
    }
}
