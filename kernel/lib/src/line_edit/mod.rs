//! A line editor: typed bytes in, terminal output and finished lines out.
//!
//! Keys are those of readline(3)'s Emacs mode: arrows, Home, End, Delete, Ctrl-A B E F, history by Up, Down, Ctrl-P and N,
//! Ctrl-K U W to cut, Ctrl-L to clear the screen, Ctrl-R to search the history (`search`), Tab to complete words by what
//! a [`Completer`] knows (`complete`). A line wider than the terminal scrolls sideways; every character counts
//! as one column.

mod complete;
mod keys;
mod search;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
pub use complete::{Candidate, Completer, NoCompletion};
use keys::{Decoder, Key};
use search::Search;

/// Characters a line may have; more are refused with a bell.
pub const MAX_LINE: usize = 4096;
/// Columns that a line has at least behind its prompt.
const MIN_ROOM: usize = 8;
/// Lines that are remembered.
pub const MAX_HISTORY: usize = 200;

/// What a key led to, if the editing is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Enter: the line.
    Line(String),
    /// Ctrl-C: the line is dropped.
    Interrupted,
    /// Ctrl-D on an empty line.
    EndOfInput,
}

/// The editor with its history. Between [`LineEditor::begin`] and an [`Outcome`] one line is being edited.
pub struct LineEditor {
    decoder: Decoder,
    prompt: String,
    /// Columns of the prompt and of the terminal.
    prompt_columns: usize,
    columns: usize,
    line: Vec<char>,
    /// Index into `line`, at most its length.
    cursor: usize,
    /// First character of `line` that is shown.
    first_shown: usize,
    history: VecDeque<String>,
    /// Index into `history` of the line shown; its length for the new line.
    recalled: usize,
    /// The new line while an old one is shown.
    draft: Vec<char>,
    /// While the history is searched.
    search: Option<Search>,
}

impl LineEditor {
    /// An editor without history.
    pub fn new() -> Self {
        LineEditor {
            decoder: Decoder::default(),
            prompt: String::new(),
            prompt_columns: 0,
            columns: 80,
            line: Vec::new(),
            cursor: 0,
            first_shown: 0,
            history: VecDeque::new(),
            recalled: 0,
            draft: Vec::new(),
            search: None,
        }
    }

    /// Starts a line behind `prompt`, which may contain colour sequences, on a terminal of `columns` columns.
    pub fn begin(&mut self, prompt: &str, columns: usize, out: &mut Vec<u8>) {
        self.prompt = prompt.into();
        self.prompt_columns = visible_columns(prompt);
        self.columns = columns.max(self.prompt_columns + MIN_ROOM);
        self.line.clear();
        self.cursor = 0;
        self.first_shown = 0;
        self.recalled = self.history.len();
        self.search = None;
        out.extend_from_slice(prompt.as_bytes());
    }

