//! Each flag by what it does.

use super::*;
use abi::termios::OutputFlags;
use std::string::String;

fn terminal(change: impl FnOnce(&mut Termios)) -> LineDiscipline {
    let mut settings = Termios::INITIAL;
    change(&mut settings);
    LineDiscipline::new(settings)
}

/// Types the bytes; the echo, and the signals.
fn type_in(terminal: &mut LineDiscipline, bytes: &[u8]) -> (Vec<u8>, Vec<Signal>) {
    let mut echo = Vec::new();
    let signals = bytes.iter().filter_map(|&byte| terminal.input(byte, &mut echo)).collect();
    (echo, signals)
}

fn read(terminal: &mut LineDiscipline, len: usize) -> Option<String> {
    let mut out = std::vec![0; len];
    terminal.read(&mut out).map(|(len, _)| String::from_utf8(out[..len].to_vec()).unwrap())
}

#[test]
fn a_line_is_read_when_it_is_finished() {
    let mut tty = terminal(|_| {});
    assert_eq!(type_in(&mut tty, b"ls").0, b"ls");
    assert_eq!((read(&mut tty, 9), tty.available()), (None, 0));
    assert_eq!(type_in(&mut tty, b" -l\rpwd\r").0, b" -l\r\npwd\r\n");
    assert_eq!(tty.available(), 10);
    assert_eq!(tty.read(&mut [0; 2]), Some((2, true)), "a short read leaves the rest of the line");
    assert_eq!(read(&mut tty, 99).as_deref(), Some(" -l\n"), "one line a read");
    assert_eq!(read(&mut tty, 99).as_deref(), Some("pwd\n"));
    assert_eq!(read(&mut tty, 99), None);
}

#[test]
fn erase_word_erase_and_kill() {
    let mut tty = terminal(|_| {});
    assert_eq!(type_in(&mut tty, b"ab\x7f").0, b"ab\x08 \x08");
    assert_eq!(type_in(&mut tty, b"\x03").1, [Signal::SIGINT], "the line is gone with the signal");
    type_in(&mut tty, b"one two  \x17three\x01\x7f\r");
    assert_eq!(read(&mut tty, 99).as_deref(), Some("one three\n"));
    type_in(&mut tty, b"junk\x15ok\r\x7f\x7f");
    assert_eq!(read(&mut tty, 99).as_deref(), Some("ok\n"), "a finished line cannot be erased");
}

#[test]
fn control_characters_take_two_columns_and_tabs_up_to_the_stop() {
    let mut tty = terminal(|_| {});
    assert_eq!(type_in(&mut tty, b"\x01\x7f").0, b"^A\x08\x08  \x08\x08");
    assert_eq!(type_in(&mut tty, b"abc\t\x7f").0, b"abc\t\x08\x08\x08\x08\x08     \x08\x08\x08\x08\x08");
}

#[test]
fn utf8_characters_go_whole() {
    let mut tty = terminal(|settings| settings.c_iflag |= InputFlags::IUTF8.bits());
    assert_eq!(type_in(&mut tty, "aü\x7f".as_bytes()).0, "aü\x08 \x08".as_bytes());
    type_in(&mut tty, b"\r");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("a\n"));
}

#[test]
fn end_of_file_ends_a_read_without_a_byte_of_its_own() {
    let mut tty = terminal(|_| {});
    type_in(&mut tty, b"abc\x04\x04");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("abc"));
    assert_eq!(read(&mut tty, 9).as_deref(), Some(""), "end of file");
    assert_eq!(read(&mut tty, 9), None);
}

#[test]
fn signals_flush_unless_told_not_to() {
    let mut tty = terminal(|_| {});
    let (echo, signals) = type_in(&mut tty, b"abc\x03\x1c\x1a");
    assert_eq!(
        (echo.as_slice(), signals.as_slice()),
        (&b"abc^C^\\^Z"[..], &[Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP][..])
    );
    type_in(&mut tty, b"\r");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("\n"));
    let mut tty = terminal(|settings| settings.c_lflag |= LocalFlags::NOFLSH.bits());
    type_in(&mut tty, b"abc\x03\r");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("abc\n"));
    let mut tty = terminal(|settings| settings.c_lflag &= !LocalFlags::ISIG.bits());
    assert!(type_in(&mut tty, b"\x03").1.is_empty());
}

