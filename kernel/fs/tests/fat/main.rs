//! FAT volumes made by `mkfs.fat`: what is written is there, `fsck.fat` finds nothing, and broken bytes give errors.
//!
//! The longer run of the fuzz test is `make fuzz KIND=fat COUNT=1000000`.

mod disk;
mod fuzz;
mod power;
#[path = "../common/recorder.rs"]
mod recorder;

use std::collections::BTreeMap;

use disk::{Memory, Numbers, fsck, make};
use fs::fat::{ErrorKind, Fat, NoClock, NodeId, ParameterBlock, fold, looks_like_fat};

/// Kind and MiB of the volumes.
const KINDS: [(u32, usize); 3] = [(12, 4), (16, 24), (32, 40)];

fn mount(store: &Memory) -> Fat<&Memory> {
    Fat::mount(store, true, &NoClock).unwrap()
}

fn content(fat: &mut Fat<&Memory>, node: NodeId) -> Vec<u8> {
    let len = fat.metadata(node).unwrap().len() as usize;
    // One more than there is, to see the end.
    let mut bytes = vec![0; len + 1];
    assert_eq!(fat.read(node, 0, &mut bytes).unwrap(), len);
    bytes.truncate(len);
    bytes
}

fn names(fat: &mut Fat<&Memory>, directory: NodeId) -> Vec<String> {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some((entry, next)) = fat.read_dir(directory, at).unwrap() {
        names.push(String::from_utf8(entry.name().as_bytes().to_vec()).unwrap());
        at = next;
    }
    names.sort();
    names
}

#[test]
fn the_parameter_block_says_what_mkfs_was_told() {
    for (kind, mib) in KINDS {
        let store = make(kind, mib);
        let bytes = store.bytes();
        let sector = bytes[..512].try_into().unwrap();
        assert!(looks_like_fat(sector));
        let shown = ParameterBlock::read(sector).unwrap_or_else(|error| panic!("{error}")).to_string();
        for line in [format!("so it is:            FAT{kind}"), "bytes per sector:    512".into(), "A LABEL".into()] {
            assert!(shown.contains(&line), "{line} is not in:\n{shown}");
        }
        assert_eq!(mount(&store).bits(), kind);
    }
    assert!(!looks_like_fat(&[0; 512]));
    assert!(ParameterBlock::read(&[0; 512]).is_err());
}

