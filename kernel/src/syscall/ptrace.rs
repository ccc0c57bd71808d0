//! ptrace(2): what a tracer asks of its tracees. Memory and registers are read and written while the tracee has stopped.

use super::argument::UserIn;
use super::{Caller, SyscallResult};
use crate::process::ptrace::{Begin, GoOn, Place, Stop};
use crate::process::{Thread, table};
use abi::pod::Pod;
use abi::ptrace::*;
use abi::sigframe::{KernelSiginfo, Siginfo};
use abi::signal::SigSet;
use abi::{Errno, Signal};
use alloc::vec::Vec;
use machine::addr::USER_END;
use machine::cpu::features;
use machine::task::FpuState;
use machine::user::{USER_FLAGS, copy};

/// Bytes of what FXSAVE saves, and where programs look for the components that XSAVE saves.
const FXSAVE_LEN: usize = 512;
const COMPONENTS_AT: usize = 464;
const MXCSR_AT: usize = 24;
/// Of which the length of a set of registers is a multiple.
const WORD: usize = 8;
/// Codes of arch_prctl(2).
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

pub fn ptrace(caller: &mut Caller<'_>, request: u32, tid: i32, address: u64, data: u64) -> SyscallResult {
    let tracer = caller.thread.process();
    let tid = tid as u32;
    match request {
        PTRACE_TRACEME => return caller.thread.trace_by_parent().map(|()| 0),
        PTRACE_ATTACH | PTRACE_SEIZE => {
            let begin = match request {
                PTRACE_ATTACH => Begin::Attach,
                _ if address != 0 => return Err(Errno::EIO),
                _ => Begin::Seize(options(data).map_err(|_| Errno::EIO)?),
            };
            let zombie = || table::find(tid).map_or(Errno::ESRCH, |_| Errno::EPERM);
            let thread = table::find_thread(tid).ok_or_else(zombie)?;
            return thread.trace(tracer, begin).map(|()| 0);
        }
        _ => {}
    }
    let thread = tracer.tracees.find(tid)?;
    match request {
        PTRACE_INTERRUPT => return thread.interrupt_for_tracer().map(|()| 0),
        PTRACE_KILL => {
            thread.process().send(Signal::SIGKILL, KernelSiginfo::kernel(Signal::SIGKILL));
            return Ok(0);
        }
        _ => thread.with_stop(|_| Ok(()))?,
    }
    match request {
        PTRACE_CONT => thread.let_go(GoOn { signal: signal(data)?, ..GoOn::default() })?,
        PTRACE_SYSCALL => thread.let_go(GoOn { signal: signal(data)?, calls: true, ..GoOn::default() })?,
        PTRACE_SINGLESTEP => thread.let_go(GoOn { signal: signal(data)?, steps: true, ..GoOn::default() })?,
        PTRACE_LISTEN => thread.listen_for_tracer()?,
        PTRACE_DETACH => thread.end_tracing(tracer, signal(data)?),
        PTRACE_SETOPTIONS => thread.set_trace_options(Some(options(data)?)),
        PTRACE_GETEVENTMSG => put(data, &thread.trace_message()?)?,
        PTRACE_PEEKTEXT | PTRACE_PEEKDATA => put(data, &peek(&thread, address)?)?,
        PTRACE_POKETEXT | PTRACE_POKEDATA => poke(&thread, address, data)?,
        PTRACE_GETSIGMASK | PTRACE_SETSIGMASK => return mask(&thread, request, address, data),
        _ => return of_stop(&thread, request, address, data),
    }
    Ok(0)
}

