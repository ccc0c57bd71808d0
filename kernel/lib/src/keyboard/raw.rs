//! Keys as programs get them that ask for more than characters: scan codes of set 1 (K_RAW), or Linux's numbers of keys
//! (K_MEDIUMRAW).
//!
//! Those numbers are the codes of set 1 for all keys whose code has no prefix; the others have numbers from 96 on.

use super::CodeSet;
use alloc::vec::Vec;

/// What begins the code of a key that early keyboards had not, and that of Pause.
const EXTENDED: u8 = 0xe0;
const PAUSE: u8 = 0xe1;
/// The last code of Pause.
const PAUSE_END: u8 = 0x45;
/// Begins what says that a key is let go, in set 2.
const RELEASE_2: u8 = 0xf0;
/// The same in set 1, and with Linux's numbers.
const RELEASED: u8 = 0x80;

/// Number of Pause, and of the key beside it with and without Alt.
const KEY_PAUSE: u8 = 119;
const KEY_SYSRQ: u8 = 99;
/// Codes with a prefix and their numbers.
const NUMBERS: [(u8, u8); 20] = [
    (0x1c, 96),
    (0x1d, 97),
    (0x35, 98),
    (0x37, KEY_SYSRQ),
    (0x38, 100),
    (0x47, 102),
    (0x48, 103),
    (0x49, 104),
    (0x4b, 105),
    (0x4d, 106),
    (0x4f, 107),
    (0x50, 108),
    (0x51, 109),
    (0x52, 110),
    (0x53, 111),
    (0x5b, 125),
    (0x5c, 126),
    (0x5d, 127),
    (0x5e, 116),
    (0x46, KEY_PAUSE),
];

/// By code of set 2, that of set 1; 0 for none.
const SET_1: [u8; 0x85] = [
    0, 0x43, 0, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0, // 00
    0, 0x38, 0x2a, 0, 0x1d, 0x10, 0x02, 0, 0, 0, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, // 10
    0, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, // 20
    0, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0, 0, 0x32, 0x24, 0x16, 0x08, 0x09, 0, // 30
    0, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0, 0, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0, // 40
    0, 0x73, 0x28, 0, 0x1a, 0x0d, 0, 0, 0x3a, 0x36, 0x1c, 0x1b, 0, 0x2b, 0, 0, // 50
    0, 0x56, 0, 0, 0, 0, 0x0e, 0, 0, 0x4f, 0x7d, 0x4b, 0x47, 0, 0, 0, // 60
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0, // 70
    0, 0, 0, 0x41, 0x54, // 80
];

/// A key that went down, was repeated or was let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawKey {
    prefix: u8,
    code: u8,
    released: bool,
}

/// Puts together what a keyboard sends for a key.
pub struct RawKeys {
    set: CodeSet,
    prefix: u8,
    released: bool,
    /// Codes of Pause that are still to come.
    skip: u8,
}

impl RawKeys {
    /// With no key begun.
    pub fn new(set: CodeSet) -> Self {
        RawKeys { set, prefix: 0, released: false, skip: 0 }
    }

    /// Takes a code; the key that ends with it. Codes that only pretend that Shift is pressed are left out.
    pub fn input(&mut self, byte: u8) -> Option<RawKey> {
        match (byte, self.set) {
            (EXTENDED, _) => self.prefix = EXTENDED,
            // Control and Num Lock follow.
            (PAUSE, _) => (self.prefix, self.skip) = (PAUSE, 1),
            (RELEASE_2, CodeSet::Set2) => self.released = true,
            _ if self.skip > 0 => self.skip -= 1,
            (_, CodeSet::Set1) => return self.end(byte & !RELEASED, byte & RELEASED != 0),
            (_, CodeSet::Set2) => {
                let code = SET_1.get(usize::from(byte)).copied().unwrap_or(0);
                return self.end(code, self.released);
            }
        }
        None
    }

    fn end(&mut self, code: u8, released: bool) -> Option<RawKey> {
        let prefix = core::mem::take(&mut self.prefix);
        self.released = false;
        let is_shift = prefix == EXTENDED && matches!(code, 0x2a | 0x36);
        (code != 0 && !is_shift).then_some(RawKey { prefix, code, released })
    }
}

impl RawKey {
    /// The key to which Linux gives this number; None if it is none of a PC's keyboard.
    pub fn from_linux(number: u16, pressed: bool) -> Option<RawKey> {
        let (prefix, code) = match u8::try_from(number).ok()? {
            KEY_PAUSE => (PAUSE, PAUSE_END),
            plain @ (1..=83 | 86..=88) => (0, plain),
            other => (EXTENDED, NUMBERS.iter().find(|(_, number)| *number == other)?.0),
        };
        Some(RawKey { prefix, code, released: !pressed })
    }

    /// Whether it is Pause.
    pub(super) fn is_pause(self) -> bool {
        self.prefix == PAUSE
    }

    /// The codes of set 1, as K_RAW has them.
    pub fn push_codes(self, out: &mut Vec<u8>) {
        let released = if self.released { RELEASED } else { 0 };
        match self.prefix {
            PAUSE => out.extend([PAUSE, 0x1d | released, PAUSE_END | released]),
            EXTENDED => out.extend([EXTENDED, self.code | released]),
            _ => out.push(self.code | released),
        }
    }

    /// Linux's number, as K_MEDIUMRAW has it: nothing for keys without one.
    pub fn push_number(self, out: &mut Vec<u8>) {
        let number = match (self.prefix, self.code) {
            (PAUSE, _) => Some(KEY_PAUSE),
            (EXTENDED, code) => NUMBERS.iter().find(|(other, _)| *other == code).map(|(_, number)| *number),
            (_, 0x54) => Some(KEY_SYSRQ),
            (_, code) => Some(code),
        };
        out.extend(number.map(|number| if self.released { number | RELEASED } else { number }));
    }
}
