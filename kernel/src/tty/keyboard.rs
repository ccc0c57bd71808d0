//! The keyboard: input of the virtual terminal that is shown; of the console, which is the first, beside the serial port.
//!
//! A task of its own sets the keyboard up, which may take long, and then turns scan codes into the bytes that a
//! terminal sends. Keys that are for the screen itself (Shift-PageUp, Alt-F2) go there.

use super::Source;
use super::registry::on_screen;
use super::vt_modes::{self, Keys};
use crate::{sched, screen};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use drivers::input::i8042;
use klib::keyboard::{Action, Keyboard, LayoutName, RawKeys};
use machine::mm::OutOfMemory;
use machine::power;
use machine::sync::Mutex;

/// The keyboard's state, once there is one.
static KEYBOARD: Mutex<Option<Keyboard>> = Mutex::new("keyboard", None);
/// What a virtual terminal shows that no program has opened.
const UNUSED: &[u8] = b"No program uses this terminal. Alt-F1 goes back to the kernel's shell.\r\n";

/// Ctrl-Alt-Delete restarts the machine; reboot(2) can switch that off.
static RESTART_KEYS: AtomicBool = AtomicBool::new(true);

/// Lets what is typed on the keyboard reach the terminal that is shown, as soon as there is a keyboard. Without one nothing
/// happens, but for a line in the log.
pub fn start() -> Result<(), OutOfMemory> {
    sched::spawn("keyboard", move || match i8042::Keyboard::open() {
        Ok(device) => serve(&device),
        Err(error) => log::info!("keyboard: {error}"),
    })
    .map(drop)
}

/// The layout in use; None without a keyboard.
pub fn layout() -> Option<&'static LayoutName> {
    KEYBOARD.lock().as_ref().map(Keyboard::layout)
}

/// Takes the layout called `name`; false if there is none such, None without a keyboard.
pub fn set_layout(name: &str) -> Option<bool> {
    KEYBOARD.lock().as_mut().map(|keyboard| keyboard.set_layout(name))
}

/// Whether Ctrl-Alt-Delete is to restart the machine.
pub fn set_restart_keys(on: bool) {
    RESTART_KEYS.store(on, Ordering::Relaxed);
}

/// The keyboard's task.
fn serve(device: &i8042::Keyboard) -> ! {
    let keyboard = Keyboard::new(device.code_set());
    device.set_leds(keyboard.leds());
    log::info!("keyboard: scan codes of {:?}, layout {}", device.code_set(), keyboard.layout().name);
    *KEYBOARD.lock() = Some(keyboard);
    let mut raw = RawKeys::new(device.code_set());
    let mut typed = Vec::new();
    loop {
        let code = device.next_code();
        typed.clear();
        let key = raw.input(code);
        let keys = vt_modes::keys(screen::active());
        if !matches!(keys, Keys::Unicode | Keys::Latin1) {
            // The program does with keys what it likes, switching and restarting included.
            KEYBOARD.lock().as_mut().and_then(|keyboard| keyboard.follow(code));
            match (keys, key) {
                (Keys::Codes, Some(key)) => key.push_codes(&mut typed),
                (Keys::Numbers, Some(key)) => key.push_number(&mut typed),
                _ => {}
            }
            give(&typed);
            continue;
        }
        let application_cursor = screen::application_cursor_keys();
        let action = KEYBOARD.lock().as_mut().and_then(|keyboard| keyboard.input(code, application_cursor, &mut typed));
        if keys == Keys::Latin1 {
            let latin = String::from_utf8_lossy(&typed).chars().filter_map(|c| u8::try_from(c).ok()).collect();
            typed = latin;
        }
        match action {
            Some(Action::ScrollBack) => screen::scroll(false),
            Some(Action::ScrollForward) => screen::scroll(true),
            Some(Action::Switch(number)) => switch(number),
            Some(Action::Leds(leds)) => device.set_leds(leds),
            Some(Action::Restart) if RESTART_KEYS.load(Ordering::Relaxed) => power::restart(),
            Some(Action::Restart) | None => {}
        }
        give(&typed);
    }
}

/// Gives what was typed to the terminal that is shown.
fn give(typed: &[u8]) {
    if typed.is_empty() {
        return;
    }
    screen::end_scroll();
    let shown = screen::active();
    if shown == 0 {
        super::note_source(Source::Keyboard);
    }
    on_screen(shown).receive(typed);
}

/// Shows another virtual terminal. Without a screen there is but one.
fn switch(number: usize) {
    let opened = screen::open(number).is_ok_and(|new| new);
    if vt_modes::switch(number).is_ok() && opened && !on_screen(number).is_used() {
        let _ = screen::write(number, UNUSED);
    }
}
