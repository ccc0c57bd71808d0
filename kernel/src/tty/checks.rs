//! Kernel tests of a terminal of their own: what is typed is given to [`Terminal::receive`].

use super::Terminal;
use super::line::Line;
use super::terminal::Waiting;
use crate::sched;
use crate::vfs::Result as LineResult;
use abi::Errno;
use abi::termios::{LocalFlags, Termios, VMIN, VTIME, Winsize};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use machine::sync::{Rank, SpinLock};
use machine::time;
use macros::kernel_test;

/// Number of no process, so that signals to it go nowhere.
const NOBODY: u32 = u32::MAX;

fn never() -> bool {
    false
}

fn waiting(allowed: bool, interrupted: fn() -> bool) -> Waiting {
    Waiting { allowed, interrupted, opened_at: 0 }
}

fn read(terminal: &Terminal, len: usize) -> Result<String, Errno> {
    let mut out = alloc::vec![0; len];
    let (len, _) = terminal.read(&mut out, waiting(false, never))?;
    Ok(String::from_utf8_lossy(&out[..len]).into_owned())
}

/// A terminal whose owner reads raw bytes, without echo.
fn raw(terminal: &Terminal, min: u8, time_ds: u8) {
    let mut settings = terminal.settings();
    settings.c_lflag &= !(LocalFlags::ICANON | LocalFlags::ECHO).bits();
    settings.c_cc[VMIN as usize] = min;
    settings.c_cc[VTIME as usize] = time_ds;
    terminal.set_settings(settings, None, false);
}

#[kernel_test]
fn a_terminal_without_owner_reads_nothing() {
    let terminal = Terminal::console(0);
    assert_eq!(read(&terminal, 1), Err(Errno::EIO));
    assert_eq!((terminal.group(), terminal.readable_bytes(), terminal.is_readable()), (0, 0, true));
    assert_eq!(terminal.set_group(NOBODY), Err(Errno::ENOTTY));
}

#[kernel_test]
fn what_was_typed_goes_to_the_next_owner() {
    let terminal = Terminal::console(0);
    terminal.receive(b"one\rtw");
    terminal.set_owner(Some(NOBODY));
    assert_eq!((terminal.readable_bytes(), terminal.group()), (4, NOBODY));
    assert_eq!(read(&terminal, 2), Ok("on".into()));
    terminal.end_session(NOBODY - 1);
    assert_eq!(terminal.session(), Some(NOBODY));
    terminal.end_session(NOBODY);
    let keys: String = (0..4).map(|_| char::from(terminal.read_key())).collect();
    assert_eq!(keys, "e\ntw");
}

#[kernel_test]
fn an_interrupt_is_a_key_until_the_line_is_read() {
    let terminal = Terminal::console(0);
    terminal.receive(b"ab\x03c");
    assert_eq!(terminal.read_key(), b'c', "typed before there was a prompt");
    terminal.receive(b"de");
    assert_eq!(terminal.read_key(), b'd');
    // The shell shows the key and has not come back for the next.
    terminal.receive(b"\x03");
    assert_eq!([terminal.read_key(), terminal.read_key()], [b'e', 3]);
    terminal.end_editing();
    terminal.receive(b"f\x03g");
    assert_eq!(terminal.read_key(), b'g');
}

#[kernel_test]
fn a_raw_read_with_time_ends_without_input() {
    let terminal = Terminal::console(0);
    terminal.set_owner(Some(NOBODY));
    raw(&terminal, 0, 1);
    let start = time::now();
    assert_eq!(terminal.read(&mut [0; 8], waiting(true, never)), Ok((0, false)));
    assert!(time::now() - start >= Duration::from_millis(100));
    raw(&terminal, 5, 1);
    terminal.receive(b"ab");
    assert_eq!(terminal.read(&mut [0; 8], waiting(true, never)), Ok((2, false)), "the time between bytes is over");
}

#[kernel_test]
fn output_stops_and_goes_on() {
    let terminal = Terminal::console(0);
    terminal.set_owner(Some(NOBODY));
    terminal.receive(b"\x13");
    assert_eq!(terminal.write_program(b"", waiting(true, || true)), Err(Errno::EINTR));
    terminal.receive(b"\x11");
    assert_eq!(terminal.write_program(b"", waiting(true, || true)), Ok(0));
}

#[kernel_test]
fn settings_and_window_are_kept() {
    let terminal = Terminal::console(0);
    terminal.set_owner(Some(NOBODY));
    raw(&terminal, 3, 0);
    assert_eq!(terminal.settings().c_cc[VMIN as usize], 3);
    terminal.set_window(Winsize { ws_row: 50, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 });
    assert_eq!((terminal.window().ws_row, terminal.window().ws_col), (50, 132));
    terminal.receive(b"gone");
    assert_eq!((terminal.flush(0), terminal.flush(9)), (Ok(()), Err(Errno::EINVAL)));
    assert_eq!(terminal.readable_bytes(), 0);
}

/// A line that keeps what is sent on it.
struct Keeper(SpinLock<Vec<u8>>);

impl Line for Keeper {
    fn open(&self, _: &Termios, _: u32) -> LineResult<()> {
        Ok(())
    }
    fn close(&self) {}
    fn room(&self) -> usize {
        usize::MAX
    }
    fn send(&self, bytes: &[u8]) {
        self.0.lock().extend_from_slice(bytes);
    }
    fn unsent(&self) -> (usize, bool) {
        (0, true)
    }
    fn discard(&self) {}
    fn hold(&self, _: bool) {}
}

/// Whoever brings input sends its echo after the terminal is released: it must come in the order of what was typed.
#[kernel_test]
fn echo_stays_in_the_order_of_the_input() -> Result<(), String> {
    const TYPISTS: u8 = 4;
    const KEYS: usize = 1000; // what the discipline has room for, in all
    static LINE: Keeper = Keeper(SpinLock::new("sent on a line", Rank::Device, Vec::new()));
    static TERMINAL: Terminal = Terminal::on_line(&LINE, Termios::INITIAL, 0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    LINE.0.lock().clear();
    DONE.store(0, Ordering::SeqCst);
    raw(&TERMINAL, 1, 0);
    let mut settings = TERMINAL.settings();
    settings.c_lflag |= LocalFlags::ECHO.bits();
    TERMINAL.set_settings(settings, None, true);
    for typist in 0..TYPISTS {
        let types = move || {
            for _ in 0..KEYS {
                TERMINAL.receive(&[b'a' + typist]);
            }
            DONE.fetch_add(1, Ordering::SeqCst);
        };
        sched::spawn("typist", types).map_err(|_| "no memory for a task")?;
    }
    while DONE.load(Ordering::SeqCst) < TYPISTS.into() {
        sched::sleep(Duration::from_millis(1));
    }
    let typed = read(&TERMINAL, 2 * KEYS * usize::from(TYPISTS)).map_err(|error| alloc::format!("{error:?}"))?;
    let echoed = String::from_utf8_lossy(&LINE.0.lock()).into_owned();
    assert_eq!((typed.len(), echoed.len()), (KEYS * usize::from(TYPISTS), KEYS * usize::from(TYPISTS)));
    let differs = typed.bytes().zip(echoed.bytes()).position(|(typed, echoed)| typed != echoed);
    assert_eq!(differs, None, "the echo of this byte is another one's");
    Ok(())
}
