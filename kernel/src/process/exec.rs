//! From a path to an address space with a program in it, ready to run (execve(2)).
//!
//! `klib::elf_load` checks every number of the file first; then segments are mapped from the file and read on demand.

use crate::random;
use crate::vfs::{self, File, FsContext, Sink, VecSink};
use crate::vm::fault;
use crate::vm::{AddressSpace, Backing, MapRequest, Placement, random_pages};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use klib::elf_load::{ElfError, ElfErrorKind, ElfKind, Header, LoadPlan, Segment};
use klib::initial_stack::{Auxiliary, InitialStack};
use machine::addr::{PAGE_SIZE, USER_END};
use machine::cpu;
use machine::hooks::Access;
use machine::mm::{Frame, Protection};
use machine::user::UserContext;

/// Where position-independent programs go, plus some randomness (Linux's ELF_ET_DYN_BASE on x86-64).
const PIE_BASE: u64 = 0x5555_5555_4000;
/// Random pages added to it, and to the start of the heap.
const PIE_RANDOM_PAGES: u64 = 1 << 20;
const BRK_RANDOM_PAGES: u64 = 1 << 13;
/// Most bytes of arguments and environment: a quarter of the stack limit, as in Linux.
const MAX_ARGUMENT_BYTES: usize = (crate::vm::STACK_LIMIT / 4) as usize;
/// Ticks a second that times(2) counts (AT_CLKTCK).
const CLOCK_TICKS: u64 = 100;

/// A program that is ready to run.
pub struct Program {
    /// Its address space.
    pub space: Arc<AddressSpace>,
    /// Registers at its first instruction.
    pub context: Box<UserContext>,
    /// Absolute path of the file.
    pub path: Vec<u8>,
}

/// Loads the program at `path`.
pub fn load(directories: &FsContext, path: &[u8], args: &[&[u8]], env: &[&[u8]]) -> Result<Program, Errno> {
    let file = open_executable(directories, path)?;
    let (header, plan) = plan(&file, path)?;
    if plan.interpreter.is_some() {
        log::info!("{}: dynamically linked, and there is no loader yet", path.escape_ascii());
        return Err(Errno::ENOEXEC);
    }
    let space = AddressSpace::new().map_err(|_| Errno::ENOMEM)?;
    let bias = map_segments(&space, &file, &plan)?;
    space.set_brk_start(bias + plan.break_start() + random_pages(BRK_RANDOM_PAGES) * PAGE_SIZE as u64);
    let absolute = file.location().map_or_else(|| path.to_vec(), |location| location.path());
    let stack = build_stack(&space, &plan, bias, args, env, path)?;
    log::debug!("{}: entry {:#x}, bias {bias:#x}, stack {stack:#x}", path.escape_ascii(), header.entry);
    Ok(Program { space, context: Box::new(UserContext::new(bias + plan.entry, stack)), path: absolute })
}

/// The file, if it may be executed: EISDIR or EACCES as Linux gives them.
fn open_executable(directories: &FsContext, path: &[u8]) -> Result<Arc<File>, Errno> {
    const TYPE_MASK: u32 = 0o170000;
    const DIRECTORY: u32 = 0o040000;
    const REGULAR: u32 = 0o100000;
    let metadata = vfs::lookup(directories, None, path, true)?.metadata()?;
    match metadata.mode & TYPE_MASK {
        DIRECTORY => return Err(Errno::EISDIR),
        REGULAR if metadata.mode & 0o111 != 0 => {}
        _ => return Err(Errno::EACCES),
    }
    vfs::open(directories, None, path, 0, 0)
}

fn plan(file: &File, path: &[u8]) -> Result<(Header, LoadPlan), Errno> {
    let refuse = |error: ElfError| {
        log::info!("{}: {error}", path.escape_ascii());
        match error.kind() {
            ElfErrorKind::NotExecutable => Errno::ENOEXEC,
            ElfErrorKind::Invalid => Errno::EINVAL,
            ElfErrorKind::OutOfMemory => Errno::ENOMEM,
        }
    };
    let len = file.metadata()?.size;
    let header = Header::parse(&read(file, 0, Header::SIZE)?).map_err(refuse)?;
    let range = header.phdr_range();
    let phdrs = read(file, range.start, (range.end - range.start) as usize)?;
    let plan = LoadPlan::new(&header, &phdrs, len, USER_END).map_err(refuse)?;
    Ok((header, plan))
}

