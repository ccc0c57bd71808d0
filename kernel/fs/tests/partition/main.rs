//! Partition tables against `sfdisk`, which makes them and says what is in them, and against tables broken at random.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use fs::BlockStore;
use fs::partition::{HeaderProblem, MOST, Partition, Problem, SECTOR, Scheme, Table, read};
use klib::crc32::Crc32;
use proptest::prelude::*;

/// A disk in memory, which counts its reads.
struct Disk {
    bytes: Vec<u8>,
    reads: Cell<u64>,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Disk {
        Disk { bytes, reads: Cell::new(0) }
    }

    fn table(&self) -> Table {
        read(self).unwrap()
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Makes the checksum of the GPT header at `at` right.
    fn seal(&mut self, at: usize) {
        self.u32(at + 16, 0);
        let mut crc = Crc32::new();
        crc.add(&self.bytes[at..at + 92]);
        self.u32(at + 16, crc.value());
    }
}

impl BlockStore for Disk {
    type Error = String;

    fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), String> {
        self.reads.set(self.reads.get() + 1);
        let start = usize::try_from(offset).unwrap();
        let bytes = self.bytes.get(start..start + out.len()).ok_or(format!("{} bytes at {offset}", out.len()))?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

const MIB: usize = 1 << 20;

fn sfdisk(arguments: &[&str], input: &str) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new("sfdisk")
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("sfdisk (package fdisk): {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "sfdisk: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A disk of `size` bytes partitioned by `script`, and what `sfdisk --dump` says of it.
fn partitioned(name: &str, size: usize, script: &str) -> (Disk, Vec<Partition>) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, vec![0; size]).unwrap();
    let image = path.to_str().unwrap();
    sfdisk(&["-q", "--no-reread", image], script);
    let dump = sfdisk(&["--dump", image], "");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let number = |line: &str, key: &str| -> u64 {
        let rest = line.split(key).nth(1).unwrap().trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let rows = dump.lines().filter_map(|line| Some((line.strip_prefix(image)?.split_once(" : ")?, line)));
    let listed = rows.map(|((suffix, _), line)| Partition {
        number: suffix.trim().trim_start_matches('p').parse().unwrap(),
        start: number(line, "start="),
        sectors: number(line, "size="),
    });
    (Disk::new(bytes), listed.collect())
}

const LOGICAL: &str = "label: dos\n,4M,L\n,8M,E\n,4M,83\n,1M,L\n,2M,L\n,1M,c\n";

#[test]
fn mbr_as_sfdisk_makes_it() {
    let (disk, mut wanted) = partitioned("mbr", 32 * MIB, LOGICAL);
    // An extended partition shows its first two sectors.
    wanted[1].sectors = 2;
    let table = disk.table();
    assert_eq!((table.scheme, &table.partitions, table.problems.len()), (Scheme::Mbr, &wanted, 0));
    assert_eq!(wanted.len(), 6);
}

#[test]
fn gpt_as_sfdisk_makes_it() {
    let script = "label: gpt\n,4M,L\n,1M,U\nstart=40960,size=2048\n";
    let (disk, wanted) = partitioned("gpt", 32 * MIB, script);
    let table = disk.table();
    assert_eq!((table.scheme, &table.partitions, table.problems.len()), (Scheme::Gpt, &wanted, 0));
    assert_eq!(wanted.len(), 3);
}

#[test]
fn a_damaged_gpt_is_read_from_its_copy() {
    let (mut disk, wanted) = partitioned("copy", 8 * MIB, "label: gpt\n,4M,L\n,1M,U\n");
    disk.bytes[600] ^= 1;
    let table = disk.table();
    assert_eq!((table.scheme, &table.partitions), (Scheme::Gpt, &wanted));
    assert_eq!(table.problems, [Problem::Header(1, HeaderProblem::Checksum)]);
    // An entry that changed: the header's checksum is right, the entries' is not.
    disk.bytes[600] ^= 1;
    disk.bytes[1024 + 40] ^= 1;
    let table = disk.table();
    assert_eq!(table.partitions, wanted);
    assert_eq!(table.problems, [Problem::Header(1, HeaderProblem::EntriesChecksum)]);
    // The copy's header as well: none is left.
    let last = disk.bytes.len() - 512;
    disk.bytes[last] = 0;
    let table = disk.table();
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::None, 0));
    let last = last as u64 / SECTOR;
    assert_eq!(table.problems[1], Problem::Header(last, HeaderProblem::Signature));
}