/// What is about the stop itself: its registers, its signal, its system call.
fn of_stop(thread: &Thread, request: u32, address: u64, data: u64) -> SyscallResult {
    match request {
        PTRACE_PEEKUSR => put(data, &thread.with_stop(|stop| peek_user(stop, address))?)?,
        PTRACE_POKEUSR => thread.with_stop(|stop| poke_user(stop, address, data))?,
        PTRACE_ARCH_PRCTL => segment_base(thread, address, data)?,
        PTRACE_GETREGS => put(data, &thread.with_stop(|stop| Ok(stop.registers))?)?,
        PTRACE_SETREGS => {
            let registers = UserIn::<UserRegs>::at(data).read()?;
            thread.with_stop(|stop| set_registers(stop, registers))?;
        }
        PTRACE_GETFPREGS => write_set(thread, NT_PRFPREG, data, FXSAVE_LEN).map(drop)?,
        PTRACE_SETFPREGS => read_set(thread, NT_PRFPREG, data, FXSAVE_LEN).map(drop)?,
        PTRACE_GETREGSET | PTRACE_SETREGSET => return register_set(thread, request, address, data),
        PTRACE_GETSIGINFO => {
            let info = thread.with_stop(|stop| stop.info.ok_or(Errno::EINVAL))?;
            put(data, &Siginfo::from(info))?;
        }
        PTRACE_SETSIGINFO => {
            let info = UserIn::<Siginfo>::at(data).read()?.known;
            thread.with_stop(|stop| stop.info.as_mut().map(|known| *known = info).ok_or(Errno::EINVAL))?;
        }
        PTRACE_GET_SYSCALL_INFO => return call_info(thread, address, data),
        _ => return Err(Errno::EIO),
    }
    Ok(0)
}

#[inline(never)]
fn put<T: Pod>(address: u64, value: &T) -> Result<(), Errno> {
    value.with_bytes(|bytes| copy::write(address, bytes)).map_err(|_| Errno::EFAULT)
}

/// The signal that a tracee is to go on with; 0 is none.
fn signal(number: u64) -> Result<Option<Signal>, Errno> {
    match number {
        0 => Ok(None),
        _ => i32::try_from(number).ok().and_then(Signal::new).map(Some).ok_or(Errno::EIO),
    }
}

fn options(bits: u64) -> Result<Options, Errno> {
    u32::try_from(bits).ok().and_then(Options::from_bits).ok_or(Errno::EINVAL)
}

/// A word of the tracee's memory.
fn peek(thread: &Thread, address: u64) -> Result<u64, Errno> {
    let space = thread.process().try_space().ok_or(Errno::EIO)?;
    let mut word = [0; 8];
    let whole = address.checked_add(8).is_some() && space.read(address, &mut word) == word.len();
    if whole { Ok(u64::from_le_bytes(word)) } else { Err(Errno::EIO) }
}

/// Writes one, also where the program itself could not.
fn poke(thread: &Thread, address: u64, word: u64) -> Result<(), Errno> {
    let space = thread.process().try_space().ok_or(Errno::EIO)?;
    let word = word.to_le_bytes();
    let whole = address.checked_add(8).is_some() && space.write(address, &word) == word.len();
    if whole { Ok(()) } else { Err(Errno::EIO) }
}

fn mask(thread: &Thread, request: u32, size: u64, data: u64) -> SyscallResult {
    if size != SigSet::SIZE as u64 {
        return Err(Errno::EINVAL);
    }
    if request == PTRACE_GETSIGMASK {
        put(data, &thread.blocked())?;
    } else {
        thread.set_blocked(UserIn::<SigSet>::at(data).read()?);
    }
    Ok(0)
}

/// A word of `struct user`: a register, or a debug register.
fn peek_user(stop: &Stop, offset: u64) -> Result<u64, Errno> {
    if !offset.is_multiple_of(8) || offset > USER_LEN - 8 {
        return Err(Errno::EIO);
    }
    if let Some(number) = debug_register(offset) {
        return Ok(stop.debug.get(number));
    }
    let mut image = [0; UserRegs::SIZE];
    stop.registers.write_bytes(&mut image);
    // What lies behind the registers is there for debuggers of programs long gone.
    Ok(image.get(offset as usize..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word)))
}

/// Which of the debug registers lies there in `struct user`.
fn debug_register(offset: u64) -> Option<usize> {
    offset.checked_sub(DEBUG_REGISTERS_OFFSET).map(|offset| (offset / 8) as usize)
}

