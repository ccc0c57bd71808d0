//! From the scan codes of a PC keyboard to the bytes that a terminal sends.
//!
//! The crate `pc-keyboard` knows scan codes and layouts; here are the modifiers, the locks, and the sequences of keys
//! that are no characters, which are xterm's. Each keyboard has a [`Decoder`], or says keys by their numbers; all type
//! into one [`Keyboard`]. What repeats a key that is held is the keyboard itself or its driver.

mod compose;
mod raw;
mod sequence;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use bitflags::bitflags;
use pc_keyboard::layouts::{self, AnyLayout};
use pc_keyboard::{DecodedKey, HandleControl, KeyCode, KeyEvent, KeyState, KeyboardLayout, Modifiers};
use pc_keyboard::{ScancodeSet, ScancodeSet1, ScancodeSet2};
pub use raw::{RawKey, RawKeys};

/// How a keyboard says which key it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeSet {
    /// The PC/XT's, into which the controller translates.
    Set1,
    /// The PC/AT's, which keyboards send.
    Set2,
}

bitflags! {
    /// The lights of a keyboard, as its command 0xed takes them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Leds: u8 {
        /// Output is stopped.
        const SCROLL_LOCK = 1;
        /// The keypad types digits.
        const NUM_LOCK = 2;
        /// Letters are capital.
        const CAPS_LOCK = 4;
    }
}

/// What a key asks for that is no input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Show what is half a screen earlier.
    ScrollBack,
    /// Show what is half a screen later.
    ScrollForward,
    /// Alt and a function key: show this virtual terminal, from 0 on.
    Switch(usize),
    /// Ctrl-Alt-Delete.
    Restart,
    /// The lights are to be set.
    Leds(Leds),
}

/// A layout that can be chosen: its short name, and what it is.
pub struct LayoutName {
    /// As `loadkeys` calls it.
    pub name: &'static str,
    /// In words.
    pub what: &'static str,
    make: fn() -> AnyLayout,
    /// Keys that type nothing by themselves, but put an accent on the next letter, and the accent they have.
    dead: &'static [(KeyCode, char)],
}

const GERMAN_DEAD: &[(KeyCode, char)] = &[(KeyCode::Oem8, '^'), (KeyCode::OemPlus, '´'), (KeyCode::OemPlus, '`')];
const FRENCH_DEAD: &[(KeyCode, char)] = &[(KeyCode::Oem4, '^'), (KeyCode::Oem4, '¨')];
const NORDIC_DEAD: &[(KeyCode, char)] = &[
    (KeyCode::OemPlus, '´'),
    (KeyCode::OemPlus, '`'),
    (KeyCode::Oem6, '¨'),
    (KeyCode::Oem6, '^'),
    (KeyCode::Oem6, '~'),
];
const INTERNATIONAL_DEAD: &[(KeyCode, char)] =
    &[(KeyCode::Oem8, '`'), (KeyCode::Oem8, '~'), (KeyCode::Key6, '^'), (KeyCode::Oem3, '\''), (KeyCode::Oem3, '"')];

/// All layouts; the first is the one a keyboard starts with.
pub const LAYOUTS: &[LayoutName] = &[
    LayoutName {
        name: "us",
        what: "English, United States",
        make: || AnyLayout::Us104Key(layouts::Us104Key),
        dead: &[],
    },
    LayoutName {
        name: "us-intl",
        what: "English, United States, with accents",
        make: || AnyLayout::Us104Key(layouts::Us104Key),
        dead: INTERNATIONAL_DEAD,
    },
    LayoutName {
        name: "uk",
        what: "English, United Kingdom",
        make: || AnyLayout::Uk105Key(layouts::Uk105Key),
        dead: &[],
    },
    LayoutName { name: "de", what: "German", make: || AnyLayout::De105Key(layouts::De105Key), dead: GERMAN_DEAD },
    LayoutName { name: "fr", what: "French", make: || AnyLayout::Azerty(layouts::Azerty), dead: FRENCH_DEAD },
    LayoutName {
        name: "fi",
        what: "Finnish and Swedish",
        make: || AnyLayout::FiSe105Key(layouts::FiSe105Key),
        dead: NORDIC_DEAD,
    },
    LayoutName { name: "no", what: "Norwegian", make: || AnyLayout::No105Key(layouts::No105Key), dead: NORDIC_DEAD },
    LayoutName {
        name: "jp",
        what: "Japanese, Latin characters",
        make: || AnyLayout::Jis109Key(layouts::Jis109Key),
        dead: &[],
    },
    LayoutName { name: "dvorak", what: "Dvorak", make: || AnyLayout::Dvorak104Key(layouts::Dvorak104Key), dead: &[] },
    LayoutName {
        name: "dvp",
        what: "Dvorak for programmers",
        make: || AnyLayout::DVP104Key(layouts::DVP104Key),
        dead: &[],
    },
    LayoutName { name: "colemak", what: "Colemak", make: || AnyLayout::Colemak(layouts::Colemak), dead: &[] },
];