/// Maps the segments; what has to be added to the file's addresses.
fn map_segments(space: &AddressSpace, file: &Arc<File>, plan: &LoadPlan) -> Result<u64, Errno> {
    let bias = match plan.kind {
        ElfKind::Fixed => 0,
        ElfKind::PositionIndependent => {
            let base = PIE_BASE + random_pages(PIE_RANDOM_PAGES) * PAGE_SIZE as u64;
            base / plan.align * plan.align - plan.span.start / plan.align * plan.align
        }
    };
    if plan.span.end.checked_add(bias).is_none_or(|end| end > USER_END) {
        return Err(Errno::ENOMEM);
    }
    for segment in &plan.segments {
        map_segment(space, file, segment, bias)?;
    }
    Ok(bias)
}

fn map_segment(space: &AddressSpace, file: &Arc<File>, segment: &Segment, bias: u64) -> Result<(), Errno> {
    let pages = segment.pages();
    let protection = Protection { read: segment.readable, write: segment.writable, execute: segment.executable };
    let file_end = (segment.vaddr + segment.file_bytes).next_multiple_of(PAGE_SIZE as u64).min(pages.end);
    let file_end = if segment.file_bytes == 0 { pages.start } else { file_end };
    let map = |start: u64, end: u64, backing: Backing| {
        if start == end {
            return Ok(0);
        }
        let placement = Placement::Fixed(bias + start);
        space.map(MapRequest { placement, len: end - start, protection, backing, grows_down: false })
    };
    let first = segment.file_page_offset() / PAGE_SIZE as u64;
    map(pages.start, file_end, Backing::PrivateFile(file.clone(), first))?;
    map(file_end, pages.end, Backing::Anonymous)?;
    // What the file has behind the segment's bytes in its last page must read as zeros, if the program can tell.
    let zero = segment.zero_range();
    let tail = (file_end - zero.start.min(file_end)) as usize;
    if tail > 0 && segment.writable {
        let page = bias + file_end - PAGE_SIZE as u64;
        with_page(space, page, |frame| frame.fill_zero_from(PAGE_SIZE - tail))?;
    }
    Ok(())
}

/// Makes the page at `address` the process's own and hands its frame to `f`.
fn with_page(space: &AddressSpace, address: u64, f: impl FnOnce(&Frame)) -> Result<(), Errno> {
    fault::resolve(space, address, Access::Write).map_err(|error| match error {
        fault::FaultError::OutOfMemory => Errno::ENOMEM,
        fault::FaultError::Io => Errno::EIO,
        _ => Errno::ENOEXEC,
    })?;
    let mapping = space.mapping(address).ok_or(Errno::ENOMEM)?;
    f(&mapping.frame);
    Ok(())
}

/// Maps the stack and puts arguments, environment and auxiliary vector on it; the stack pointer.
fn build_stack(
    space: &AddressSpace,
    plan: &LoadPlan,
    bias: u64,
    args: &[&[u8]],
    env: &[&[u8]],
    path: &[u8],
) -> Result<u64, Errno> {
    let top = space.map_stack(plan.stack_executable)?;
    let mut seed = [0; 16];
    random::fill(&mut seed);
    let stack = InitialStack {
        args,
        env,
        path,
        random: seed,
        auxiliary: &[
            Auxiliary::HWCAP(cpu::features::get().hwcap.into()),
            Auxiliary::PAGESZ(PAGE_SIZE as u64),
            Auxiliary::CLKTCK(CLOCK_TICKS),
            Auxiliary::PHDR(plan.phdr_vaddr.map_or(0, |address| bias + address)),
            Auxiliary::PHENT(plan.phentsize.into()),
            Auxiliary::PHNUM(plan.phnum.into()),
            Auxiliary::BASE(0),
            Auxiliary::FLAGS(0),
            Auxiliary::ENTRY(bias + plan.entry),
        ],
    };
    let image = stack.build(top, MAX_ARGUMENT_BYTES).map_err(|_| Errno::E2BIG)?;
    let mut address = top - image.bytes.len() as u64;
    let pointer = image.stack_pointer;
    let mut rest = &image.bytes[..];
    while !rest.is_empty() {
        let offset = (address % PAGE_SIZE as u64) as usize;
        let len = rest.len().min(PAGE_SIZE - offset);
        with_page(space, address - offset as u64, |frame| frame.write(offset, &rest[..len]))?;
        address += len as u64;
        rest = &rest[len..];
    }
    Ok(pointer)
}

/// Up to `len` bytes of the file from `offset` on.
fn read(file: &File, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut sink = VecSink::new(len);
    while sink.remaining() > 0 {
        let at = offset.checked_add((len - sink.remaining()) as u64).ok_or(Errno::ENOEXEC)?;
        if file.read_at(at, &mut sink)? == 0 {
            break;
        }
    }
    Ok(sink.into_bytes())
}