fn poke_user(stop: &mut Stop, offset: u64, word: u64) -> Result<(), Errno> {
    if !offset.is_multiple_of(8) || offset > USER_LEN - 8 {
        return Err(Errno::EIO);
    }
    if let Some(number) = debug_register(offset) {
        stop.debug.set(number, word).map_err(|_| Errno::EINVAL)?;
        stop.debug_changed = true;
        return Ok(());
    }
    let mut image = [0; UserRegs::SIZE];
    stop.registers.write_bytes(&mut image);
    match image.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut()) {
        Some(place) => *place = word.to_le_bytes(),
        None => return Err(Errno::EIO),
    }
    set_registers(stop, UserRegs::read_bytes(&image))
}

/// Selectors cannot be changed, and flags that are not the program's stay as they are.
#[inline(never)]
fn set_registers(stop: &mut Stop, registers: UserRegs) -> Result<(), Errno> {
    if registers.fs_base >= USER_END || registers.gs_base >= USER_END {
        return Err(Errno::EIO);
    }
    let selectors = |of: &UserRegs| [of.cs, of.ss, of.ds, of.es, of.fs, of.gs];
    if selectors(&registers) != selectors(&stop.registers) {
        return Err(Errno::EIO);
    }
    let rflags = registers.rflags & USER_FLAGS | stop.registers.rflags & !USER_FLAGS;
    stop.registers = UserRegs { rflags, ..registers };
    stop.changed = true;
    Ok(())
}

/// arch_prctl(2) in the tracee's place.
fn segment_base(thread: &Thread, address: u64, code: u64) -> Result<(), Errno> {
    let registers = thread.with_stop(|stop| Ok(stop.registers))?;
    let changed = match code {
        ARCH_GET_FS => return put(address, &registers.fs_base),
        ARCH_GET_GS => return put(address, &registers.gs_base),
        ARCH_SET_FS => UserRegs { fs_base: address, ..registers },
        ARCH_SET_GS => UserRegs { gs_base: address, ..registers },
        _ => return Err(Errno::EINVAL),
    };
    thread.with_stop(|stop| set_registers(stop, changed)).map_err(|_| Errno::EPERM)
}

/// PTRACE_GETREGSET, PTRACE_SETREGSET: `data` is an iovec, whose length becomes what was moved.
fn register_set(thread: &Thread, request: u32, kind: u64, data: u64) -> SyscallResult {
    let [start, len] = UserIn::<[u64; 2]>::at(data).read()?;
    let len = usize::try_from(len).ok().filter(|len| len.is_multiple_of(WORD)).ok_or(Errno::EINVAL)?;
    let done = match request {
        PTRACE_GETREGSET => write_set(thread, kind, start, len)?,
        _ => read_set(thread, kind, start, len)?,
    };
    put(data.wrapping_add(8), &(done as u64))?;
    Ok(0)
}

