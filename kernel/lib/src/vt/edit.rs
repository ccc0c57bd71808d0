//! What the sequences do: printing, moving, erasing, scrolling.
//!
//! The cursor is always on the screen, and the region always has at least two rows.

use super::cell::{Attributes, Cell, Style};
use super::{Cursor, MIN_SIZE, Modes, Saved, State};
use core::ops::Range;
use unicode_width::UnicodeWidthChar;

impl State {
    pub(super) fn print_character(&mut self, c: char) {
        let c = self.cursor.charsets.map(c);
        // A combining mark has no place of its own; neither has a control character that came as text.
        let width = match c.width() {
            None | Some(0) => return,
            Some(width) => width.min(2),
        };
        self.last_character = Some(c);
        if self.cursor.wrap_next || (width == 2 && self.cursor.column + 1 == self.columns) {
            if self.modes.wrap {
                self.carriage_return();
                self.index();
            } else {
                self.move_to_column(self.columns - width);
            }
        }
        let (row, column, style, erased) = (self.cursor.row, self.cursor.column, self.cursor.style, self.erased());
        let insert = self.modes.insert;
        let grid = self.grid();
        if insert {
            grid.insert(row, column, width, erased);
        }
        match width {
            1 => grid.put(row, column, Cell { character: c, style }),
            _ => {
                let half = |mark| Style { attributes: style.attributes | mark, ..style };
                grid.put(row, column, Cell { character: c, style: half(Attributes::WIDE) });
                grid.put(row, column + 1, Cell { character: ' ', style: half(Attributes::WIDE_END) });
            }
        }
        let next = column + width;
        self.cursor.wrap_next = next == self.columns;
        self.cursor.column = next.min(self.columns - 1);
    }

    /// REP.
    pub(super) fn repeat(&mut self, count: usize) {
        if let Some(c) = self.last_character {
            // More would only print over the same places again.
            for _ in 0..count.min(self.columns * self.rows) {
                self.print_character(c);
            }
        }
    }

    pub(super) fn carriage_return(&mut self) {
        self.move_to_column(0);
    }

    pub(super) fn backspace(&mut self) {
        self.move_to_column(self.cursor.column.saturating_sub(1));
    }

    pub(super) fn move_to_column(&mut self, column: usize) {
        self.cursor.column = column.min(self.columns - 1);
        self.cursor.wrap_next = false;
    }

    /// CUP: in origin mode rows count from the region's first and end at its last.
    pub(super) fn move_to(&mut self, row: usize, column: usize) {
        let (first, end) = if self.modes.origin { self.region } else { (0, self.rows) };
        self.cursor.row = first.saturating_add(row).min(end - 1);
        self.move_to_column(column);
    }

    /// CUU: not out of the region, if the cursor is in it.
    pub(super) fn up(&mut self, count: usize) {
        let (top, _) = self.region;
        let least = if self.cursor.row >= top { top } else { 0 };
        self.cursor.row = self.cursor.row.saturating_sub(count).max(least);
        self.cursor.wrap_next = false;
    }

    /// CUD.
    pub(super) fn down(&mut self, count: usize) {
        let (_, end) = self.region;
        let end = if self.cursor.row < end { end } else { self.rows };
        self.cursor.row = self.cursor.row.saturating_add(count).min(end - 1);
        self.cursor.wrap_next = false;
    }

    /// IND and line feed: down, scrolling at the region's last row.
    pub(super) fn index(&mut self) {
        self.cursor.wrap_next = false;
        if self.cursor.row + 1 == self.region.1 {
            self.scroll_up(1);
        } else if self.cursor.row + 1 < self.rows {
            self.cursor.row += 1;
        }
    }

    /// RI.
    pub(super) fn reverse_index(&mut self) {
        self.cursor.wrap_next = false;
        if self.cursor.row == self.region.0 {
            self.scroll_down(1);
        } else {
            self.cursor.row = self.cursor.row.saturating_sub(1);
        }
    }

    pub(super) fn next_line(&mut self) {
        self.carriage_return();
        self.index();
    }

    fn region_rows(&self) -> Range<usize> {
        self.region.0..self.region.1
    }

    /// SU, and scrolling by text. Only lines that leave the usual screen at its very top are kept.
    pub(super) fn scroll_up(&mut self, count: usize) {
        let (region, blank) = (self.region_rows(), self.erased());
        let keeps = !self.alternate && region.start == 0;
        let [usual, alternate] = &mut self.grids;
        let grid = if self.alternate { alternate } else { usual };
        let kept = grid.scroll_up(region, count, blank, keeps.then_some(&mut self.history));
        if self.view > 0 {
            // The view stays on its lines, as long as there are such.
            self.view = (self.view + kept).min(self.history.len());
            self.grid().damage_all();
        }
    }

    /// SD.
    pub(super) fn scroll_down(&mut self, count: usize) {
        let (region, blank) = (self.region_rows(), self.erased());
        self.grid().scroll_down(region, count, blank);
    }

    /// IL: only inside the region.
    pub(super) fn insert_lines(&mut self, count: usize) {
        let (row, blank, region) = (self.cursor.row, self.erased(), self.region_rows());
        if region.contains(&row) {
            self.grid().scroll_down(row..region.end, count, blank);
            self.carriage_return();
        }
    }

    /// DL: only inside the region.
    pub(super) fn delete_lines(&mut self, count: usize) {
        let (row, blank, region) = (self.cursor.row, self.erased(), self.region_rows());
        if region.contains(&row) {
            self.grid().scroll_up(row..region.end, count, blank, None);
            self.carriage_return();
        }
    }