/// A key that is pressed or let go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// As layouts know it.
    event: Option<KeyEvent>,
    /// As programs get it that ask for codes or numbers.
    raw: Option<RawKey>,
}

impl Key {
    /// The key to which Linux gives this number; None if it is none of a PC's keyboard.
    pub fn from_linux(number: u16, pressed: bool) -> Option<Key> {
        let raw = RawKey::from_linux(number, pressed)?;
        let mut codes = Vec::new();
        raw.push_codes(&mut codes);
        let mut decoder = Codes::Set1(ScancodeSet1::new());
        // Of Pause, which is several to that decoder, nothing is typed.
        let event = if raw.is_pause() { None } else { codes.iter().find_map(|&code| decoder.advance(code)) };
        Some(Key { event, raw: Some(raw) })
    }

    /// As programs get it that ask for codes or numbers.
    pub fn raw(&self) -> Option<RawKey> {
        self.raw
    }
}

/// Puts the scan codes of one keyboard together to keys.
pub struct Decoder {
    codes: Codes,
    raw: RawKeys,
}

enum Codes {
    Set1(ScancodeSet1),
    Set2(ScancodeSet2),
}

impl Codes {
    fn advance(&mut self, code: u8) -> Option<KeyEvent> {
        let event = match self {
            Codes::Set1(set) => set.advance_state(code),
            Codes::Set2(set) => set.advance_state(code),
        };
        event.ok().flatten()
    }
}

impl Decoder {
    /// For a keyboard that sends these.
    pub fn new(set: CodeSet) -> Self {
        let codes = match set {
            CodeSet::Set1 => Codes::Set1(ScancodeSet1::new()),
            CodeSet::Set2 => Codes::Set2(ScancodeSet2::new()),
        };
        Decoder { codes, raw: RawKeys::new(set) }
    }

    /// Takes a scan code. Codes that mean no key are left out.
    pub fn key(&mut self, code: u8) -> Option<Key> {
        let (event, raw) = (self.codes.advance(code), self.raw.input(code));
        (event.is_some() || raw.is_some()).then_some(Key { event, raw })
    }
}

/// What keys mean: layout, modifiers and locks, which all keyboards have in common.
pub struct Keyboard {
    layout: usize,
    map: AnyLayout,
    modifiers: Modifiers,
    scroll_lock: bool,
    /// The lock key that is held: its repetitions do not count.
    held_lock: Option<KeyCode>,
    /// The dead key that was pressed last.
    accent: Option<char>,
}

impl Default for Keyboard {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyboard {
    /// With no key held, the first layout, and Num Lock on.
    pub fn new() -> Self {
        Keyboard {
            layout: 0,
            map: (LAYOUTS[0].make)(),
            modifiers: Modifiers { numlock: true, ..Modifiers::default() },
            scroll_lock: false,
            held_lock: None,
            accent: None,
        }
    }

    /// The layout in use.
    pub fn layout(&self) -> &'static LayoutName {
        &LAYOUTS[self.layout]
    }

    /// Takes the layout called `name`; false if there is none.
    pub fn set_layout(&mut self, name: &str) -> bool {
        match LAYOUTS.iter().position(|layout| layout.name == name) {
            Some(index) => {
                self.layout = index;
                self.map = (LAYOUTS[index].make)();
                self.accent = None;
                true
            }
            None => false,
        }
    }

    /// The lights that belong to the state of the locks.
    pub fn leds(&self) -> Leds {
        let mut leds = Leds::empty();
        leds.set(Leds::SCROLL_LOCK, self.scroll_lock);
        leds.set(Leds::NUM_LOCK, self.modifiers.numlock);
        leds.set(Leds::CAPS_LOCK, self.modifiers.capslock);
        leds
    }

