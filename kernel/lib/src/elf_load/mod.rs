//! What to map where for an ELF program that a user brings (`execve(2)`, ELF gABI chapters 4 and 5).
//!
//! Nothing is read from the file here: the caller gives the first bytes, then the program headers, and gets a
//! [`LoadPlan`] of which every number is checked, so that carrying it out cannot overflow, overlap or leave the user's
//! half of the address space. Decoding is done by the `elf` crate; what Linux tolerates (segments that share a page,
//! unknown segment types, a missing `PT_GNU_STACK`) is tolerated.

mod error;

use alloc::vec::Vec;
use core::ops::Range;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
pub use error::{ElfError, ElfErrorKind};

/// Bytes in a page, the granularity of all mappings.
const PAGE_SIZE: u64 = 4096;
/// Lowest address of a program that is not position independent: the page at 0 is never mapped.
const MIN_ADDRESS: u64 = PAGE_SIZE;
/// Longest path of an interpreter with its NUL, as `PATH_MAX`.
const MAX_INTERPRETER: u64 = 4096;

/// The fields of the ELF header that matter, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether addresses are final or relative to a bias.
    pub kind: ElfKind,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// File offset of the program headers in bytes.
    pub phoff: u64,
    /// Number of program headers, at least 1.
    pub phnum: u16,
    /// Bytes in a program header, always [`Header::PHENTSIZE`].
    pub phentsize: u16,
}

/// Kinds of program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElfKind {
    /// `ET_EXEC`: loads at the addresses it names.
    Fixed,
    /// `ET_DYN`: position independent, loads at any bias that is a multiple of the plan's alignment.
    PositionIndependent,
}

impl Header {
    /// Bytes of the file that [`Header::parse`] needs.
    pub const SIZE: usize = 64;
    /// Bytes in a program header of a 64-bit ELF.
    pub const PHENTSIZE: u16 = 56;
    /// Most bytes of program headers, as in Linux.
    pub const MAX_PHDR_BYTES: u64 = 65536;

    /// Reads the header out of the file's first bytes: a 64-bit little-endian x86-64 program, fixed or position
    /// independent, with a sound program-header table.
    pub fn parse(first_bytes: &[u8]) -> Result<Header, ElfError> {
        let truncated = ElfError::TruncatedHeader { have: first_bytes.len() };
        if !first_bytes.starts_with(&abi::ELFMAGIC) {
            return Err(ElfError::BadMagic);
        }
        let (ident_bytes, tail) = first_bytes.split_at_checked(abi::EI_NIDENT).ok_or(truncated)?;
        let ident = parse_ident::<LittleEndian>(ident_bytes).map_err(|_| ElfError::BadIdent)?;
        if ident.1 != Class::ELF64 {
            return Err(ElfError::Not64Bit);
        }
        let file = FileHeader::parse_tail(ident, tail).map_err(|_| truncated)?;
        if file.e_machine != abi::EM_X86_64 {
            return Err(ElfError::BadMachine(file.e_machine));
        }
        let kind = match file.e_type {
            abi::ET_EXEC => ElfKind::Fixed,
            abi::ET_DYN => ElfKind::PositionIndependent,
            other => return Err(ElfError::BadType(other)),
        };
        let (phoff, phnum, phentsize) = (file.e_phoff, file.e_phnum, file.e_phentsize);
        let header = Header { kind, entry: file.e_entry, phoff, phnum, phentsize };
        header.check_table().map(|()| header)
    }

    /// Where in the file the program headers are.
    pub fn phdr_range(&self) -> Range<u64> {
        self.phoff..self.phoff.saturating_add(self.phdr_bytes())
    }

    /// Bytes of all program headers.
    fn phdr_bytes(&self) -> u64 {
        u64::from(self.phnum) * u64::from(self.phentsize)
    }

    fn check_table(&self) -> Result<(), ElfError> {
        if self.phentsize != Self::PHENTSIZE {
            return Err(ElfError::BadPhentsize(self.phentsize));
        }
        if self.phnum == 0 || self.phdr_bytes() > Self::MAX_PHDR_BYTES {
            return Err(ElfError::BadPhnum(self.phnum));
        }
        match self.phoff.checked_add(self.phdr_bytes()) {
            Some(_) => Ok(()),
            None => Err(ElfError::PhdrsOutsideFile { phoff: self.phoff }),
        }
    }
}

