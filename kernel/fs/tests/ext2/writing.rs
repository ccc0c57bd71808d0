//! One thing at a time, each judged by e2fsck.

use std::fs;
use std::path::Path;

use crate::files::{self, Files};
use crate::image;
use crate::image::fs_under_test::ext2::{Error, Ext2, NewKind};
use crate::recorder::Recorder;

/// An empty image.
fn empty(scratch: &Path, options: &[&str], size: &str) -> Vec<u8> {
    fs::read(image::make(scratch, options, size)).unwrap()
}

fn mount(image: Vec<u8>) -> Files {
    Files::mount(Recorder::of(image)).unwrap()
}

#[test]
fn after_an_unmount_nothing_tells_of_a_journal() {
    let scratch = image::scratch("no-trace");
    let before = empty(&scratch, &["-b", "1024"], "8M");
    let files = mount(before.clone());
    assert!(files.writer.has_journal());
    let after = files.unmount();
    files::check_clean(&scratch, &after);
    // All but times, counts of mounts and the like of the superblock; the journal's own blocks are free again.
    let differing: Vec<usize> = (0..2048).filter(|&at| before[at] != after[at]).collect();
    assert!(differing.iter().all(|at| (1024 + 44..1024 + 54).contains(at)), "{differing:?}");
    assert!(before[2048..20480] == after[2048..20480], "descriptors, bitmaps or inodes differ");
}

