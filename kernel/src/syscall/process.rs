//! The life of processes and threads: clone(2), execve(2), exit(2), wait(2).

use super::argument::{Fd, UserIn, UserOut, UserPath, read_extensible, read_string};
use super::{Caller, SyscallResult, pidfd};
use crate::process::clone::{CloneRequest, clone as clone_thread};
use crate::process::credentials::Credentials;
use crate::process::exec::{self, MAX_ARGUMENT_BYTES, Program, Setting};
use crate::process::wait::{self, Target, Waited};
use crate::process::{ExitStatus, Process, Thread, execve as commit};
use crate::vfs::FsContext;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use abi::capability::CAP_SYS_ADMIN;
use abi::process::{CloneArgs, CloneFlags, WaitFlags};
use abi::sigframe::Siginfo;
use abi::system::Rusage;
use abi::{Errno, Signal};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::addr::{PAGE_SIZE, USER_END};

/// Longest argument or environment entry (Linux's MAX_ARG_STRLEN).
const MAX_TEXT: usize = 32 * PAGE_SIZE;
const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_SYMLINK_NOFOLLOW: u32 = 0x100;

pub fn exit(caller: &mut Caller<'_>, status: u32) -> SyscallResult {
    caller.thread.exit(status as u8);
    Ok(0)
}

pub fn exit_group(caller: &mut Caller<'_>, status: u32) -> SyscallResult {
    caller.thread.process().exit(ExitStatus::Exited(status as u8));
    Ok(0)
}

pub fn fork(caller: &mut Caller<'_>) -> SyscallResult {
    make(caller, CloneFlags::empty(), 0)
}