    /// Takes one typed byte; what the terminal has to show is added to `out`. `completer` is asked at Tab.
    pub fn input(&mut self, byte: u8, completer: &mut dyn Completer, out: &mut Vec<u8>) -> Option<Outcome> {
        let key = self.decoder.input(byte)?;
        if self.search.is_some() && self.search_key(key, out) {
            return None;
        }
        match key {
            Key::Control(b'\r' | b'\n') => return Some(Outcome::Line(self.finish(out))),
            Key::Control(3) => {
                out.extend_from_slice(b"^C\r\n");
                return Some(Outcome::Interrupted);
            }
            Key::Control(4) if self.line.is_empty() => return Some(Outcome::EndOfInput),
            Key::Control(9) => self.complete(completer, out),
            Key::Control(18) => self.begin_search(out),
            Key::Text(c) => self.insert(c, out),
            key => {
                if self.edit(key) {
                    self.redraw(key == Key::Control(12), out);
                } else {
                    out.push(7);
                }
            }
        }
        None
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> String {
        if self.cursor != self.line.len() {
            self.cursor = self.line.len();
            self.redraw(false, out);
        }
        out.extend_from_slice(b"\r\n");
        let line: String = self.line.iter().collect();
        if !line.trim().is_empty() && self.history.back() != Some(&line) {
            if self.history.len() == MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(line.clone());
        }
        line
    }

    fn insert(&mut self, c: char, out: &mut Vec<u8>) {
        if self.line.len() == MAX_LINE {
            return out.push(7);
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
        // The usual case, typing at the end, needs no more than the character.
        if self.cursor == self.line.len() && self.cursor - self.first_shown < self.room(self.prompt_columns) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.redraw(false, out);
        }
    }

    /// Does what `key` says; false if there is nothing to do.
    fn edit(&mut self, key: Key) -> bool {
        let len = self.line.len();
        match key {
            Key::Left | Key::Control(2) if self.cursor > 0 => self.cursor -= 1,
            Key::Right | Key::Control(6) if self.cursor < len => self.cursor += 1,
            Key::Home | Key::Control(1) => self.cursor = 0,
            Key::End | Key::Control(5) => self.cursor = len,
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::Delete | Key::Control(4) if self.cursor < len => drop(self.line.remove(self.cursor)),
            Key::Control(11) => self.line.truncate(self.cursor),
            Key::Control(12) => {}
            Key::Control(21) => drop(self.line.drain(..core::mem::take(&mut self.cursor))),
            Key::Control(23) => {
                let start = self.word_start();
                self.line.drain(start..self.cursor);
                self.cursor = start;
            }
            Key::Up | Key::Control(16) if self.recalled > 0 => self.recall(self.recalled - 1),
            Key::Down | Key::Control(14) if self.recalled < self.history.len() => self.recall(self.recalled + 1),
            _ => return false,
        }
        true
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let before = &self.line[..self.cursor];
        let word_end = before.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
        before[..word_end].iter().rposition(|c| *c == ' ').map_or(0, |blank| blank + 1)
    }

    fn recall(&mut self, index: usize) {
        if self.recalled == self.history.len() {
            self.draft = core::mem::take(&mut self.line);
        }
        self.line = match self.history.get(index) {
            Some(line) => line.chars().collect(),
            None => core::mem::take(&mut self.draft),
        };
        self.recalled = index;
        self.cursor = self.line.len();
    }

    /// Columns for the line behind `prompt_columns`; the last one stays empty, for the cursor behind the line.
    fn room(&self, prompt_columns: usize) -> usize {
        self.columns.saturating_sub(prompt_columns).max(MIN_ROOM)
    }

    fn redraw(&mut self, clear_screen: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if clear_screen { b"\x1b[H\x1b[2J".as_slice() } else { b"\r".as_slice() });
        let prompt_columns = match &self.search {
            None => {
                out.extend_from_slice(self.prompt.as_bytes());
                self.prompt_columns
            }
            Some(search) => {
                let prompt = search.prompt(self.columns - MIN_ROOM);
                out.extend_from_slice(prompt.as_bytes());
                prompt.chars().count()
            }
        };
        let room = self.room(prompt_columns);
        if self.cursor < self.first_shown {
            self.first_shown = self.cursor;
        } else if self.cursor - self.first_shown >= room {
            self.first_shown = self.cursor + 1 - room;
        }
        let end = self.line.len().min(self.first_shown + room - 1);
        for c in &self.line[self.first_shown..end] {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice(b"\x1b[K");
        match end - self.cursor.min(end) {
            0 => {}
            back => out.extend_from_slice(alloc::format!("\x1b[{back}D").as_bytes()),
        }
    }
}

impl Default for LineEditor {
    fn default() -> Self {
        LineEditor::new()
    }
}

/// Columns that `text` takes: `ESC [ … letter` sequences take none.
fn visible_columns(text: &str) -> usize {
    let mut decoder = Decoder::default();
    text.bytes().filter_map(|byte| decoder.input(byte)).filter(|key| matches!(key, Key::Text(_))).count()
}

#[cfg(test)]
mod tests;
