//! Bytes broken at random: no panic, no read outside the store, bounded work, and errors that can be printed.
//!
//! The longer run is `make fuzz KIND=ext2 COUNT=1000000`.

use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::image::fs_under_test::ext2::{Error, Ext2, Inode};
use crate::image::fs_under_test::{BlockStore, FileType};
use crate::image::{self, Memory, Numbers};

const KIB: usize = 1024;
/// More than ten times what the undamaged image takes; a loop takes far more.
const MAX_READS: u64 = 100_000;

/// One change of the image.
#[derive(Debug, Clone)]
enum Mutation {
    /// Overwrite a byte.
    Byte { at: Place, value: u8 },
    /// Overwrite an aligned word, as most fields are.
    Word { at: Place, value: u32 },
    /// Overwrite a block with another.
    Copy { from: Place, to: Place },
}

/// A byte in one of the blocks that hold something, most often in one that holds metadata.
#[derive(Debug, Clone)]
struct Place {
    block: prop::sample::Index,
    metadata: bool,
    offset: usize,
}

fn place() -> impl Strategy<Value = Place> {
    (any::<prop::sample::Index>(), prop::bool::weighted(0.8), 0..KIB).prop_map(|(block, metadata, offset)| Place {
        block,
        metadata,
        offset,
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let word = prop_oneof![
        0..300u32,
        (0..32u32).prop_map(|bit| 1 << bit),
        (0..4u32).prop_map(|less| u32::MAX - less),
        any::<u32>(),
    ];
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, value)| Mutation::Byte { at, value }),
        4 => (place(), word).prop_map(|(at, value)| Mutation::Word { at, value }),
        1 => (place(), place()).prop_map(|(from, to)| Mutation::Copy { from, to }),
    ]
}

/// An image and which of its blocks of 1 KiB hold what.
struct Sample {
    image: Memory,
    /// Superblock, descriptors, inode table, directories, pointer blocks.
    metadata: Vec<usize>,
    /// All that are not zero.
    used: Vec<usize>,
}

/// 256 KiB with some of everything.
fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let scratch = image::scratch("fuzz");
        let tree = scratch.join("tree");
        let mut numbers = Numbers::seeded(9);
        fs::create_dir_all(tree.join("a/b")).unwrap();
        for number in 0..40 {
            fs::write(tree.join("a").join(format!("file-{number}")), numbers.bytes(number)).unwrap();
        }
        fs::write(tree.join("indirect"), numbers.bytes(40 * KIB)).unwrap();
        let sparse = fs::File::create(tree.join("sparse")).unwrap();
        for offset in [0, 300, 70_000u64] {
            std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", offset * KIB as u64).unwrap();
        }
        symlink("fast", tree.join("fast")).unwrap();
        symlink("s".repeat(200), tree.join("slow")).unwrap();
        let path = image::make(&scratch, &["-b", "1024", "-I", "256", "-N", "80"], "256K");
        image::debugfs(&path, "mknod console c 5 1\n");
        let image = Memory::load(&path);
        let used = (0..256).filter(|&block| image.0[block * KIB..][..KIB].iter().any(|&byte| byte != 0)).collect();
        let metadata = metadata_blocks(&Ext2::mount(&image).unwrap());
        Sample { image, metadata, used }
    })
}

fn metadata_blocks(volume: &Ext2<&Memory>) -> Vec<usize> {
    let geometry = volume.geometry();
    let group = volume.group(0).unwrap();
    // The superblock and its descriptors more often than their share.
    let mut blocks = vec![1, 2, 1, 2, 1, 2];
    blocks.extend((0..geometry.inode_table_blocks).map(|index| (group.inode_table + index) as usize));
    for number in 1..=geometry.inodes_count {
        let Ok(inode) = volume.read_inode(number) else { continue };
        match inode.kind {
            FileType::Directory => blocks.push(volume.map_block(&inode, 0).unwrap().unwrap() as usize),
            // What debugfs calls IND and DIND: the blocks before the first data block of their trees.
            FileType::Regular => blocks.extend(
                [12, 268, 300, 70_000]
                    .into_iter()
                    .filter_map(|block| volume.map_block(&inode, block).unwrap())
                    .flat_map(|block| [block as usize - 1, block as usize - 2, block as usize - 3]),
            ),
            _ => {}
        }
    }
    blocks
}

