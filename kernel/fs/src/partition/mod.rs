//! Partition tables: the MBR of PCs with logical partitions, and the GPT of UEFI.
//!
//! [`read`] goes by Linux's rules: a GPT counts if the MBR has a protective entry, and hides the MBR; a FAT boot sector
//! is no table; partitions that begin behind the end of the disk are left out, those that reach over it are cut. Unlike
//! there, a GPT whose first header is damaged is read from its copy without being asked to, and a FAT boot sector is none
//! even if it has an entry. A hostile table costs at most [`MOST`] partitions and a few hundred reads.

mod gpt;
mod mbr;

use crate::BlockStore;
use alloc::vec::Vec;
use core::fmt;

pub use gpt::HeaderProblem;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// The highest number of a partition.
pub const MOST: u32 = 255;

/// A partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Its number: 1 to 4 for the entries of an MBR, from 5 on for logical ones; the place in the table for a GPT's.
    pub number: u32,
    /// Its first sector.
    pub start: u64,
    /// Its length in sectors, at least 1.
    pub sectors: u64,
}

/// What a table is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// There is no table.
    None,
    /// MBR.
    Mbr,
    /// GPT.
    Gpt,
}

/// What is wrong with a table that could be read all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The partition with this number begins behind the end of the disk and is left out.
    BehindEnd(u32),
    /// The partition with this number reached over the end of the disk and is cut.
    OverEnd(u32),
    /// There are more than [`MOST`] partitions; the rest is left out.
    TooMany,
    /// The chain of logical partitions comes back to this sector, or lies outside the disk there.
    Chain(u64),
    /// The GPT whose header is in this sector cannot be used.
    Header(u64, HeaderProblem),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::BehindEnd(number) => write!(f, "partition {number} begins behind the end of the disk: left out"),
            Problem::OverEnd(number) => write!(f, "partition {number} reaches over the end of the disk: cut"),
            Problem::TooMany => write!(f, "more than {MOST} partitions: the rest is left out"),
            Problem::Chain(sector) => write!(f, "the chain of logical partitions is broken at sector {sector}"),
            Problem::Header(sector, problem) => write!(f, "GPT header in sector {sector}: {problem}"),
        }
    }
}

/// A partition table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// What it is written in.
    pub scheme: Scheme,
    /// The partitions by number.
    pub partitions: Vec<Partition>,
    /// The first problems found.
    pub problems: Vec<Problem>,
}

/// Problems that are kept.
const MOST_PROBLEMS: usize = 8;

/// Reads the partition table of `store`, whose length counts in whole sectors. The error is the store's for the first
/// sector; what cannot be read behind it is as good as not there.
pub fn read<S: BlockStore>(store: &S) -> Result<Table, S::Error> {
    let disk_sectors = store.len_bytes() / SECTOR;
    let mut table = Table { scheme: Scheme::None, partitions: Vec::new(), problems: Vec::new() };
    if disk_sectors == 0 {
        return Ok(table);
    }
    let mut sector = [0; SECTOR as usize];
    store.read(0, &mut sector)?;
    let mut reader = Reader { store, disk_sectors, table: &mut table };
    match mbr::look(&sector) {
        mbr::Look::Nothing => {}
        mbr::Look::Protective => gpt::read(&mut reader),
        mbr::Look::Mbr => mbr::read(&mut reader, &sector),
    }
    Ok(table)
}

/// What both kinds of tables are read with.
struct Reader<'a, S> {
    store: &'a S,
    disk_sectors: u64,
    table: &'a mut Table,
}

impl<S: BlockStore> Reader<'_, S> {
    /// Sector `number`; None if it lies behind the end or cannot be read.
    fn sector(&self, number: u64) -> Option<[u8; SECTOR as usize]> {
        let mut bytes = [0; SECTOR as usize];
        if number >= self.disk_sectors {
            return None;
        }
        self.store.read(number * SECTOR, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Enters a partition, cut to the disk. False if there is no room for more.
    fn add(&mut self, number: u32, start: u64, sectors: u64) -> bool {
        if number > MOST || self.table.partitions.try_reserve(1).is_err() {
            self.problem(Problem::TooMany);
            return false;
        }
        let room = self.disk_sectors.saturating_sub(start);
        if room == 0 {
            self.problem(Problem::BehindEnd(number));
            return true;
        }
        if sectors > room {
            self.problem(Problem::OverEnd(number));
        }
        self.table.partitions.push(Partition { number, start, sectors: sectors.min(room) });
        true
    }

    fn problem(&mut self, problem: Problem) {
        let problems = &mut self.table.problems;
        if problems.len() < MOST_PROBLEMS && problems.try_reserve(1).is_ok() {
            problems.push(problem);
        }
    }
}
