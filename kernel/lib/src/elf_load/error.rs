//! Why a program cannot be loaded.

use core::fmt;

/// What is wrong with an ELF file. `index` counts program headers from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are the values which the message names")]
pub enum ElfError {
    /// The file ends inside the ELF header.
    TruncatedHeader { have: usize },
    /// The first four bytes are not `\x7fELF`: not an ELF file at all.
    BadMagic,
    /// `e_ident` names an unknown class, byte order or version.
    BadIdent,
    /// `EI_CLASS` is not `ELFCLASS64`.
    Not64Bit,
    /// `e_machine` is not x86-64.
    BadMachine(u16),
    /// `e_type` is neither `ET_EXEC` nor `ET_DYN`.
    BadType(u16),
    /// `e_phentsize` is not 56.
    BadPhentsize(u16),
    /// `e_phnum` is 0 or makes a table of more than 64 KiB.
    BadPhnum(u16),
    /// The program headers are not inside the file.
    PhdrsOutsideFile { phoff: u64 },
    /// No `PT_LOAD` with a byte in it.
    NothingToLoad,
    /// `PT_INTERP` is too short, too long, outside the file or without its NUL.
    BadInterpreter,
    /// The file ends before the segment's content does.
    SegmentOutsideFile { index: usize },
    /// `p_offset` and `p_vaddr` differ in their place within a page.
    SegmentMisaligned { index: usize },
    /// `p_filesz` is larger than `p_memsz`.
    FileszBeyondMemsz { index: usize },
    /// `p_vaddr + p_memsz` exceeds 64 bits.
    SegmentWraps { index: usize },
    /// The segment reaches into the kernel's half.
    SegmentBeyondUser { index: usize, vaddr: u64 },
    /// The segment needs the page at 0.
    SegmentBelowMinimum { index: usize, vaddr: u64 },
    /// The segment begins before the end of the one before it.
    SegmentsOutOfOrder { index: usize },
    /// A `p_align` too large for any bias.
    BadAlignment { align: u64 },
    /// `e_entry` is in the kernel's half.
    EntryBeyondUser { entry: u64 },
    /// The plan itself found no memory.
    OutOfMemory,
}

/// Which kind of failure `execve(2)` reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElfErrorKind {
    /// Not a program that this machine runs: `ENOEXEC`.
    NotExecutable,
    /// A program of the right kind that asks for an impossible mapping: `EINVAL`.
    Invalid,
    /// `ENOMEM`.
    OutOfMemory,
}

impl ElfError {
    /// Which kind of failure it is, as Linux tells them apart: what its loader sees before it begins to map is
    /// `ENOEXEC`, a mapping that cannot be made is `EINVAL`.
    pub fn kind(&self) -> ElfErrorKind {
        match self {
            Self::SegmentMisaligned { .. }
            | Self::FileszBeyondMemsz { .. }
            | Self::SegmentWraps { .. }
            | Self::SegmentBeyondUser { .. }
            | Self::SegmentBelowMinimum { .. }
            | Self::SegmentsOutOfOrder { .. }
            | Self::BadAlignment { .. }
            | Self::EntryBeyondUser { .. } => ElfErrorKind::Invalid,
            Self::OutOfMemory => ElfErrorKind::OutOfMemory,
            _ => ElfErrorKind::NotExecutable,
        }
    }

    /// Whether `execve(2)` fails with `ENOEXEC`.
    pub fn is_noexec(&self) -> bool {
        self.kind() == ElfErrorKind::NotExecutable
    }
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TruncatedHeader { have } => write!(f, "the ELF header is truncated: 64 bytes needed, {have} there"),
            Self::BadMagic => write!(f, "not an ELF file (no ELF magic)"),
            Self::BadIdent => write!(f, "e_ident: not a little-endian ELF file of version 1"),
            Self::Not64Bit => write!(f, "e_ident: not a 64-bit ELF file"),
            Self::BadMachine(machine) => write!(f, "e_machine is {machine}, not x86-64"),
            Self::BadType(kind) => write!(f, "e_type is {kind}, neither an executable nor position independent"),
            Self::BadPhentsize(size) => write!(f, "e_phentsize is {size}, not 56"),
            Self::BadPhnum(count) => write!(f, "e_phnum is {count}"),
            Self::PhdrsOutsideFile { phoff } => write!(f, "e_phoff {phoff:#x}: program headers outside the file"),
            Self::NothingToLoad => write!(f, "no PT_LOAD segment"),
            Self::BadInterpreter => write!(f, "PT_INTERP: no path of an interpreter in the file"),
            Self::SegmentOutsideFile { index } => write!(f, "segment {index}: p_offset + p_filesz outside the file"),
            Self::SegmentMisaligned { index } => {
                write!(f, "segment {index}: p_offset and p_vaddr do not fit in a page")
            }
            Self::FileszBeyondMemsz { index } => write!(f, "segment {index}: p_filesz exceeds p_memsz"),
            Self::SegmentWraps { index } => write!(f, "segment {index}: p_vaddr + p_memsz wraps around"),
            Self::SegmentBeyondUser { index, vaddr } => {
                write!(f, "segment {index}: p_vaddr {vaddr:#x} reaches into the kernel's addresses")
            }
            Self::SegmentBelowMinimum { index, vaddr } => {
                write!(f, "segment {index}: p_vaddr {vaddr:#x} is in the page at 0")
            }
            Self::SegmentsOutOfOrder { index } => write!(f, "segment {index}: p_vaddr overlaps the segment before it"),
            Self::BadAlignment { align } => write!(f, "p_align {align:#x} is too large"),
            Self::EntryBeyondUser { entry } => write!(f, "e_entry {entry:#x} is among the kernel's addresses"),
            Self::OutOfMemory => write!(f, "out of memory"),
        }
    }
}

impl core::error::Error for ElfError {}
