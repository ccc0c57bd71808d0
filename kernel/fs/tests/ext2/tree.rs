//! Whole trees: every name, every attribute and every byte equals the source that `mke2fs -d` copied.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::image::fs_under_test::FileType;
use crate::image::fs_under_test::ext2::{DeviceNumber, Error, Ext2, Inode, ROOT_INODE};
use crate::image::{self, Memory, Numbers, resolve};

/// Fills `tree` with some of everything that needs no privilege.
pub fn plant(tree: &Path) {
    let mut numbers = Numbers::seeded(1);
    for len in [0, 1, 59, 1023, 1024, 1025, 4096, 12 * 1024, 12 * 1024 + 1, 50_000, 300_000, 700_000] {
        fs::write(tree.join(format!("file-{len}")), numbers.bytes(len)).unwrap();
    }
    let nested = tree.join("a/b/c/d");
    fs::create_dir_all(&nested).unwrap();
    fs::create_dir(tree.join("empty-directory")).unwrap();
    fs::write(nested.join("deep"), "deep down").unwrap();
    fs::write(nested.join("n".repeat(255)), "long name").unwrap();
    fs::write(tree.join("ünïcode and spaces\n"), "odd name").unwrap();
    fs::hard_link(tree.join("file-1025"), nested.join("hard-link")).unwrap();
    for len in [1, 58, 59, 60, 61, 200, 1000] {
        let target: String = (1..=len).map(|place| if place % 50 == 0 { '/' } else { 't' }).collect();
        symlink(target, tree.join(format!("symlink-{len}"))).unwrap();
    }
    for (name, mode) in [("file-0", 0o000), ("file-1", 0o4755), ("file-1023", 0o1777), ("a", 0o700)] {
        fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(tree.join("file-1")).unwrap().set_modified(old).unwrap();
}

fn compare(volume: &Ext2<Memory>, source: &Path, directory: &Inode) -> usize {
    let mut names = BTreeSet::new();
    let mut links = Vec::new();
    volume
        .read_dir(directory, 0, |entry| {
            assert!(names.insert(entry.name.to_vec()), "{:?} comes twice", entry.name);
            links.push((entry.name.to_vec(), entry.link));
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut expected: BTreeSet<Vec<u8>> =
        fs::read_dir(source).unwrap().map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
    expected.extend([b".".to_vec(), b"..".to_vec()]);
    if directory.number == ROOT_INODE {
        expected.insert(b"lost+found".to_vec());
    }
    assert_eq!(names, expected, "names in {}", source.display());

    let mut count = 0;
    for (name, link) in links {
        assert_eq!(volume.lookup(directory, &name).unwrap(), Some(link));
        let inode = volume.read_inode(link.inode).unwrap();
        assert!(link.kind.is_none_or(|kind| kind == inode.kind));
        let path = source.join(std::ffi::OsStr::from_bytes(&name));
        if ![&b"."[..], b"..", b"lost+found"].contains(&&name[..]) {
            count += 1;
            compare_file(volume, &path, &inode);
            if inode.kind == FileType::Directory {
                count += compare(volume, &path, &inode);
            }
        }
    }
    count
}

fn compare_file(volume: &Ext2<Memory>, path: &Path, inode: &Inode) {
    let metadata = fs::symlink_metadata(path).unwrap();
    assert_eq!(u32::from(inode.mode), metadata.mode(), "mode of {}", path.display());
    assert_eq!((inode.uid, inode.gid), (metadata.uid(), metadata.gid()));
    assert_eq!(inode.modified.seconds, metadata.mtime());
    match inode.kind {
        FileType::Regular => {
            assert_eq!(u64::from(inode.links_count), metadata.nlink());
            let mut content = vec![0xee; inode.size as usize + 10];
            let len = volume.read_at(inode, 0, &mut content).unwrap();
            assert!(content[..len] == fs::read(path).unwrap(), "content of {}", path.display());
            assert!(content[len..].iter().all(|&byte| byte == 0xee), "bytes beyond the end were touched");
            assert_eq!(volume.read_at(inode, inode.size, &mut [0; 4]).unwrap(), 0);
            assert_eq!(volume.read_at(inode, u64::MAX, &mut [0; 4]).unwrap(), 0);
        }
        FileType::Symlink => {
            let mut target = [0; 2000];
            let len = volume.read_link(inode, &mut target).unwrap();
            assert_eq!(&target[..len], fs::read_link(path).unwrap().as_os_str().as_bytes());
            let cut = volume.read_link(inode, &mut target[..7]).unwrap();
            assert_eq!(cut, len.min(7));
        }
        _ => {}
    }
}

/// Options of `mke2fs` for all that changes the layout.
pub const LAYOUTS: &[&[&str]] = &[
    &["-b", "1024", "-r", "0"],
    &["-b", "1024", "-I", "128"],
    &["-b", "1024", "-I", "256", "-O", "^resize_inode,^sparse_super", "-g", "1024"],
    &["-b", "2048", "-I", "256", "-O", "^filetype"],
    &["-b", "4096", "-r", "0"],
    &["-b", "4096", "-I", "128"],
    &["-b", "4096", "-I", "256", "-L", "a label"],
    &["-b", "4096", "-I", "1024"],
    &["-b", "65536", "-I", "256"],
];

#[test]
fn every_layout_reads_back_what_was_put_in() {
    let scratch = image::scratch("layouts");
    plant(&scratch.join("tree"));
    for options in LAYOUTS {
        let image = image::make(&scratch, options, "16M");
        let volume = Ext2::mount(Memory::load(&image)).unwrap_or_else(|error| panic!("{options:?}: {error}"));
        let root = volume.read_inode(ROOT_INODE).unwrap();
        let count = compare(&volume, &scratch.join("tree"), &root);
        assert_eq!(count, 12 + 7 + 9, "{options:?}");
        assert!(volume.superblock().is_clean());
        assert_eq!(volume.writable(), Ok(()));
    }
}

#[test]
fn labels_and_figures_equal_those_of_dumpe2fs() {
    let scratch = image::scratch("figures");
    plant(&scratch.join("tree"));
    for size in ["4M", "200M"] {
        let image = image::make(&scratch, &["-b", "1024", "-L", "sixteen-letters!", "-m", "3"], size);
        let volume = Ext2::mount(Memory::load(&image)).unwrap();
        assert_eq!(volume.superblock().label(), b"sixteen-letters!");
        let header = image::run("dumpe2fs", &[image.as_os_str()], &[0]);
        let figure = |name: &str| -> u64 {
            let line = header.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let figures = volume.statfs().unwrap();
        assert_eq!(figures.block_size, figure("Block size:"));
        assert_eq!(figures.blocks_free, figure("Free blocks:"));
        assert_eq!(figures.blocks_free - figures.blocks_available, figure("Reserved block count:"));
        assert_eq!(figures.inodes, figure("Inode count:"));
        assert_eq!(figures.inodes_free, figure("Free inodes:"));
        let free_in_groups: u64 = (0..volume.geometry().group_count)
            .map(|group| u64::from(volume.group(group).unwrap().free_blocks_count))
            .sum();
        assert_eq!(free_in_groups, figures.blocks_free);
        let copies = header.matches("superblock at").count() as u64;
        let geometry = volume.geometry();
        let tables = copies * (1 + geometry.descriptor_blocks)
            + u64::from(geometry.group_count) * (2 + geometry.inode_table_blocks);
        assert_eq!(figures.blocks, figure("Block count:") - geometry.first_data_block - tables);
    }
}

#[test]
fn device_nodes_large_owners_and_late_times() {
    let scratch = image::scratch("nodes");
    fs::write(scratch.join("tree/late"), "x").unwrap();
    let image = image::make(&scratch, &["-b", "1024", "-I", "256"], "1M");
    image::debugfs(
        &image,
        "mknod console c 5 1\nmknod disk b 8 17\nmknod large b 300 60000\nmknod pipe p\n\
         sif late uid 100000\nsif late gid 131077\n\
         sif late mtime 0x80000000\nsif late mtime_extra 0x1d6f3455\n",
    );
    let volume = Ext2::mount(Memory::load(&image)).unwrap();
    for (name, kind, device) in [
        ("console", FileType::CharDevice, Some(DeviceNumber { major: 5, minor: 1 })),
        ("disk", FileType::BlockDevice, Some(DeviceNumber { major: 8, minor: 17 })),
        ("large", FileType::BlockDevice, Some(DeviceNumber { major: 300, minor: 60000 })),
        ("pipe", FileType::Fifo, None),
    ] {
        let inode = resolve(&volume, name);
        assert_eq!((inode.kind, inode.device()), (kind, device), "{name}");
        assert_eq!(volume.map_block(&inode, 0), Err(Error::NoBlockMap { inode: inode.number, kind }));
    }
    let late = resolve(&volume, "late");
    assert_eq!((late.uid, late.gid), (100_000, 131_077));
    assert_eq!((late.modified.seconds, late.modified.nanoseconds), (0x8000_0000, 0x1d6f_3455 >> 2));
    assert!(late.created.is_some());
}

#[test]
fn operations_refuse_the_wrong_kind_of_inode() {
    let scratch = image::scratch("kinds");
    fs::write(scratch.join("tree/file"), "x").unwrap();
    symlink("file", scratch.join("tree/link")).unwrap();
    let image = image::make(&scratch, &["-b", "1024"], "1M");
    let volume = Ext2::mount(Memory::load(&image)).unwrap();
    let (root, file, link) = (resolve(&volume, "/"), resolve(&volume, "file"), resolve(&volume, "link"));
    assert_eq!(volume.lookup(&file, b"x"), Err(Error::NotADirectory { inode: file.number }));
    assert_eq!(volume.read_at(&root, 0, &mut [0]), Err(Error::IsADirectory { inode: ROOT_INODE }));
    assert_eq!(volume.read_link(&file, &mut [0]), Err(Error::NotASymlink { inode: file.number }));
    assert!(matches!(volume.read_at(&link, 0, &mut [0]), Err(Error::NoBlockMap { .. })));
    assert_eq!(volume.lookup(&root, b"missing"), Ok(None));
    assert_eq!(volume.lookup(&root, b""), Ok(None));
    assert_eq!(volume.lookup(&root, &[b'x'; 300]), Ok(None));
    let count = volume.geometry().inodes_count;
    for number in [0, 1, 3, 10, count + 1, u32::MAX] {
        assert_eq!(volume.read_inode(number), Err(Error::BadInodeNumber { inode: number }));
    }
    assert_eq!(volume.read_inode(count), Err(Error::InodeNotInUse { inode: count }));
}

/// The shape of `mke2fs`'s input does not matter to a store that fails: the error is the store's own.
#[test]
fn errors_of_the_store_come_through() {
    let scratch = image::scratch("store-errors");
    fs::write(scratch.join("tree/file"), vec![7; 5000]).unwrap();
    let image = image::make(&scratch, &["-b", "1024"], "1M");
    let volume = Ext2::mount(image::Disk::open(&image)).unwrap();
    let file = resolve(&volume, "file");
    let disk = fs::File::options().write(true).open(&image).unwrap();
    disk.set_len(2048).unwrap();
    disk.write_all_at(&[0], 0).unwrap();
    assert!(matches!(volume.read_at(&file, 0, &mut [0; 5000]), Err(Error::Store(_))));
    assert!(matches!(volume.read_inode(ROOT_INODE), Err(Error::Store(_))));
}
