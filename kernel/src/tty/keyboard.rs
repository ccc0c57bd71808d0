//! Keyboards: input of the virtual terminal that is shown; of the console, which is the first, beside the serial port.
//!
//! A task of its own sets the PC's keyboard up, which may take long, and then takes its scan codes; others are brought
//! here by `crate::input`. All share layout, modifiers and lights. Keys become the bytes that a terminal sends; those that
//! are for the screen itself (Shift-PageUp, Alt-F2) go there. Locks, both sleeping, never together: `KEYBOARD`, `LIGHTS`.

use super::Source;
use super::registry::on_screen;
use super::vt_modes::{self, Keys};
use crate::{sched, screen};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use drivers::input::i8042;
use klib::keyboard::{Action, Decoder, Key, Keyboard, LayoutName, Leds};
use machine::mm::OutOfMemory;
use machine::power;
use machine::sync::Mutex;

/// What keys mean, once there is a keyboard.
static KEYBOARD: Mutex<Option<Keyboard>> = Mutex::new("keyboard", None);
/// Sets the lights of a keyboard.
type SetLights = Box<dyn Fn(Leds) + Send + Sync>;
/// Of each keyboard.
static LIGHTS: Mutex<Vec<SetLights>> = Mutex::new("lights of keyboards", Vec::new());
/// What a virtual terminal shows that no program has opened.
const UNUSED: &[u8] = b"No program uses this terminal. Alt-F1 goes back to the kernel's shell.\r\n";

/// Ctrl-Alt-Delete restarts the machine; reboot(2) can switch that off.
static RESTART_KEYS: AtomicBool = AtomicBool::new(true);

/// Lets what is typed on the keyboard reach the terminal that is shown, as soon as there is a keyboard. Without one nothing
/// happens, but for a line in the log.
pub fn start() -> Result<(), OutOfMemory> {
    sched::spawn("keyboard", move || match i8042::Keyboard::open() {
        Ok(device) => serve(device),
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

/// Adds a keyboard, of which `what` is logged. Its lights are set by `set_lights`, which may sleep.
pub fn attach(what: fmt::Arguments<'_>, set_lights: SetLights) {
    let (leds, layout) = {
        let mut guard = KEYBOARD.lock();
        let keyboard = guard.get_or_insert_with(Keyboard::new);
        (keyboard.leds(), keyboard.layout().name)
    };
    set_lights(leds);
    LIGHTS.lock().push(set_lights);
    log::info!("keyboard: {what}, layout {layout}");
}

/// Takes a key of any keyboard. Sleeps.
pub fn take(key: &Key) {
    let keys = vt_modes::keys(screen::active());
    let typed = match keys {
        Keys::Unicode | Keys::Latin1 => type_key(key, keys == Keys::Latin1),
        // The program does with keys what it likes, switching and restarting included.
        Keys::Codes | Keys::Numbers | Keys::Off => {
            KEYBOARD.lock().as_mut().and_then(|keyboard| keyboard.follow(key));
            let mut typed = Vec::new();
            match (keys, key.raw()) {
                (Keys::Codes, Some(raw)) => raw.push_codes(&mut typed),
                (Keys::Numbers, Some(raw)) => raw.push_number(&mut typed),
                _ => {}
            }
            typed
        }
    };
    give(&typed);
}

/// What a key types; what it asks for else is done.
fn type_key(key: &Key, latin1: bool) -> Vec<u8> {
    let mut typed = Vec::new();
    let application_cursor = screen::application_cursor_keys();
    let action = KEYBOARD.lock().as_mut().and_then(|keyboard| keyboard.input(key, application_cursor, &mut typed));
    match action {
        Some(Action::ScrollBack) => screen::scroll(false),
        Some(Action::ScrollForward) => screen::scroll(true),
        Some(Action::Switch(number)) => switch(number),
        Some(Action::Leds(leds)) => LIGHTS.lock().iter().for_each(|set| set(leds)),
        Some(Action::Restart) if RESTART_KEYS.load(Ordering::Relaxed) => power::restart(),
        Some(Action::Restart) | None => {}
    }
    if latin1 {
        typed = String::from_utf8_lossy(&typed).chars().filter_map(|c| u8::try_from(c).ok()).collect();
    }
    typed
}

/// The task of the PC's keyboard.
fn serve(device: i8042::Keyboard) -> ! {
    let set = device.code_set();
    let device = Arc::new(device);
    let lights = device.clone();
    attach(format_args!("scan codes of {set:?}"), Box::new(move |leds| lights.set_leds(leds)));
    let mut decoder = Decoder::new(set);
    loop {
        if let Some(key) = decoder.key(device.next_code()) {
            take(&key);
        }
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
