//! Searching the history backwards while typing what the line holds (readline's reverse-search-history).
//!
//! Ctrl-R again looks further back, Backspace takes a character of the text away, Ctrl-G gives the line from before back.
//! Enter takes the line that was found; any other key goes on editing it.

use super::LineEditor;
use super::keys::Key;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Characters of the text looked for; more are refused with a bell.
const MAX_TEXT: usize = 64;

/// A search that goes on.
pub(super) struct Search {
    text: Vec<char>,
    /// The history's line that is shown; its length if none is.
    at: usize,
    /// Nothing holds the text.
    failed: bool,
    /// The line and the cursor from before.
    line: Vec<char>,
    cursor: usize,
}

impl Search {
    /// What stands in the prompt's place, at most `columns` wide.
    pub fn prompt(&self, columns: usize) -> String {
        let what = if self.failed { "not found" } else { "search" };
        let text: String = self.text.iter().collect();
        let whole = format!("({what}) {text}: ");
        // Of a long text the end is what is being typed.
        let too_many = whole.chars().count().saturating_sub(columns);
        whole.chars().skip(too_many).collect()
    }
}

impl LineEditor {
    /// Ctrl-R.
    pub(super) fn begin_search(&mut self, out: &mut Vec<u8>) {
        self.search = Some(Search {
            text: Vec::new(),
            at: self.history.len(),
            failed: false,
            line: self.line.clone(),
            cursor: self.cursor,
        });
        self.redraw(false, out);
    }

    /// Takes a key while searching; false if the search is over and the key is to be taken as usual.
    pub(super) fn search_key(&mut self, key: Key, out: &mut Vec<u8>) -> bool {
        let Some(search) = &mut self.search else { return false };
        match key {
            Key::Text(_) if search.text.len() == MAX_TEXT => out.push(7),
            Key::Text(c) => {
                search.text.push(c);
                let from = search.at + 1;
                self.find(from, out);
            }
            Key::Control(18) => {
                let from = search.at;
                self.find(from, out);
            }
            Key::Backspace if search.text.pop().is_some() => {
                let from = self.history.len();
                self.find(from, out);
            }
            Key::Backspace | Key::Control(7) => {
                self.cursor = search.cursor;
                self.line = core::mem::take(&mut search.line);
                self.search = None;
                self.first_shown = 0;
                self.redraw(false, out);
            }
            _ => {
                self.search = None;
                self.redraw(false, out);
                return false;
            }
        }
        true
    }

    /// Shows the newest line before the `end`-th that holds the text.
    fn find(&mut self, end: usize, out: &mut Vec<u8>) {
        let Some(search) = &mut self.search else { return };
        let text: String = search.text.iter().collect();
        let newest_first = self.history.iter().enumerate().take(end).rev();
        let found = newest_first.map(|(at, line)| (at, line, line.find(&text))).find(|(.., place)| place.is_some());
        search.failed = !text.is_empty() && found.is_none();
        match found {
            Some((at, line, Some(place))) if !text.is_empty() => {
                search.at = at;
                self.cursor = line[..place].chars().count();
                self.line = line.chars().collect();
                self.recalled = self.history.len();
            }
            _ if search.failed => out.push(7),
            _ => {
                search.at = self.history.len();
                (self.line, self.cursor) = (search.line.clone(), search.cursor);
            }
        }
        self.first_shown = 0;
        self.redraw(false, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_shows_its_end() {
        let search = Search { text: ('a'..='z').collect(), at: 0, failed: false, line: Vec::new(), cursor: 0 };
        assert_eq!(
            (search.prompt(80).as_str(), search.prompt(6).as_str()),
            ("(search) abcdefghijklmnopqrstuvwxyz: ", "wxyz: ")
        );
    }
}