/// A part of the file that becomes memory (`PT_LOAD`). Addresses of a position-independent program are relative to
/// its bias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// First address, not necessarily on a page boundary.
    pub vaddr: u64,
    /// Where its content begins in the file; on the same offset in a page as `vaddr`, unless `file_bytes` is 0.
    pub file_offset: u64,
    /// Bytes taken from the file.
    pub file_bytes: u64,
    /// Bytes of memory, at least `file_bytes` and never 0; those without a file byte are zero.
    pub mem_bytes: u64,
    /// May be read.
    pub readable: bool,
    /// May be written.
    pub writable: bool,
    /// May be executed.
    pub executable: bool,
}

impl Segment {
    /// The page-aligned addresses that it needs. Two segments may share a page; the later one's mapping replaces the
    /// earlier one's there, as in Linux.
    pub fn pages(&self) -> Range<u64> {
        page_floor(self.vaddr)..page_floor(self.end() + (PAGE_SIZE - 1))
    }

    /// The page-aligned file offset that belongs to the start of [`Segment::pages`].
    pub fn file_page_offset(&self) -> u64 {
        page_floor(self.file_offset)
    }

    /// The addresses behind the file's content which must read as zero.
    pub fn zero_range(&self) -> Range<u64> {
        self.vaddr + self.file_bytes..self.end()
    }

    /// One more than the last address.
    pub fn end(&self) -> u64 {
        self.vaddr + self.mem_bytes
    }

    fn new(index: usize, header: &ProgramHeader, limits: &Limits) -> Result<Segment, ElfError> {
        let segment = Segment {
            vaddr: header.p_vaddr,
            file_offset: header.p_offset,
            file_bytes: header.p_filesz,
            mem_bytes: header.p_memsz,
            readable: header.p_flags & abi::PF_R != 0,
            writable: header.p_flags & abi::PF_W != 0,
            executable: header.p_flags & abi::PF_X != 0,
        };
        segment.check_file(index, limits)?;
        segment.check_memory(index, limits)?;
        Ok(segment)
    }

    fn check_file(&self, index: usize, limits: &Limits) -> Result<(), ElfError> {
        if self.file_bytes == 0 {
            return Ok(());
        }
        if !in_file(self.file_offset, self.file_bytes, limits.file_len) {
            return Err(ElfError::SegmentOutsideFile { index });
        }
        if self.file_offset % PAGE_SIZE != self.vaddr % PAGE_SIZE {
            return Err(ElfError::SegmentMisaligned { index });
        }
        Ok(())
    }

    fn check_memory(&self, index: usize, limits: &Limits) -> Result<(), ElfError> {
        if self.file_bytes > self.mem_bytes {
            return Err(ElfError::FileszBeyondMemsz { index });
        }
        let end = self.vaddr.checked_add(self.mem_bytes).ok_or(ElfError::SegmentWraps { index })?;
        if end > limits.user_end {
            return Err(ElfError::SegmentBeyondUser { index, vaddr: self.vaddr });
        }
        if limits.kind == ElfKind::Fixed && self.vaddr < MIN_ADDRESS {
            return Err(ElfError::SegmentBelowMinimum { index, vaddr: self.vaddr });
        }
        Ok(())
    }
}

/// How to load a program. Addresses of a position-independent one are relative to its bias.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadPlan {
    /// Whether a bias is to be added to every address.
    pub kind: ElfKind,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// What to map: at least one segment, ascending, no byte in two of them.
    pub segments: Vec<Segment>,
    /// Where in the file the interpreter's path is, if it wants one; give its bytes to [`interpreter_path`].
    pub interpreter: Option<Range<u64>>,
    /// Virtual address of the program headers for `AT_PHDR`, if a segment holds them.
    pub phdr_vaddr: Option<u64>,
    /// Number of program headers for `AT_PHNUM`.
    pub phnum: u16,
    /// Bytes in a program header for `AT_PHENT`.
    pub phentsize: u16,
    /// Whether the stack must be executable (`PT_GNU_STACK` with `PF_X`). Without that header it is not, as in Linux
    /// on x86-64.
    pub stack_executable: bool,
    /// The page-aligned range from the first segment to the last, holes included.
    pub span: Range<u64>,
    /// Every bias must be a multiple of this: the largest alignment of a segment, a power of two, at least a page.
    pub align: u64,
}