    /// Takes a key. What it types is added to `out`; `application_cursor` says that the terminal is in the mode of that
    /// name.
    pub fn input(&mut self, key: &Key, application_cursor: bool, out: &mut Vec<u8>) -> Option<Action> {
        let KeyEvent { code, state } = self.follow(key)?;
        match state {
            KeyState::Up => {
                if self.held_lock == Some(code) {
                    self.held_lock = None;
                }
                None
            }
            KeyState::Down | KeyState::SingleShot => self.press(code, application_cursor, out),
        }
    }

    /// Takes a key that is not to type anything, and notes which modifiers are held: the event, unless it was one of those.
    pub fn follow(&mut self, key: &Key) -> Option<KeyEvent> {
        let event = key.event.clone()?;
        (!self.modifier(event.code, event.state != KeyState::Up)).then_some(event)
    }

    /// Notes that a modifier is held or not; false if `code` is none.
    fn modifier(&mut self, code: KeyCode, down: bool) -> bool {
        let modifiers = &mut self.modifiers;
        let held = match code {
            KeyCode::LShift => &mut modifiers.lshift,
            KeyCode::RShift => &mut modifiers.rshift,
            KeyCode::LControl => &mut modifiers.lctrl,
            KeyCode::RControl => &mut modifiers.rctrl,
            KeyCode::LAlt => &mut modifiers.lalt,
            KeyCode::RAltGr => &mut modifiers.ralt,
            KeyCode::RControl2 => &mut modifiers.rctrl2,
            _ => return false,
        };
        *held = down;
        true
    }

    fn press(&mut self, code: KeyCode, application_cursor: bool, out: &mut Vec<u8>) -> Option<Action> {
        let (shift, control, alt) =
            (self.modifiers.is_shifted(), self.modifiers.is_ctrl(), self.modifiers.lalt && !self.modifiers.ralt);
        match code {
            KeyCode::CapsLock | KeyCode::NumpadLock | KeyCode::ScrollLock => return self.lock(code),
            KeyCode::PageUp if shift => return Some(Action::ScrollBack),
            KeyCode::PageDown if shift => return Some(Action::ScrollForward),
            KeyCode::F1 if alt => return Some(Action::Switch(0)),
            KeyCode::F2 if alt => return Some(Action::Switch(1)),
            KeyCode::F3 if alt => return Some(Action::Switch(2)),
            KeyCode::F4 if alt => return Some(Action::Switch(3)),
            KeyCode::Delete if control && alt => return Some(Action::Restart),
            _ => {}
        }
        let held = sequence::Held { shift, alt, control };
        if self.accent.is_some() && sequence::is_no_character(code, held) {
            // A key such as Backspace takes the accent back.
            self.accent = None;
            if code == KeyCode::Backspace {
                return None;
            }
        }
        if sequence::push(code, held, application_cursor, out) {
            return None;
        }
        match self.map.map_keycode(code, &self.modifiers, HandleControl::Ignore) {
            DecodedKey::Unicode(c) if !alt && !control => self.text(code, c, out),
            DecodedKey::Unicode(c) => {
                if alt {
                    out.push(0x1b);
                }
                let c = if control { sequence::control(c).unwrap_or(c) } else { c };
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // The keypad without Num Lock.
            DecodedKey::RawKey(other) => drop(sequence::push(other, held, application_cursor, out)),
        }
        None
    }

    /// Types `c`, or keeps it for the next letter.
    fn text(&mut self, code: KeyCode, c: char, out: &mut Vec<u8>) {
        let is_dead = LAYOUTS[self.layout].dead.contains(&(code, c));
        let mut push = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        match self.accent.take() {
            None if is_dead => self.accent = Some(c),
            None => push(c),
            Some(accent) if c == ' ' || c == accent => push(accent),
            Some(accent) => match compose::with_accent(accent, c) {
                Some(composed) => push(composed),
                None => {
                    push(accent);
                    push(c);
                }
            },
        }
    }

    fn lock(&mut self, code: KeyCode) -> Option<Action> {
        // Pause sends Num Lock's code behind one of its own.
        let is_pause = code == KeyCode::NumpadLock && self.modifiers.rctrl2;
        if is_pause || self.held_lock == Some(code) {
            return None;
        }
        self.held_lock = Some(code);
        let lock = match code {
            KeyCode::CapsLock => &mut self.modifiers.capslock,
            KeyCode::NumpadLock => &mut self.modifiers.numlock,
            _ => &mut self.scroll_lock,
        };
        *lock = !*lock;
        Some(Action::Leds(self.leds()))
    }
}