/// Gives the tracer a set of registers; how many bytes.
#[inline(never)]
fn write_set(thread: &Thread, kind: u64, start: u64, len: usize) -> Result<usize, Errno> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(features::get().fpu_area_len.max(UserRegs::SIZE)).map_err(|_| Errno::ENOMEM)?;
    thread.with_stop(|stop| {
        match kind {
            NT_PRSTATUS => stop.registers.with_bytes(|registers| bytes.extend_from_slice(registers)),
            NT_PRFPREG | NT_X86_XSTATE => {
                bytes.extend_from_slice(stop.fpu.as_ref().ok_or(Errno::ENOMEM)?.as_bytes());
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    })?;
    match kind {
        NT_PRFPREG => bytes.truncate(FXSAVE_LEN),
        NT_X86_XSTATE if !features::get().xsave => return Err(Errno::ENODEV),
        NT_X86_XSTATE => bytes[COMPONENTS_AT..COMPONENTS_AT + 8].copy_from_slice(&features::get().xcr0.to_le_bytes()),
        _ => {}
    }
    bytes.truncate(len);
    copy::write(start, &bytes).map_err(|_| Errno::EFAULT)?;
    Ok(bytes.len())
}

/// Takes a set of registers from the tracer; how many bytes.
#[inline(never)]
fn read_set(thread: &Thread, kind: u64, start: u64, len: usize) -> Result<usize, Errno> {
    let whole = match kind {
        NT_PRSTATUS => UserRegs::SIZE,
        NT_PRFPREG => FXSAVE_LEN,
        NT_X86_XSTATE if features::get().xsave => features::get().fpu_area_len,
        NT_X86_XSTATE => return Err(Errno::ENODEV),
        _ => return Err(Errno::EINVAL),
    };
    let len = len.min(whole);
    // What is not given stays as it is.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(whole).map_err(|_| Errno::ENOMEM)?;
    thread.with_stop(|stop| {
        match kind {
            NT_PRSTATUS => stop.registers.with_bytes(|registers| bytes.extend_from_slice(registers)),
            _ => bytes.extend_from_slice(&stop.fpu.as_ref().ok_or(Errno::ENOMEM)?.as_bytes()[..whole]),
        }
        Ok(())
    })?;
    copy::read(start, &mut bytes[..len]).map_err(|_| Errno::EFAULT)?;
    if kind == NT_PRSTATUS {
        thread.with_stop(|stop| set_registers(stop, UserRegs::read_bytes(&bytes)))?;
        return Ok(len);
    }
    if !is_sound(&bytes) {
        return Err(Errno::EINVAL);
    }
    let state = match kind {
        NT_PRFPREG => {
            let former = thread
                .with_stop(|stop| stop.fpu.as_ref().ok_or(Errno::ENOMEM)?.try_clone().map_err(|_| Errno::ENOMEM))?;
            former.with_legacy(bytes.first_chunk().ok_or(Errno::EINVAL)?)
        }
        _ => FpuState::from_xsave(&bytes).map_err(|_| Errno::ENOMEM)?,
    };
    let former = thread.with_stop(|stop| {
        stop.fpu_changed = true;
        Ok(stop.fpu.replace(state))
    })?;
    drop(former);
    Ok(len)
}

/// Whether the CPU would take that for its floating-point registers: MXCSR, and the header of XSAVE if there is one.
fn is_sound(image: &[u8]) -> bool {
    let word =
        |at: usize| image.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word));
    let header = image.get(FXSAVE_LEN..FXSAVE_LEN + 64).unwrap_or(&[]);
    let components = if header.is_empty() { 0 } else { word(FXSAVE_LEN) };
    let rest_is_zero = header.iter().skip(8).all(|&byte| byte == 0);
    word(MXCSR_AT) as u32 >> 16 == 0 && components & !features::get().xcr0 == 0 && rest_is_zero
}

/// PTRACE_GET_SYSCALL_INFO: how many bytes there are, of which `size` at most are given.
fn call_info(thread: &Thread, size: u64, data: u64) -> SyscallResult {
    let (registers, place) = thread.with_stop(|stop| Ok((stop.registers, stop.place)))?;
    let mut info = SyscallInfo {
        op: PTRACE_SYSCALL_INFO_NONE as u8,
        arch: AUDIT_ARCH_X86_64,
        instruction_pointer: registers.rip,
        stack_pointer: registers.rsp,
        ..SyscallInfo::default()
    };
    let len = match place {
        Place::CallBegin => {
            info.op = PTRACE_SYSCALL_INFO_ENTRY as u8;
            let UserRegs { orig_rax, rdi, rsi, rdx, r10, r8, r9, .. } = registers;
            info.words = [orig_rax, rdi, rsi, rdx, r10, r8, r9];
            SyscallInfo::WITH_ENTRY
        }
        Place::CallEnd => {
            info.op = PTRACE_SYSCALL_INFO_EXIT as u8;
            let is_error = (registers.rax as i64) < 0 && registers.rax as i64 >= -4095;
            (info.words[0], info.words[1]) = (registers.rax, is_error.into());
            SyscallInfo::WITH_EXIT
        }
        _ => SyscallInfo::HEAD,
    };
    let given = len.min(size as usize);
    info.with_bytes(|bytes| copy::write(data, &bytes[..given])).map_err(|_| Errno::EFAULT)?;
    Ok(len as u64)
}
