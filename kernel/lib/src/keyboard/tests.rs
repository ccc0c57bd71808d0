//! Keys by their scan codes (set 1 unless it is said), and what they type.

use super::*;
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

const SHIFT: u8 = 0x2a;
const CONTROL: u8 = 0x1d;
const ALT: u8 = 0x38;
const UP: u8 = 0x80;

struct Typist {
    decoder: Decoder,
    keyboard: Keyboard,
    actions: Vec<Action>,
}

impl Typist {
    fn new() -> Self {
        Typist { decoder: Decoder::new(CodeSet::Set1), keyboard: Keyboard::new(), actions: Vec::new() }
    }

    fn codes(&mut self, codes: &[u8]) -> String {
        let mut out = Vec::new();
        for key in codes.iter().filter_map(|&code| self.decoder.key(code)) {
            self.actions.extend(self.keyboard.input(&key, false, &mut out));
        }
        String::from_utf8(out).expect("keys type UTF-8")
    }

    /// Presses `key` while `held` are held.
    fn with(&mut self, held: &[u8], key: &[u8]) -> String {
        let up: Vec<u8> = held.iter().map(|code| code | UP).collect();
        self.codes(&[held, key, &up].concat())
    }
}

#[test]
fn letters_and_modifiers() {
    let mut typist = Typist::new();
    assert_eq!(typist.codes(&[0x23, 0x23 | UP, 0x17, 0x17 | UP, 0x1c]), "hi\r");
    assert_eq!(typist.with(&[SHIFT], &[0x23, 0x02, 0x35]), "H!?");
    assert_eq!(typist.with(&[CONTROL], &[0x2e, 0x39, 0x1a, 0x2b, 0x0c]), "\x03\0\x1b\x1c\x1f");
    assert_eq!(typist.with(&[ALT], &[0x21]), "\x1bf");
    assert_eq!(typist.with(&[ALT, CONTROL], &[0x21]), "\x1b\x06");
    assert_eq!(typist.codes(&[0x1e, 0x1e, 0x1e]), "aaa", "a key that is held repeats");
    assert_eq!(typist.codes(&[0x0f, 0x0e, 0x01]), "\t\x7f\x1b");
    assert_eq!(typist.with(&[SHIFT], &[0x0f]), "\x1b[Z");
}

#[test]
fn keys_without_characters() {
    let mut typist = Typist::new();
    assert_eq!(typist.codes(&[0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x50, 0xe0, 0x4d, 0xe0, 0x4b]), "\x1b[A\x1b[B\x1b[C\x1b[D");
    assert_eq!(typist.codes(&[0xe0, 0x47, 0xe0, 0x4f, 0xe0, 0x52, 0xe0, 0x53]), "\x1b[H\x1b[F\x1b[2~\x1b[3~");
    assert_eq!(typist.codes(&[0xe0, 0x49, 0xe0, 0x51]), "\x1b[5~\x1b[6~");
    assert_eq!(typist.codes(&[0x3b, 0x3e, 0x3f, 0x44, 0x58]), "\x1bOP\x1bOS\x1b[15~\x1b[21~\x1b[24~");
    assert_eq!(typist.with(&[CONTROL], &[0xe0, 0x4d, 0x3b, 0xe0, 0x53]), "\x1b[1;5C\x1b[1;5P\x1b[3;5~");
    let mut out = Vec::new();
    let up = Key::from_linux(103, true).expect("a key");
    typist.keyboard.input(&up, true, &mut out);
    assert_eq!(out, b"\x1bOA");
}

#[test]
fn alt_and_function_keys_switch() {
    let mut typist = Typist::new();
    assert_eq!(typist.with(&[ALT], &[0x3b, 0x3c, 0x3d]), "");
    assert_eq!(typist.with(&[CONTROL, ALT], &[0x3e]), "");
    assert_eq!(typist.actions, [0, 1, 2, 3].map(Action::Switch));
    assert_eq!(typist.with(&[ALT], &[0x3f]), "\x1b[15;3~", "there is no fifth");
}

#[test]
fn dead_keys_put_an_accent_on_the_next_letter() {
    let mut typist = Typist::new();
    assert!(typist.keyboard.set_layout("de"));
    const CARET: u8 = 0x29;
    const ACUTE: u8 = 0x0d;
    assert_eq!(typist.codes(&[CARET, CARET | UP]), "");
    assert_eq!(typist.codes(&[0x12, ACUTE, 0x12, CARET, 0x39, CARET, CARET]), "êé^^");
    assert_eq!(typist.codes(&[CARET, SHIFT, 0x1e, SHIFT | UP, 0x1e]), "Âa", "Shift in between changes nothing");
    assert_eq!(typist.with(&[SHIFT], &[ACUTE]), "");
    assert_eq!(typist.codes(&[0x2d, 0x2d]), "`xx", "no such letter: both");
    assert_eq!(
        typist.codes(&[CARET, 0x0e, 0x1e, CARET, 0x1c, 0x1e]),
        "a\ra",
        "Backspace takes it back, Enter drops it"
    );
    assert!(typist.keyboard.set_layout("us-intl"));
    assert_eq!(typist.codes(&[0x28, 0x2e, 0x28, 0x39]), "ç'");
    assert_eq!(typist.with(&[SHIFT], &[0x28]), "");
    assert!(typist.keyboard.set_layout("us"), "another layout begins afresh");
    assert_eq!(typist.codes(&[0x16, 0x28]), "u'");
    assert!(typist.keyboard.set_layout("fr"));
    assert_eq!(typist.codes(&[0x1a, 0x12]), "ê");
}

