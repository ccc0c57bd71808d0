//! Words of the kernel shell: a command line cut into commands, and those into words.
//!
//! Commands end at `;` or a newline. `'…'` keeps everything as it is; `"…"` keeps everything but backslash escapes of
//! `"`, `\`, `$` and `` ` ``; outside of quotes a backslash keeps any character. A backslash and a newline are both
//! dropped. `#` at the beginning of a word starts a comment up to the end of the line. Adjacent parts make one word, as
//! in `a'b c'd`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::iter::Peekable;
use core::str::CharIndices;

/// A command line cut into commands with at least one word each.
pub fn split_commands(line: &str) -> Result<Vec<Vec<String>>, WordsError> {
    let mut splitter = Splitter::new(line);
    while splitter.step()? {}
    splitter.end_command();
    Ok(splitter.commands)
}

/// `word` so quoted that [`split_commands`] gives it back as one word.
pub fn quote(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        return String::from(word);
    }
    let mut quoted = String::from("'");
    for c in word.chars() {
        match c {
            '\'' => quoted.push_str("'\\''"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// Whether a character stands for itself wherever it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c) || !(c.is_ascii() || c.is_whitespace())
}

/// `text` with a backslash before each character that means something, so that it can be part of a word.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if !is_plain(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A word that is being typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// The words of its command before it.
    pub before: Vec<String>,
    /// Characters of the line before it.
    pub start: usize,
    /// What there is of it, without quotes and backslashes.
    pub text: String,
}

/// The word at the end of `line`: an empty one behind a blank. None in a comment, between quotes, and behind a backslash.
pub fn unfinished(line: &str) -> Option<Unfinished> {
    let mut splitter = Splitter::new(line);
    loop {
        let (start, words) = (splitter.column, splitter.words.len());
        if splitter.peek() == Some('#') || !splitter.step().ok()? {
            let ended = splitter.peek().is_none();
            return ended.then(|| Unfinished { before: splitter.words, start, text: String::new() });
        }
        if splitter.words.len() > words && splitter.peek().is_none() {
            let text = splitter.words.pop().unwrap_or_default();
            return Some(Unfinished { before: splitter.words, start, text });
        }
    }
}

/// What GRUB's loaders make of arguments, undone: they put an argument that contains spaces into double quotes and a
/// backslash before each `\`, `'` and `"`. A backslash and what follows it become the latter, other `"` go.
pub fn grub_unescape(command_line: &str) -> String {
    let mut plain = String::new();
    let mut chars = command_line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next().or(Some('\\'))),
            '"' => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Why a line cannot be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordsError {
    /// A quote without its end.
    UnterminatedQuote {
        /// The quote.
        quote: char,
        /// Where it is: characters from the beginning of the text, the first being 1.
        column: usize,
    },
    /// A backslash as the last character.
    TrailingBackslash {
        /// Where it is.
        column: usize,
    },
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnterminatedQuote { quote, column } => write!(f, "unterminated {quote} at column {column}"),
            Self::TrailingBackslash { column } => write!(f, "nothing after the backslash at column {column}"),
        }
    }
}

impl core::error::Error for WordsError {}

/// The state of cutting.
struct Splitter<'a> {
    chars: Peekable<CharIndices<'a>>,
    /// Characters taken so far: the column of the last one.
    column: usize,
    commands: Vec<Vec<String>>,
    words: Vec<String>,
}

impl<'a> Splitter<'a> {
    fn new(line: &'a str) -> Self {
        Splitter { chars: line.char_indices().peekable(), column: 0, commands: Vec::new(), words: Vec::new() }
    }

    /// Takes a separator, a comment or a word; false at the end.
    fn step(&mut self) -> Result<bool, WordsError> {
        match self.peek() {
            None => return Ok(false),
            Some(';' | '\n') => {
                self.next();
                self.end_command();
            }
            Some('#') => while self.peek().is_some_and(|c| c != '\n') && self.next().is_some() {},
            Some(c) if c.is_whitespace() => {
                self.next();
            }
            Some(_) => {
                let word = self.word()?;
                self.words.extend(word);
            }
        }
        Ok(true)
    }

