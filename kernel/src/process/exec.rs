//! From a path to an address space with a program in it, ready to run (execve(2)).
//!
//! `klib::elf_load` checks every number of the file first; then segments are mapped from the file and read on demand.

use super::credentials::Credentials;
use super::vdso;
use crate::random;
use crate::vfs::{self, File, FsContext, Metadata, Sink, VecSink, access};
use crate::vm::fault;
use crate::vm::{self, AddressSpace, Backing, MapRequest, Placement};
use abi::Errno;
use abi::rseq::{RSEQ_FEATURE_LEN, RSEQ_LEN};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use klib::elf_load::{ElfError, ElfErrorKind, ElfKind, Header, LoadPlan, Segment, interpreter_path};
use klib::initial_stack::{Auxiliary, Identity, InitialStack, StackImage};
use machine::addr::{PAGE_SIZE, USER_END};
use machine::cpu;
use machine::hooks::Access;
use machine::mm::{Frame, Protection};
use machine::user::UserContext;

/// Where position-independent programs go, plus some randomness (Linux's ELF_ET_DYN_BASE on x86-64).
const PIE_BASE: u64 = 0x5555_5555_4000;
/// Where the dynamic loader goes, plus some randomness: far above programs and their heaps, below mappings and stack.
const INTERPRETER_BASE: u64 = 0x7e00_0000_0000;
/// Random pages added to them, and to the start of the heap.
const PIE_RANDOM_PAGES: u64 = 1 << 20;
const BRK_RANDOM_PAGES: u64 = 1 << 13;
/// Most bytes of arguments and environment: a quarter of the stack limit, as in Linux.
pub const MAX_ARGUMENT_BYTES: usize = (crate::vm::STACK_LIMIT / 4) as usize;
/// Ticks a second that times(2) counts (AT_CLKTCK).
const CLOCK_TICKS: u64 = 100;

/// Most interpreters one after the other (`#!` of a script whose interpreter is a script).
const MAX_SCRIPTS: u32 = 5;
/// What a script begins with.
const SCRIPT_MARK: &[u8] = b"#!";
/// First bytes of a script that are looked at (Linux's BINPRM_BUF_SIZE).
const SCRIPT_LINE_BYTES: usize = 256;
/// S_ISUID and S_ISGID; the latter means something else on files without S_IXGRP.
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2010;

/// A program that is ready to run.
pub struct Program {
    /// Its address space.
    pub space: Arc<AddressSpace>,
    /// Registers at its first instruction.
    pub context: Box<UserContext>,
    /// Who it runs as: the caller, or whom the file's set-user-ID and set-group-ID bits name.
    pub credentials: Credentials,
    /// The caller may read the program's file.
    pub readable: bool,
}

/// For whom a program is loaded.
pub struct Setting<'a> {
    /// Where its path begins.
    pub directories: &'a FsContext,
    /// Who asks for it.
    pub credentials: &'a Credentials,
    /// Set-user-ID and set-group-ID bits of its file do not count (PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// An interpreter finds a script by its name; not if that leads by a descriptor that is closed for the program.
    pub finds_script: bool,
    /// What its address space may grow to.
    pub limits: vm::Limits,
    /// Whether things lie at random places in it; not under personality(ADDR_NO_RANDOMIZE).
    pub randomized: bool,
}

/// Arguments and environment, each text without its zero.
struct Texts {
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
}

/// Loads the program at `path`.
pub fn load(setting: &Setting<'_>, path: &[u8], args: Vec<Vec<u8>>, env: Vec<Vec<u8>>) -> Result<Program, Errno> {
    let file = open_executable(setting, path)?;
    load_file(setting, file, path, args, env)
}

/// Loads the program that `file` is open on; `path` is how it was named.
pub fn load_file(
    setting: &Setting<'_>,
    mut file: Arc<File>,
    path: &[u8],
    args: Vec<Vec<u8>>,
    env: Vec<Vec<u8>>,
) -> Result<Program, Errno> {
    let mut texts = Texts { args, env };
    let mut name = path.to_vec();
    let mut scripts = 0;
    while let Some(line) = script_line(&file)? {
        if !setting.finds_script {
            return Err(Errno::ENOENT);
        }
        scripts += 1;
        if scripts > MAX_SCRIPTS {
            return Err(Errno::ELOOP);
        }
        let interpreter = interpret(&line, &name, &mut texts.args)?;
        file = open_executable(setting, &interpreter)?;
        name = interpreter;
    }
    let metadata = file.metadata()?;
    let credentials = credentials_of(&metadata, setting);
    let readable = setting.credentials.who().check(&metadata, access::READ).is_ok();
    let image = map_image(setting, &file, &name)?;
    let stack = build_stack(&image, &texts, path, credentials_identity(&credentials))?;
    log::debug!("{}: entry {:#x}, stack {:#x}", name.escape_ascii(), image.entry, stack.stack_pointer);
    let context = Box::new(UserContext::new(image.entry, stack.stack_pointer));
    let mut space = image.space;
    let program = vm::Program {
        file: file.place()?,
        code: image.plan.code(image.bias),
        data: image.plan.data(image.bias),
        stack: stack.stack_pointer,
        args: stack.args,
        env: stack.env,
        auxiliary: stack.auxiliary,
        vdso: image.vdso,
    };
    // Nobody else has it yet.
    if let Some(space) = Arc::get_mut(&mut space) {
        space.set_program(program);
    }
    Ok(Program { space, context, credentials, readable })
}

