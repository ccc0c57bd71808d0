//! A terminal's screen: bytes of programs in, cells out. What a VT220 does, with what xterm added that programs use.
//!
//! The crate `vte` splits the bytes into characters and control sequences (`dispatch`); `edit` does what those say to
//! the grid of cells, `sgr` sets colours, `report` answers. Text is UTF-8; a character that has no column of its own
//! (a combining mark) is left out. [`Painter`] tells whoever draws which cells have changed. Nothing fails or panics
//! on any bytes, and after [`Screen::new`] the one allocation is that of lines scrolled off, which are dropped when
//! there is no memory.
//!
//! Sources: ECMA-48, DEC's VT220 Programmer Reference Manual, xterm's ctlseqs.

mod cell;
mod charset;
mod dispatch;
mod edit;
mod grid;
mod paint;
mod palette;
mod report;
mod sgr;
#[cfg(test)]
mod tests;

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
pub use cell::{Attributes, Cell, Colour, Style};
use charset::Charsets;
use grid::{Grid, History};
pub use paint::Painter;
pub use palette::{Rgb, nearest_basic};

/// Most bytes of answers that wait to be fetched; further answers are left out.
const MAX_REPLY: usize = 256;
/// Least size, in columns and rows.
const MIN_SIZE: usize = 2;
/// Largest size, in columns and rows.
pub const MAX_SIZE: usize = 1024;
const TAB: usize = 8;

/// A screen with the state of its terminal.
pub struct Screen {
    parser: vte::Parser,
    /// Bytes of a character that the last write has cut: the parser gets characters whole, as it loses what follows one
    /// that it has to put together.
    cut: [u8; 4],
    cut_len: usize,
    state: State,
}

impl Screen {
    /// A blank screen that keeps `history` lines scrolled off its top. Sizes are brought into the range of 2 to
    /// [`MAX_SIZE`].
    pub fn new(columns: usize, rows: usize, history: usize) -> Result<Self, TryReserveError> {
        let (columns, rows) = (columns.clamp(MIN_SIZE, MAX_SIZE), rows.clamp(MIN_SIZE, MAX_SIZE));
        let mut tabs = Vec::new();
        tabs.try_reserve_exact(columns)?;
        tabs.extend((0..columns).map(|column| column % TAB == 0));
        let mut reply = Vec::new();
        reply.try_reserve_exact(MAX_REPLY)?;
        let state = State {
            columns,
            rows,
            grids: [Grid::new(columns, rows)?, Grid::new(columns, rows)?],
            history: History::new(history),
            alternate: false,
            cursor: Cursor::default(),
            saved: [Saved::default(); 2],
            modes: Modes::default(),
            region: (0, rows),
            tabs,
            last_character: None,
            view: 0,
            reply,
            bell: false,
            clears: 0,
        };
        Ok(Screen { parser: vte::Parser::new(), cut: [0; 4], cut_len: 0, state })
    }

