//! A saved trace: header, what is where, names, then the records of each CPU in the order of time.
//!
//! All in little-endian 64-bit words. Header: the eight bytes `RUSSETEV`; version and number of CPUs, 32 bits each; number
//! of names; when the trace ended, in ns since boot. For each CPU its number, how many records it has, how many before
//! those were lost, and a word of zeros. Names are records, too ([`Event::Begin`], [`Event::InterruptName`]).

use super::{RECORD_LEN, Record, Words};
use alloc::vec::Vec;
use core::fmt;

const MAGIC: u64 = u64::from_le_bytes(*b"RUSSETEV");
const VERSION: u64 = 1;

/// What a CPU has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuPart {
    /// Number of the CPU.
    pub cpu: u32,
    /// How many records.
    pub count: u64,
    /// How many records before those were overwritten.
    pub lost: u64,
}

/// Why a file is no trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileError {
    /// It does not begin as one.
    NotATrace,
    /// Its form is of another version.
    Version(u32),
    /// It is not as long as its header says.
    Length {
        /// Bytes that the header speaks of; None if no file is so long.
        expected: Option<usize>,
        /// Bytes there are.
        found: usize,
    },
    /// This record, counted from the first of all, is none.
    Record(usize),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotATrace => f.write_str("not a trace saved by the kernel's `trace save`"),
            FileError::Version(version) => write!(f, "version {version} of the format, not {VERSION}"),
            FileError::Length { expected: Some(expected), found } => {
                write!(f, "{found} bytes long, not {expected} as its header says")
            }
            FileError::Length { found, .. } => write!(f, "the header is damaged; {found} bytes long"),
            FileError::Record(index) => write!(f, "record {index} is damaged"),
        }
    }
}

impl core::error::Error for FileError {}

/// What stands before the records.
pub fn header(cpus: &[CpuPart], names: usize, end_ns: u64) -> Vec<Words> {
    let first = [MAGIC, VERSION | (cpus.len() as u64) << 32, names as u64, end_ns];
    let parts = cpus.iter().map(|part| [part.cpu.into(), part.count, part.lost, 0]);
    core::iter::once(first).chain(parts).collect()
}

/// The bytes of some words, as they are saved.
pub fn bytes(words: &Words) -> [u8; RECORD_LEN] {
    let mut bytes = [0; RECORD_LEN];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A trace read back.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it ended, in ns since boot.
    pub end_ns: u64,
    /// What it has of each CPU.
    pub cpus: Vec<CpuPart>,
    /// Names of tasks and interrupts.
    pub names: Vec<Record>,
    /// The records of each CPU.
    pub records: Vec<Vec<Record>>,
}

impl Trace {
    /// Reads a saved trace, of which nothing is trusted.
    pub fn parse(file: &[u8]) -> Result<Trace, FileError> {
        let (units, rest) = file.as_chunks::<RECORD_LEN>();
        let length = |expected| FileError::Length { expected, found: file.len() };
        let [magic, form, name_count, end_ns] = words(units.first().ok_or(FileError::NotATrace)?);
        if magic != MAGIC {
            return Err(FileError::NotATrace);
        }
        if form & 0xffff_ffff != VERSION {
            return Err(FileError::Version(form as u32));
        }
        let cpu_count = (form >> 32) as usize;
        let parts = units.get(1..cpu_count.saturating_add(1)).ok_or(length(None))?;
        let cpus: Vec<CpuPart> = parts
            .iter()
            .map(|unit| {
                let [cpu, count, lost, _] = words(unit);
                CpuPart { cpu: cpu as u32, count, lost }
            })
            .collect();
        let all = cpus.iter().try_fold(name_count, |sum, part| sum.checked_add(part.count));
        let expected =
            all.and_then(|all| usize::try_from(all).ok()?.checked_add(1 + cpu_count)?.checked_mul(RECORD_LEN));
        if !rest.is_empty() || expected != Some(file.len()) {
            return Err(length(expected));
        }
        let decode = |(index, unit)| Record::decode(words(unit)).ok_or(FileError::Record(index));
        let mut records = units[1 + cpu_count..].iter().enumerate().map(decode);
        // The counts add up to what there is.
        let mut take = |count: u64| records.by_ref().take(count as usize).collect::<Result<Vec<Record>, FileError>>();
        let names = take(name_count)?;
        let records = cpus.iter().map(|part| take(part.count)).collect::<Result<_, _>>()?;
        Ok(Trace { end_ns, cpus, names, records })
    }
}

fn words(unit: &[u8; RECORD_LEN]) -> Words {
    core::array::from_fn(|at| u64::from_le_bytes(core::array::from_fn(|byte| unit[8 * at + byte])))
}
