//! Input devices: each has a node `/dev/input/eventN` (`evdev`), and what keyboards among them say is typed.
//!
//! A task for each device takes its events, repeats the key that is held, and hands them on. Lock: the one of each node.

mod evdev;

use crate::tty::keyboard;
use crate::vfs::{device_number, register_device};
use crate::{device, sched};
use abi::input::{BTN_MISC, EV_KEY, EV_LED, EV_REP, EV_SYN, SYN_REPORT};
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;
use drivers::input::{Event, InputDevice};
use evdev::{Node, Opener};
use klib::keyboard::{Key, Leds};
use machine::time::{self, Instant};

/// Major number of input devices, and the first minor number of the event nodes (Linux's
/// Documentation/admin-guide/devices.txt).
pub const MAJOR: u32 = 13;
const FIRST_MINOR: u32 = 64;
/// Nodes that have a number there.
const MAX_NODES: usize = 32;
/// Character device of root's alone, as whoever reads it reads passwords.
const MODE: u32 = 0o020600;

/// Until a key that is held repeats, and then from one to the next.
const REPEAT_DELAY: Duration = Duration::from_millis(500);
const REPEAT_PERIOD: Duration = Duration::from_millis(33);
/// What a key's event says.
const RELEASED: i32 = 0;
const PRESSED: i32 = 1;
const REPEATED: i32 = 2;
/// What the report of a repetition says, as on Linux.
const REPEAT_REPORT: i32 = 1;

/// The lights of a keyboard and their codes.
const LIGHTS: [(u16, Leds); 3] = [(0, Leds::NUM_LOCK), (1, Leds::CAPS_LOCK), (2, Leds::SCROLL_LOCK)];

/// Makes the nodes of all input devices, and lets what is typed on keyboards among them reach the terminal.
pub fn init() {
    for (number, device) in device::inputs().enumerate() {
        let name = &device.identity().name;
        if number >= MAX_NODES {
            log::warn!("input: {name}: no number is left for it");
            continue;
        }
        let node = Arc::new(Node::new(device.clone()));
        let path = format!("input/event{number}");
        log::info!("input: {name} is /dev/{path}");
        register_device(&path, MODE, device_number(MAJOR, FIRST_MINOR + number as u32), Arc::new(Opener(node.clone())));
        if sched::spawn("input", move || serve(&node)).is_err() {
            log::warn!("input: {path}: no memory for its task");
        }
    }
}

/// The task of a device; it ends when the device breaks.
fn serve(node: &Arc<Node>) {
    let device = &node.device;
    let is_keyboard = (1..BTN_MISC).any(|key| device.has(EV_KEY, key));
    if is_keyboard {
        let lights = device.clone();
        let name = &device.identity().name;
        keyboard::attach(format_args!("{name}"), Box::new(move |leds| set_lights(&*lights, leds)));
    }
    let mut held: Option<(u16, Instant)> = None;
    loop {
        let deadline = held.map(|(_, due)| due);
        match device.next_event(deadline) {
            Ok(Some(event)) => {
                if event.kind == EV_KEY && !device.codes(EV_REP).is_empty() {
                    note_held(&mut held, event);
                }
                deliver(node, is_keyboard, event);
            }
            Ok(None) => {
                let Some((code, due)) = &mut held else { continue };
                let time = time::now();
                *due = time + REPEAT_PERIOD;
                deliver(node, is_keyboard, Event { time, kind: EV_KEY, code: *code, value: REPEATED });
                deliver(node, false, Event { time, kind: EV_SYN, code: SYN_REPORT, value: REPEAT_REPORT });
            }
            Err(_) => {
                node.end();
                return;
            }
        }
    }
}

/// The key that was pressed last repeats until it is let go.
fn note_held(held: &mut Option<(u16, Instant)>, event: Event) {
    match event.value {
        PRESSED => *held = Some((event.code, time::now() + REPEAT_DELAY)),
        RELEASED if held.is_some_and(|(code, _)| code == event.code) => *held = None,
        _ => {}
    }
}

/// Hands an event to those who have the node open, and what a keyboard says to the terminal, unless somebody has the device
/// for himself. That a key is let go is told in any case, so that none is taken to be held for good.
fn deliver(node: &Node, is_keyboard: bool, event: Event) {
    let grabbed = node.deliver(event);
    if is_keyboard
        && event.kind == EV_KEY
        && (!grabbed || event.value == RELEASED)
        && let Some(key) = Key::from_linux(event.code, event.value != RELEASED)
    {
        keyboard::take(&key);
    }
}

fn set_lights(device: &dyn InputDevice, leds: Leds) {
    for (code, light) in LIGHTS {
        if device.has(EV_LED, code) {
            device.set_light(code, leds.contains(light));
        }
    }
}
