//! Completing the word before the cursor.
//!
//! One candidate takes the word's place. Of several, what they begin with in common does; when that adds nothing they are
//! listed below the line.

use super::{LineEditor, MAX_LINE};
use crate::sort::sort_by;
use crate::words;
use alloc::string::String;
use alloc::vec::Vec;

/// Most candidates that are listed.
const MAX_LISTED: usize = 200;

/// What a word may become.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Candidate {
    /// The whole word, without quoting.
    pub word: String,
    /// What the list shows, such as the last part of a path.
    pub shown: String,
    /// Whether the word ends here, so that a blank comes behind it; a directory's name goes on.
    pub whole: bool,
}

/// Knows what words there are.
pub trait Completer {
    /// The candidates for `word`, which begins with it, behind the words `before` of the same command.
    fn candidates(&mut self, before: &[String], word: &str) -> Vec<Candidate>;
}

/// Knows none.
pub struct NoCompletion;

impl Completer for NoCompletion {
    fn candidates(&mut self, _: &[String], _: &str) -> Vec<Candidate> {
        Vec::new()
    }
}

impl LineEditor {
    /// What Tab does.
    pub(super) fn complete(&mut self, completer: &mut dyn Completer, out: &mut Vec<u8>) {
        let line: String = self.line[..self.cursor].iter().collect();
        let Some(typed) = words::unfinished(&line) else { return out.push(7) };
        let mut candidates = completer.candidates(&typed.before, &typed.text);
        // A name with a control character can neither be shown nor typed.
        candidates.retain(|one| one.word.starts_with(&typed.text) && !one.word.contains(char::is_control));
        sort_by(&mut candidates, |a, b| a < b);
        candidates.dedup();
        let (first, last) = match (candidates.first(), candidates.last()) {
            (Some(first), Some(last)) => (first, last),
            _ => return out.push(7),
        };
        // Of sorted texts the first and the last differ earliest.
        let common: String =
            first.word.chars().zip(last.word.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
        let mut word = words::escape(&common);
        if candidates.len() == 1 && first.whole {
            word.push(' ');
        } else if common == typed.text {
            return self.list(&candidates, out);
        }
        if !self.replace_word(typed.start, &word) {
            out.push(7);
        }
        self.redraw(false, out);
    }

    /// Puts `word` in the place of what is between `start` and the cursor; false if the line would be too long.
    fn replace_word(&mut self, start: usize, word: &str) -> bool {
        let count = word.chars().count();
        if self.line.len() - (self.cursor - start) + count > MAX_LINE {
            return false;
        }
        self.line.splice(start..self.cursor, word.chars());
        self.cursor = start + count;
        true
    }

    /// Lists the candidates in columns below the line, and shows the line again.
    fn list(&mut self, candidates: &[Candidate], out: &mut Vec<u8>) {
        let columns = |one: &Candidate| one.shown.chars().count();
        let width = candidates.iter().take(MAX_LISTED).map(columns).max().unwrap_or(0) + 2;
        let in_line = (self.columns / width).max(1);
        out.extend_from_slice(b"\r\n");
        for line in candidates[..candidates.len().min(MAX_LISTED)].chunks(in_line) {
            for (number, one) in line.iter().enumerate() {
                out.extend_from_slice(one.shown.as_bytes());
                if number + 1 < line.len() {
                    out.resize(out.len() + width - columns(one), b' ');
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        if candidates.len() > MAX_LISTED {
            let more = candidates.len() - MAX_LISTED;
            out.extend_from_slice(alloc::format!("and {more} more\r\n").as_bytes());
        }
        self.redraw(false, out);
    }
}
