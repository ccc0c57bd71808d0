//! The editor against a terminal that interprets what it sends.

use super::*;
use alloc::format;
use alloc::string::ToString;

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
            outcome = self.editor.input(byte, &mut out);
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