    /// ICH.
    pub(super) fn insert_blanks(&mut self, count: usize) {
        let (row, column, blank) = (self.cursor.row, self.cursor.column, self.erased());
        self.grid().insert(row, column, count, blank);
        self.cursor.wrap_next = false;
    }

    /// DCH.
    pub(super) fn delete_characters(&mut self, count: usize) {
        let (row, column, blank) = (self.cursor.row, self.cursor.column, self.erased());
        self.grid().delete(row, column, count, blank);
        self.cursor.wrap_next = false;
    }

    /// ECH.
    pub(super) fn erase_characters(&mut self, count: usize) {
        let (row, column, blank) = (self.cursor.row, self.cursor.column, self.erased());
        let end = column.saturating_add(count).min(self.columns);
        self.grid().fill(row, column..end, blank);
        self.cursor.wrap_next = false;
    }

    /// EL.
    pub(super) fn erase_line(&mut self, what: u16) {
        let (row, column, blank, columns) = (self.cursor.row, self.cursor.column, self.erased(), self.columns);
        let range = match what {
            0 => column..columns,
            1 => 0..column + 1,
            2 => 0..columns,
            _ => return,
        };
        self.grid().fill(row, range, blank);
        self.cursor.wrap_next = false;
    }

    /// ED; 3 is xterm's: the lines off the top.
    pub(super) fn erase_screen(&mut self, what: u16) {
        let (row, blank, rows) = (self.cursor.row, self.erased(), self.rows);
        match what {
            0 => {
                self.erase_line(0);
                self.grid().fill_rows(row + 1..rows, blank);
            }
            1 => {
                self.erase_line(1);
                self.grid().fill_rows(0..row, blank);
            }
            2 => {
                self.grid().fill_rows(0..rows, blank);
                self.clears = self.clears.wrapping_add(1);
                self.cursor.wrap_next = false;
            }
            3 => {
                self.set_view(0);
                self.history.clear();
            }
            _ => {}
        }
    }

    /// DECSTBM, with rows counted from 0, the last one included; an impossible region is ignored.
    pub(super) fn set_region(&mut self, first: Option<usize>, last: Option<usize>) {
        let first = first.unwrap_or(0);
        let end = last.map_or(self.rows, |last| (last + 1).min(self.rows));
        if first + MIN_SIZE <= end {
            self.region = (first, end);
            self.move_to(0, 0);
        }
    }

    pub(super) fn tab_forward(&mut self, count: usize) {
        for _ in 0..count.min(self.columns) {
            let next = (self.cursor.column + 1..self.columns).find(|&column| self.tabs[column]);
            self.move_to_column(next.unwrap_or(self.columns - 1));
        }
    }

    pub(super) fn tab_backward(&mut self, count: usize) {
        for _ in 0..count.min(self.columns) {
            let before = (0..self.cursor.column).rev().find(|&column| self.tabs[column]);
            self.move_to_column(before.unwrap_or(0));
        }
    }

    pub(super) fn set_tab(&mut self) {
        self.tabs[self.cursor.column] = true;
    }

    /// TBC.
    pub(super) fn clear_tabs(&mut self, what: u16) {
        match what {
            0 => self.tabs[self.cursor.column] = false,
            3 => self.tabs.fill(false),
            _ => {}
        }
    }

    /// DECSC.
    pub(super) fn save_cursor(&mut self) {
        self.saved[usize::from(self.alternate)] = Saved { cursor: self.cursor, origin: self.modes.origin };
    }

    /// DECRC; without a DECSC before it the cursor goes home in its first state.
    pub(super) fn restore_cursor(&mut self) {
        let Saved { cursor, origin } = self.saved[usize::from(self.alternate)];
        (self.cursor, self.modes.origin) = (cursor, origin);
    }

    /// Goes to the screen of full-screen programs or back; `clear` blanks the alternate one.
    pub(super) fn use_alternate(&mut self, on: bool, clear: bool) {
        let (rows, blank) = (self.rows, self.erased());
        if clear {
            self.grids[1].fill_rows(0..rows, blank);
        }
        if self.alternate != on {
            self.view = 0;
            self.alternate = on;
            self.grid().damage_all();
        }
    }

    /// DECALN.
    pub(super) fn alignment_pattern(&mut self) {
        let rows = self.rows;
        self.region = (0, rows);
        self.move_to(0, 0);
        self.grid().fill_rows(0..rows, Cell { character: 'E', ..Cell::BLANK });
    }

    /// DECSTR: back to the first state, but what is on the screen stays.
    pub(super) fn soft_reset(&mut self) {
        let reverse = self.modes.reverse;
        self.modes = Modes { reverse, ..Modes::default() };
        self.region = (0, self.rows);
        self.saved = [Saved::default(); 2];
        let (row, column) = (self.cursor.row, self.cursor.column);
        self.cursor = Cursor { row, column, ..Cursor::default() };
    }

    /// RIS.
    pub(super) fn reset(&mut self) {
        self.use_alternate(false, true);
        self.soft_reset();
        self.modes = Modes::default();
        self.cursor = Cursor::default();
        self.last_character = None;
        for (column, tab) in self.tabs.iter_mut().enumerate() {
            *tab = column.is_multiple_of(super::TAB);
        }
        self.erase_screen(2);
        self.erase_screen(3);
        self.grid().damage_all();
    }
}