    /// Takes bytes that a program wrote.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.cut_len > 0
            && let Some((&byte, behind)) = rest.split_first()
        {
            rest = behind;
            self.cut[self.cut_len] = byte;
            let len = self.cut_len + 1;
            let kept = incomplete(&self.cut[..len]);
            self.parser.advance(&mut self.state, &self.cut[..len - kept]);
            self.cut.copy_within(len - kept..len, 0);
            self.cut_len = kept;
        }
        let whole = rest.len() - incomplete(rest);
        self.parser.advance(&mut self.state, &rest[..whole]);
        if whole < rest.len() {
            self.cut_len = rest.len() - whole;
            self.cut[..self.cut_len].copy_from_slice(&rest[whole..]);
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.state.columns, self.state.rows)
    }

    /// The cells of the row that is shown at `row`, which may be one scrolled off before. Panics if there is no such
    /// row.
    pub fn shown_row(&self, row: usize) -> &[Cell] {
        self.state.shown_row(row)
    }

    /// Row and column of the cursor, if it is to be seen.
    pub fn cursor(&self) -> Option<(usize, usize)> {
        let row = self.state.cursor.row + self.state.view;
        (self.state.modes.cursor_visible && row < self.state.rows).then_some((row, self.state.cursor.column))
    }

    /// What the terminal says to programs that asked it. Empty most of the time.
    pub fn take_reply(&mut self) -> Vec<u8> {
        match self.state.reply.is_empty() {
            true => Vec::new(),
            false => core::mem::replace(&mut self.state.reply, Vec::with_capacity(MAX_REPLY)),
        }
    }

    /// Whether the bell rang since the last call.
    pub fn take_bell(&mut self) -> bool {
        core::mem::take(&mut self.state.bell)
    }

    /// Whether arrow keys are to send the codes of "application" mode (DECCKM).
    pub fn application_cursor_keys(&self) -> bool {
        self.state.modes.application_cursor
    }

    /// Whether the screen without history, for full-screen programs, is the one in use.
    pub fn is_alternate(&self) -> bool {
        self.state.alternate
    }

    /// How often the whole screen was cleared.
    pub fn clears(&self) -> u32 {
        self.state.clears
    }

    /// Shows earlier lines (`lines` above 0) or later ones. Full-screen programs have no earlier lines.
    pub fn scroll_view(&mut self, lines: isize) {
        let most = if self.state.alternate { 0 } else { self.state.history.len() };
        self.state.set_view(self.state.view.saturating_add_signed(lines).min(most));
    }

    /// Shows what is on the screen now.
    pub fn reset_view(&mut self) {
        self.state.set_view(0);
    }

    /// Has all of it drawn again: the display showed something else meanwhile.
    pub fn damage(&mut self) {
        self.state.grid().damage_all();
    }

    /// How many lines above the screen the view begins.
    pub fn view(&self) -> usize {
        self.state.view
    }
}

/// Bytes at the end that begin a character in UTF-8 and are not all of it: at most three.
fn incomplete(bytes: &[u8]) -> usize {
    let begins = |len: &usize| {
        let end = &bytes[bytes.len() - len..];
        core::str::from_utf8(end).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=bytes.len().min(3)).find(begins).unwrap_or(0)
}

/// All of the terminal but the parser.
struct State {
    columns: usize,
    rows: usize,
    /// The usual screen, and the one of full-screen programs.
    grids: [Grid; 2],
    /// Lines off the top of the usual screen.
    history: History,
    /// Whether the second screen is in use.
    alternate: bool,
    cursor: Cursor,
    /// What DECSC saved, of each screen.
    saved: [Saved; 2],
    modes: Modes,
    /// First row of the scroll region and the one behind it.
    region: (usize, usize),
    /// Whether there is a tab stop, by column.
    tabs: Vec<bool>,
    /// What REP repeats.
    last_character: Option<char>,
    /// How many lines above the screen the view begins; at most the history's length.
    view: usize,
    reply: Vec<u8>,
    bell: bool,
    clears: u32,
}

/// Where the next character goes, and how.
#[derive(Clone, Copy, Default)]
struct Cursor {
    row: usize,
    column: usize,
    /// A character has filled the last column: the next one begins a new line.
    wrap_next: bool,
    style: Style,
    charsets: Charsets,
}

/// What DECSC saves and DECRC restores.
#[derive(Clone, Copy, Default)]
struct Saved {
    cursor: Cursor,
    origin: bool,
}

/// Switches that SM and RM, and DEC's own, set.
#[derive(Clone, Copy)]
struct Modes {
    /// IRM.
    insert: bool,
    /// LNM.
    newline: bool,
    /// DECCKM.
    application_cursor: bool,
    /// DECSCNM.
    reverse: bool,
    /// DECOM.
    origin: bool,
    /// DECAWM.
    wrap: bool,
    /// DECTCEM.
    cursor_visible: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Modes {
            insert: false,
            newline: false,
            application_cursor: false,
            reverse: false,
            origin: false,
            wrap: true,
            cursor_visible: true,
        }
    }
}

impl State {
    /// The grid in use.
    fn grid(&mut self) -> &mut Grid {
        &mut self.grids[usize::from(self.alternate)]
    }

    fn shown_row(&self, row: usize) -> &[Cell] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        match row.checked_sub(self.view) {
            Some(row) => self.grids[usize::from(self.alternate)].row(row),
            None => match self.history.line(self.view - row) {
                Some(line) => line,
                None => unreachable!("the view is at most the history's length"),
            },
        }
    }

    fn set_view(&mut self, view: usize) {
        if self.view != view {
            self.view = view;
            self.grid().damage_all();
        }
    }

    /// What erased places become.
    fn erased(&self) -> Cell {
        Cell::erased(self.cursor.style)
    }
}