impl LoadPlan {
    /// Checks the program headers (`phdr_bytes` is the file's content at [`Header::phdr_range`]) against the file's
    /// length in bytes and `user_end`, the page-aligned end of the addresses which a program may use.
    pub fn new(header: &Header, phdr_bytes: &[u8], file_len: u64, user_end: u64) -> Result<LoadPlan, ElfError> {
        let range = header.phdr_range();
        let too_few = (phdr_bytes.len() as u64) < range.end - range.start;
        if range.end > file_len || too_few {
            return Err(ElfError::PhdrsOutsideFile { phoff: header.phoff });
        }
        let limits = Limits { kind: header.kind, file_len, user_end: page_floor(user_end) };
        let table = &phdr_bytes[..(range.end - range.start) as usize];
        let mut plan = LoadPlan {
            kind: header.kind,
            entry: header.entry,
            segments: Vec::new(),
            interpreter: None,
            phdr_vaddr: None,
            phnum: header.phnum,
            phentsize: header.phentsize,
            stack_executable: false,
            span: 0..0,
            align: PAGE_SIZE,
        };
        for (index, phdr) in SegmentTable::new(LittleEndian, Class::ELF64, table).iter().enumerate() {
            plan.add(index, &phdr, header.phoff, &limits)?;
        }
        plan.finish(&limits)
    }

    /// Where the program break begins: behind the last segment.
    pub fn break_start(&self) -> u64 {
        self.span.end
    }

    /// Addresses, once `bias` is added, from the first executable byte to the last of those that the file has.
    pub fn code(&self, bias: u64) -> Range<u64> {
        let mut executable = self.segments.iter().filter(|segment| segment.executable);
        let first = executable.next();
        let last = executable.next_back().or(first);
        first.zip(last).map_or(0..0, |(first, last)| bias + first.vaddr..bias + last.vaddr + last.file_bytes)
    }

    /// Addresses, once `bias` is added, of what the file has of the last segment.
    pub fn data(&self, bias: u64) -> Range<u64> {
        self.segments.last().map_or(0..0, |last| bias + last.vaddr..bias + last.vaddr + last.file_bytes)
    }

    /// Takes in one program header.
    fn add(&mut self, index: usize, phdr: &ProgramHeader, phoff: u64, limits: &Limits) -> Result<(), ElfError> {
        match phdr.p_type {
            abi::PT_LOAD => self.add_segment(index, phdr, phoff, limits),
            abi::PT_INTERP if self.interpreter.is_none() => {
                let sound = (2..=MAX_INTERPRETER).contains(&phdr.p_filesz);
                if !sound || !in_file(phdr.p_offset, phdr.p_filesz, limits.file_len) {
                    return Err(ElfError::BadInterpreter);
                }
                self.interpreter = Some(phdr.p_offset..phdr.p_offset + phdr.p_filesz);
                Ok(())
            }
            abi::PT_GNU_STACK => {
                self.stack_executable = phdr.p_flags & abi::PF_X != 0;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_segment(&mut self, index: usize, phdr: &ProgramHeader, phoff: u64, limits: &Limits) -> Result<(), ElfError> {
        if phdr.p_align.is_power_of_two() {
            self.align = self.align.max(phdr.p_align);
        }
        let segment = Segment::new(index, phdr, limits)?;
        if segment.mem_bytes == 0 {
            return Ok(());
        }
        if self.segments.last().is_some_and(|previous| segment.vaddr < previous.end()) {
            return Err(ElfError::SegmentsOutOfOrder { index });
        }
        let holds_phdrs = phoff >= segment.file_offset && phoff - segment.file_offset < segment.file_bytes;
        if holds_phdrs && self.phdr_vaddr.is_none() {
            self.phdr_vaddr = Some(segment.vaddr + (phoff - segment.file_offset));
        }
        self.segments.try_reserve(1).map_err(|_| ElfError::OutOfMemory)?;
        self.segments.push(segment);
        Ok(())
    }

    /// What only the whole can tell.
    fn finish(mut self, limits: &Limits) -> Result<LoadPlan, ElfError> {
        let (Some(first), Some(last)) = (self.segments.first(), self.segments.last()) else {
            return Err(ElfError::NothingToLoad);
        };
        self.span = first.pages().start..last.pages().end;
        if self.entry >= limits.user_end {
            return Err(ElfError::EntryBeyondUser { entry: self.entry });
        }
        if self.kind == ElfKind::PositionIndependent && self.align >= limits.user_end {
            return Err(ElfError::BadAlignment { align: self.align });
        }
        Ok(self)
    }
}

/// The path in the file's bytes at [`LoadPlan::interpreter`], up to its NUL; the last byte must be one.
pub fn interpreter_path(bytes: &[u8]) -> Result<&[u8], ElfError> {
    let (0, Some(end)) = (bytes.last().copied().unwrap_or(1), bytes.iter().position(|&byte| byte == 0)) else {
        return Err(ElfError::BadInterpreter);
    };
    Ok(&bytes[..end])
}

/// What segments are checked against.
struct Limits {
    kind: ElfKind,
    file_len: u64,
    user_end: u64,
}

fn in_file(offset: u64, len: u64, file_len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= file_len)
}

fn page_floor(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

#[cfg(test)]
mod tests;