/// The file, if it may be executed; EACCES for what is no regular file too, as on Linux.
fn open_executable(setting: &Setting<'_>, path: &[u8]) -> Result<Arc<File>, Errno> {
    let location = vfs::lookup(setting.directories, None, path, true)?;
    check_executable(&location.metadata()?, setting.credentials)?;
    // Who may execute it need not be allowed to read it.
    vfs::open_location(&location, 0)
}

/// Whether a file may be executed by `credentials`.
pub fn check_executable(metadata: &Metadata, credentials: &Credentials) -> Result<(), Errno> {
    const TYPE_MASK: u32 = 0o170000;
    const REGULAR: u32 = 0o100000;
    match metadata.mode & TYPE_MASK {
        REGULAR => credentials.who().check(metadata, access::EXECUTE),
        _ => Err(Errno::EACCES),
    }
}

/// The first line of a script, behind `#!`; None for other files.
fn script_line(file: &File) -> Result<Option<Vec<u8>>, Errno> {
    let start = read(file, 0, SCRIPT_LINE_BYTES)?;
    let Some(line) = start.strip_prefix(SCRIPT_MARK) else { return Ok(None) };
    match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => Ok(Some(line[..end].to_vec())),
        None if start.len() < SCRIPT_LINE_BYTES => Ok(Some(line.to_vec())),
        // The argument may be cut, the interpreter may not.
        None => {
            let cut = line[..SCRIPT_LINE_BYTES - 1 - SCRIPT_MARK.len()].trim_ascii_start();
            let ends = cut.iter().any(|byte| matches!(byte, b' ' | b'\t' | 0));
            if ends { Ok(Some(cut.to_vec())) } else { Err(Errno::ENOEXEC) }
        }
    }
}

/// The interpreter of a script called `script`; the arguments become its own: one from the line, the script, and those
/// that were given but for the first (execve(2), "Interpreter scripts").
fn interpret(line: &[u8], script: &[u8], args: &mut Vec<Vec<u8>>) -> Result<Vec<u8>, Errno> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let first = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let last = line.iter().rposition(|byte| !blank(byte)).map_or(first, |last| last + 1);
    let line = &line[first..last];
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (interpreter, argument) = (line[..end].to_vec(), line[end..].trim_ascii());
    if interpreter.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    let given = core::mem::take(args);
    args.push(interpreter.clone());
    if !argument.is_empty() {
        args.push(argument.to_vec());
    }
    args.push(script.to_vec());
    args.extend(given.into_iter().skip(1));
    Ok(interpreter)
}

/// Who the program in a file with this `metadata` runs as.
fn credentials_of(metadata: &Metadata, setting: &Setting<'_>) -> Credentials {
    let mut new = setting.credentials.clone();
    if !setting.no_new_privileges && metadata.mode & SET_USER != 0 {
        new.user.effective = metadata.uid;
    }
    if !setting.no_new_privileges && metadata.mode & SET_GROUP == SET_GROUP {
        new.group.effective = metadata.gid;
    }
    for identity in [&mut new.user, &mut new.group] {
        identity.saved = identity.effective;
        identity.file = identity.effective;
    }
    let (own, other) = (&setting.credentials, &new);
    let changes = own.user.real != other.user.effective || own.group.real != other.group.effective;
    new.capabilities.at_execution(new.user.real, new.user.effective, changes);
    new
}

fn credentials_identity(credentials: &Credentials) -> Identity {
    let (user, group) = (credentials.user, credentials.group);
    Identity {
        user: user.real,
        effective_user: user.effective,
        group: group.real,
        effective_group: group.effective,
        secure: user.real != user.effective || group.real != group.effective,
    }
}

/// A program in an address space, without stack.
struct LoadedImage {
    space: Arc<AddressSpace>,
    plan: LoadPlan,
    bias: u64,
    /// Where it begins to run: in its interpreter, if it has one.
    entry: u64,
    /// Where the interpreter is; 0 without one.
    interpreter_base: u64,
    vdso: u64,
}