#[test]
fn names_are_found_in_any_case_and_kept_as_they_are() {
    let store = make(16, 24);
    let mut fat = mount(&store);
    let root = fat.root();
    let long = "A long name with spaces, dots... and \u{e9}\u{df}.Text";
    let node = fat.make(root, long.as_bytes(), false).unwrap();
    assert_eq!(names(&mut fat, root), [long]);
    let other = long.to_uppercase().replace("SS", "\u{df}");
    assert_eq!(fat.lookup(root, other.as_bytes()).unwrap(), node);
    assert_eq!(fold(long.as_bytes()), fold(other.as_bytes()));
    let taken = fat.make(root, other.as_bytes(), false).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    // The short alias is not a second name.
    assert_eq!(fat.lookup(root, b"ALONGN~1.TEX").unwrap_err().kind(), ErrorKind::NotFound);
    for bad in ["a:b", "a*", "con?", "what\\", "a\"b", "end.", "end "] {
        assert_eq!(fat.make(root, bad.as_bytes(), false).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
    }
    let longest = "x".repeat(255);
    fat.make(root, longest.as_bytes(), true).unwrap();
    assert!(fat.make(root, "x".repeat(256).as_bytes(), true).is_err());
    fat.finish().unwrap();
    fsck(&store);
}

#[test]
fn a_removed_file_lives_until_it_is_released() {
    for (kind, mib) in KINDS {
        let store = make(kind, mib);
        let mut fat = mount(&store);
        let root = fat.root();
        let free = fat.statistics().unwrap().free_blocks();
        let (one, two) = (fat.make(root, b"one", false).unwrap(), fat.make(root, b"two", false).unwrap());
        fat.write(one, 0, b"first").unwrap();
        fat.write(two, 0, b"second").unwrap();
        fat.remove_file(root, b"one", one).unwrap();
        assert_eq!(names(&mut fat, root), ["two"]);
        fat.write(one, 5, b" and more").unwrap();
        // The name is free; a file renamed over another lets that live, too.
        let again = fat.make(root, b"one", false).unwrap();
        fat.rename((root, b"two"), (root, b"one"), Some((again, false))).unwrap();
        assert_eq!(content(&mut fat, one), b"first and more");
        assert_eq!(content(&mut fat, two), b"second");
        assert_eq!(fat.lookup(root, b"one").unwrap(), two);
        for node in [one, again, two, two] {
            fat.release(node).unwrap();
        }
        assert_eq!(names(&mut fat, root), ["one"]);
        assert_eq!(fat.statistics().unwrap().free_blocks(), free - 1);
        fat.finish().unwrap();
        fsck(&store);
    }
}

#[test]
fn a_full_volume_says_so_and_is_usable_after_a_removal() {
    for (kind, mib) in KINDS {
        let store = make(kind, mib);
        let mut fat = mount(&store);
        let root = fat.root();
        let big = fat.make(root, b"big", false).unwrap();
        let bytes = vec![7; 1 << 20];
        let mut len = 0;
        let error = loop {
            match fat.write(big, len, &bytes) {
                Ok(()) => len += bytes.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(fat.metadata(big).unwrap().len(), len, "a failed write changed the size");
        fat.resize(big, len / 2 + 3).unwrap();
        let small = fat.make(root, b"small", false).unwrap();
        fat.write(small, 0, &bytes).unwrap();
        assert_eq!(content(&mut fat, small), bytes);
        fat.finish().unwrap();
        fsck(&store);
    }
}

/// A thousand operations at random do what they do to a map, whatever is released when; `fsck.fat` finds nothing.
#[test]
fn random_operations_are_those_of_a_model() {
    for (seed, (kind, mib)) in (1..).zip(KINDS) {
        let store = make(kind, mib);
        let mut numbers = Numbers(seed);
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut fat = mount(&store);
        let root = fat.root();
        let directory = fat.make(root, b"Directory", true).unwrap();
        for step in 0..1000 {
            let name = format!("File number {}.data", numbers.below(20));
            let found = fat.lookup(directory, name.as_bytes());
            assert_eq!(found.is_ok(), model.contains_key(&name), "step {step}: {name}");
            match (found, numbers.below(8)) {
                (Err(_), _) => {
                    let node = fat.make(directory, name.as_bytes(), false).unwrap();
                    fat.release(node).unwrap();
                    model.insert(name, Vec::new());
                }
                (Ok(node), 0) => {
                    fat.remove_file(directory, name.as_bytes(), node).unwrap();
                    fat.release(node).unwrap();
                    model.remove(&name);
                }
                (Ok(node), 1) => {
                    let new = format!("File number {}.data", numbers.below(20));
                    if new != name {
                        let replaced = fat.lookup(directory, new.as_bytes()).ok();
                        let (from, to) = (name.as_bytes(), new.as_bytes());
                        fat.rename((directory, from), (directory, to), replaced.map(|node| (node, false))).unwrap();
                        replaced.map_or(Ok(()), |node| fat.release(node)).unwrap();
                        let moved = model.remove(&name).unwrap();
                        model.insert(new, moved);
                    }
                    fat.release(node).unwrap();
                }
                (Ok(node), 2) => {
                    let len = numbers.below(60_000);
                    fat.resize(node, len as u64).unwrap();
                    model.get_mut(&name).unwrap().resize(len, 0);
                    fat.release(node).unwrap();
                }
                (Ok(node), _) => {
                    let (at, byte) = (numbers.below(50_000), numbers.below(256) as u8);
                    let bytes = vec![byte; numbers.below(10_000)];
                    fat.write(node, at as u64, &bytes).unwrap();
                    let wanted = model.get_mut(&name).unwrap();
                    if !bytes.is_empty() {
                        wanted.resize(wanted.len().max(at + bytes.len()), 0);
                        wanted[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                    fat.release(node).unwrap();
                }
            }
            if step % 100 == 50 {
                fat.finish().unwrap();
                fat = mount(&store);
                assert_eq!(fat.lookup(root, b"DIRECTORY").unwrap(), directory);
            }
        }
        assert!(names(&mut fat, directory).iter().eq(model.keys().collect::<std::collections::BTreeSet<_>>()));
        for (name, wanted) in &model {
            let node = fat.lookup(directory, name.as_bytes()).unwrap();
            assert!(content(&mut fat, node) == *wanted, "{name}");
        }
        fat.finish().unwrap();
        fsck(&store);
    }
}