#[test]
fn each_field_of_a_gpt_header_is_checked() {
    let header = |change: &dyn Fn(&mut Disk), sealed: bool| {
        let (mut disk, _) = partitioned(&format!("field{sealed}"), 8 * MIB, "label: gpt\n,4M,L\n");
        change(&mut disk);
        if sealed {
            disk.seal(512);
        }
        disk.table().problems
    };
    let one = |problem| vec![Problem::Header(1, problem)];
    assert_eq!(header(&|disk| disk.u32(512 + 12, 91), false), one(HeaderProblem::Length(91)));
    assert_eq!(header(&|disk| disk.u32(512 + 12, 513), false), one(HeaderProblem::Length(513)));
    assert_eq!(header(&|disk| disk.u64(512 + 24, 2), true), one(HeaderProblem::Place(2)));
    assert_eq!(header(&|disk| disk.u64(512 + 48, 3), true), one(HeaderProblem::Range(2048, 3)));
    assert_eq!(header(&|disk| disk.u64(512 + 48, 16384), true), one(HeaderProblem::Range(2048, 16384)));
    assert_eq!(header(&|disk| disk.u32(512 + 80, 0), true), one(HeaderProblem::Entries(0, 128)));
    assert_eq!(header(&|disk| disk.u32(512 + 80, u32::MAX), true), one(HeaderProblem::Entries(u32::MAX, 128)));
    assert_eq!(header(&|disk| disk.u32(512 + 84, 192), true), one(HeaderProblem::Entries(128, 192)));
    assert_eq!(header(&|disk| disk.u64(512 + 72, u64::MAX), true), one(HeaderProblem::EntriesChecksum));
}

