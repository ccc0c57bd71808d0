//! Volumes broken at random, walked and written: no panic, no access outside the device, bounded work.

use crate::disk::{Memory, Numbers, Refused, make_with};
use fs::fat::{Error, Fat, NoClock, NodeId};

/// More than ten times what the undamaged volume takes; a loop takes far more.
const ACCESSES: usize = 200_000;
/// Levels of directories that are walked: a broken one may lead into itself.
const DEPTH: usize = 6;
/// Entries that are looked at in all.
const ENTRIES: usize = 2000;

/// A small volume with some of everything.
fn sample(kind: u32, mib: usize) -> Vec<u8> {
    // A FAT32 with few clusters is one all the same, as for Linux.
    let store = make_with(kind, mib, 1);
    let mut fat = Fat::mount(&store, true, &NoClock).unwrap();
    let root = fat.root();
    let sub = fat.make(root, b"Sub directory", true).unwrap();
    let deep = fat.make(sub, b"deep", true).unwrap();
    for (number, directory) in [root, sub, deep].into_iter().cycle().take(40).enumerate() {
        let name = if number % 2 == 0 { format!("f{number}") } else { format!("A longer name, {number}.text") };
        let node = fat.make(directory, name.as_bytes(), false).unwrap();
        fat.write(node, 0, &vec![number as u8; number * 500]).unwrap();
        fat.release(node).unwrap();
    }
    let gone = fat.lookup(root, b"f0").unwrap();
    fat.remove_file(root, b"f0", gone).unwrap();
    fat.release(gone).unwrap();
    fat.finish().unwrap();
    store.bytes()
}

fn break_bytes(bytes: &mut [u8], numbers: &mut Numbers) {
    for _ in 0..1 + numbers.below(6) {
        // Most often where the numbers are: boot sector, FATs, directories; the first of what is not zero anyway.
        let at = match numbers.below(4) {
            0 => numbers.below(512),
            1 => numbers.below(64 << 10),
            2 => numbers.below(256 << 10),
            _ => numbers.below(bytes.len()),
        };
        let value = [0, 1, 0xff, 0xf7, 0x7f, numbers.below(256) as u8][numbers.below(6)];
        let len = [1, 1, 1, 2, 4, 32][numbers.below(6)];
        let end = (at + len).min(bytes.len());
        bytes[at..end].fill(value);
    }
}

/// Everything below `directory`, read, and some of it changed.
fn walk(
    fat: &mut Fat<&Memory>,
    directory: NodeId,
    depth: usize,
    left: &mut usize,
    numbers: &mut Numbers,
) -> Result<(), Error<Refused>> {
    let mut at = 0;
    while let Some((entry, next)) = fat.read_dir(directory, at)? {
        at = next;
        if *left == 0 {
            break;
        }
        *left -= 1;
        let name = entry.name().as_bytes().to_vec();
        let Ok(node) = fat.lookup(directory, &name) else { continue };
        let mut bytes = vec![0; 30_000];
        if entry.file_type().is_dir() {
            if depth > 0 {
                let _ = walk(fat, node, depth - 1, left, numbers);
            }
        } else {
            let _ = fat.read(node, 0, &mut bytes);
        }
        let _ = match numbers.below(8) {
            0 => fat.write(node, numbers.below(40_000) as u64, &bytes[..2000]),
            1 => fat.resize(node, numbers.below(60_000) as u64),
            2 => fat.remove_file(directory, &name, node),
            3 => fat.remove_directory(directory, &name),
            4 => fat.rename((directory, &name), (fat.root(), b"Moved here.txt"), None),
            5 => {
                fat.make(directory, b"New one with a long name", numbers.below(2) == 0).and_then(|new| fat.release(new))
            }
            _ => fat.metadata(node).map(|_| ()),
        };
        let _ = fat.release(node);
    }
    Ok(())
}

/// Kinds, and MiB of the samples: as small as they can be.
const KINDS: [(u64, usize); 3] = [(12, 1), (16, 3), (32, 1)];

/// Seeds that once failed.
const KEPT: [u64; 0] = [];

/// One broken volume; the seed says which kind it is, too.
fn visit(seed: u64, sound: &[Vec<u8>; 3]) {
    let which = (seed % 3) as usize;
    let kind = KINDS[which].0;
    let mut numbers = Numbers(seed << 8 | kind);
    let mut bytes = sound[which].clone();
    break_bytes(&mut bytes, &mut numbers);
    let store = Memory::new(bytes, ACCESSES);
    let Ok(mut fat) = Fat::mount(&store, true, &NoClock) else { return };
    let root = fat.root();
    let _ = walk(&mut fat, root, DEPTH, &mut { ENTRIES }, &mut numbers);
    let _ = fat.statistics();
    let _ = fat.finish();
    assert!(!store.exhausted(), "FAT{kind}, seed {seed}: more than {ACCESSES} accesses");
}

fn visit_all(seeds: impl Iterator<Item = u64>) {
    let sound = KINDS.map(|(kind, mib)| sample(kind as u32, mib));
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| visit(seed, &sound)) {
            eprintln!("seed {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn fuzz_some_volumes() {
    visit_all((1..=600).chain(KEPT));
}

#[test]
#[ignore = "takes as long as FUZZ_CASES says"]
fn fuzz_many_volumes() {
    let number = |name, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let first = number("FUZZ_SEED", 1);
    visit_all(first..first + number("FUZZ_CASES", 1_000_000));
}
