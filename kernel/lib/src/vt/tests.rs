//! Literal sequences and what they leave on the screen; any bytes at all, and what must hold after them.

use super::*;
use alloc::string::{String, ToString};
use alloc::vec;
use proptest::prelude::*;

fn screen(columns: usize, rows: usize) -> Screen {
    Screen::new(columns, rows, 5).expect("memory")
}

/// A screen of 10 by 4 after `text`.
fn after(text: &str) -> Screen {
    let mut screen = screen(10, 4);
    screen.write(text.as_bytes());
    screen
}

fn row(screen: &Screen, row: usize) -> String {
    screen.shown_row(row).iter().map(|cell| cell.character).collect::<String>().trim_end().to_string()
}

fn rows(screen: &Screen) -> Vec<String> {
    (0..screen.size().1).map(|number| row(screen, number)).collect()
}

fn style(screen: &Screen, at_row: usize, column: usize) -> Style {
    screen.shown_row(at_row)[column].style
}

fn reply(text: &str) -> String {
    String::from_utf8(after(text).take_reply()).expect("answers are ASCII")
}

#[test]
fn a_character_cut_in_two_loses_nothing_of_what_follows() {
    let mut screen = screen(10, 1);
    let text = "é0─x".as_bytes();
    for at in 0..=text.len() {
        screen.write(b"\r\x1b[K");
        screen.write(&text[..at]);
        screen.write(&text[at..]);
        assert_eq!(rows(&screen)[0], "é0─x", "cut at {at}");
    }
    screen.write(b"\r\x1b[K\xe2");
    screen.write(b"A");
    assert_eq!(rows(&screen)[0], "\u{fffd}A", "what is no character is told, and what follows is there");
}

#[test]
fn text_wraps_when_the_next_character_comes() {
    let screen = after("0123456789");
    assert_eq!((row(&screen, 0).as_str(), screen.cursor()), ("0123456789", Some((0, 9))));
    let screen = after("0123456789ab\r\ncd");
    assert_eq!(rows(&screen), ["0123456789", "ab", "cd", ""]);
    assert_eq!(rows(&after("\x1b[?7l0123456789ab")), ["012345678b", "", "", ""]);
    assert_eq!(rows(&after("0123456789\x08x")), ["01234567x9", "", "", ""]);
}

#[test]
fn lines_scroll_off_into_the_history() {
    let mut screen = after("a\r\nb\r\nc\r\nd\r\ne\r\nf");
    assert_eq!(rows(&screen), ["c", "d", "e", "f"]);
    screen.scroll_view(1);
    assert_eq!((rows(&screen), screen.cursor()), (vec!["b".into(), "c".into(), "d".into(), "e".to_string()], None));
    screen.scroll_view(10);
    assert_eq!(row(&screen, 0), "a");
    screen.write(b"\r\ng");
    assert_eq!((row(&screen, 0).as_str(), screen.view()), ("a", 3), "the view stays where it is");
    screen.reset_view();
    assert_eq!(rows(&screen), ["d", "e", "f", "g"]);
    screen.write(b"\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8");
    screen.scroll_view(100);
    assert_eq!((screen.view(), row(&screen, 0).as_str()), (5, "g"), "no more than the limit is kept");
    screen.write(b"\x1b[3J");
    assert_eq!((screen.view(), row(&screen, 0).as_str()), (0, "5"));
}

#[test]
fn the_cursor_moves() {
    let at = |text: &str| after(text).cursor().expect("visible");
    assert_eq!(at("\x1b[3;4H"), (2, 3));
    assert_eq!(at("\x1b[3;4f\x1b[A\x1b[2D"), (1, 1));
    assert_eq!(at("\x1b[99;99H"), (3, 9));
    assert_eq!(at("\x1b[2B\x1b[3C\x1b[E"), (3, 0));
    assert_eq!(at("\x1b[4;4H\x1b[2F"), (1, 0));
    assert_eq!(at("\x1b[5G\x1b[3d"), (2, 4));
    assert_eq!(at("ab\r\x1b[99D\x1b[99A"), (0, 0));
    assert_eq!(at("\x1b[2;3H\x1b7\x1b[H\x1b8"), (1, 2));
    assert_eq!(at("\x1b[2;3H\x1b[s\x1b[H\x1b[u"), (1, 2));
    assert_eq!(at("\x1b[65535;65535H\x1b[65535C\x1b[65535B"), (3, 9));
    assert_eq!(after("\x1b[?25l").cursor(), None);
    assert_eq!(after("\x1b[?25l\x1b[?25h").cursor(), Some((0, 0)));
}

