//! One bad value at a time: the error names the record, the field and the value.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

use crate::image::fs_under_test::ext2::{Corruption, Error, Ext2, Place, ROOT_INODE};
use crate::image::{self, Memory, resolve};

const KIB: usize = 1024;
/// Where the superblock and, with blocks of 1 KiB, the first group descriptor start.
const SUPERBLOCK: usize = KIB;
const DESCRIPTORS: usize = 2 * KIB;

/// 1 MiB in one group of blocks of 1 KiB.
fn sample(name: &str) -> Memory {
    let scratch = image::scratch(name);
    let tree = scratch.join("tree");
    fs::create_dir(tree.join("directory")).unwrap();
    fs::write(tree.join("directory/name"), "x").unwrap();
    fs::write(tree.join("file"), vec![b'x'; 300 * KIB]).unwrap();
    symlink("fast", tree.join("fast")).unwrap();
    symlink("s".repeat(100), tree.join("slow")).unwrap();
    Memory::load(&image::make(&scratch, &["-b", "1024", "-I", "256"], "1M"))
}

fn put(image: &mut Memory, offset: usize, bytes: &[u8]) {
    image.0[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn mount_error(image: Memory) -> Error<std::convert::Infallible> {
    match Ext2::mount(image) {
        Ok(_) => panic!("mounted"),
        Err(error) => error,
    }
}

#[test]
fn every_field_of_the_superblock_is_checked() {
    let good = sample("bad-superblock");
    let short = |value: u16| value.to_le_bytes().to_vec();
    let long = |value: u32| value.to_le_bytes().to_vec();
    for (offset, bytes, field) in [
        (56, short(0x1234), "s_magic"),
        (56, short(0), "s_magic"),
        (76, long(2), "s_rev_level"),
        (24, long(7), "s_log_block_size"),
        (24, long(u32::MAX), "s_log_block_size"),
        // Blocks of 2 KiB begin with block 0.
        (24, long(1), "s_first_data_block"),
        (20, long(0), "s_first_data_block"),
        (4, long(0), "s_blocks_count"),
        (4, long(1), "s_blocks_count"),
        (4, long(1025), "s_blocks_count"),
        (4, long(u32::MAX), "s_blocks_count"),
        (32, long(0), "s_blocks_per_group"),
        (32, long(8193), "s_blocks_per_group"),
        (32, long(3), "s_blocks_per_group"),
        (40, long(0), "s_inodes_per_group"),
        (40, long(8193), "s_inodes_per_group"),
        (0, long(0), "s_first_ino"),
        (0, long(u32::MAX), "s_inodes_count"),
        (84, long(0), "s_first_ino"),
        (84, long(u32::MAX), "s_first_ino"),
        (88, short(0), "s_inode_size"),
        (88, short(192), "s_inode_size"),
        (88, short(2048), "s_inode_size"),
        (12, long(1025), "s_free_blocks_count"),
        (8, long(1025), "s_r_blocks_count"),
        (16, long(u32::MAX), "s_free_inodes_count"),
    ] {
        let mut image = good.clone();
        put(&mut image, SUPERBLOCK + offset, &bytes);
        let value = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let error = mount_error(image);
        let Error::Corrupt(corruption) = error else { panic!("{field} = {value}: {error}") };
        assert_eq!((corruption.place, corruption.field), (Place::Superblock, field), "{value} gives {error}");
        assert!(error.to_string().starts_with(&format!("ext2: superblock: {field} is ")), "{error}");
    }
}

#[test]
fn incompatible_features_are_named() {
    let good = sample("features");
    for (bits, message) in [
        (0x46, "ext2: s_feature_incompat: needs_recovery, a journal to replay (0x4) not supported"),
        (0x4000_0002, "ext2: s_feature_incompat: unknown bits 0x40000000 not supported"),
        (0x12, "ext2: s_feature_incompat: meta_bg (0x10) not supported"),
    ] {
        let mut image = good.clone();
        put(&mut image, SUPERBLOCK + 96, &u32::to_le_bytes(bits));
        assert_eq!(mount_error(image).to_string(), message);
    }
    // One that only forbids writing does not forbid mounting.
    let mut image = good;
    put(&mut image, SUPERBLOCK + 100, &u32::to_le_bytes(0x403));
    let refused = Ext2::mount(image).unwrap().writable().unwrap_err();
    assert_eq!(refused.to_string(), "s_feature_ro_compat: metadata_csum (0x400) not supported");
}

#[test]
fn a_store_that_ends_too_early_is_refused() {
    let good = sample("truncated");
    for len in [0, 1, 1024, 2047, 2048, 100 * KIB, 1024 * KIB - 1] {
        let error = mount_error(Memory(good.0[..len].to_vec()));
        let field = if len < 2048 { "device length" } else { "s_blocks_count" };
        assert!(matches!(error, Error::Corrupt(corruption) if corruption.field == field), "{len} bytes: {error}");
    }
}

#[test]
fn descriptors_must_point_into_the_device() {
    let good = sample("descriptors");
    let inode_table = u32::from_le_bytes(good.0[DESCRIPTORS + 8..][..4].try_into().unwrap());
    for (offset, field) in [(0, "bg_block_bitmap"), (4, "bg_inode_bitmap"), (8, "bg_inode_table")] {
        for value in [0, 1, 2, 1023 + (offset == 8) as u32 + 1, u32::MAX] {
            let mut image = good.clone();
            put(&mut image, DESCRIPTORS + offset, &value.to_le_bytes());
            let Error::Corrupt(corruption) = mount_error(image) else { panic!() };
            assert_eq!((corruption.place, corruption.field), (Place::Group(0), field));
            assert_eq!(corruption.value, u64::from(value));
        }
    }
    for offset in [0, 4] {
        let mut image = good.clone();
        put(&mut image, DESCRIPTORS + offset, &(inode_table + 1).to_le_bytes());
        assert!(mount_error(image).to_string().contains("must not lie in the group's inode table"));
    }
}

/// Byte offset of inode `number` in the image.
fn inode_offset(volume: &Ext2<&Memory>, number: u32) -> usize {
    volume.group(0).unwrap().inode_table as usize * KIB + (number as usize - 1) * 256
}

#[test]
fn fields_of_inodes_are_checked() {
    let good = sample("inodes");
    let volume = Ext2::mount(&good).unwrap();
    let number = |path: &str| resolve(&volume, path).number;
    for (path, offset, bytes, expected) in [
        ("file", 0, vec![0xa4, 0x31], "i_mode is 12708 (0x31a4), its top four bits must be a kind of file"),
        ("file", 128, vec![129, 0], "i_extra_isize is 129 (0x81), must end within s_inode_size"),
        ("file", 110, vec![0xff], "i_size_high is 16711680 (0xff0000), must not make the file larger than"),
        ("file", 34, vec![8], "i_flags: extents (0x80000) not supported"),
        ("file", 35, vec![0x50], "i_flags: inline_data (0x10000000) not supported"),
    ] {
        let mut image = good.clone();
        put(&mut image, inode_offset(&volume, number(path)) + offset, &bytes);
        let error = Ext2::mount(&image).unwrap().read_inode(number(path)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut image = good.clone();
    put(&mut image, inode_offset(&volume, ROOT_INODE), &[0xa4, 0x81]);
    assert!(mount_error(image).to_string().contains("inode 2: i_mode is 33188 (0x81a4), the root must be a directory"));
}

#[test]
fn block_pointers_must_lie_on_the_device() {
    let good = sample("pointers");
    let volume = Ext2::mount(&good).unwrap();
    let file = resolve(&volume, "file");
    let pointers = inode_offset(&volume, file.number) + 40;
    let indirect = u32::from_le_bytes(good.0[pointers + 48..][..4].try_into().unwrap());
    // 0 is a hole; 1 and 2 are the superblock and the group descriptors.
    for value in [1u32, 2, 1024, u32::MAX] {
        for (offset, file_block, place, field) in [
            (pointers, 0, Place::Inode(file.number), "i_block[0]"),
            (pointers + 44, 11, Place::Inode(file.number), "i_block[11]"),
            (pointers + 48, 12, Place::Inode(file.number), "i_block[12] (indirect)"),
            (pointers + 52, 268, Place::Inode(file.number), "i_block[13] (double indirect)"),
            (indirect as usize * KIB + 40, 22, Place::PointerBlock(indirect.into()), "block pointer"),
        ] {
            let mut image = good.clone();
            put(&mut image, offset, &value.to_le_bytes());
            let volume = Ext2::mount(&image).unwrap();
            let file = volume.read_inode(file.number).unwrap();
            let rule = "must lie on the device, behind the group descriptors";
            let expected = Error::Corrupt(Corruption { place, field, value: value.into(), rule });
            assert_eq!(volume.map_block(&file, file_block), Err(expected));
            assert_eq!(volume.read_at(&file, file_block * 1024, &mut [0]), Err(expected));
            // A run from before stops in front of it.
            if ![0, 12, 268].contains(&file_block) {
                let run = volume.map_run(&file, file_block - 1, 100).unwrap();
                assert_eq!(run.count, 1);
            }
        }
    }
}

#[test]
fn directory_entries_are_checked() {
    let good = sample("entries");
    let volume = Ext2::mount(&good).unwrap();
    let directory = resolve(&volume, "directory");
    let block = volume.map_block(&directory, 0).unwrap().unwrap() as usize * KIB;
    // "." is at 0, ".." at 12, "name" at 24 up to the end of the block.
    for (offset, bytes, entry, field, value) in [
        (4, vec![0, 0], 0, "rec_len", 0),
        (4, vec![8, 0], 0, "rec_len", 8),
        (4, vec![13, 0], 0, "rec_len", 13),
        (4, vec![0xff, 0xff], 0, "rec_len", 0xffff),
        (28, vec![0xec, 0x03], 24, "rec_len", 1004),
        (28, vec![0xe0, 0x03], 1016, "rec_len", 8),
        (30, vec![0], 24, "name_len", 0),
        (18, vec![5], 12, "name_len", 5),
        (24, vec![0xff; 4], 24, "inode", 0xffff_ffff),
        (33, vec![b'/'], 24, "name", 0x2f),
        (33, vec![0], 24, "name", 0),
    ] {
        let mut image = good.clone();
        put(&mut image, block + offset, &bytes);
        let volume = Ext2::mount(&image).unwrap();
        let found = volume.read_dir(&directory, 0, |_| ControlFlow::Continue(())).unwrap_err();
        let Error::Corrupt(corruption) = found else { panic!("{found}") };
        assert_eq!(corruption.place, Place::DirEntry { inode: directory.number, offset: entry }, "{found}");
        assert_eq!((corruption.field, corruption.value), (field, value));
        assert_eq!(volume.lookup(&directory, b"missing"), Err(found));
    }
}

#[test]
fn directories_and_links_of_impossible_size() {
    let good = sample("sizes");
    let volume = Ext2::mount(&good).unwrap();
    for (path, offset, bytes, expected) in [
        ("directory", 4, vec![1, 4, 0, 0], "i_size is 1025 (0x401), of a directory must be a multiple of the block"),
        (
            "directory",
            4,
            vec![0, 4, 0x10, 0],
            "i_size is 1049600 (0x100400), of a directory must not exceed the device",
        ),
        ("directory", 4, vec![0, 8, 0, 0], "block pointer is 0 (0x0), a directory must have no holes"),
        ("fast", 4, vec![60, 0, 0, 0], "i_size is 60 (0x3c), must be at most 59 for a symbolic link without a block"),
        ("fast", 4, vec![0; 4], "i_size is 0 (0x0), must be the length of a target that is not empty"),
        ("fast", 4, vec![5, 0, 0, 0], "i_size is 5 (0x5), must be the length of a target that is not empty"),
        ("slow", 4, vec![1, 4, 0, 0], "i_size is 1025 (0x401), a symbolic link's target must fit into a block"),
    ] {
        let number = resolve(&volume, path).number;
        let mut image = good.clone();
        put(&mut image, inode_offset(&volume, number) + offset, &bytes);
        let volume = Ext2::mount(&image).unwrap();
        let inode = volume.read_inode(number).unwrap();
        let error = if path == "directory" {
            volume.read_dir(&inode, 0, |_| ControlFlow::Continue(())).unwrap_err()
        } else {
            volume.read_link(&inode, &mut [0; 2000]).unwrap_err()
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A tree of pointer blocks that leads into itself is walked like any other: three levels and no further.
#[test]
fn pointer_blocks_that_point_to_themselves_do_not_loop() {
    let good = sample("cycles");
    let volume = Ext2::mount(&good).unwrap();
    let file = resolve(&volume, "file");
    let pointers = inode_offset(&volume, file.number) + 40;
    let indirect = u32::from_le_bytes(good.0[pointers + 48..][..4].try_into().unwrap());
    let mut image = good.clone();
    put(&mut image, pointers + 52, &indirect.to_le_bytes());
    put(&mut image, pointers + 56, &indirect.to_le_bytes());
    put(&mut image, indirect as usize * KIB, &indirect.to_le_bytes().repeat(256));
    let volume = Ext2::mount(&image).unwrap();
    let file = volume.read_inode(file.number).unwrap();
    for file_block in [12, 268, 268 + 65536, volume.geometry().max_file_blocks() - 1] {
        assert_eq!(volume.map_block(&file, file_block), Ok(Some(indirect.into())));
    }
}