#[test]
fn what_is_no_table() {
    assert_eq!(Disk::new(Vec::new()).table().scheme, Scheme::None);
    assert_eq!(Disk::new(vec![0; 100]).table().scheme, Scheme::None);
    assert_eq!(Disk::new(vec![0; 4096]).table().scheme, Scheme::None);
    // A boot sector of a file system: the signature, and code or text where a table would be.
    let mut disk = Disk::new(vec![0; 4096]);
    disk.bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(disk.table().scheme, Scheme::Mbr);
    disk.bytes[446..460].copy_from_slice(b"no system disk");
    assert_eq!(disk.table().scheme, Scheme::None);
    // As mtools write it: a FAT over the whole disk, with an entry for itself.
    let mut disk = mbr(100, 0, &[(0x0c, 0, 100)], None);
    disk.bytes[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
    disk.bytes[11..17].copy_from_slice(&[0, 2, 1, 32, 0, 2]);
    disk.bytes[21] = 0xf8;
    assert_eq!(disk.table().scheme, Scheme::None);
    disk.bytes[16] = 3;
    assert_eq!(disk.table().scheme, Scheme::Mbr);
    // A protective entry on a disk of one sector.
    let mut disk = Disk::new(vec![0; 512]);
    disk.bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.bytes[450] = 0xee;
    let table = disk.table();
    assert_eq!((table.scheme, table.problems[0]), (Scheme::None, Problem::Header(1, HeaderProblem::Unreadable)));
}

/// A disk of `sectors` with an MBR of `entries`: kind, start, length.
fn mbr(sectors: usize, at: usize, entries: &[(u8, u32, u32)], disk: Option<Disk>) -> Disk {
    let mut disk = disk.unwrap_or_else(|| Disk::new(vec![0; sectors * 512]));
    disk.bytes[at * 512 + 510..at * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
    for (index, &(kind, start, len)) in entries.iter().enumerate() {
        let entry = at * 512 + 446 + index * 16;
        disk.bytes[entry + 4] = kind;
        disk.u32(entry + 8, start);
        disk.u32(entry + 12, len);
    }
    disk
}

#[test]
fn the_end_of_the_disk_is_the_end() {
    let table =
        mbr(100, 0, &[(0x83, 100, 1), (0x83, 99, 2), (0x83, u32::MAX, u32::MAX), (0x83, 0, u32::MAX)], None).table();
    let part = |number, start, sectors| Partition { number, start, sectors };
    assert_eq!(table.partitions, [part(2, 99, 1), part(4, 0, 100)]);
    let wanted = [Problem::BehindEnd(1), Problem::OverEnd(2), Problem::BehindEnd(3), Problem::OverEnd(4)];
    assert_eq!(table.problems, wanted);
}

#[test]
fn a_chain_that_comes_back_ends() {
    let disk = mbr(100, 0, &[(0x05, 10, 80)], None);
    let disk = mbr(100, 10, &[(0x83, 1, 2), (0x05, 10, 10)], Some(disk));
    let mut disk = mbr(100, 20, &[(0x83, 1, 2), (0x05, 0, 10)], Some(disk));
    let table = disk.table();
    assert_eq!(table.partitions.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 5, 6]);
    assert_eq!(table.problems, [Problem::Chain(10)]);
    disk.u32(20 * 512 + 446 + 16 + 8, 1000);
    assert_eq!(disk.table().problems, [Problem::Chain(1010)]);
}

#[test]
fn partitions_without_end_stop_at_the_most() {
    let mut disk = mbr(4000, 0, &[(0x05, 10, 3900)], None);
    for index in 0..400 {
        disk = mbr(4000, 10 + index * 2, &[(0x83, 1, 1), (0x05, (index as u32 + 1) * 2, 2)], Some(disk));
    }
    let table = disk.table();
    assert_eq!(table.partitions.last().unwrap().number, MOST);
    assert_eq!(table.problems, [Problem::TooMany]);
    // Empty tables are followed for a while only.
    let mut disk = mbr(4000, 0, &[(0x05, 10, 3900)], None);
    for index in 0..400 {
        disk = mbr(4000, 10 + index * 2, &[(0x05, (index as u32 + 1) * 2, 2)], Some(disk));
    }
    disk.table();
    assert!(disk.reads.get() < 110);
}

/// What holds of every table, whatever is on the disk.
fn check(disk: &Disk) {
    let sectors = disk.bytes.len() as u64 / SECTOR;
    let table = disk.table();
    let mut before = 0;
    for part in &table.partitions {
        assert!(part.number > before && part.number <= MOST, "{table:?}");
        assert!(part.sectors > 0 && part.start < sectors && part.sectors <= sectors - part.start, "{table:?}");
        before = part.number;
    }
    assert!(disk.reads.get() < 10_000);
    table.problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("FS_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3000)
    ))]

    #[test]
    fn broken_mbrs_do_no_harm(changes in prop::collection::vec((0usize..4, 446usize..512, any::<u8>()), 1..12)) {
        let disk = mbr(200, 0, &[(0x83, 1, 5), (0x05, 10, 150), (0x0f, 170, 20)], None);
        let disk = mbr(200, 10, &[(0x83, 1, 2), (0x05, 10, 10)], Some(disk));
        let mut disk = mbr(200, 20, &[(0x83, 1, 2), (0x85, 30, 10)], Some(disk));
        disk = mbr(200, 40, &[(0x83, 1, 2)], Some(disk));
        for (table, offset, value) in changes {
            disk.bytes[[0, 10, 20, 40][table] * 512 + offset] = value;
        }
        check(&disk);
    }

    #[test]
    fn broken_gpts_do_no_harm(changes in prop::collection::vec((512usize..512 + 1536, any::<u8>()), 1..8), sealed: bool) {
        let mut disk = gpt();
        for (offset, value) in changes {
            disk.bytes[offset] = value;
        }
        if sealed {
            let mut crc = Crc32::new();
            crc.add(&disk.bytes[1024..1024 + 1024]);
            disk.u32(512 + 88, crc.value());
            disk.seal(512);
        }
        check(&disk);
    }

    #[test]
    fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4096), signed: bool) {
        let mut disk = Disk::new(bytes);
        if signed && disk.bytes.len() >= 512 {
            disk.bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            for entry in 0..4 {
                disk.bytes[446 + entry * 16] &= 0x80;
            }
        }
        check(&disk);
    }
}

/// A small GPT with eight entries, made here.
fn gpt() -> Disk {
    let mut disk = mbr(64, 0, &[(0xee, 1, u32::MAX)], None);
    disk.bytes[512..520].copy_from_slice(b"EFI PART");
    disk.u32(512 + 12, 92);
    for (offset, value) in [(24, 1), (32, 63), (40, 6), (48, 60), (72, 2)] {
        disk.u64(512 + offset, value);
    }
    disk.u32(512 + 80, 8);
    disk.u32(512 + 84, 128);
    for index in 0..3u64 {
        let entry = 1024 + index as usize * 128;
        disk.bytes[entry..entry + 16].fill(7);
        disk.u64(entry + 32, 10 + index * 10);
        disk.u64(entry + 40, 15 + index * 10);
    }
    let mut crc = Crc32::new();
    crc.add(&disk.bytes[1024..1024 + 1024]);
    disk.u32(512 + 88, crc.value());
    disk.seal(512);
    assert_eq!(read(&disk).unwrap().partitions.len(), 3);
    disk
}