    /// Takes one word; `None` if nothing but an escaped newline was there.
    fn word(&mut self) -> Result<Option<String>, WordsError> {
        let mut word = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek().filter(|&c| c != ';' && !c.is_whitespace()) {
            self.next();
            match c {
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '\\' => self.escaped(&mut word)?,
                other => word.push(other),
            }
            quoted |= c == '\'' || c == '"';
        }
        Ok((quoted || !word.is_empty()).then_some(word))
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), WordsError> {
        let column = self.column;
        loop {
            match self.next().ok_or(WordsError::UnterminatedQuote { quote: '\'', column })? {
                '\'' => return Ok(()),
                other => word.push(other),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), WordsError> {
        let column = self.column;
        let unterminated = WordsError::UnterminatedQuote { quote: '"', column };
        loop {
            match self.next().ok_or(unterminated)? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(unterminated)? {
                    '\n' => {}
                    kept @ ('"' | '\\' | '$' | '`') => word.push(kept),
                    other => word.extend(['\\', other]),
                },
                other => word.push(other),
            }
        }
    }

    fn escaped(&mut self, word: &mut String) -> Result<(), WordsError> {
        let column = self.column;
        match self.next().ok_or(WordsError::TrailingBackslash { column })? {
            '\n' => {}
            other => word.push(other),
        }
        Ok(())
    }

    fn end_command(&mut self) {
        if !self.words.is_empty() {
            self.commands.push(core::mem::take(&mut self.words));
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|&(_, c)| c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        self.column += 1;
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn commands(line: &str) -> Vec<Vec<String>> {
        split_commands(line).unwrap()
    }

    #[test]
    fn commands_and_words() {
        assert_eq!(commands("mount 2; ls /\texit"), [["mount", "2"].as_slice(), &["ls", "/", "exit"]]);
        assert_eq!(commands(" ;; a\n\nb;"), [["a"], ["b"]]);
        assert!(commands(" \t ;\n # nothing").is_empty());
    }

    #[test]
    fn quotes_keep() {
        assert_eq!(commands(r#"echo 'a;  "b\' "c; 'd'""#), [["echo", r#"a;  "b\"#, "c; 'd'"]]);
        assert_eq!(commands(r#"a'b c'"d e"f '' """#), [["ab cd ef", "", ""]]);
        assert_eq!(commands(r#""\"\\\$\`\n" \;\ \'"#), [[r#""\$`\n"#, "; '"]]);
        assert_eq!(commands("a\\\nb \\\n \"c\\\nd\""), [["ab", "cd"]]);
    }

    #[test]
    fn comments_begin_at_words() {
        assert_eq!(commands("a b#c # d; e\nf"), [["a", "b#c"].as_slice(), &["f"]]);
        assert_eq!(commands("'#' \\#"), [["#", "#"]]);
    }

    #[test]
    fn errors_name_the_column() {
        assert_eq!(split_commands("é 'b").unwrap_err().to_string(), "unterminated ' at column 3");
        assert_eq!(split_commands("a \"b\\\"").unwrap_err().to_string(), "unterminated \" at column 3");
        assert_eq!(split_commands("ab\\").unwrap_err().to_string(), "nothing after the backslash at column 3");
    }

    #[test]
    fn grub_is_undone() {
        assert_eq!(grub_unescape(r#"plain "exec /bin/sh -c \'a; b\'" c"#), "plain exec /bin/sh -c 'a; b' c");
        assert_eq!(grub_unescape(r#"\\ \" \"#), "\\ \" \\");
    }

    #[test]
    fn spaces_of_all_scripts_are_quoted() {
        assert_eq!(commands(&quote("\u{2000}")), [["\u{2000}"]]);
        assert_eq!(quote("größe"), "größe");
    }

    #[test]
    fn the_word_being_typed() {
        let word = |line: &str| unfinished(line).map(|word| (word.before.len(), word.start, word.text));
        assert_eq!(word(""), Some((0, 0, "".into())));
        assert_eq!(word("ls /b"), Some((1, 3, "/b".into())));
        assert_eq!(word("ls  "), Some((1, 4, "".into())));
        assert_eq!(word("a b; c 'd e' f\\ g"), Some((2, 13, "f g".into())));
        assert_eq!(word("é;x"), Some((0, 2, "x".into())));
        assert_eq!([word("a 'b"), word("a \\"), word("a # b")], [None, None, None]);
    }

    proptest! {
        #[test]
        fn escaping_comes_back(before in "[a-c ;]{0,9}", text in "[^\\n]{1,20}") {
            let word = unfinished(&alloc::format!("{before} {}", escape(&text)));
            prop_assert_eq!(word.map(|word| word.text), Some(text));
        }

        #[test]
        fn quoting_comes_back(words in prop::collection::vec(any::<String>(), 1..5)) {
            let line: Vec<String> = words.iter().map(|word| quote(word)).collect();
            prop_assert_eq!(commands(&line.join(" ")), [words]);
        }

        #[test]
        fn any_text_is_cut_or_refused(line in r#"[ab;'"\\# \n$]{0,30}"#) {
            if let Ok(commands) = split_commands(&line) {
                prop_assert!(commands.iter().all(|command| !command.is_empty()));
            }
        }
    }
}