#[test]
fn literal_next_takes_anything() {
    let mut tty = terminal(|_| {});
    assert_eq!(type_in(&mut tty, b"\x16\x03").0, b"^\x08^C");
    type_in(&mut tty, b"\x16\x7f\r");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("\x03\x7f\n"));
}

#[test]
fn carriage_returns_and_newlines_by_flag() {
    let mut tty = terminal(|settings| settings.c_iflag = InputFlags::IGNCR.bits());
    type_in(&mut tty, b"a\rb\n");
    assert_eq!(read(&mut tty, 9).as_deref(), Some("ab\n"));
    let mut tty = terminal(|settings| settings.c_iflag = InputFlags::INLCR.bits());
    type_in(&mut tty, b"a\n");
    assert_eq!(read(&mut tty, 9), None, "a newline has become a carriage return");
}

#[test]
fn raw_mode_gives_bytes_by_vmin() {
    let raw = |minimum: u8| {
        terminal(move |settings| {
            settings.c_lflag = 0;
            settings.c_cc[VMIN as usize] = minimum;
        })
    };
    let mut tty = raw(1);
    assert_eq!(read(&mut tty, 9), None);
    assert!(type_in(&mut tty, b"\x03\x7f").0.is_empty());
    assert_eq!(read(&mut tty, 9).as_deref(), Some("\x03\x7f"));
    let mut tty = raw(3);
    type_in(&mut tty, b"ab");
    assert_eq!(read(&mut tty, 9), None);
    assert_eq!(read(&mut tty, 2).as_deref(), Some("ab"), "no more is asked for");
    assert_eq!(read(&mut raw(0), 9).as_deref(), Some(""));
}

#[test]
fn what_was_typed_survives_a_change_of_mode() {
    let mut tty = terminal(|_| {});
    type_in(&mut tty, b"one\rtw");
    let mut settings = *tty.settings();
    settings.c_lflag &= !LocalFlags::ICANON.bits();
    tty.set_settings(settings);
    assert_eq!(read(&mut tty, 5).as_deref(), Some("one\nt"));
    tty.set_settings(Termios::INITIAL);
    assert_eq!(read(&mut tty, 5).as_deref(), Some("w"));
}

#[test]
fn stop_and_start() {
    let mut tty = terminal(|_| {});
    type_in(&mut tty, b"\x13");
    assert!(tty.is_stopped());
    type_in(&mut tty, b"x");
    assert!(tty.is_stopped(), "without IXANY only the start character goes on");
    type_in(&mut tty, b"\x11");
    assert!(!tty.is_stopped());
}

#[test]
fn a_signal_starts_stopped_output() {
    let mut tty = terminal(|_| {});
    type_in(&mut tty, b"\x13\x03");
    assert!(!tty.is_stopped());
    tty.set_stopped(true);
    assert!(tty.is_stopped());
}

#[test]
fn there_is_no_room_as_long_as_a_read_can_make_some() {
    let mut tty = terminal(|_| {});
    type_in(&mut tty, b"one\r");
    type_in(&mut tty, &[b'x'; BUFFER_LEN - 6]);
    assert!(tty.has_room());
    type_in(&mut tty, b"x");
    assert!(!tty.has_room());
    read(&mut tty, 9);
    assert!(tty.has_room());
    type_in(&mut tty, b"four");
    assert!(tty.has_room(), "a line that nobody can read yet goes on, and loses bytes");
    let mut tty = terminal(|settings| settings.c_lflag = 0);
    type_in(&mut tty, &[b'x'; BUFFER_LEN - 1]);
    assert!(!tty.has_room());
    read(&mut tty, 1);
    assert!(tty.has_room());
    let mut tty = terminal(|_| {});
    type_in(&mut tty, &[4; BUFFER_LEN - 1]);
    assert!(!tty.has_room(), "ends of file take room, too");
}

