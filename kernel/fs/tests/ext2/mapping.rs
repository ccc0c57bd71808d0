//! Block maps of all depths: against the bytes of the source, and against `debugfs`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::fs_under_test::ext2::{Ext2, Inode};
use crate::image::{self, Disk, Numbers, resolve};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Where data starts in the sparse file: around each border of the map of blocks of 1 KiB, whose trees begin at block
/// 12, 12 + 256 and 12 + 256 + 65536, and beyond 4 GiB.
const ISLANDS: [u64; 12] = [
    0,
    11 * KIB,
    12 * KIB,
    267 * KIB,
    268 * KIB,
    1023 * KIB + 512,
    (268 + 65536 - 1) * KIB,
    (268 + 65536) * KIB,
    (268 + 65536 + 65536) * KIB - 100,
    1024 * MIB,
    4096 * MIB - 10,
    5000 * MIB - 3000,
];
const ISLAND_BYTES: usize = 3000;

fn island(number: usize) -> Vec<u8> {
    Numbers::seeded(100 + number as u64).bytes(ISLAND_BYTES)
}

fn plant_sparse(path: &Path) {
    let file = File::create(path).unwrap();
    for (number, &offset) in ISLANDS.iter().enumerate() {
        file.write_all_at(&island(number), offset).unwrap();
    }
}

#[test]
fn sparse_files_reach_triple_indirection() {
    let scratch = image::scratch("sparse");
    plant_sparse(&scratch.join("tree/sparse"));
    for options in [&["-b", "1024", "-I", "128"], &["-b", "2048", "-I", "256"], &["-b", "4096", "-I", "256"]] {
        let image = image::make(&scratch, options, "8M");
        let volume = Ext2::mount(Disk::open(&image)).unwrap();
        let sparse = resolve(&volume, "sparse");
        assert_eq!(sparse.size, 5000 * MIB);
        for (number, &offset) in ISLANDS.iter().enumerate() {
            let mut around = vec![0xee; ISLAND_BYTES + 600];
            let before = offset.min(300);
            let len = volume.read_at(&sparse, offset - before, &mut around).unwrap();
            let expected = source_bytes(&scratch.join("tree/sparse"), offset - before, around.len());
            assert!(around[..len] == expected, "island {number} at {offset}, {options:?}");
        }
        let blocks = ISLANDS.map(|offset| offset >> volume.geometry().block_shift);
        compare_with_debugfs(&volume, &image, "sparse", &sparse, &blocks);
        holes_are_long(&volume, &sparse);
    }
}

/// What `read` gives at `offset` of the file at `path`: fewer than `len` bytes at its end.
fn source_bytes(path: &Path, offset: u64, len: usize) -> Vec<u8> {
    let file = File::open(path).unwrap();
    let mut bytes = vec![0; len.min((file.metadata().unwrap().len() - offset) as usize)];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// Walking by runs sees every mapped block once, and skips a hole in few steps whatever its size.
fn holes_are_long(volume: &Ext2<Disk>, sparse: &Inode) {
    let blocks = sparse.size.div_ceil(volume.geometry().block_size() as u64);
    let (mut position, mut steps, mut mapped) = (0, 0, 0);
    while position < blocks {
        let run = volume.map_run(sparse, position, blocks - position).unwrap();
        assert!(run.count >= 1 && run.count <= blocks - position);
        mapped += if run.start.is_some() { run.count } else { 0 };
        position += run.count;
        steps += 1;
    }
    let per_island = (ISLAND_BYTES as u64).div_ceil(volume.geometry().block_size() as u64) + 1;
    assert!(mapped >= 12 && mapped <= 12 * per_island, "{mapped} blocks mapped");
    assert!(steps < 2000, "{steps} steps");
}

#[test]
fn a_file_of_64_mib_read_at_deep_offsets() {
    let scratch = image::scratch("large");
    let content = Numbers::seeded(64).bytes(64 * MIB as usize);
    fs::write(scratch.join("tree/large"), &content).unwrap();
    for options in [&["-b", "1024"], &["-b", "4096"]] {
        let image = image::make(&scratch, options, "80M");
        let volume = Ext2::mount(Disk::open(&image)).unwrap();
        let large = resolve(&volume, "large");
        assert_eq!(large.size, 64 * MIB);

        let mut numbers = Numbers::seeded(5);
        let mut buffer = vec![0; 200 * KIB as usize];
        for _ in 0..500 {
            let offset = numbers.below(64 * MIB + KIB);
            let wanted = 1 + numbers.below(buffer.len() as u64) as usize;
            let len = volume.read_at(&large, offset, &mut buffer[..wanted]).unwrap();
            let expected = content.get(offset as usize..).unwrap_or_default();
            assert!(buffer[..len] == expected[..wanted.min(expected.len())], "{wanted} bytes at {offset}, {options:?}");
        }
        let mut whole = vec![0; 64 * MIB as usize + 1];
        assert_eq!(volume.read_at(&large, 0, &mut whole).unwrap(), 64 * MIB as usize);
        assert_eq!(fnv1a(&whole[..64 * MIB as usize]), fnv1a(&content));

        let blocks: Vec<u64> = (0..150).map(|_| numbers.below(large.size >> volume.geometry().block_shift)).collect();
        compare_with_debugfs(&volume, &image, "large", &large, &blocks);
        runs_equal_single_blocks(&volume, &large, &blocks);
    }
}

/// 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// `bmap` of debugfs prints the block, or 0 for a hole.
fn compare_with_debugfs(volume: &Ext2<Disk>, image: &Path, name: &str, inode: &Inode, blocks: &[u64]) {
    // The block before and the one behind may be holes, or hang in another tree.
    let blocks: Vec<u64> = blocks.iter().flat_map(|&block| [block.saturating_sub(1), block, block + 1]).collect();
    let script: String = blocks.iter().map(|block| format!("bmap {name} {block}\n")).collect();
    let printed = image::debugfs(image, &script);
    let answers: Vec<u64> = printed
        .lines()
        .filter(|line| !line.starts_with("debugfs"))
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert_eq!(answers.len(), blocks.len());
    for (&block, &answer) in blocks.iter().zip(&answers) {
        assert_eq!(volume.map_block(inode, block).unwrap().unwrap_or(0), answer, "block {block} of {name}");
    }
}

fn runs_equal_single_blocks(volume: &Ext2<Disk>, inode: &Inode, blocks: &[u64]) {
    for &block in &blocks[..20] {
        let run = volume.map_run(inode, block, 1000).unwrap();
        for index in 0..run.count {
            let expected = run.start.map(|start| start + index);
            assert_eq!(volume.map_block(inode, block + index).unwrap(), expected);
        }
        assert_eq!(volume.map_run(inode, block, 0).unwrap().count, 0);
        assert_eq!(volume.map_run(inode, block, 3).unwrap().count, run.count.min(3));
    }
    assert!(volume.map_block(inode, volume.geometry().max_file_blocks()).is_err());
}
