//! What has to be drawn: the difference between the screen and what was drawn last.
//!
//! A [`Painter`] keeps the cells as they are on the display, so that the display is never read and no cell is drawn
//! twice. It looks only at rows that were damaged, that the cursor left or came to, and at the first one when the
//! caption changes: a text that stays at the top left over whatever scrolls below. Of several screens that share the
//! display, one has the caption.

use super::Screen;
use super::cell::{Attributes, Cell, Style};
use alloc::collections::TryReserveError;
use alloc::string::String;
use alloc::vec::Vec;

/// Changed cells with fewer unchanged ones than this between them are drawn in one piece.
const MIN_GAP: usize = 4;

/// The cells that a display shows.
pub struct Painter {
    columns: usize,
    /// By row; None where what the display shows is not known.
    shown: Vec<Option<Cell>>,
    cursor: Option<(usize, usize)>,
    caption: String,
    caption_changed: bool,
    /// The row being put together.
    row: Vec<Cell>,
    /// The screen's number of clearings when the caption was set.
    clears: u32,
    /// The screen that is painted is the one with the caption.
    captioned: bool,
    was_shown: bool,
}

impl Painter {
    /// For a display of this size about which nothing is known yet.
    pub fn new(columns: usize, rows: usize) -> Result<Self, TryReserveError> {
        let (mut shown, mut row) = (Vec::new(), Vec::new());
        shown.try_reserve_exact(columns * rows)?;
        shown.resize(columns * rows, None);
        row.try_reserve_exact(columns)?;
        Ok(Painter {
            columns,
            shown,
            cursor: None,
            caption: String::new(),
            caption_changed: false,
            row,
            clears: 0,
            captioned: true,
            was_shown: false,
        })
    }

    /// Shows `text` at the top left until `screen` is cleared; it is cut at the right.
    pub fn set_caption(&mut self, text: &str, screen: &Screen) {
        self.caption = text.chars().filter(|c| !c.is_control()).collect();
        self.caption_changed = true;
        self.clears = screen.clears();
    }

    /// Whether what is painted from now on is the screen with the caption, or another one.
    pub fn set_captioned(&mut self, captioned: bool) {
        self.captioned = captioned;
    }

    /// Forgets what the display shows: everything is drawn next time.
    pub fn forget(&mut self) {
        self.shown.fill(None);
    }

    /// Calls `draw(row, column, cells)` for every run of cells that the display must change.
    pub fn paint(&mut self, screen: &mut Screen, mut draw: impl FnMut(usize, usize, &[Cell])) {
        if self.captioned && self.clears != screen.clears() {
            self.caption_changed |= !self.caption.is_empty();
            self.caption.clear();
            self.clears = screen.clears();
        }
        let shown = self.captioned && !screen.is_alternate();
        self.caption_changed |= self.was_shown != shown;
        self.was_shown = shown;
        let cursor = screen.cursor();
        let (columns, rows) = screen.size();
        debug_assert_eq!((columns, columns * rows), (self.columns, self.shown.len()));
        for row in 0..rows {
            let cursor_moved = cursor != self.cursor && [cursor, self.cursor].iter().flatten().any(|at| at.0 == row);
            let unknown = self.shown[row * columns].is_none();
            let caption = row == 0 && self.caption_changed;
            if !(screen.take_shown_damage(row) || cursor_moved || unknown || caption) {
                continue;
            }
            self.compose(screen, row, cursor);
            let shown = &mut self.shown[row * columns..(row + 1) * columns];
            draw_changes(shown, &self.row, |column, cells| draw(row, column, cells));
        }
        screen.end_damage();
        self.cursor = cursor;
        self.caption_changed = false;
    }

    /// Puts into `self.row` what the display is to show at `row`.
    fn compose(&mut self, screen: &Screen, row: usize, cursor: Option<(usize, usize)>) {
        self.row.clear();
        self.row.extend_from_slice(screen.shown_row(row));
        if screen.is_reversed() {
            self.row.iter_mut().for_each(|cell| cell.style.attributes.toggle(Attributes::INVERSE));
        }
        if row == 0 && self.was_shown {
            for (cell, character) in self.row.iter_mut().zip(self.caption.chars()) {
                *cell = Cell { character, style: Style::default() };
            }
        }
        if let Some((_, column)) = cursor.filter(|at| at.0 == row) {
            self.row[column].style.attributes.toggle(Attributes::INVERSE);
        }
    }
}

/// Brings `shown` to `wanted`, drawing each run of cells that differ.
fn draw_changes(shown: &mut [Option<Cell>], wanted: &[Cell], mut draw: impl FnMut(usize, &[Cell])) {
    let mut start = None;
    let mut end = 0;
    for column in 0..wanted.len() {
        if shown[column] == Some(wanted[column]) {
            continue;
        }
        shown[column] = Some(wanted[column]);
        match start {
            Some(start) if column - end >= MIN_GAP => draw(start, &wanted[start..end]),
            Some(_) => {
                end = column + 1;
                continue;
            }
            None => {}
        }
        start = Some(column);
        end = column + 1;
    }
    if let Some(start) = start {
        draw(start, &wanted[start..end]);
    }
}

impl Screen {
    /// Whether the row shown at `row` has changed since the last call.
    fn take_shown_damage(&mut self, row: usize) -> bool {
        // Lines off the top never change; moving the view damages all rows.
        let moved = self.state.view > 0 && self.state.grid().is_damaged();
        match row.checked_sub(self.state.view) {
            Some(row) if self.state.view == 0 => self.state.grid().take_damage(row),
            _ => moved,
        }
    }

    /// Ends a round of [`Screen::take_shown_damage`]: everything that is shown has been looked at.
    fn end_damage(&mut self) {
        for row in 0..self.state.rows {
            self.state.grid().take_damage(row);
        }
    }

    /// Whether DECSCNM exchanges the colours of all cells.
    fn is_reversed(&self) -> bool {
        self.state.modes.reverse
    }
}