#[test]
fn a_full_disk_says_so_and_is_usable_after_a_delete() {
    let scratch = image::scratch("full");
    let mut files = mount(empty(&scratch, &["-b", "1024"], "8M"));
    files.make("/small", NewKind::Regular).unwrap();
    let mut made = 0;
    let full = loop {
        let name = format!("/large{made}");
        if let Err(error) = files.make(&name, NewKind::Regular) {
            break error;
        }
        made += 1;
        if let Err(error) = files.write(&name, 0, &vec![7; 900_000]) {
            break error;
        }
    };
    assert_eq!(full, Error::NoSpace);
    // The last bit of room, which was too little for the write that failed.
    let last = format!("/large{}", made - 1);
    while files.write(&last, files.inode(&last).size, &[7; 1024]).is_ok() {}
    assert_eq!(files.write("/small", 0, &[1; 5000]), Err(Error::NoSpace));
    assert_eq!(files.inode("/small").size, 0);
    files.unlink("/large0", false).unwrap();
    files.write("/small", 0, &[1; 5000]).unwrap();
    assert_eq!(files::content(&files.volume, &files.inode("/small")), [1; 5000]);
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn no_inode_left() {
    let scratch = image::scratch("inodes");
    let mut files = mount(empty(&scratch, &["-b", "1024", "-N", "32"], "2M"));
    let mut made = 0;
    while files.make(&format!("/f{made}"), NewKind::Regular).is_ok() {
        made += 1;
    }
    assert_eq!(made, files.volume.geometry().inodes_count - 11);
    assert_eq!(files.make("/one-more", NewKind::Directory).err(), Some(Error::NoSpace));
    files.unlink("/f3", false).unwrap();
    files.make("/one-more", NewKind::Directory).unwrap();
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn a_sparse_file_beyond_2_gib_sets_the_flag_of_large_files() {
    let scratch = image::scratch("sparse-written");
    let mut files = mount(empty(&scratch, &["-b", "1024", "-O", "^large_file"], "8M"));
    files.make("/sparse", NewKind::Regular).unwrap();
    // Around the borders of the trees, and far behind.
    let places = [0, 11, 12, 267, 268, 65_803, 65_804, 2 << 20, 4 << 20].map(|block| block * 1024 + 1000);
    for (number, &place) in places.iter().enumerate() {
        files.write("/sparse", place, &[number as u8 + 1; 100]).unwrap();
    }
    assert_eq!(files.inode("/sparse").size, (4 << 30) + 1100);
    for (number, &place) in places.iter().enumerate() {
        let mut around = [9; 300];
        let len = files.volume.read_at(&files.inode("/sparse"), place - 100, &mut around).unwrap();
        assert_eq!((&around[..100], &around[100..200]), (&[0; 100][..], &[number as u8 + 1; 100][..]), "{place}");
        assert!(around[200..len].iter().all(|&byte| byte == 0));
    }
    let too_far = files.volume.geometry().max_file_bytes();
    assert!(matches!(files.write("/sparse", too_far, &[1]), Err(Error::TooLarge { field: "i_size", .. })));
    files.commit();
    files::check_clean(&scratch, &files.unmount());
    let mut files = mount(fs::read(scratch.join("checked")).unwrap());
    files.truncate("/sparse", 12 * 1024 + 1050).unwrap();
    assert_eq!(files.inode("/sparse").sectors_count, 2 * (5 + 1));
    files.truncate("/sparse", 20 * 1024).unwrap();
    let content = files::content(&files.volume, &files.inode("/sparse"));
    assert!(content[12 * 1024 + 1000..12 * 1024 + 1050].iter().all(|&byte| byte == 3));
    assert!(content[12 * 1024 + 1050..].iter().all(|&byte| byte == 0));
    files.truncate("/sparse", 0).unwrap();
    assert_eq!(files.inode("/sparse").sectors_count, 0);
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn a_directory_of_many_names_grows_and_is_emptied() {
    let scratch = image::scratch("many-names");
    let mut files = mount(empty(&scratch, &["-b", "1024", "-N", "8192"], "16M"));
    files.make("/d", NewKind::Directory).unwrap();
    let name = |number: u32| format!("/d/{}{number}", "n".repeat(number as usize % 200));
    for number in 0..2000 {
        files.make(&name(number), NewKind::Fifo).unwrap();
    }
    let size = files.inode("/d").size;
    for number in (0..2000).step_by(2) {
        files.unlink(&name(number), false).unwrap();
    }
    for number in (0..2000).step_by(2) {
        files.make(&name(number), NewKind::Socket).unwrap();
    }
    assert_eq!(files.inode("/d").size, size, "room of removed names is used again");
    for number in 0..2000 {
        files.unlink(&name(number), false).unwrap();
    }
    files.unlink("/d", false).unwrap();
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn an_indexed_directory_becomes_a_linear_one() {
    let scratch = image::scratch("indexed");
    fs::create_dir(scratch.join("tree/d")).unwrap();
    for number in 0..300 {
        fs::write(scratch.join(format!("tree/d/a-name-of-some-length-{number}")), "x").unwrap();
    }
    let image = image::make(&scratch, &["-b", "1024", "-I", "256"], "8M");
    image::run("e2fsck", &["-fyD".as_ref(), image.as_os_str()], &[0, 1]);
    let mut files = mount(fs::read(&image).unwrap());
    assert_ne!(files.inode("/d").flags & 0x1000, 0, "e2fsck has made an index");
    files.make("/d/new", NewKind::Regular).unwrap();
    files.unlink("/d/a-name-of-some-length-7", false).unwrap();
    files.rename("/d/a-name-of-some-length-8", "/d/other", false).unwrap();
    assert_eq!(files.inode("/d").flags & 0x1000, 0);
    assert_eq!(files::list(&files.volume).len(), 1 + 300);
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn extended_attributes_go_with_their_file() {
    let scratch = image::scratch("attributes");
    fs::write(scratch.join("tree/a"), "x").unwrap();
    let image = image::make(&scratch, &["-b", "1024", "-I", "128"], "8M");
    image::debugfs(&image, "ea_set /a user.key value\n");
    let mut files = mount(fs::read(&image).unwrap());
    assert_ne!(files.inode("/a").attributes_block, 0);
    files.unlink("/a", false).unwrap();
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn orphans_of_the_last_mount_are_freed() {
    let scratch = image::scratch("orphans");
    let mut files = mount(empty(&scratch, &["-b", "1024"], "8M"));
    for name in ["/a", "/b", "/c"] {
        files.make(name, NewKind::Regular).unwrap();
        files.write(name, 0, &[3; 300_000]).unwrap();
    }
    for name in ["/a", "/b", "/c"] {
        files.unlink(name, true).unwrap();
    }
    files.close(1);
    files.commit();
    assert_eq!(files.writer.orphan_count(), 2);
    let files = mount(files.store.bytes());
    assert_eq!(files.writer.orphan_count(), 0);
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn what_was_not_unmounted_and_has_no_journal_is_not_written() {
    let scratch = image::scratch("unclean");
    let mut image = empty(&scratch, &["-b", "1024"], "8M");
    image[1024 + 58] = 0;
    let volume = Ext2::mount(Recorder::of(image)).unwrap();
    let now = volume.read_inode(2).unwrap().modified;
    assert!(matches!(volume.begin_writing(false, now), Err(Error::NotWritable(_))));
    let error = volume.begin_writing(false, now).err().unwrap();
    assert!(error.to_string().contains("e2fsck"), "{error}");
}

#[test]
fn names_that_cannot_be_are_refused_and_nothing_changes() {
    let scratch = image::scratch("refused");
    let mut files = mount(empty(&scratch, &["-b", "1024"], "8M"));
    files.make("/d", NewKind::Directory).unwrap();
    files.make("/d/f", NewKind::Regular).unwrap();
    let free = files.volume.statfs().unwrap();
    let long = format!("/{}", "x".repeat(256));
    assert_eq!(files.make(&long, NewKind::Regular).err(), Some(Error::BadName));
    assert_eq!(files.make("/l", NewKind::Symlink(&[b'x'; 1024])).err(), Some(Error::BadName));
    assert!(matches!(files.unlink("/d", false), Err(Error::NotEmpty { .. })));
    assert!(matches!(files.link("/d", "/e"), Err(Error::IsADirectory { .. })));
    assert_eq!(files.volume.statfs().unwrap(), free);
    files.make(&long[..256], NewKind::Regular).unwrap();
    files::check_clean(&scratch, &files.unmount());
}
