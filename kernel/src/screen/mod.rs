//! The screen: virtual terminals on the display, and what panics draw.
//!
//! The first virtual terminal shows the console. Whatever goes to the serial console comes here as well, from any context:
//! [`mirror`] only puts it into a ring and raises an interrupt on this CPU, which wakes the screen's task. The task feeds
//! the terminal emulator (`klib::vt`) and draws what has changed, sixty times a second at most, so that a flood of lines
//! costs one drawing and not one each. Tasks that write much wait in [`make_room`] until the ring has room; what others
//! write into a full ring is lost on the screen, and counted. The other virtual terminals (`switch`) have an emulator from
//! their first use on, which is fed by whoever writes; one is shown at a time. A terminal's bell sounds whether it is shown or
//! not (`bell`). While a program draws on the display itself, the painter leaves it alone, but a panic does not.
//!
//! Locks: `RING` (rank Console), taken under anything, for copying; `STATE`, a sleeping lock, for emulator and
//! drawing. A panic takes neither: see `emergency`.

pub mod bell;
mod emergency;
mod ring;
mod switch;

use crate::{device, sched};
use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use drivers::display::{self, Display, DisplayError};
use klib::vt::{Painter, Screen};
use machine::console::{self, LineFeed};
use machine::irq::IrqLine;
use machine::sync::{IrqLock, Mutex, Once, Rank, WaitQueue};
use machine::{boot, time};
use ring::Ring;
pub use switch::{COUNT, activate, active, close, open, set_drawn, wait_active, write};

/// Lines kept above the console's screen.
const HISTORY: usize = 1000;
/// Least time between two drawings.
const FRAME: Duration = Duration::from_millis(16);
/// Bytes fed to the emulator at a time.
const CHUNK_LEN: usize = 4096;
/// A task that writes waits no longer than this for the screen: the serial console must go on.
const PATIENCE: Duration = Duration::from_secs(1);

static DISPLAY: Once<Box<dyn Display>> = Once::new();
static RING: IrqLock<Ring> = IrqLock::new("screen output", Rank::Console, Ring::new());
static STATE: Mutex<Option<State>> = Mutex::new("screen", None);
/// Raised to wake the task from any context.
static LINE: Once<IrqLine> = Once::new();
/// The interrupt is raised and has not come yet.
static RAISED: AtomicBool = AtomicBool::new(false);
/// Something other than output is to be drawn.
static CHANGED: AtomicBool = AtomicBool::new(false);
static ARRIVED: WaitQueue = WaitQueue::new("screen output");
static ROOM: WaitQueue = WaitQueue::new("room for screen output");

struct State {
    /// The first is the console's; the others are there from their first use on.
    screens: [Option<Screen>; COUNT],
    /// Which one is shown; it is there.
    active: usize,
    /// Those whose programs draw on the display: nothing else is to.
    undrawn: [bool; COUNT],
    /// What the display shows is not known.
    unknown: bool,
    painter: Painter,
}

impl State {
    /// The screen that is shown.
    fn shown(&mut self) -> Option<&mut Screen> {
        self.screens[self.active].as_mut()
    }
}

/// Why something cannot be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScreenError {
    /// There is no screen.
    None,
    /// The text is wider than the screen, which has so many columns.
    TooWide(usize),
    /// There is no memory for another screen.
    OutOfMemory,
}

impl fmt::Display for ScreenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScreenError::None => write!(f, "there is no screen"),
            ScreenError::OutOfMemory => write!(f, "no memory for another screen"),
            ScreenError::TooWide(columns) => write!(f, "wider than the screen's {columns} columns"),
        }
    }
}

/// Finds the display that the boot loader has set up, so that panics can draw, and keeps what is written for [`start`].
/// Called once, before there are tasks.
pub fn init() {
    match display::open(boot::info()) {
        Ok(display) => {
            DISPLAY.call_once(|| display);
        }
        Err(DisplayError::NoScreen) => log::info!("screen: {}", DisplayError::NoScreen),
        Err(error) => log::warn!("screen: {error}"),
    }
    console::set_emergency_mirror(emergency::write);
    console::set_mirror(mirror);
}

/// Without such a display the first graphics device that works is one.
fn open_device() {
    for device in device::graphics() {
        match display::on_device(device) {
            Ok(display) => {
                let (columns, rows) = display.size();
                log::info!("screen: {columns} x {rows} characters on a graphics device");
                DISPLAY.call_once(|| display);
                return;
            }
            Err(error) => log::warn!("screen: {error}"),
        }
    }
}

/// Starts the terminal on the display. `answer` is called, in the screen's task, with what the terminal says to
/// programs that ask it something.
pub fn start(answer: fn(&[u8])) {
    if DISPLAY.get().is_none() {
        open_device();
    }
    let Some(display) = DISPLAY.get() else {
        RING.lock().close();
        return;
    };
    bell::start();
    let (columns, rows) = display.size();
    let made = Screen::new(columns, rows, HISTORY).and_then(|screen| Ok((Painter::new(columns, rows)?, screen))).map(
        |(painter, screen)| State {
            screens: [Some(screen), None, None, None],
            active: 0,
            undrawn: [false; COUNT],
            unknown: false,
            painter,
        },
    );
    let Ok(state) = made else {
        log::warn!("screen: no memory for {columns} x {rows} characters");
        return;
    };
    *STATE.lock() = Some(state);
    match IrqLine::allocate("screen output", wake) {
        Ok(line) => {
            LINE.call_once(|| line);
        }
        Err(error) => {
            log::warn!("screen: {error}");
            return;
        }
    }
    if sched::spawn("screen", move || serve(&**display, answer)).is_err() {
        log::warn!("screen: no memory for its task");
    }
}

