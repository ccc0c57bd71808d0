//! Directories with thousands of names, plain and hashed, and listing them in parts.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use crate::image::fs_under_test::BlockStore;
use crate::image::fs_under_test::ext2::{Ext2, Inode};
use crate::image::{self, Memory, Numbers, resolve};

const NAMES: usize = 5000;
/// `EXT2_INDEX_FL`: the directory has a hash index.
const INDEX_FLAG: u32 = 0x1000;

fn name(number: usize) -> String {
    format!("entry-{number}-{}", "x".repeat(number % 40))
}

fn plant(tree: &Path) {
    let many = tree.join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..NAMES {
        fs::write(many.join(name(number)), "").unwrap();
    }
}

/// All names with the cookie behind each, listed `at_a_time`.
fn list<S: BlockStore>(volume: &Ext2<S>, directory: &Inode, from: u64, at_a_time: usize) -> Vec<(String, u64)>
where
    S::Error: std::fmt::Debug,
{
    let mut names = Vec::new();
    let mut cookie = from;
    loop {
        let wanted = names.len() + at_a_time;
        let next = volume
            .read_dir(directory, cookie, |entry| {
                if names.len() == wanted {
                    return ControlFlow::Break(());
                }
                names.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.next));
                ControlFlow::Continue(())
            })
            .unwrap();
        if names.len() < wanted {
            assert!(next >= directory.size, "the listing ended at {next} of {}", directory.size);
            return names;
        }
        cookie = next;
    }
}

fn check_many(volume: &Ext2<Memory>) {
    let many = resolve(volume, "many");
    let all = list(volume, &many, 0, usize::MAX / 2);
    let mut sorted: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    sorted.sort();
    let mut expected: Vec<_> = (0..NAMES).map(name).chain([".".into(), "..".into()]).collect();
    expected.sort();
    assert_eq!(sorted, expected);
    for at_a_time in [1, 7, 1000] {
        assert_eq!(list(volume, &many, 0, at_a_time), all, "{at_a_time} at a time");
    }
    for number in (0..NAMES).step_by(17) {
        assert!(volume.lookup(&many, name(number).as_bytes()).unwrap().is_some(), "{}", name(number));
        assert_eq!(volume.lookup(&many, format!("entry-{number}-y").as_bytes()).unwrap(), None);
    }
}

#[test]
fn five_thousand_names_plain_and_hashed() {
    let scratch = image::scratch("many");
    plant(&scratch.join("tree"));
    for block_size in ["1024", "4096"] {
        let image = image::make(&scratch, &["-b", block_size, "-N", "6000"], "16M");
        let plain = Ext2::mount(Memory::load(&image)).unwrap();
        assert_eq!(resolve(&plain, "many").flags & INDEX_FLAG, 0);
        check_many(&plain);

        let image = image.to_str().unwrap();
        // Status 1: errors corrected, which is how e2fsck counts a rebuilt index.
        image::run("e2fsck", &["-fyD", image], &[0, 1]);
        let hashed = Ext2::mount(Memory::load(Path::new(image))).unwrap();
        assert_ne!(resolve(&hashed, "many").flags & INDEX_FLAG, 0, "e2fsck -D made no index");
        check_many(&hashed);
    }
}

/// `lseek(2)` lets a program set any cookie.
#[test]
fn any_cookie_goes_on_at_the_next_entry() {
    let scratch = image::scratch("cookies");
    plant(&scratch.join("tree"));
    let image = image::make(&scratch, &["-b", "1024", "-N", "6000"], "16M");
    let volume = Ext2::mount(Memory::load(&image)).unwrap();
    let many = resolve(&volume, "many");
    let all = list(&volume, &many, 0, usize::MAX / 2);
    // An entry starts where the one before ends.
    let starts: Vec<u64> = std::iter::once(0).chain(all.iter().map(|&(_, next)| next)).collect();
    let mut numbers = Numbers::seeded(3);
    for _ in 0..300 {
        let cookie = numbers.below(many.size);
        let first = starts.partition_point(|&start| start < cookie);
        let mut found = None;
        volume
            .read_dir(&many, cookie, |entry| {
                found = Some((String::from_utf8(entry.name.to_vec()).unwrap(), entry.next));
                ControlFlow::Break(())
            })
            .unwrap();
        assert_eq!(found.as_ref(), all.get(first), "cookie {cookie}");
    }
    for cookie in [many.size, many.size + 1, 1 << 40, u64::MAX] {
        assert_eq!(volume.read_dir(&many, cookie, |_| panic!("an entry beyond the end")), Ok(cookie));
    }
}
