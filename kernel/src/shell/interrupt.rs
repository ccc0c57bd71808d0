//! Ctrl-C for the shell's own commands.
//!
//! The terminal calls [`raise`] when Ctrl-C is typed while the shell owns it; commands that take long look at
//! [`check`] between steps or sleep in [`pause`]. Programs that the shell waits for, with the terminal or as instances of
//! `exec n`, are in [`Victims`] and get SIGINT. Only [`VICTIMS`]'s lock is taken here, with nothing held.

use super::command::CommandError;
use crate::process::send;
use abi::Signal;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use machine::sync::{Mutex, WaitEnd, WaitQueue};
use machine::time;

static RAISED: AtomicBool = AtomicBool::new(false);
static SLEEPERS: WaitQueue = WaitQueue::new("Ctrl-C or the end of a pause");
static VICTIMS: Mutex<Vec<u32>> = Mutex::new("programs to interrupt", Vec::new());

/// Ctrl-C was typed. Called by the terminal's input task.
pub fn raise() {
    RAISED.store(true, Ordering::SeqCst);
    SLEEPERS.wake_all();
    for &pid in VICTIMS.lock().iter() {
        // A process that has ended meanwhile needs no signal.
        let _ = send::kill_from_kernel(pid, Signal::SIGINT);
    }
}

/// Forgets a Ctrl-C: at the start of a line of commands.
pub fn clear() {
    RAISED.store(false, Ordering::SeqCst);
}

/// Whether Ctrl-C was typed since [`clear`].
pub fn raised() -> bool {
    RAISED.load(Ordering::SeqCst)
}

/// An error if Ctrl-C was typed since [`clear`].
pub fn check() -> Result<(), CommandError> {
    if raised() { Err(CommandError::plain("interrupted")) } else { Ok(()) }
}

/// Sleeps for `duration`; an error if Ctrl-C comes first.
pub fn pause(duration: Duration) -> Result<(), CommandError> {
    let deadline = time::now() + duration;
    match SLEEPERS.wait_until(Some(deadline), raised, || None::<core::convert::Infallible>) {
        Err(WaitEnd::Interrupted) => check(),
        Err(WaitEnd::TimedOut) => Ok(()),
        Ok(never) => match never {},
    }
}

/// Programs that Ctrl-C ends, as long as this lives.
pub struct Victims(());

impl Victims {
    /// Nobody yet. One at a time: the shell runs one command after the other.
    pub fn new() -> Self {
        VICTIMS.lock().clear();
        Victims(())
    }

    /// Adds the program `pid`.
    pub fn add(&self, pid: u32) {
        VICTIMS.lock().push(pid);
    }

    /// Takes `pid` out: it has ended.
    pub fn remove(&self, pid: u32) {
        VICTIMS.lock().retain(|&other| other != pid);
    }
}

impl Drop for Victims {
    fn drop(&mut self) {
        VICTIMS.lock().clear();
    }
}
