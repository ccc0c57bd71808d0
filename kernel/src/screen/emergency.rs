//! What a panic says, on the screen: drawn at once, from the top, over whatever is there.
//!
//! No lock and no memory is taken, but for the queue of a graphics device, if that is free (`drivers::display::virtio_gpu`).
//! Only one CPU panics, so the state needs no more than relaxed atomics. The terminal's task does not run any more.
//! Reports that are no panic go to the terminal as all else, if that is possible.

use super::{DISPLAY, RING};
use core::sync::atomic::{AtomicUsize, Ordering};
use klib::vt::{Attributes, Cell, Colour, Style};

/// White on dark red.
const STYLE: Style = Style {
    foreground: Colour::Rgb(255, 255, 255),
    background: Colour::Rgb(120, 0, 0),
    attributes: Attributes::empty(),
};
const BLANK: Cell = Cell { character: ' ', style: STYLE };

static ROW: AtomicUsize = AtomicUsize::new(0);
static COLUMN: AtomicUsize = AtomicUsize::new(0);
/// Where in an escape sequence the text is: see [`sequence`].
static SEQUENCE: AtomicUsize = AtomicUsize::new(0);

/// Takes a piece of text.
pub(super) fn write(text: &str) {
    if !machine::panic::panicking() {
        // Whoever reports may hold the ring's lock.
        if let Some(mut ring) = RING.try_lock() {
            ring.put(text.as_bytes(), true);
        }
        return;
    }
    text.chars().filter(|&c| !sequence(c)).for_each(put);
    // A line at a time, as each time may take long.
    if text.contains('\n')
        && let Some(display) = DISPLAY.get()
    {
        display.present();
    }
}

/// Whether `c` belongs to an escape sequence: 0 is outside, 1 behind ESC, 2 behind `ESC [`.
fn sequence(c: char) -> bool {
    let (next, inside) = match (SEQUENCE.load(Ordering::Relaxed), c) {
        (0, '\x1b') => (1, true),
        (1, '[') => (2, true),
        (1, _) => (0, true),
        (2, '@'..='~') => (0, true),
        (2, _) => (2, true),
        _ => (0, false),
    };
    SEQUENCE.store(next, Ordering::Relaxed);
    inside
}

fn put(c: char) {
    let Some(display) = DISPLAY.get() else { return };
    let (columns, rows) = display.size();
    let (mut row, mut column) = (ROW.load(Ordering::Relaxed), COLUMN.load(Ordering::Relaxed));
    if c == '\n' || column == columns {
        (row, column) = (row + 1, 0);
    }
    // What comes last does not fit; what comes first says most.
    if row < rows {
        if column == 0 {
            for column in 0..columns {
                display.draw(row, column, &[BLANK]);
            }
        }
        if c != '\n' {
            display.draw(row, column, &[Cell { character: c, style: STYLE }]);
        }
    }
    if c != '\n' {
        column += 1;
    }
    ROW.store(row.min(rows), Ordering::Relaxed);
    COLUMN.store(column, Ordering::Relaxed);
}