impl Sample {
    fn offset(&self, place: &Place) -> usize {
        let blocks = if place.metadata { &self.metadata } else { &self.used };
        place.block.get(blocks) * KIB + place.offset
    }

    fn apply(&self, mutations: &[Mutation]) -> Memory {
        let mut image = self.image.clone();
        for mutation in mutations {
            match mutation {
                Mutation::Byte { at, value } => image.0[self.offset(at)] = *value,
                Mutation::Word { at, value } => {
                    image.0[self.offset(at) & !3..][..4].copy_from_slice(&value.to_le_bytes());
                }
                Mutation::Copy { from, to } => {
                    let (from, to) = (self.offset(from) & !(KIB - 1), self.offset(to) & !(KIB - 1));
                    image.0.copy_within(from..from + KIB, to);
                }
            }
        }
        image
    }
}

/// Counts the reads; those outside the image fail the test in `Memory`.
struct Counting {
    image: Memory,
    reads: AtomicU64,
}

impl BlockStore for Counting {
    type Error = Infallible;

    fn len_bytes(&self) -> u64 {
        self.image.len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Infallible> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(reads < MAX_READS, "reads without end");
        self.image.read(offset_bytes, out)
    }
}

/// Prints the error, since that is code as well, and drops it.
fn seen<T>(result: Result<T, Error<Infallible>>) -> Option<T> {
    result.map_err(|error| assert!(error.to_string().starts_with("ext2: "))).ok()
}

/// Does everything there is to do. Returns the number of inodes that could be read.
pub fn visit_all(image: Memory) -> usize {
    let store = Counting { image, reads: AtomicU64::new(0) };
    let Some(volume) = seen(Ext2::mount(&store)) else { return 0 };
    seen(volume.statfs());
    let _ = volume.writable().map_err(|unsupported| unsupported.to_string());
    let mut count = 0;
    for number in 0..=volume.geometry().inodes_count.min(2000) + 1 {
        let Some(inode) = seen(volume.read_inode(number)) else { continue };
        count += 1;
        visit(&volume, &inode);
    }
    count
}

fn visit(volume: &Ext2<&Counting>, inode: &Inode) {
    let mut buffer = vec![0; 20 * KIB];
    inode.device();
    seen(volume.read_link(inode, &mut buffer));
    seen(volume.lookup(inode, b"missing"));
    for offset in [0, 5, 290 * KIB as u64, 70_000 * KIB as u64, inode.size.saturating_sub(3000), u64::MAX] {
        if let Some(len) = seen(volume.read_at(inode, offset, &mut buffer)) {
            assert_eq!(len as u64, inode.size.saturating_sub(offset).min(buffer.len() as u64));
        }
    }
    let mut position = 0;
    for _ in 0..100 {
        let Some(run) = seen(volume.map_run(inode, position, u64::MAX)) else { break };
        assert!(run.count > 0);
        let inside = run.start.is_none_or(|start| volume.geometry().contains(start, run.count));
        assert!(inside, "{run:?} is not on the device");
        position += run.count;
    }
    for cookie in [0, 13, 1024, u64::MAX] {
        let mut last = cookie;
        seen(volume.read_dir(inode, cookie, |entry| {
            assert!(entry.next > last || cookie == 0 && last == 0, "the listing does not move on");
            assert!(!entry.name.is_empty() && !entry.name.contains(&0) && !entry.name.contains(&b'/'));
            last = entry.next;
            ControlFlow::Continue(())
        }));
    }
}

fn fuzz(cases: u32) {
    let sample = sample();
    let mut runner = TestRunner::new(Config { cases, source_file: Some(file!()), ..Config::default() });
    let result = runner.run(&prop::collection::vec(mutation(), 1..12), |mutations| {
        visit_all(sample.apply(&mutations));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Without this the others could pass by never getting anywhere.
#[test]
fn the_undamaged_image_is_visited_whole() {
    // Four directories, 40 small and two larger files, two symbolic links, a device.
    assert_eq!(visit_all(sample().image.clone()), 49);
}

#[test]
fn fuzz_some_images() {
    fuzz(4000);
}

#[test]
#[ignore = "takes as long as FUZZ_CASES says"]
fn fuzz_many_images() {
    fuzz(std::env::var("FUZZ_CASES").map_or(1_000_000, |cases| cases.parse().expect("FUZZ_CASES is a number")));
}
