//! The virtual terminals beside the console, and which one is shown.

use super::{DISPLAY, STATE, ScreenError, State, bell, note_change};
use alloc::vec::Vec;
use klib::vt::Screen;
use machine::sync::{WaitEnd, WaitQueue};

/// Virtual terminals, the console's among them.
pub const COUNT: usize = 4;
/// Lines kept above the screen of one that is not the console's.
const HISTORY: usize = 300;

/// Woken when another one is shown.
static ACTIVATED: WaitQueue = WaitQueue::new("virtual terminal to be shown");

/// Sees to it that virtual terminal `number`, from 0 on, has a screen; true if it had none.
pub fn open(number: usize) -> Result<bool, ScreenError> {
    with_state(|state| make(state, number))
}

/// Takes its screen away, unless it is shown or the console's; false then.
pub fn close(number: usize) -> bool {
    with_state(|state| match number == 0 || number == state.active {
        true => Ok(false),
        false => {
            state.screens[number] = None;
            Ok(true)
        }
    })
    .unwrap_or(false)
}

/// Writes what a program sends to virtual terminal `number`, which is not the console's; what that answers.
pub fn write(number: usize, bytes: &[u8]) -> Vec<u8> {
    let (mut shown, mut rung) = (false, false);
    let reply = with_state(|state| {
        shown = number == state.active;
        make(state, number)?;
        let Some(screen) = &mut state.screens[number] else { return Ok(Vec::new()) };
        screen.write(bytes);
        rung = screen.take_bell();
        Ok(screen.take_reply())
    });
    if rung {
        bell::ring();
    }
    if shown {
        note_change();
    }
    reply.unwrap_or_default()
}

/// Which one is shown.
pub fn active() -> usize {
    with_state(|state| Ok(state.active)).unwrap_or(0)
}

/// Shows another one.
pub fn activate(number: usize) -> Result<(), ScreenError> {
    with_state(|state| {
        make(state, number)?;
        state.unknown |= state.undrawn[state.active];
        state.active = number;
        state.painter.set_captioned(number == 0);
        if let Some(screen) = &mut state.screens[number] {
            screen.damage();
        }
        Ok(())
    })?;
    ACTIVATED.wake_all();
    note_change();
    Ok(())
}

/// Draws what virtual terminal `number` has on its screen, or leaves the display to a program while it is shown.
pub fn set_drawn(number: usize, drawn: bool) {
    let _ = with_state(|state| {
        state.unknown |= number == state.active && state.undrawn[number];
        state.undrawn[number] = !drawn;
        Ok(())
    });
    note_change();
}

/// Waits until it is shown, or `interrupted` says that the wait is over.
pub fn wait_active(number: usize, interrupted: fn() -> bool) -> Result<(), WaitEnd> {
    ACTIVATED.wait_until(None, interrupted, || (active() == number).then_some(()))
}

fn with_state<R>(f: impl FnOnce(&mut State) -> Result<R, ScreenError>) -> Result<R, ScreenError> {
    STATE.lock().as_mut().map_or(Err(ScreenError::None), f)
}

fn make(state: &mut State, number: usize) -> Result<bool, ScreenError> {
    let slot = &mut state.screens[number];
    let missing = slot.is_none();
    if missing {
        let (columns, rows) = DISPLAY.get().ok_or(ScreenError::None)?.size();
        *slot = Some(Screen::new(columns, rows, HISTORY).map_err(|_| ScreenError::OutOfMemory)?);
    }
    Ok(missing)
}
