//! What keys send that are no characters (xterm's ctlseqs, "PC-Style Function Keys"), and characters with Ctrl.

use alloc::vec::Vec;
use pc_keyboard::KeyCode;

/// The modifiers that change a sequence.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub shift: bool,
    pub alt: bool,
    pub control: bool,
}

impl Held {
    /// xterm's number for them; 1 if there are none.
    fn number(self) -> u8 {
        1 + u8::from(self.shift) + 2 * u8::from(self.alt) + 4 * u8::from(self.control)
    }
}

/// How a key's sequence is made.
enum Shape {
    /// `ESC [ letter`, or `ESC O letter` in the mode of application cursor keys.
    Cursor(u8),
    /// `ESC O letter`.
    Function(u8),
    /// `ESC [ number ~`.
    Numbered(u8),
    /// These bytes, behind an ESC if Alt is held.
    Plain(&'static [u8]),
}

fn shape(code: KeyCode, held: Held) -> Option<Shape> {
    Some(match code {
        KeyCode::ArrowUp => Shape::Cursor(b'A'),
        KeyCode::ArrowDown => Shape::Cursor(b'B'),
        KeyCode::ArrowRight => Shape::Cursor(b'C'),
        KeyCode::ArrowLeft => Shape::Cursor(b'D'),
        KeyCode::End => Shape::Cursor(b'F'),
        KeyCode::Home => Shape::Cursor(b'H'),
        KeyCode::F1 => Shape::Function(b'P'),
        KeyCode::F2 => Shape::Function(b'Q'),
        KeyCode::F3 => Shape::Function(b'R'),
        KeyCode::F4 => Shape::Function(b'S'),
        KeyCode::Insert => Shape::Numbered(2),
        KeyCode::Delete => Shape::Numbered(3),
        KeyCode::PageUp => Shape::Numbered(5),
        KeyCode::PageDown => Shape::Numbered(6),
        KeyCode::F5 => Shape::Numbered(15),
        KeyCode::F6 => Shape::Numbered(17),
        KeyCode::F7 => Shape::Numbered(18),
        KeyCode::F8 => Shape::Numbered(19),
        KeyCode::F9 => Shape::Numbered(20),
        KeyCode::F10 => Shape::Numbered(21),
        KeyCode::F11 => Shape::Numbered(23),
        KeyCode::F12 => Shape::Numbered(24),
        KeyCode::Escape => Shape::Plain(b"\x1b"),
        KeyCode::Return | KeyCode::NumpadEnter => Shape::Plain(b"\r"),
        KeyCode::Tab if held.shift => Shape::Plain(b"\x1b[Z"),
        KeyCode::Tab => Shape::Plain(b"\t"),
        KeyCode::Backspace if held.control => Shape::Plain(b"\x08"),
        KeyCode::Backspace => Shape::Plain(b"\x7f"),
        _ => return None,
    })
}

/// Whether the key sends a sequence.
pub(super) fn is_no_character(code: KeyCode, held: Held) -> bool {
    shape(code, held).is_some()
}

/// Adds what the key sends; false if it is a character's key, or none.
pub(super) fn push(code: KeyCode, held: Held, application_cursor: bool, out: &mut Vec<u8>) -> bool {
    let Some(shape) = shape(code, held) else { return false };
    let number = held.number();
    match shape {
        Shape::Plain(bytes) => {
            if held.alt {
                out.push(0x1b);
            }
            out.extend_from_slice(bytes);
        }
        Shape::Cursor(letter) if number == 1 && !application_cursor => out.extend_from_slice(&[0x1b, b'[', letter]),
        Shape::Cursor(letter) | Shape::Function(letter) if number == 1 => {
            out.extend_from_slice(&[0x1b, b'O', letter]);
        }
        Shape::Cursor(letter) | Shape::Function(letter) => {
            out.extend_from_slice(&[0x1b, b'[', b'1', b';', b'0' + number, letter]);
        }
        Shape::Numbered(key) => {
            out.extend_from_slice(b"\x1b[");
            if key >= 10 {
                out.push(b'0' + key / 10);
            }
            out.push(b'0' + key % 10);
            if number > 1 {
                out.extend_from_slice(&[b';', b'0' + number]);
            }
            out.push(b'~');
        }
    }
    true
}

/// The control character of a key that types `c`.
pub(super) fn control(c: char) -> Option<char> {
    let code = match c {
        '@'..='_' | 'a'..='z' => c as u8 & 0x1f,
        ' ' | '2' => 0,
        '3'..='7' => c as u8 - b'3' + 0x1b,
        '/' | '-' => 0x1f,
        '8' | '?' => 0x7f,
        _ => return None,
    };
    Some(code.into())
}