/// Maps the program, and the dynamic loader that it names.
fn map_image(setting: &Setting<'_>, file: &Arc<File>, path: &[u8]) -> Result<LoadedImage, Errno> {
    let plan = plan(file, path)?;
    let space = AddressSpace::with(setting.limits, setting.randomized).map_err(|_| Errno::ENOMEM)?;
    let bias = map_segments(&space, file, &plan, PIE_BASE)?;
    let (mut entry, mut interpreter_base) = (bias + plan.entry, 0);
    if let Some(range) = &plan.interpreter {
        let bytes = read(file, range.start, (range.end - range.start) as usize)?;
        let interpreter = interpreter_path(&bytes).map_err(|error| refuse(error, path))?;
        let file = open_executable(setting, interpreter)?;
        let plan = self::plan(&file, interpreter)?;
        let bias = map_segments(&space, &file, &plan, INTERPRETER_BASE)?;
        entry = bias + plan.entry;
        interpreter_base = bias + plan.span.start;
    }
    let vdso = vdso::map(&space)?;
    let heap_gap = space.random_pages(BRK_RANDOM_PAGES) * PAGE_SIZE as u64;
    space.set_brk_start(bias + plan.break_start() + heap_gap);
    Ok(LoadedImage { space, plan, bias, entry, interpreter_base, vdso })
}

fn refuse(error: ElfError, path: &[u8]) -> Errno {
    log::info!("{}: {error}", path.escape_ascii());
    match error.kind() {
        ElfErrorKind::NotExecutable => Errno::ENOEXEC,
        ElfErrorKind::Invalid => Errno::EINVAL,
        ElfErrorKind::OutOfMemory => Errno::ENOMEM,
    }
}

fn plan(file: &File, path: &[u8]) -> Result<LoadPlan, Errno> {
    let refuse = |error| refuse(error, path);
    let len = file.metadata()?.size;
    let header = Header::parse(&read(file, 0, Header::SIZE)?).map_err(refuse)?;
    let range = header.phdr_range();
    let phdrs = read(file, range.start, (range.end - range.start) as usize)?;
    LoadPlan::new(&header, &phdrs, len, USER_END).map_err(refuse)
}

/// Maps the segments, of a position-independent file somewhere above `base`; what has to be added to the file's addresses.
fn map_segments(space: &AddressSpace, file: &Arc<File>, plan: &LoadPlan, base: u64) -> Result<u64, Errno> {
    let bias = match plan.kind {
        ElfKind::Fixed => 0,
        ElfKind::PositionIndependent => {
            let base = base + space.random_pages(PIE_RANDOM_PAGES) * PAGE_SIZE as u64;
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

/// Maps the stack and puts arguments, environment and auxiliary vector on it; what is where.
fn build_stack(image: &LoadedImage, texts: &Texts, path: &[u8], identity: Identity) -> Result<StackImage, Errno> {
    let (space, plan, bias) = (&image.space, &image.plan, image.bias);
    let top = space.map_stack(plan.stack_executable)?;
    let mut seed = [0; 16];
    random::fill(&mut seed);
    let args: Vec<&[u8]> = texts.args.iter().map(Vec::as_slice).collect();
    let env: Vec<&[u8]> = texts.env.iter().map(Vec::as_slice).collect();
    let stack = InitialStack {
        args: &args,
        env: &env,
        path,
        random: seed,
        identity,
        auxiliary: &[
            Auxiliary::HWCAP(cpu::features::get().hwcap.into()),
            Auxiliary::PAGESZ(PAGE_SIZE as u64),
            Auxiliary::CLKTCK(CLOCK_TICKS),
            Auxiliary::PHDR(plan.phdr_vaddr.map_or(0, |address| bias + address)),
            Auxiliary::PHENT(plan.phentsize.into()),
            Auxiliary::PHNUM(plan.phnum.into()),
            Auxiliary::BASE(image.interpreter_base),
            Auxiliary::SYSINFO_EHDR(image.vdso),
            Auxiliary::FLAGS(0),
            Auxiliary::ENTRY(bias + plan.entry),
            Auxiliary::RSEQ_FEATURE_SIZE(RSEQ_FEATURE_LEN.into()),
            Auxiliary::RSEQ_ALIGN(RSEQ_LEN.into()),
        ],
    };
    let image = stack.build(top, MAX_ARGUMENT_BYTES).map_err(|_| Errno::E2BIG)?;
    let mut address = top - image.bytes.len() as u64;
    let mut rest = &image.bytes[..];
    while !rest.is_empty() {
        let offset = (address % PAGE_SIZE as u64) as usize;
        let len = rest.len().min(PAGE_SIZE - offset);
        with_page(space, address - offset as u64, |frame| frame.write(offset, &rest[..len]))?;
        address += len as u64;
        rest = &rest[len..];
    }
    Ok(image)
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