#[test]
fn a_full_buffer_drops_bytes_but_takes_the_end_of_the_line() {
    let mut tty = terminal(|settings| settings.c_iflag |= InputFlags::IMAXBEL.bits());
    let (echo, _) = type_in(&mut tty, &[b'x'; BUFFER_LEN + 5]);
    assert_eq!(echo.iter().filter(|&&byte| byte == 7).count(), 6);
    type_in(&mut tty, b"\r");
    assert_eq!(read(&mut tty, 9999).map(|line| line.len()), Some(BUFFER_LEN));
}

#[test]
fn output_flags() {
    let output = |flags: OutputFlags, bytes: &[u8]| {
        let mut out = Vec::new();
        terminal(|settings| settings.c_oflag = flags.bits()).output(bytes, &mut out);
        String::from_utf8(out).unwrap()
    };
    let post = OutputFlags::OPOST;
    assert_eq!(output(post | OutputFlags::ONLCR, b"a\nb"), "a\r\nb");
    assert_eq!(output(OutputFlags::ONLCR, b"a\nb"), "a\nb", "nothing without OPOST");
    assert_eq!(output(post | OutputFlags::OCRNL, b"a\rb"), "a\nb");
    assert_eq!(output(post | OutputFlags::ONOCR, b"\ra\r\r"), "a\r");
    assert_eq!(output(post | OutputFlags::XTABS, b"ab\tc"), "ab      c");
    assert_eq!(output(post | OutputFlags::OLCUC, b"aB"), "AB");
}

#[test]
fn echo_flags() {
    let echo = |clear: LocalFlags, set: LocalFlags, bytes: &[u8]| {
        let mut tty = terminal(|settings| settings.c_lflag = settings.c_lflag & !clear.bits() | set.bits());
        String::from_utf8(type_in(&mut tty, bytes).0).unwrap()
    };
    let none = LocalFlags::empty();
    assert_eq!(echo(LocalFlags::ECHO, none, b"ab\r"), "");
    assert_eq!(echo(LocalFlags::ECHO, LocalFlags::ECHONL, b"ab\r"), "\r\n");
    assert_eq!(echo(LocalFlags::ECHOE, none, b"a\x7f"), "a^?");
    assert_eq!(echo(LocalFlags::ECHOKE, none, b"a\x15"), "a^U\r\n");
    assert_eq!(echo(LocalFlags::ECHOCTL, none, b"\x01"), "\x01");
    assert_eq!(echo(none, none, b"ab\x12"), "ab^R\r\nab");
}

#[test]
fn damage_and_breaks_as_the_input_modes_say() {
    let came = |modes: InputFlags| {
        let mut tty = terminal(|settings| {
            settings.c_iflag = modes.bits();
            settings.c_lflag &= !LocalFlags::ICANON.bits();
        });
        let mut echo = Vec::new();
        let _ = tty.input_damaged(b'd', &mut echo);
        let _ = tty.input(0xff, &mut echo);
        let signal = tty.input_break();
        let mut out = [0; 16];
        let len = tty.read_now(&mut out);
        (out[..len].to_vec(), signal)
    };
    assert_eq!(came(InputFlags::empty()), (Vec::from(b"d\xff\0"), None));
    assert_eq!(came(InputFlags::INPCK), (Vec::from(b"\0\xff\0"), None));
    assert_eq!(came(InputFlags::IGNPAR | InputFlags::IGNBRK), (Vec::from(b"\xff"), None));
    assert_eq!(came(InputFlags::INPCK | InputFlags::PARMRK), (Vec::from(b"\xff\0d\xff\xff\xff\0\0"), None));
    assert_eq!(came(InputFlags::BRKINT), (Vec::new(), Some(Signal::SIGINT)), "what was typed is dropped");
    assert_eq!(came(InputFlags::BRKINT | InputFlags::IGNBRK), (Vec::from(b"d\xff"), None));
}
