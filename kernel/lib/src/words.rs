//! Command lines of the kernel shell: commands separated by `;` or line ends, words separated by blanks, quoting.
//!
//! `'…'` keeps everything, `"…"` everything but a backslash before `"` or `\`; outside of quotes a backslash keeps the
//! next character. `#` at the start of a word begins a comment.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What is wrong with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordsError {
    /// The quote that begins at this column (from 1, in characters) does not end.
    UnterminatedQuote(usize),
    /// The line ends with a backslash.
    TrailingBackslash,
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WordsError::UnterminatedQuote(column) => write!(f, "the quote at column {column} does not end"),
            WordsError::TrailingBackslash => write!(f, "a backslash at the end keeps nothing"),
        }
    }
}

/// The commands of a line, each as it was typed, without blanks around it; empty ones are left out. A quote that does not
/// end reaches to the end of the line, where [`split`] will complain.
pub fn commands(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    core::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let end = command_end(rest);
            let command = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            command.trim()
        })
    })
    .filter(|command| !command.is_empty() && !command.starts_with('#'))
}

/// Where the first command of `line` ends: at a `;` or line end outside of quotes and comments, or at the line's end.
fn command_end(line: &str) -> usize {
    let mut quote = None;
    let mut comment = false;
    let mut before = ' ';
    let mut characters = line.char_indices();
    while let Some((index, character)) = characters.next() {
        match (quote, character) {
            (None, '\n') => return index,
            (None, _) if comment => {}
            (None, ';') => return index,
            (None, '#') if before == ' ' || before == '\t' => comment = true,
            (None, '\'' | '"') => quote = Some(character),
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        before = character;
    }
    line.len()
}

/// The words of one command, as [`commands`] gives it.
pub fn split(command: &str) -> Result<Vec<String>, WordsError> {
    let mut splitter = Splitter { words: Vec::new(), word: None };
    let mut characters = command.chars().enumerate().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => splitter.end_word(),
            '#' if splitter.word.is_none() => break,
            '\'' => loop {
                match characters.next() {
                    Some((_, '\'')) => break splitter.keep(""),
                    Some((_, character)) => splitter.push(character),
                    None => return Err(WordsError::UnterminatedQuote(index + 1)),
                }
            },
            '"' => loop {
                match characters.next() {
                    Some((_, '"')) => break splitter.keep(""),
                    Some((_, '\\')) => match characters.next_if(|&(_, next)| next == '"' || next == '\\') {
                        Some((_, kept)) => splitter.push(kept),
                        None => splitter.push('\\'),
                    },
                    Some((_, character)) => splitter.push(character),
                    None => return Err(WordsError::UnterminatedQuote(index + 1)),
                }
            },
            '\\' => match characters.next() {
                Some((_, kept)) => splitter.push(kept),
                None => return Err(WordsError::TrailingBackslash),
            },
            character => splitter.push(character),
        }
    }
    splitter.end_word();
    Ok(splitter.words)
}

struct Splitter {
    words: Vec<String>,
    /// The word under way; Some("") after an empty quote.
    word: Option<String>,
}

impl Splitter {
    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn keep(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }
}

/// Undoes what GRUB does to a kernel's command line: it puts an argument with a blank into double quotes and a backslash
/// before each `"`, `'` and backslash.
pub fn grub_unescape(line: &str) -> String {
    let mut out = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            '"' => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;
    use std::format;

    fn words(line: &str) -> Vec<Vec<String>> {
        commands(line).map(|command| split(command).unwrap()).filter(|words| !words.is_empty()).collect()
    }

    #[test]
    fn separators_quotes_and_comments() {
        assert_eq!(words("mount 2; ls  /;;\nexit"), [vec!["mount", "2"], vec!["ls", "/"], vec!["exit"]]);
        assert_eq!(words(r#"echo 'a;b' "c d" e\ f "" x"y"z"#), [["echo", "a;b", "c d", "e f", "", "xyz"]]);
        assert_eq!(words(r#"echo "\"\\\n""#), [["echo", r#""\\n"#]]);
        assert_eq!(words("ls # all; of it\npwd a#b"), [vec!["ls"], vec!["pwd", "a#b"]]);
        assert!(words(" ; ;# x").is_empty());
    }

    #[test]
    fn commands_come_as_typed() {
        let line = " ls  /; echo 'a;b' \";\" \\; ;x # y; z\nw 'q; r";
        assert_eq!(commands(line).collect::<Vec<_>>(), ["ls  /", "echo 'a;b' \";\" \\;", "x # y; z", "w 'q; r"]);
        assert_eq!(split("w 'q; r"), Err(WordsError::UnterminatedQuote(3)));
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(split("a 'b"), Err(WordsError::UnterminatedQuote(3)));
        assert_eq!(split("\"x"), Err(WordsError::UnterminatedQuote(1)));
        assert_eq!(split("x\\"), Err(WordsError::TrailingBackslash));
    }

    #[test]
    fn grub_quoting_is_undone() {
        assert_eq!(grub_unescape(r#""echo \'a b\' \"c\" \\ $x; exit""#), r#"echo 'a b' "c" \ $x; exit"#);
        assert_eq!(grub_unescape("quiet"), "quiet");
    }

    proptest! {
        #[test]
        fn any_word_survives_single_quotes(word in "[^']{0,20}") {
            prop_assert_eq!(words(&format!("a '{word}' b")), [["a".to_string(), word, "b".to_string()]]);
        }

        #[test]
        fn what_grub_escapes_comes_back(line in "[ -~]{0,40}") {
            let mut escaped = String::from("\"");
            for character in line.chars() {
                if matches!(character, '"' | '\'' | '\\') {
                    escaped.push('\\');
                }
                escaped.push(character);
            }
            escaped.push('"');
            prop_assert_eq!(grub_unescape(&escaped), line);
        }
    }
}
