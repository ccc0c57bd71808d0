//! Extended attributes, with debugfs as the other side and e2fsck as the judge.

use std::path::Path;

use crate::files::{self, Files};
use crate::image;
use crate::image::fs_under_test::ext2::{Attribute, Before, Error, NewKind};
use crate::recorder::Recorder;

const USER: u8 = 1;
const TRUSTED: u8 = 4;

fn mounted(scratch: &Path, options: &[&str]) -> Files {
    Files::mount(Recorder::of(std::fs::read(image::make(scratch, options, "8M")).unwrap())).unwrap()
}

/// What debugfs says to `command` about the image.
fn ask(scratch: &Path, bytes: &[u8], command: &str) -> String {
    let image = scratch.join("asked");
    std::fs::write(&image, bytes).unwrap();
    image::debugfs(&image, command)
}

#[test]
fn debugfs_sees_what_is_set_and_what_it_sets_is_seen() {
    let scratch = image::scratch("attributes-seen");
    for options in [["-b", "1024", "-I", "128"], ["-b", "1024", "-I", "256"], ["-b", "4096", "-I", "512"]] {
        let mut files = mounted(&scratch, &options);
        files.make("/a", NewKind::Regular).unwrap();
        files.make("/d", NewKind::Directory).unwrap();
        files.make("/s", NewKind::Symlink(b"a")).unwrap();
        files.set_attribute("/a", (USER, b"short"), Some(b"value")).unwrap();
        files.set_attribute("/a", (USER, b"long"), Some(&[b'x'; 300])).unwrap();
        files.set_attribute("/a", (USER, "n\u{e4}me".as_bytes()), Some(b"")).unwrap();
        files.set_attribute("/d", (TRUSTED, b"overlay.opaque"), Some(b"y")).unwrap();
        files.set_attribute("/s", (TRUSTED, b"link"), Some(&[7; 90])).unwrap();
        let bytes = files.unmount();
        files::check_clean(&scratch, &bytes);
        let list = ask(&scratch, &bytes, "ea_list /a\nea_list /d\nea_get /a user.short\n");
        for wanted in ["user.short (5) = \"value\"", "user.long (300)", "trusted.overlay.opaque (1) = \"y\""] {
            assert!(list.contains(wanted), "{options:?}: {wanted} is not in {list}");
        }
        let image = scratch.join("asked");
        image::debugfs(&image, "ea_set /a user.theirs abc\nea_rm /a user.long\nea_set /d user.theirs def\n");
        let mut files = Files::mount(Recorder::of(std::fs::read(&image).unwrap())).unwrap();
        let find = |files: &Files, path: &str, name: &[u8]| {
            let all = files.volume.attributes(&files.inode(path)).unwrap();
            all.into_iter().find(|attribute| attribute.name == name).map(|attribute: Attribute| attribute.value)
        };
        assert_eq!(find(&files, "/a", b"theirs"), Some(b"abc".to_vec()));
        assert_eq!(find(&files, "/a", b"long"), None);
        assert_eq!(find(&files, "/d", b"theirs"), Some(b"def".to_vec()));
        assert_eq!(find(&files, "/s", b"link"), Some(vec![7; 90]));
        for path in ["/a", "/d", "/s"] {
            files.unlink(path, false).unwrap();
        }
        files::check_clean(&scratch, &files.unmount());
    }
}

#[test]
fn equal_blocks_are_shared_and_parted_by_a_change() {
    let scratch = image::scratch("shared-attributes");
    let mut files = mounted(&scratch, &["-b", "1024", "-I", "128"]);
    for path in ["/a", "/b", "/c"] {
        files.make(path, NewKind::Regular).unwrap();
        files.set_attribute(path, (USER, b"one"), Some(b"1")).unwrap();
    }
    let block = |files: &Files, path: &str| files.inode(path).attributes_block;
    assert!(block(&files, "/a") == block(&files, "/b") && block(&files, "/b") == block(&files, "/c"));
    files.set_attribute("/b", (USER, b"one"), Some(b"2")).unwrap();
    assert_ne!(block(&files, "/a"), block(&files, "/b"));
    files.set_attribute("/b", (USER, b"one"), Some(b"1")).unwrap();
    assert_eq!(block(&files, "/a"), block(&files, "/b"));
    files.unlink("/a", false).unwrap();
    files.set_attribute("/c", (USER, b"one"), None).unwrap();
    assert_eq!(block(&files, "/c"), 0);
    files::check_clean(&scratch, &files.unmount());
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let scratch = image::scratch("refused-attributes");
    let mut files = mounted(&scratch, &["-b", "1024", "-I", "256"]);
    files.make("/a", NewKind::Regular).unwrap();
    files.set_attribute("/a", (USER, b"there"), Some(&[1; 500])).unwrap();
    let before = files.volume.attributes(&files.inode("/a")).unwrap();
    assert!(matches!(files.set_attribute("/a", (USER, b"large"), Some(&[2; 600])), Err(Error::NoSpace)));
    assert!(matches!(files.set_attribute("/a", (USER, b"absent"), None), Err(Error::NoAttribute { .. })));
    let mut inode = files.inode("/a");
    let exists = files.edit().set_attribute(&mut inode, (USER, b"there"), Some(b""), Before::Absent);
    assert!(matches!(exists, Err(Error::AttributeExists { .. })));
    let absent = files.edit().set_attribute(&mut inode, (USER, b"absent"), Some(b""), Before::Present);
    assert!(matches!(absent, Err(Error::NoAttribute { .. })));
    assert_eq!(files.volume.attributes(&files.inode("/a")).unwrap(), before);
    files::check_clean(&scratch, &files.unmount());
}
