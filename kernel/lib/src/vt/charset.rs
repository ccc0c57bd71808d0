//! Character sets of 94 characters that take the place of ASCII: DEC's line drawing and the British one.

/// A set that can be designated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Charset {
    #[default]
    Ascii,
    /// DEC Special Graphics.
    LineDrawing,
    /// `£` in place of `#`.
    British,
}

/// The sets designated as G0 to G3, and which of them are in use.
#[derive(Clone, Copy, Default)]
pub(super) struct Charsets {
    designated: [Charset; 4],
    /// In use for good (SI, SO, LS2, LS3).
    locked: usize,
    /// In use for the next character alone (SS2, SS3).
    single: Option<usize>,
}

impl Charsets {
    pub fn designate(&mut self, slot: usize, set: Charset) {
        self.designated[slot] = set;
    }

    pub fn lock(&mut self, slot: usize) {
        self.locked = slot;
    }

    pub fn shift_once(&mut self, slot: usize) {
        self.single = Some(slot);
    }

    /// What is shown for a character that a program sent.
    pub fn map(&mut self, c: char) -> char {
        let slot = self.single.take().unwrap_or(self.locked);
        match (self.designated[slot], c) {
            (Charset::LineDrawing, '_'..='~') => LINE_DRAWING[c as usize - '_' as usize],
            (Charset::British, '#') => '£',
            _ => c,
        }
    }
}

/// DEC Special Graphics from 0x5f to 0x7e.
const LINE_DRAWING: [char; 32] = [
    '\u{a0}', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├',
    '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];
