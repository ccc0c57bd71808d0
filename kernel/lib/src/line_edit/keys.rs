//! Keys out of the bytes that a terminal sends: UTF-8 text, control characters, and the escape sequences of VT100 and
//! xterm for arrows, Home, End and Delete.

/// Longest escape sequence that is followed; a longer one is dropped when it ends.
const MAX_PARAMETERS: usize = 16;

/// One key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A printable character.
    Text(char),
    /// A control character, 0 to 31.
    Control(u8),
    /// The key that rubs out to the left: DEL or Ctrl-H.
    Backspace,
    /// Rubs out under the cursor.
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
}

/// Puts bytes together to keys. Whatever is no key vanishes: unknown sequences, bytes that are not UTF-8.
#[derive(Default)]
pub struct Decoder {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Ground,
    /// Inside of a UTF-8 sequence: the bytes so far, and how many it has.
    Utf8 { bytes: [u8; 4], len: usize, wanted: usize },
    /// Behind ESC.
    Escape,
    /// Behind `ESC [`: parameter bytes so far.
    Csi { parameters: [u8; MAX_PARAMETERS], len: usize },
    /// Behind `ESC O`.
    Ss3,
}

impl Decoder {
    /// Takes one byte; gives the key that it ends.
    pub fn input(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.state) {
            State::Ground => self.ground(byte),
            State::Utf8 { bytes, len, wanted } => self.utf8(bytes, len, wanted, byte),
            State::Escape => self.escape(byte),
            State::Csi { parameters, len } => self.csi(parameters, len, byte),
            State::Ss3 => final_key(byte),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        let wanted = match byte {
            0x1b => {
                self.state = State::Escape;
                return None;
            }
            0x08 | 0x7f => return Some(Key::Backspace),
            0..0x20 => return Some(Key::Control(byte)),
            0x20..0x7f => return Some(Key::Text(byte.into())),
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return None,
        };
        self.state = State::Utf8 { bytes: [byte, 0, 0, 0], len: 1, wanted };
        None
    }

    fn utf8(&mut self, mut bytes: [u8; 4], len: usize, wanted: usize, byte: u8) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            // The sequence was cut short; this byte begins something new.
            return self.ground(byte);
        }
        bytes[len] = byte;
        if len + 1 < wanted {
            self.state = State::Utf8 { bytes, len: len + 1, wanted };
            return None;
        }
        let text = core::str::from_utf8(&bytes[..wanted]).ok()?;
        text.chars().next().filter(|c| !c.is_control()).map(Key::Text)
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.state = State::Csi { parameters: [0; MAX_PARAMETERS], len: 0 },
            b'O' => self.state = State::Ss3,
            0x1b => self.state = State::Escape,
            _ => {}
        }
        None
    }

    fn csi(&mut self, mut parameters: [u8; MAX_PARAMETERS], len: usize, byte: u8) -> Option<Key> {
        match byte {
            b'~' => match &parameters[..len.min(MAX_PARAMETERS)] {
                b"1" | b"7" => Some(Key::Home),
                b"3" => Some(Key::Delete),
                b"4" | b"8" => Some(Key::End),
                _ => None,
            },
            0x40..=0x7e => final_key(byte),
            0x20..0x40 => {
                if let Some(slot) = parameters.get_mut(len) {
                    *slot = byte;
                }
                self.state = State::Csi { parameters, len: (len + 1).min(MAX_PARAMETERS + 1) };
                None
            }
            _ => self.ground(byte),
        }
    }
}

/// The key of a sequence that ends with `byte`, whatever its modifiers.
fn final_key(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'F' => Some(Key::End),
        b'H' => Some(Key::Home),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|&byte| decoder.input(byte)).collect()
    }

    #[test]
    fn text_is_utf8() {
        assert_eq!(keys("aß€😀".as_bytes()), "aß€😀".chars().map(Key::Text).collect::<Vec<_>>());
        assert_eq!(keys(b"\xe2\x82x\xffy\x80"), vec![Key::Text('x'), Key::Text('y')]);
    }

    #[test]
    fn sequences_of_all_kinds() {
        assert_eq!(keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[D"), vec![Key::Up, Key::Down, Key::Right, Key::Left]);
        assert_eq!(
            keys(b"\x1b[1~\x1b[4~\x1b[3~\x1b[H\x1bOF"),
            vec![Key::Home, Key::End, Key::Delete, Key::Home, Key::End]
        );
        assert_eq!(keys(b"\x7f\x08\r\x01"), vec![Key::Backspace, Key::Backspace, Key::Control(13), Key::Control(1)]);
    }

    #[test]
    fn unknown_sequences_leave_nothing() {
        assert_eq!(keys(b"\x1b[15~\x1b[?25hx\x1b\x1b[Zy\x1bqz"), vec![Key::Text('x'), Key::Text('y'), Key::Text('z')]);
        let mut long = b"\x1b[".to_vec();
        long.extend([b'1'; 100]);
        long.extend(b"~a");
        assert_eq!(keys(&long), vec![Key::Text('a')]);
    }
}