/// unshare(2) on a kernel without namespaces. Open files and directories are the process's, not the thread's: one that has
/// several threads cannot be served.
pub fn unshare(caller: &mut Caller<'_>, flags: u64) -> SyscallResult {
    const NEWTIME: CloneFlags = CloneFlags::from_bits_retain(0x80);
    let namespaces = CloneFlags::NEWNS
        | CloneFlags::NEWCGROUP
        | CloneFlags::NEWUTS
        | CloneFlags::NEWIPC
        | CloneFlags::NEWPID
        | CloneFlags::NEWNET
        | NEWTIME;
    let memory = CloneFlags::SIGHAND | CloneFlags::VM;
    let parts = CloneFlags::FS | CloneFlags::FILES;
    let known = namespaces | memory | parts | CloneFlags::NEWUSER | CloneFlags::THREAD | CloneFlags::SYSVSEM;
    let flags = CloneFlags::from_bits_retain(flags);
    let process = caller.thread.process();
    if !known.contains(flags) || flags.intersects(memory) && process.actions.is_shared() {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(memory | parts | CloneFlags::THREAD) {
        process.check_alone()?;
    }
    if flags.contains(CloneFlags::NEWUSER) {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(namespaces) {
        caller.needs(CAP_SYS_ADMIN)?;
        return Err(Errno::EINVAL);
    }
    if flags.contains(CloneFlags::FS) {
        process.unshare_position()?;
    }
    if flags.contains(CloneFlags::FILES) {
        process.unshare_files()?;
    }
    Ok(0)
}

pub fn vfork(caller: &mut Caller<'_>) -> SyscallResult {
    make(caller, CloneFlags::VM | CloneFlags::VFORK, 0)
}

fn make(caller: &mut Caller<'_>, flags: CloneFlags, stack: u64) -> SyscallResult {
    let exit_signal = Signal::SIGCHLD.number();
    let request = CloneRequest { flags, exit_signal, stack, parent_tid: 0, child_tid: 0, pidfd: 0, tls: 0 };
    clone_thread(caller.thread, caller.context, &request).map(u64::from)
}

pub fn clone(
    caller: &mut Caller<'_>,
    flags: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
) -> SyscallResult {
    let flags = CloneFlags::from_bits_retain(flags & u64::from(u32::MAX));
    let request = CloneRequest {
        exit_signal: flags.exit_signal(),
        flags: CloneFlags::from_bits_retain(flags.bits() & !0xff),
        stack,
        parent_tid,
        child_tid,
        pidfd: parent_tid,
        tls,
    };
    clone_thread(caller.thread, caller.context, &request).map(u64::from)
}

/// The structure may grow: a longer one is taken if what is unknown of it is zero.
pub fn clone3(caller: &mut Caller<'_>, args: u64, size: usize) -> SyscallResult {
    let args: CloneArgs = read_extensible(args, size, CloneArgs::SIZE_VER0)?;
    if args.flags & 0xff != 0 || args.exit_signal > 64 || args.set_tid != 0 || args.set_tid_size != 0 {
        return Err(Errno::EINVAL);
    }
    let stack_is_sound = match (args.stack, args.stack_size) {
        (0, size) => size == 0,
        (start, size) => size != 0 && start.checked_add(size).is_some_and(|end| end <= USER_END),
    };
    if !stack_is_sound {
        return Err(Errno::EINVAL);
    }
    let request = CloneRequest {
        flags: CloneFlags::from_bits_retain(args.flags),
        exit_signal: args.exit_signal as u8,
        stack: args.stack.wrapping_add(args.stack_size),
        parent_tid: args.parent_tid,
        child_tid: args.child_tid,
        pidfd: args.pidfd,
        tls: args.tls,
    };
    clone_thread(caller.thread, caller.context, &request).map(u64::from)
}

pub fn execve(caller: &mut Caller<'_>, path: UserPath, args: u64, env: u64) -> SyscallResult {
    let path = path.read()?;
    let (args, env) = read_texts(args, env)?;
    let own = Own::of(caller.thread);
    let program = exec::load(&own.setting(), &path, args, env)?;
    replace(caller, program, &path)
}

pub fn execveat(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    args: u64,
    env: u64,
    flags: u32,
) -> SyscallResult {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = path.read()?;
    let own = Own::of(caller.thread);
    let file = if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        directory.file(caller.thread)?
    } else {
        let base = directory.base(caller.thread, &path)?;
        let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
        let location = crate::vfs::lookup(&own.directories, base.as_ref(), &path, follow)?;
        if !follow && location.metadata()?.mode & 0o170000 == 0o120000 {
            return Err(Errno::ELOOP);
        }
        crate::vfs::open_location(&location, O_CLOEXEC)?
    };
    exec::check_executable(&file.metadata()?, &own.credentials)?;
    let (args, env) = read_texts(args, env)?;
    let (name, closed) = name_by_descriptor(caller.thread, directory, path.to_vec())?;
    let setting = Setting { finds_script: !closed, ..own.setting() };
    let program = exec::load_file(&setting, file, &name, args, env)?;
    replace(caller, program, &name)
}

/// What a program is called that was named by `path` in a directory or an open file, and whether the program will not
/// have that any more.
fn name_by_descriptor(thread: &Thread, directory: Fd, path: Vec<u8>) -> Result<(Vec<u8>, bool), Errno> {
    if path.first() == Some(&b'/') || directory.0 == AT_FDCWD {
        return Ok((path, false));
    }
    let mut name = format!("/dev/fd/{}", directory.0).into_bytes();
    if !path.is_empty() {
        name.push(b'/');
        name.extend(path);
    }
    let closed = thread.process().files.with(|files| files.close_on_exec(directory.0))?;
    Ok((name, closed))
}

/// What of a process matters to the program that it loads.
struct Own {
    directories: Arc<FsContext>,
    credentials: Arc<Credentials>,
    limits: crate::vm::Limits,
    randomized: bool,
    no_new_privileges: bool,
}

impl Own {
    fn of(thread: &Thread) -> Self {
        let process = thread.process();
        let credentials = process.credentials();
        Own {
            directories: process.fs_context(),
            limits: process.limits().of_memory(&credentials),
            credentials,
            randomized: process.personality.load(Ordering::Relaxed) & super::misc::ADDR_NO_RANDOMIZE == 0,
            no_new_privileges: thread.no_new_privileges.load(Ordering::Relaxed) || thread.is_traced_without_rights(),
        }
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            directories: &self.directories,
            credentials: &self.credentials,
            no_new_privileges: self.no_new_privileges,
            finds_script: true,
            limits: self.limits,
            randomized: self.randomized,
        }
    }
}

fn replace(caller: &mut Caller<'_>, program: Program, path: &[u8]) -> SyscallResult {
    commit::replace(caller.thread, caller.context, program, path)?;
    // A new program begins with all registers zero.
    Ok(0)
}

type Texts = Vec<Vec<u8>>;