#[test]
fn the_keypad_and_its_lock() {
    let mut typist = Typist::new();
    assert_eq!(typist.codes(&[0x47, 0x4c, 0x53, 0xe0, 0x1c]), "75.\r");
    assert_eq!(typist.codes(&[0x45, 0x45, 0x45 | UP, 0x47, 0x48]), "\x1b[H\x1b[A");
    assert_eq!(typist.actions, [Action::Leds(Leds::empty())], "a held lock key counts once");
    assert_eq!(typist.codes(&[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x48]), "\x1b[A", "Pause is no Num Lock");
}

#[test]
fn caps_lock_and_lights() {
    let mut typist = Typist::new();
    assert_eq!(typist.codes(&[0x3a, 0xba, 0x1e, 0x02, 0x46, 0xc6, 0x3a, 0xba, 0x1e]), "A1a");
    let all = Leds::NUM_LOCK | Leds::SCROLL_LOCK;
    assert_eq!(
        typist.actions,
        [Action::Leds(Leds::NUM_LOCK | Leds::CAPS_LOCK), Action::Leds(all | Leds::CAPS_LOCK), Action::Leds(all)]
    );
}

#[test]
fn keys_that_are_no_input() {
    let mut typist = Typist::new();
    assert_eq!(typist.with(&[SHIFT], &[0xe0, 0x49, 0xe0, 0x51]), "");
    assert_eq!(typist.with(&[CONTROL, ALT], &[0xe0, 0x53]), "");
    assert_eq!(typist.actions, [Action::ScrollBack, Action::ScrollForward, Action::Restart]);
}

#[test]
fn set_2_is_the_same_keyboard() {
    let mut typist = Typist { decoder: Decoder::new(CodeSet::Set2), ..Typist::new() };
    assert_eq!(typist.codes(&[0x33, 0xf0, 0x33, 0x12, 0x43, 0xf0, 0x12, 0x5a]), "hI\r");
    assert_eq!(typist.codes(&[0xe0, 0x75, 0xe0, 0xf0, 0x75]), "\x1b[A");
}

#[test]
fn keys_by_number_are_those_of_set_1() {
    let mut decoder = Decoder::new(CodeSet::Set1);
    let sent = |decoder: &mut Decoder, codes: &[u8]| codes.iter().find_map(|&code| decoder.key(code));
    for (number, codes) in [(30, [0x1e].as_slice()), (88, &[0x58]), (97, &[0xe0, 0x1d]), (111, &[0xe0, 0x53])] {
        let pressed = sent(&mut decoder, codes);
        assert!(pressed.is_some() && Key::from_linux(number, true) == pressed, "{number}");
        let mut codes = codes.to_vec();
        *codes.last_mut().expect("not empty") |= UP;
        let released = sent(&mut decoder, &codes);
        assert!(released.is_some() && Key::from_linux(number, false) == released, "{number}");
    }
    assert_eq!([0, 84, 89, 101, 0x110, u16::MAX].map(|number| Key::from_linux(number, true)), [const { None }; 6]);
}

#[test]
fn layouts_by_name() {
    let mut typist = Typist::new();
    assert_eq!(typist.keyboard.layout().name, "us");
    assert!(typist.keyboard.set_layout("de") && !typist.keyboard.set_layout("xx"));
    assert_eq!((typist.codes(&[0x15, 0x1a, 0x0c]).as_str(), typist.keyboard.layout().name), ("züß", "de"));
    assert_eq!(typist.codes(&[0xe0, 0x38, 0x10, 0xe0, 0xb8]), "@", "AltGr is not Alt");
    for layout in LAYOUTS {
        assert!(typist.keyboard.set_layout(layout.name));
        assert_eq!(typist.codes(&[0x39, 0x1c]), " \r", "{}", layout.name);
    }
}

proptest! {
    #[test]
    fn any_codes_type_utf8(codes in prop::collection::vec(any::<u8>(), 0..200), set in prop::sample::select(vec![CodeSet::Set1, CodeSet::Set2]), layout in 0..LAYOUTS.len()) {
        let (mut decoder, mut keyboard) = (Decoder::new(set), Keyboard::new());
        keyboard.set_layout(LAYOUTS[layout].name);
        let mut out = Vec::new();
        for code in codes {
            let before = out.len();
            decoder.key(code).and_then(|key| keyboard.input(&key, false, &mut out));
            prop_assert!(out.len() - before <= 8);
        }
        prop_assert!(String::from_utf8(out).is_ok());
    }
}

/// What the keys of these codes are, as codes and as numbers.
fn raw(set: CodeSet, codes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut keys, mut raw, mut medium) = (RawKeys::new(set), Vec::new(), Vec::new());
    for key in codes.iter().filter_map(|&code| keys.input(code)) {
        key.push_codes(&mut raw);
        key.push_number(&mut medium);
    }
    (raw, medium)
}

#[test]
fn raw_keys_are_those_of_set_1() {
    let codes = [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x57];
    assert_eq!(
        raw(CodeSet::Set1, &codes),
        (codes.into(), [30, 30 | 0x80, 103, 103 | 0x80, 119, 119 | 0x80, 87].into())
    );
    // Print Screen pretends that Shift is pressed.
    assert_eq!(raw(CodeSet::Set1, &[0xe0, 0x2a, 0xe0, 0x37]), ([0xe0, 0x37].into(), [99].into()));
}

#[test]
fn raw_keys_of_set_2_are_translated() {
    let codes = [0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77, 0x83];
    let (raw, medium) = raw(CodeSet::Set2, &codes);
    assert_eq!(raw, [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x41]);
    assert_eq!(medium, [30, 30 | 0x80, 103, 103 | 0x80, 119, 119 | 0x80, 65]);
    assert_eq!(RawKeys::new(CodeSet::Set2).input(0xff), None);
}
