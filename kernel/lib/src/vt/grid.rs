//! Rows of cells, and the lines that have left them at the top.
//!
//! Scrolling moves rows, not cells. Every change marks its row as damaged. A history that cannot grow loses its oldest
//! line; nothing here fails once the grid is made.

use super::cell::{Attributes, Cell};
use alloc::collections::{TryReserveError, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

/// One line of cells.
pub(super) type Row = Vec<Cell>;

/// A line of `columns` blanks.
pub(super) fn blank_row(columns: usize) -> Result<Row, TryReserveError> {
    let mut row = Vec::new();
    row.try_reserve_exact(columns)?;
    row.resize(columns, Cell::BLANK);
    Ok(row)
}

/// Lines that have scrolled off the top, oldest first.
pub(super) struct History {
    lines: VecDeque<Row>,
    limit: usize,
}

impl History {
    pub fn new(limit: usize) -> Self {
        History { lines: VecDeque::new(), limit }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// The line `back` lines above the screen; 1 is the last that left it.
    pub fn line(&self, back: usize) -> Option<&Row> {
        self.lines.get(self.lines.len().checked_sub(back)?)
    }

    /// Keeps `row` as the newest line. What comes back is to be reused as a line: the oldest one, a new one, or, when
    /// there is neither room nor memory, `row` itself. And whether `row` was kept.
    fn push(&mut self, row: Row) -> (Row, bool) {
        if self.limit == 0 {
            return (row, false);
        }
        if self.lines.len() < self.limit
            && self.lines.try_reserve(1).is_ok()
            && let Ok(fresh) = blank_row(row.len())
        {
            self.lines.push_back(row);
            return (fresh, true);
        }
        match self.lines.pop_front() {
            Some(oldest) => {
                self.lines.push_back(row);
                (oldest, true)
            }
            None => (row, false),
        }
    }
}

/// The cells of one screen.
pub(super) struct Grid {
    rows: Vec<Row>,
    /// Of each row, whether it has changed since it was last asked for.
    damaged: Vec<bool>,
    columns: usize,
}

impl Grid {
    pub fn new(columns: usize, rows: usize) -> Result<Self, TryReserveError> {
        let mut grid = Grid { rows: Vec::new(), damaged: Vec::new(), columns };
        grid.rows.try_reserve_exact(rows)?;
        grid.damaged.try_reserve_exact(rows)?;
        for _ in 0..rows {
            grid.rows.push(blank_row(columns)?);
            grid.damaged.push(true);
        }
        Ok(grid)
    }

    pub fn row(&self, row: usize) -> &[Cell] {
        &self.rows[row]
    }

    pub fn damage_all(&mut self) {
        self.damaged.fill(true);
    }

    pub fn take_damage(&mut self, row: usize) -> bool {
        core::mem::take(&mut self.damaged[row])
    }

    pub fn is_damaged(&self) -> bool {
        self.damaged.contains(&true)
    }

    /// Sets one cell. Half of a wide character that this destroys leaves a blank.
    pub fn put(&mut self, row: usize, column: usize, cell: Cell) {
        self.split_wide(row, column);
        self.split_wide(row, column + 1);
        self.rows[row][column] = cell;
        self.damaged[row] = true;
    }

    /// Sets the cells of `columns` in `row`.
    pub fn fill(&mut self, row: usize, columns: Range<usize>, cell: Cell) {
        self.split_wide(row, columns.start);
        self.split_wide(row, columns.end);
        self.rows[row][columns].fill(cell);
        self.damaged[row] = true;
    }

    /// Sets the cells of whole rows.
    pub fn fill_rows(&mut self, rows: Range<usize>, cell: Cell) {
        for row in rows {
            self.fill(row, 0..self.columns, cell);
        }
    }

    /// Opens a gap of `count` cells at `column`; what leaves the row at the right is lost.
    pub fn insert(&mut self, row: usize, column: usize, count: usize, blank: Cell) {
        let count = count.min(self.columns - column);
        self.split_wide(row, column);
        self.split_wide(row, self.columns - count);
        self.rows[row][column..].rotate_right(count);
        self.rows[row][column..column + count].fill(blank);
        self.damaged[row] = true;
    }

    /// Takes `count` cells out at `column`; blanks come in at the right.
    pub fn delete(&mut self, row: usize, column: usize, count: usize, blank: Cell) {
        let count = count.min(self.columns - column);
        self.split_wide(row, column);
        self.split_wide(row, column + count);
        self.rows[row][column..].rotate_left(count);
        let end = self.columns;
        self.rows[row][end - count..].fill(blank);
        self.damaged[row] = true;
    }

    /// Moves the lines of `region` up; blank ones come in below. Lines that leave go to `history`, if there is one; how
    /// many of them it kept.
    pub fn scroll_up(
        &mut self,
        region: Range<usize>,
        count: usize,
        blank: Cell,
        mut history: Option<&mut History>,
    ) -> usize {
        let count = count.min(region.len());
        let mut kept = 0;
        for row in region.start..region.start + count {
            if let Some(history) = history.as_deref_mut() {
                let (reused, was_kept) = history.push(core::mem::take(&mut self.rows[row]));
                self.rows[row] = reused;
                kept += usize::from(was_kept);
            }
            self.rows[row].fill(blank);
        }
        self.rows[region.clone()].rotate_left(count);
        self.damaged[region].fill(true);
        kept
    }

    /// Moves the lines of `region` down; blank ones come in above.
    pub fn scroll_down(&mut self, region: Range<usize>, count: usize, blank: Cell) {
        let count = count.min(region.len());
        self.rows[region.clone()].rotate_right(count);
        self.damaged[region.clone()].fill(true);
        for row in &mut self.rows[region.start..region.start + count] {
            row.fill(blank);
        }
    }

    /// If `column` is the right half of a wide character, makes blanks of both halves.
    fn split_wide(&mut self, row: usize, column: usize) {
        let cells = &mut self.rows[row];
        if cells.get(column).is_some_and(|cell| cell.style.attributes.contains(Attributes::WIDE_END)) {
            for cell in &mut cells[column.saturating_sub(1)..=column] {
                cell.character = ' ';
                cell.style.attributes.remove(Attributes::WIDE | Attributes::WIDE_END);
            }
        }
    }
}