#[test]
fn tabs() {
    let mut screen = screen(30, 2);
    screen.write(b"\tx\ty\x1b[Zz");
    assert_eq!(row(&screen, 0), "        x       z");
    screen.write(b"\r\x1b[3g\x1b[5G\x1bH\r\tw\r\x1b[I\x1b[I");
    assert_eq!((row(&screen, 0).as_str(), screen.cursor()), ("    w   x       z", Some((0, 29))));
}

#[test]
fn erasing() {
    let text = "aaaaaaaaaa\r\nbbbbbbbbbb\r\ncccccccccc\x1b[2;4H";
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[K"))), ["aaaaaaaaaa", "bbb", "cccccccccc", ""]);
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[1K"))), ["aaaaaaaaaa", "    bbbbbb", "cccccccccc", ""]);
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[2K"))), ["aaaaaaaaaa", "", "cccccccccc", ""]);
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[J"))), ["aaaaaaaaaa", "bbb", "", ""]);
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[1J"))), ["", "    bbbbbb", "cccccccccc", ""]);
    let screen = after(&(text.to_string() + "\x1b[44m\x1b[2J"));
    assert_eq!((rows(&screen), screen.cursor(), screen.clears()), (vec![String::new(); 4], Some((1, 3)), 1));
    assert_eq!(style(&screen, 3, 9).background, Colour::Indexed(4));
    assert_eq!(rows(&after(&(text.to_string() + "\x1b[3X")))[1], "bbb   bbbb");
}

#[test]
fn inserting_and_deleting() {
    assert_eq!(row(&after("abcdefghij\x1b[1;3H\x1b[2@"), 0), "ab  cdefgh");
    assert_eq!(row(&after("abcdefghij\x1b[1;3H\x1b[2P"), 0), "abefghij");
    assert_eq!(row(&after("abc\x1b[4h\x1b[1GXY\x1b[4l\x1b[1GZ"), 0), "ZYabc");
    assert_eq!(rows(&after("a\r\nb\r\nc\r\nd\x1b[2H\x1b[L")), ["a", "", "b", "c"]);
    assert_eq!(rows(&after("a\r\nb\r\nc\r\nd\x1b[2H\x1b[M")), ["a", "c", "d", ""]);
    assert_eq!(rows(&after("a\r\nb\r\nc\r\nd\x1b[S")), ["b", "c", "d", ""]);
    assert_eq!(rows(&after("a\r\nb\r\nc\r\nd\x1b[2T")), ["", "", "a", "b"]);
    assert_eq!(row(&after("ab\x1b[4b"), 0), "abbbbb");
}

#[test]
fn a_scroll_region_keeps_the_rest() {
    let mut screen = after("a\r\nb\r\nc\r\nd\x1b[2;3r");
    assert_eq!(screen.cursor(), Some((0, 0)));
    screen.write(b"\x1b[3;1H\ne");
    assert_eq!(rows(&screen), ["a", "c", "e", "d"]);
    screen.write(b"\x1b[2;1H\x1bMf");
    assert_eq!(rows(&screen), ["a", "f", "c", "d"]);
    screen.scroll_view(1);
    assert_eq!(screen.view(), 0, "lines that leave a region are not kept");
    screen.write(b"\x1b[?6h\x1b[9;2Hx");
    assert_eq!(rows(&screen), ["a", "f", "cx", "d"]);
    screen.write(b"\x1b[6n");
    assert_eq!(screen.take_reply(), b"\x1b[2;3R");
    // The last row is outside: a line feed there scrolls nothing.
    screen.write(b"\x1b[?6l\x1b[4;1H\ny");
    assert_eq!(rows(&screen), ["a", "f", "cx", "y"]);
}

#[test]
fn a_region_of_one_row_is_none() {
    assert_eq!(rows(&after("a\r\nb\r\nc\r\nd\x1b[2;2r\x1b[4;1H\ne")), ["b", "c", "d", "e"]);
}

#[test]
fn colours_and_attributes() {
    let of = |text: &str| style(&after(&(text.to_string() + "x")), 0, 0);
    let foreground = |text| of(text).foreground;
    assert_eq!(foreground("\x1b[31m"), Colour::Indexed(1));
    assert_eq!(foreground("\x1b[95m"), Colour::Indexed(13));
    assert_eq!(foreground("\x1b[38;5;200m"), Colour::Indexed(200));
    assert_eq!(foreground("\x1b[38:5:200m"), Colour::Indexed(200));
    assert_eq!(foreground("\x1b[38;2;1;2;3m"), Colour::Rgb(1, 2, 3));
    assert_eq!(foreground("\x1b[38:2:1:2:3m"), Colour::Rgb(1, 2, 3));
    assert_eq!(foreground("\x1b[38:2::1:2:3m"), Colour::Rgb(1, 2, 3));
    assert_eq!(foreground("\x1b[38;5;300m"), Colour::Default);
    assert_eq!(foreground("\x1b[31;39m"), Colour::Default);
    assert_eq!(of("\x1b[48;5;7;1;4m").background, Colour::Indexed(7));
    assert_eq!(of("\x1b[48;5;7;1;4m").attributes, Attributes::BOLD | Attributes::UNDERLINE);
    assert_eq!(of("\x1b[58;5;1;1m").attributes, Attributes::BOLD, "the colour of underlining is skipped");
    assert_eq!(of("\x1b[1;3;7;9;22;27m").attributes, Attributes::ITALIC | Attributes::STRUCK);
    assert_eq!(of("\x1b[4:3m\x1b[4:0m\x1b[7m").attributes, Attributes::INVERSE);
    assert_eq!(of("\x1b[1;31;44m\x1b[m"), Style::default());
    assert_eq!(of("\x1b[1;31;44m\x1b[0m"), Style::default());
}

#[test]
fn the_alternate_screen_is_another_one() {
    let mut screen = after("usual\x1b[?1049h");
    assert!(screen.is_alternate());
    screen.write(b"\x1b[Hother\r\n1\r\n2\r\n3\r\n4");
    assert_eq!(rows(&screen), ["1", "2", "3", "4"]);
    screen.scroll_view(1);
    assert_eq!(screen.view(), 0);
    screen.write(b"\x1b[?1049l!");
    assert_eq!((rows(&screen)[0].as_str(), screen.is_alternate()), ("usual!", false));
    screen.write(b"\x1b[?1049h");
    assert_eq!(rows(&screen), ["", "", "", ""], "blank each time");
}

#[test]
fn line_drawing_and_other_sets() {
    assert_eq!(row(&after("\x1b(0lqk\x1b(Bq"), 0), "┌─┐q");
    assert_eq!(row(&after("\x1b)0a\x0ex\x0fx"), 0), "a│x");
    assert_eq!(row(&after("\x1b*0\x1bNqq\x1b(A#"), 0), "─q£");
}

#[test]
fn text_is_utf8() {
    assert_eq!(row(&after("é┌→€"), 0), "é┌→€");
    let mut screen = screen(10, 4);
    screen.write(b"a\xe2\x94");
    screen.write(b"\x8cb\xffc");
    assert_eq!(row(&screen, 0), "a┌b\u{fffd}c");
    assert_eq!(row(&after("e\u{301}x"), 0), "ex", "a combining mark takes no place");
}

#[test]
fn wide_characters_take_two_columns() {
    let screen = after("漢字x");
    assert_eq!(row(&screen, 0), "漢 字 x");
    assert!(style(&screen, 0, 0).attributes.contains(Attributes::WIDE));
    assert!(style(&screen, 0, 1).attributes.contains(Attributes::WIDE_END));
    assert_eq!(row(&after("漢字\x1b[1;2Hx"), 0), " x字", "half of one is none");
    assert_eq!(row(&after("漢字\x1b[1;3Hx"), 0), "漢 x");
    assert_eq!(rows(&after("123456789漢")), ["123456789", "漢", "", ""]);
}

#[test]
fn questions_are_answered() {
    assert_eq!(reply("\x1b[5n\x1b[3;5H\x1b[6n"), "\x1b[0n\x1b[3;5R");
    assert_eq!(reply("\x1b[?6n"), "\x1b[?1;1R");
    assert_eq!(reply("\x1b[c\x1b[>c\x1bZ"), "\x1b[?62;22c\x1b[>1;10;0c\x1b[?62;22c");
    assert_eq!(reply("\x1b[18t"), "\x1b[8;4;10t");
    assert_eq!(
        reply("\x1b[?25$p\x1b[?7l\x1b[?7$p\x1b[4$p\x1b[?9999$p"),
        "\x1b[?25;1$y\x1b[?7;2$y\x1b[4;2$y\x1b[?9999;0$y"
    );
    assert!(reply(&"\x1b[c".repeat(1000)).len() <= MAX_REPLY);
}

#[test]
fn modes_reset_and_bell() {
    let mut screen = after("\x1b[?1h\x07");
    assert_eq!((screen.application_cursor_keys(), screen.take_bell(), screen.take_bell()), (true, true, false));
    screen.write(b"\x1b[2;3r\x1b[31mx\x1b[!py");
    assert_eq!((screen.application_cursor_keys(), style(&screen, 0, 1).foreground), (false, Colour::Default));
    screen.write(b"\x1b[?1049h\x1bcz");
    assert_eq!((rows(&screen), screen.is_alternate()), (vec!["z".into(), "".into(), "".into(), "".to_string()], false));
    assert_eq!(rows(&after("\x1b#8"))[3], "EEEEEEEEEE");
    assert_eq!(rows(&after("\x1b[20ha\nb")), ["a", "b", "", ""]);
    assert_eq!(
        rows(&after("\x1b]0;title\x07a\x1bP1$qm\x1b\\b")),
        ["ab", "", "", ""],
        "strings are taken in and dropped"
    );
}

/// A display made of what a painter draws.
struct Canvas {
    painter: Painter,
    cells: Vec<Vec<Cell>>,
    drawn: usize,
}

impl Canvas {
    fn new(screen: &Screen) -> Self {
        let (columns, rows) = screen.size();
        let painter = Painter::new(columns, rows).expect("memory");
        Canvas { painter, cells: vec![vec![Cell { character: '?', ..Cell::BLANK }; columns]; rows], drawn: 0 }
    }

    /// Paints; how many cells were drawn.
    fn paint(&mut self, screen: &mut Screen) -> usize {
        let before = self.drawn;
        let Canvas { painter, cells, drawn } = self;
        painter.paint(screen, |row, column, run| {
            cells[row][column..column + run.len()].copy_from_slice(run);
            *drawn += run.len();
        });
        self.drawn - before
    }

    fn text(&self, row: usize) -> String {
        self.cells[row].iter().map(|cell| cell.character).collect::<String>().trim_end().to_string()
    }
}

#[test]
fn only_what_changed_is_drawn() {
    let mut screen = after("hello\r\nworld");
    let mut canvas = Canvas::new(&screen);
    assert_eq!(canvas.paint(&mut screen), 40);
    assert_eq!(canvas.paint(&mut screen), 0);
    screen.write(b"!");
    assert_eq!(canvas.paint(&mut screen), 2, "the character, and the cursor behind it");
    screen.write(b"\x1b[A\x1b[B");
    assert_eq!(canvas.paint(&mut screen), 0);
    screen.write(b"\x1b[H");
    assert_eq!(canvas.paint(&mut screen), 2, "the cursor's old and new place");
    canvas.painter.forget();
    assert_eq!(canvas.paint(&mut screen), 40);
}

#[test]
fn a_caption_stays_until_the_screen_is_cleared() {
    let mut screen = after("first\r\nsecond");
    let mut canvas = Canvas::new(&screen);
    canvas.painter.set_caption("hi!", &screen);
    canvas.paint(&mut screen);
    assert_eq!(canvas.text(0), "hi!st");
    screen.write(b"\r\n\n\n\n\n");
    canvas.paint(&mut screen);
    assert_eq!(canvas.text(0), "hi!");
    screen.write(b"\x1b[?1049h");
    canvas.paint(&mut screen);
    assert_eq!(canvas.text(0), "", "full-screen programs have the whole screen");
    screen.write(b"\x1b[?1049l");
    canvas.paint(&mut screen);
    assert_eq!(canvas.text(0), "hi!");
    screen.write(b"\x1b[H\x1b[2J");
    canvas.paint(&mut screen);
    assert_eq!(canvas.text(0), "");
}

#[test]
fn one_of_two_screens_has_the_caption() {
    let (mut screen, mut other) = (after("first"), after("other"));
    let mut canvas = Canvas::new(&screen);
    canvas.painter.set_caption("hi!", &screen);
    canvas.paint(&mut screen);
    canvas.painter.set_captioned(false);
    other.write(b"\x1b[H\x1b[2Jcleared");
    screen.write(b"\r\nsecond");
    other.damage();
    canvas.paint(&mut other);
    assert_eq!((canvas.text(0), canvas.text(1)), ("cleared".into(), "".into()));
    canvas.painter.set_captioned(true);
    screen.damage();
    canvas.paint(&mut screen);
    assert_eq!((canvas.text(0), canvas.text(1)), ("hi!st".into(), "second".into()));
}

/// Bytes that are sequences more often than chance would have it.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0..12u16, Just(65535u16)];
    let csi =
        (prop_oneof![Just(""), Just("?"), Just(">"), Just("!")], prop::collection::vec(number, 0..4), 0x20u8..0x7f)
            .prop_map(|(mark, numbers, end)| {
                let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
                alloc::format!("\x1b[{mark}{}{}", numbers.join(";"), end as char).into_bytes()
            });
    let mode = (prop::sample::select(vec![1u16, 5, 6, 7, 25, 47, 1047, 1048, 1049]), prop_oneof![Just('h'), Just('l')])
        .prop_map(|(mode, end)| alloc::format!("\x1b[?{mode}{end}").into_bytes());
    let piece = prop_oneof![
        3 => csi,
        1 => mode,
        2 => "[ -~é漢\r\n\t\x08─]{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (0x20u8..0x7f).prop_map(|byte| vec![0x1b, byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn check_invariants(screen: &Screen) {
    let state = &screen.state;
    assert!(state.cursor.row < state.rows && state.cursor.column < state.columns);
    assert!(state.region.0 + MIN_SIZE <= state.region.1 && state.region.1 <= state.rows);
    assert!(state.history.len() <= 5 && state.view <= state.history.len());
    assert!(!state.alternate || state.view == 0);
    for row in 0..state.rows {
        let cells = screen.shown_row(row);
        assert_eq!(cells.len(), state.columns);
        for (column, cell) in cells.iter().enumerate() {
            assert!(!cell.character.is_control());
            let next = cells.get(column + 1);
            let wide = cell.style.attributes.contains(Attributes::WIDE);
            let end = next.is_some_and(|next| next.style.attributes.contains(Attributes::WIDE_END));
            assert_eq!(wide, end, "halves of a wide character come in pairs");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_keep_the_invariants(columns in 2usize..14, rows in 2usize..7, parts in prop::collection::vec((pieces(), -3isize..4), 1..6)) {
        let mut screen = screen(columns, rows);
        let mut canvas = Canvas::new(&screen);
        for (bytes, scroll) in parts {
            screen.write(&bytes);
            screen.scroll_view(scroll);
            check_invariants(&screen);
            prop_assert!(screen.take_reply().len() <= MAX_REPLY);
            canvas.paint(&mut screen);
            for row in 0..rows {
                let mut wanted = screen.shown_row(row).to_vec();
                if screen.state.modes.reverse {
                    wanted.iter_mut().for_each(|cell| cell.style.attributes.toggle(Attributes::INVERSE));
                }
                if let Some((_, column)) = screen.cursor().filter(|at| at.0 == row) {
                    wanted[column].style.attributes.toggle(Attributes::INVERSE);
                }
                prop_assert_eq!(&canvas.cells[row], &wanted, "row {}", row);
            }
        }
    }

    #[test]
    fn where_the_bytes_are_cut_makes_no_difference(bytes in pieces(), cut in any::<prop::sample::Index>()) {
        let (mut whole, mut parts) = (screen(10, 4), screen(10, 4));
        whole.write(&bytes);
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        parts.write(first);
        parts.write(second);
        prop_assert_eq!(rows(&whole), rows(&parts));
        prop_assert_eq!(whole.cursor(), parts.cursor());
    }
}