/// Columns and rows of the terminal, if there is a screen.
pub fn size() -> Option<(usize, usize)> {
    DISPLAY.get().map(|display| display.size())
}

/// Waits until the ring has room for `len` bytes. Called by tasks before they write to the console.
pub fn make_room(len: usize) {
    if LINE.get().is_none() || RING.lock().room() >= len {
        return;
    }
    let deadline = time::now() + PATIENCE;
    // Late is no error here: the bytes are lost on the screen alone.
    let _ = ROOM.wait_until(Some(deadline), || false, || (RING.lock().room() >= len).then_some(()));
}

/// Bytes that the screen has lost.
pub fn lost() -> usize {
    RING.lock().lost()
}

/// Shows `text` at the top left of the console until that is cleared; an empty text ends that.
pub fn set_caption(text: &str) -> Result<(), ScreenError> {
    let mut guard = STATE.lock();
    let state = guard.as_mut().ok_or(ScreenError::None)?;
    let Some(console) = &state.screens[0] else { return Err(ScreenError::None) };
    let (columns, _) = console.size();
    if text.chars().count() > columns {
        return Err(ScreenError::TooWide(columns));
    }
    state.painter.set_caption(text, console);
    drop(guard);
    note_change();
    Ok(())
}

/// Shows earlier lines (`forward` is false) or later ones, half a screen.
pub fn scroll(forward: bool) {
    if let Some(screen) = STATE.lock().as_mut().and_then(State::shown) {
        let half = (screen.size().1 / 2) as isize;
        screen.scroll_view(if forward { -half } else { half });
    }
    note_change();
}

/// Shows what is written now: a key was pressed.
pub fn end_scroll() {
    let scrolled = STATE.lock().as_mut().and_then(State::shown).is_some_and(|screen| {
        let scrolled = screen.view() > 0;
        screen.reset_view();
        scrolled
    });
    if scrolled {
        note_change();
    }
}

/// Whether a program has switched the arrow keys to their other codes.
pub fn application_cursor_keys() -> bool {
    STATE.lock().as_mut().and_then(State::shown).is_some_and(|screen| screen.application_cursor_keys())
}

/// Takes what is written to the console. In any context.
fn mirror(bytes: &[u8], line_feed: LineFeed) {
    RING.lock().put(bytes, line_feed == LineFeed::NewLine);
    if let Some(line) = LINE.get()
        && !RAISED.swap(true, Ordering::AcqRel)
    {
        line.raise_here();
    }
}

/// In interrupt context, where the task can be woken.
fn wake() {
    RAISED.store(false, Ordering::Release);
    ARRIVED.wake_all();
}

fn note_change() {
    CHANGED.store(true, Ordering::Release);
    ARRIVED.wake_all();
}

fn has_output() -> Option<()> {
    (!RING.lock().is_empty()).then_some(())
}

fn has_work() -> Option<()> {
    CHANGED.load(Ordering::Acquire).then_some(()).or_else(has_output)
}

/// The screen's task.
fn serve(display: &dyn Display, answer: fn(&[u8])) -> ! {
    display.clear();
    let mut chunk = alloc::vec![0; CHUNK_LEN];
    let mut due = time::now();
    loop {
        ARRIVED.wait(has_work);
        // Further output until the next drawing is due belongs into it.
        loop {
            feed(&mut chunk, due, answer);
            let more = ARRIVED.wait_until(Some(due), || false, has_output);
            if more.is_err() || time::now() >= due {
                break;
            }
        }
        CHANGED.store(false, Ordering::Release);
        if let Some(State { screens, active, undrawn, unknown, painter }) = STATE.lock().as_mut()
            && let Some(screen) = &mut screens[*active]
            && !undrawn[*active]
        {
            if core::mem::take(unknown) {
                display.clear();
                painter.forget();
                screen.damage();
            }
            painter.paint(screen, |row, column, cells| display.draw(row, column, cells));
        }
        display.present();
        due = time::now() + FRAME;
    }
}

/// Feeds what is in the ring to the emulator, at least a chunk, and no longer than until `due`.
fn feed(chunk: &mut [u8], due: time::Instant, answer: fn(&[u8])) {
    loop {
        let len = RING.lock().take(chunk);
        if len == 0 {
            return;
        }
        ROOM.wake_all();
        let reply = STATE.lock().as_mut().and_then(|state| state.screens[0].as_mut()).map(|screen| {
            screen.write(&chunk[..len]);
            (screen.take_reply(), screen.take_bell())
        });
        if let Some((reply, rung)) = reply {
            if rung {
                bell::ring();
            }
            if !reply.is_empty() {
                answer(&reply);
            }
        }
        if time::now() >= due {
            return;
        }
    }
}
