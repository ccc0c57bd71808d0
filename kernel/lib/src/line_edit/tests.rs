//! The editor against a terminal that interprets what it sends.

use super::*;
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

/// One line of a terminal: what is shown, and where the cursor is.
#[derive(Default)]
struct Screen {
    cells: Vec<char>,
    column: usize,
}

impl Screen {
    fn show(&mut self, bytes: &[u8]) {
        let mut text = core::str::from_utf8(bytes).expect("the editor sends UTF-8").chars();
        while let Some(c) = text.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => *self = Screen::default(),
                '\x07' => {}
                '\x1b' => self.sequence(&mut text),
                c => {
                    self.cells.resize(self.cells.len().max(self.column + 1), ' ');
                    self.cells[self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn sequence(&mut self, text: &mut core::str::Chars<'_>) {
        assert_eq!(text.next(), Some('['));
        let mut number = String::new();
        loop {
            match text.next().expect("sequences end") {
                digit @ ('0'..='9' | ';') => number.push(digit),
                'K' => break self.cells.truncate(self.column),
                'D' => break self.column -= number.parse::<usize>().unwrap(),
                'H' => break self.column = 0,
                'J' => break self.cells.clear(),
                'm' => break,
                other => panic!("unknown sequence {number}{other}"),
            }
        }
    }

    fn text(&self) -> String {
        self.cells.iter().collect::<String>().trim_end().to_string()
    }
}

/// Completes the first word to a verb and the others to animals and places.
struct Animals;

impl Completer for Animals {
    fn candidates(&mut self, before: &[String], word: &str) -> Vec<Candidate> {
        let words: &[&str] = match before.len() {
            0 => &["feed", "find", "free"],
            _ => &["cat", "camel", "camel driver", "/barn/", "/barn/hen", "/barn/hay loft", "odd\ncat"],
        };
        words
            .iter()
            .filter(|one| one.starts_with(word))
            .map(|one| Candidate {
                word: one.to_string(),
                shown: one.trim_end_matches('/').rsplit('/').next().unwrap_or(one).into(),
                whole: !one.ends_with('/'),
            })
            .collect()
    }
}

/// An editor at its prompt `> `.
struct Session {
    editor: LineEditor,
    screen: Screen,
}

impl Session {
    fn new(columns: usize) -> Self {
        let mut session = Session { editor: LineEditor::new(), screen: Screen::default() };
        session.begin(columns);
        session
    }

    fn begin(&mut self, columns: usize) {
        let mut out = Vec::new();
        self.editor.begin("\x1b[32m> \x1b[0m", columns, &mut out);
        self.screen.show(&out);
    }

    fn type_keys(&mut self, keys: &str) -> Option<Outcome> {
        let mut outcome = None;
        for byte in keys.bytes() {
            assert_eq!(outcome, None, "keys behind the end of the line");
            let mut out = Vec::new();
            outcome = self.editor.input(byte, &mut Animals, &mut out);
            self.screen.show(&out);
        }
        outcome
    }

    fn line(&mut self, keys: &str) -> String {
        match self.type_keys(&format!("{keys}\r")) {
            Some(Outcome::Line(line)) => {
                self.begin(80);
                line
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn editing_keys() {
    let mut session = Session::new(80);
    assert_eq!(session.line("helo\x1b[Dl"), "hello");
    assert_eq!(session.line("xhello\x01\x04"), "hello");
    assert_eq!(session.line("hello\x1b[H\x1b[3~\x1b[F!"), "ello!");
    assert_eq!(session.line("one two  \x17three"), "one three");
    assert_eq!(session.line("one two\x02\x02\x0b"), "one t");
    assert_eq!(session.line("one two\x02\x02\x15"), "wo");
    assert_eq!(session.line("\x7f\x1b[D\x1b[C\x1b[Ba"), "a");
}

#[test]
fn the_screen_shows_line_and_cursor() {
    let mut session = Session::new(80);
    session.type_keys("heßlo\x1b[D\x1b[D\x7f");
    assert_eq!((session.screen.text().as_str(), session.screen.column), ("> helo", 4));
    session.type_keys("\x0c");
    assert_eq!((session.screen.text().as_str(), session.screen.column), ("> helo", 4));
    session.type_keys("\x15");
    assert_eq!((session.screen.text().as_str(), session.screen.column), ("> lo", 2));
}

#[test]
fn history_keeps_the_draft() {
    let mut session = Session::new(80);
    for line in ["one", "two", "two", " ", "three"] {
        session.line(line);
    }
    assert_eq!(session.line("\x1b[A"), "three");
    assert_eq!(session.line("\x1b[A\x1b[A"), "two");
    assert_eq!(session.line("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A"), "one");
    session.type_keys("draft\x1b[A\x1b[A\x1b[B\x1b[B");
    assert_eq!(session.screen.text(), "> draft");
    assert_eq!(session.line("s"), "drafts");
}

#[test]
fn history_is_bounded() {
    let mut session = Session::new(80);
    for n in 0..MAX_HISTORY + 5 {
        session.line(&n.to_string());
    }
    assert_eq!(session.editor.history.len(), MAX_HISTORY);
    assert_eq!(session.line(&"\x1b[A".repeat(MAX_HISTORY + 9)), "5");
}

#[test]
fn long_lines_scroll_within_their_columns() {
    let mut session = Session::new(20);
    let long: String = ('a'..='z').collect();
    session.type_keys(&long);
    assert!(session.screen.column < 20 && session.screen.text().ends_with('z'), "{}", session.screen.text());
    session.type_keys("\x01");
    assert_eq!(session.screen.column, 2);
    assert!(session.screen.text().starts_with("> abc"), "{}", session.screen.text());
    assert!(session.screen.cells.len() < 20);
    assert_eq!(session.line(""), long);
}

#[test]
fn a_line_has_an_end() {
    let mut session = Session::new(80);
    session.type_keys(&"x".repeat(MAX_LINE + 10));
    assert_eq!(session.line("").len(), MAX_LINE);
}

#[test]
fn control_c_and_d() {
    let mut session = Session::new(80);
    assert_eq!(session.type_keys("exit 9\x03"), Some(Outcome::Interrupted));
    session.begin(80);
    assert_eq!(session.type_keys("\x04"), Some(Outcome::EndOfInput));
    assert_eq!(session.type_keys("ab\x01\x04\r"), Some(Outcome::Line("b".into())));
}

#[test]
fn tab_completes_the_word_before_the_cursor() {
    let mut session = Session::new(80);
    assert_eq!(session.line("fi\tcat\t!"), "find cat !");
    assert_eq!(session.line("fe\tcam\t"), "feed camel");
    assert_eq!(session.line("x; fr\t/b\th\t"), "x; free /barn/h");
    assert_eq!(session.line("fr\t/barn/ha\t"), "free /barn/hay\\ loft ");
    assert_eq!(session.line("x camel\\ d\tz"), "x camel\\ driver z");
    assert_eq!(session.line("x 'cat'\t"), "x cat ");
    assert_eq!(session.line("fin x\x01\x1b[C\x1b[C\x1b[C\t"), "find  x", "in the middle of the line");
    for nothing in ["x z\t", "x 'c\t", "x # c\t", "x odd\t"] {
        let mut out = Vec::new();
        for byte in nothing.bytes() {
            session.editor.input(byte, &mut Animals, &mut out);
        }
        assert_eq!(out.last(), Some(&7), "{nothing:?} has nothing to become");
        session.type_keys("\x15\x0b");
    }
}

#[test]
fn several_candidates_are_listed() {
    let mut session = Session::new(80);
    session.type_keys("f");
    let mut out = Vec::new();
    session.editor.input(9, &mut Animals, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "\r\nfeed  find  free\r\n\r\x1b[32m> \x1b[0mf\x1b[K");
    session.screen.show(text.as_bytes());
    assert_eq!(session.line("ind"), "find");
    let long = "x".repeat(MAX_LINE - 1);
    assert_eq!(session.line(&format!("{long};f\t")).len(), MAX_LINE, "no room for more");
}

#[test]
fn the_history_is_searched() {
    let mut session = Session::new(80);
    for line in ["mount 2", "exec /bin/hello", "ls /", "exec /bin/primes 10", "help"] {
        session.line(line);
    }
    session.type_keys("draft\x12exe");
    assert_eq!(session.screen.text(), "(search) exe: exec /bin/primes 10");
    session.type_keys("\x12");
    assert_eq!(session.screen.text(), "(search) exe: exec /bin/hello");
    session.type_keys("\x12");
    assert_eq!(session.screen.text(), "(not found) exe: exec /bin/hello");
    session.type_keys("\x7f\x7f\x7f");
    assert_eq!(session.screen.text(), "(search) : draft");
    session.type_keys("mou");
    assert_eq!(session.screen.text(), "(search) mou: mount 2");
    session.type_keys("\x07");
    assert_eq!((session.screen.text().as_str(), session.screen.column), ("> draft", 7));
    assert_eq!(session.line("\x15\x12ls"), "ls /");
    session.type_keys("\x12prim\x05");
    assert_eq!(session.screen.text(), "> exec /bin/primes 10");
    assert_eq!(session.line("00"), "exec /bin/primes 1000");
    assert_eq!(session.type_keys("\x12hel\x03"), Some(Outcome::Interrupted));
    session.begin(80);
    assert_eq!(session.line("\x1b[A"), "exec /bin/primes 1000");
}

proptest! {
    #[test]
    fn any_keys_keep_the_editor_whole(columns in 0usize..40, keys in "([a-f ;'/\\\\]|\t|\r|\x12|\x07|\x7f|\x1b\\[[ABCD]|\x01|\x05|\x0b|\x15|\x17){0,80}") {
        let mut editor = LineEditor::new();
        editor.begin("> ", columns, &mut Vec::new());
        for byte in keys.bytes() {
            let mut out = Vec::new();
            if editor.input(byte, &mut Animals, &mut out).is_some() {
                editor.begin("> ", columns, &mut out);
            }
            prop_assert!(editor.cursor <= editor.line.len() && editor.first_shown <= editor.cursor);
            prop_assert!(editor.line.len() <= MAX_LINE && core::str::from_utf8(&out).is_ok());
        }
    }
}
