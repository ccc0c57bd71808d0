//! What programs have set of the virtual terminals (`ioctl_console(2)`): whether one shows text or a program draws, what its
//! keys give, and who is asked before another one is shown.
//!
//! With VT_PROCESS the process that set it is sent a signal when its terminal is to be left, and answers by VT_RELDISP; one
//! more tells it when its terminal is shown. If it does not live any more its terminal is reset. Beyond what Linux does,
//! a terminal that nobody has open any more is reset, too.
//!
//! Lock: `MODES` (rank Table), with nothing else held; signals are sent without it.

use crate::process::{self, Process, send, table};
use crate::screen::{self, COUNT, ScreenError};
use crate::vfs::Result;
use abi::vt::{self, VtMode};
use abi::{Errno, Signal};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::{Rank, SpinLock};

/// What keys give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Keys {
    /// Scan codes of set 1.
    Codes = vt::K_RAW,
    /// Characters of Latin-1.
    Latin1 = vt::K_XLATE,
    /// Linux's numbers of keys.
    Numbers = vt::K_MEDIUMRAW,
    /// Characters, as UTF-8.
    Unicode = vt::K_UNICODE,
    /// Nothing.
    Off = vt::K_OFF,
}

struct Modes {
    /// A program draws.
    graphics: bool,
    keys: Keys,
    switching: VtMode,
    /// Who has set VT_PROCESS.
    process: Weak<Process>,
    /// It was asked to let this one be shown.
    leaving_to: Option<usize>,
}

static MODES: SpinLock<[Modes; COUNT]> =
    SpinLock::new("modes of virtual terminals", Rank::Table, [const { Modes::new() }; COUNT]);
/// Nobody may show another one (VT_LOCKSWITCH).
static LOCKED: AtomicBool = AtomicBool::new(false);

impl Modes {
    const fn new() -> Self {
        let switching = VtMode { mode: vt::VT_AUTO, waitv: 0, relsig: 0, acqsig: 0, frsig: 0 };
        Modes { graphics: false, keys: Keys::Unicode, switching, process: Weak::new(), leaving_to: None }
    }

    fn asks(&self) -> bool {
        self.switching.mode == vt::VT_PROCESS
    }
}

/// KDGETMODE.
pub fn mode(number: usize) -> i32 {
    if MODES.lock()[number].graphics { vt::KD_GRAPHICS } else { vt::KD_TEXT }
}

/// KDSETMODE: EINVAL.
pub fn set_mode(number: usize, mode: u64) -> Result<()> {
    let graphics = match i32::try_from(mode) {
        Ok(vt::KD_GRAPHICS) => true,
        Ok(vt::KD_TEXT | vt::KD_TEXT0 | vt::KD_TEXT1) => false,
        _ => return Err(Errno::EINVAL),
    };
    MODES.lock()[number].graphics = graphics;
    screen::set_drawn(number, !graphics);
    Ok(())
}

/// KDGKBMODE.
pub fn keys(number: usize) -> Keys {
    MODES.lock()[number].keys
}

/// KDSKBMODE: EINVAL.
pub fn set_keys(number: usize, mode: u64) -> Result<()> {
    let all = [Keys::Codes, Keys::Latin1, Keys::Numbers, Keys::Unicode, Keys::Off];
    let keys = all.into_iter().find(|keys| i32::try_from(mode) == Ok(*keys as i32)).ok_or(Errno::EINVAL)?;
    MODES.lock()[number].keys = keys;
    Ok(())
}

/// VT_GETMODE.
pub fn switching(number: usize) -> VtMode {
    MODES.lock()[number].switching
}

/// VT_SETMODE, by the calling process: EINVAL.
pub fn set_switching(number: usize, wanted: VtMode) -> Result<()> {
    if !matches!(wanted.mode, vt::VT_AUTO | vt::VT_PROCESS) {
        return Err(Errno::EINVAL);
    }
    let process = process::current_thread().map_or(Weak::new(), |thread| Arc::downgrade(thread.process()));
    let before = {
        let modes = &mut MODES.lock()[number];
        (modes.switching, modes.leaving_to) = (VtMode { frsig: 0, ..wanted }, None);
        core::mem::replace(&mut modes.process, process)
    };
    drop(before);
    Ok(())
}

/// VT_RELDISP: the process lets go, or does not (0); or it has seen that its terminal is shown. EINVAL if it was asked for
/// nothing.
pub fn answer(number: usize, argument: u64) -> Result<()> {
    let to = {
        let modes = &mut MODES.lock()[number];
        if !modes.asks() {
            return Err(Errno::EINVAL);
        }
        match (modes.leaving_to.take(), argument) {
            (Some(to), 1..) => to,
            (Some(_), 0) | (None, vt::VT_ACKACQ) => return Ok(()),
            (None, _) => return Err(Errno::EINVAL),
        }
    };
    show(to).map_err(|_| Errno::ENOMEM)
}

/// Has another one shown, if that may be: at once, or when who has the present one lets go. As on Linux nobody is told that
/// it is not.
pub fn switch(to: usize) -> core::result::Result<(), ScreenError> {
    let from = screen::active();
    screen::open(to)?;
    if from == to || LOCKED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let asked = {
        let modes = &mut MODES.lock()[from];
        modes.leaving_to = modes.asks().then_some(to);
        modes.asks().then(|| (modes.process.clone(), modes.switching.relsig))
    };
    if let Some((process, signal)) = asked {
        if tell(&process, signal) {
            return Ok(());
        }
        reset(from);
    }
    if MODES.lock()[from].graphics {
        // Who draws would not know.
        return Ok(());
    }
    show(to)
}

/// Lets virtual terminals be switched, or not (VT_UNLOCKSWITCH, VT_LOCKSWITCH).
pub fn lock(locked: bool) {
    LOCKED.store(locked, Ordering::Relaxed);
}

/// Text, characters and no questions, as each begins.
pub fn reset(number: usize) {
    let before = core::mem::replace(&mut MODES.lock()[number], Modes::new());
    if before.graphics {
        screen::set_drawn(number, true);
    }
}

/// Shows one, and tells who has it.
fn show(to: usize) -> core::result::Result<(), ScreenError> {
    screen::activate(to)?;
    let told = {
        let modes = &MODES.lock()[to];
        modes.asks().then(|| (modes.process.clone(), modes.switching.acqsig))
    };
    if let Some((process, signal)) = told
        && !tell(&process, signal)
    {
        reset(to);
    }
    Ok(())
}

/// Sends a signal to a process that may have ended; whether it lives. Signal 0 only asks.
fn tell(process: &Weak<Process>, signal: i16) -> bool {
    let is_itself =
        |process: &Arc<Process>| table::find(process.pid()).is_some_and(|found| Arc::ptr_eq(&found, process));
    let Some(process) = process.upgrade().filter(is_itself) else { return false };
    match Signal::new(signal.into()) {
        Some(signal) => send::kill_from_kernel(process.pid(), signal).is_ok(),
        None => signal == 0,
    }
}