/// Arguments and environment. A null array is an empty one, as on Linux.
fn read_texts(args: u64, env: u64) -> Result<(Texts, Texts), Errno> {
    let mut left = MAX_ARGUMENT_BYTES;
    let mut args = read_array(args, &mut left)?;
    if args.is_empty() {
        args.push(Vec::new());
    }
    Ok((args, read_array(env, &mut left)?))
}

fn read_array(array: u64, left: &mut usize) -> Result<Texts, Errno> {
    let mut texts = Vec::new();
    if array == 0 {
        return Ok(texts);
    }
    for at in 0.. {
        let pointer = UserIn::<u64>::at(array.wrapping_add(at * size_of::<u64>() as u64)).read()?;
        if pointer == 0 {
            break;
        }
        let text = read_string(pointer, MAX_TEXT)?.ok_or(Errno::E2BIG)?;
        *left = left.checked_sub(text.len() + 1 + size_of::<u64>()).ok_or(Errno::E2BIG)?;
        texts.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        texts.push(text);
    }
    Ok(texts)
}

pub fn wait4(
    caller: &mut Caller<'_>,
    pid: i32,
    status: UserOut<i32>,
    options: u32,
    usage: UserOut<Rusage>,
) -> SyscallResult {
    let flags = WaitFlags::from_bits(options).ok_or(Errno::EINVAL)?;
    if flags.intersects(WaitFlags::EXITED | WaitFlags::NOWAIT) {
        return Err(Errno::EINVAL);
    }
    let process = caller.thread.process();
    let target = match pid {
        -1 => Target::Any,
        0 => Target::Group(process.group()),
        i32::MIN => return Err(Errno::ESRCH),
        group if group < 0 => Target::Group(group.unsigned_abs()),
        pid => Target::Pid(pid.unsigned_abs()),
    };
    let Waited { child, number, status: found, .. } = wait::wait(process, target, flags | WaitFlags::EXITED)?;
    let Some(child) = child else { return Ok(0) };
    status.write_if_given(&found.encode())?;
    usage.write_if_given(&usage_of_child(&child))?;
    Ok(number.into())
}

pub fn waitid(
    caller: &mut Caller<'_>,
    which: u32,
    id: i32,
    info: UserOut<Siginfo>,
    options: u32,
    usage: UserOut<Rusage>,
) -> SyscallResult {
    const ALL: u32 = 0;
    const PID: u32 = 1;
    const GROUP: u32 = 2;
    const DESCRIPTOR: u32 = 3;
    let asked = WaitFlags::from_bits(options).ok_or(Errno::EINVAL)?;
    let mut flags = asked;
    if !flags.intersects(WaitFlags::EXITED | WaitFlags::STOPPED | WaitFlags::CONTINUED) {
        return Err(Errno::EINVAL);
    }
    let process = caller.thread.process();
    let target = match (which, u32::try_from(id)) {
        (ALL, _) => Target::Any,
        (PID, Ok(pid)) if pid != 0 => Target::Pid(pid),
        (GROUP, Ok(0)) => Target::Group(process.group()),
        (GROUP, Ok(group)) => Target::Group(group),
        (DESCRIPTOR, Ok(_)) => {
            let file = Fd(id).file(caller.thread)?;
            if file.flags() & O_NONBLOCK != 0 {
                flags |= WaitFlags::NOHANG;
            }
            Target::Pid(pidfd::process_of(&file)?.ok_or(Errno::ECHILD)?.pid())
        }
        _ => return Err(Errno::EINVAL),
    };
    let waited = wait::wait(process, target, flags);
    if waited.is_err() {
        info.write_if_given(&Siginfo::default())?;
    }
    let Waited { child, number: pid, status, .. } = waited?;
    let Some(child) = child else {
        if !asked.contains(WaitFlags::NOHANG) {
            return Err(Errno::EAGAIN); // the descriptor's doing
        }
        info.write_if_given(&Siginfo::default())?;
        return Ok(0);
    };
    let (code, number) = wait::code_of_wait(status);
    info.write_if_given(&wait::child_info(&child, code, number).about(pid as i32).into())?;
    usage.write_if_given(&usage_of_child(&child))?;
    Ok(0)
}

fn usage_of_child(child: &Process) -> Rusage {
    super::identity::usage(child.cpu_time().plus(child.cpu.children()), 0)
}
