//! Where a command's output goes: the console, or a buffer that a test looks at.
//!
//! Commands write through [`Output`] alone, with `writeln!(shell.out, …)`; writing never fails. A table whose columns
//! line up is a [`Table`].

use super::pager::Pager;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The sink of a shell.
pub enum Output {
    /// The console terminal.
    Console,
    /// The console terminal, with stops for who typed the line.
    Paged(Pager),
    /// A buffer, for tests and for output that is counted first.
    Captured(Vec<u8>),
}

impl Output {
    /// An empty buffer.
    pub fn captured() -> Self {
        Output::Captured(Vec::new())
    }

    /// Writes `bytes` as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self {
            Output::Console => crate::tty::console().write(bytes),
            Output::Paged(pager) => pager.write(bytes),
            Output::Captured(buffer) => buffer.extend_from_slice(bytes),
        }
    }

    /// What `write!` and `writeln!` call; unlike [`fmt::Write`]'s it gives nothing back, since nothing can go wrong.
    pub fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) {
        match arguments.as_str() {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.bytes(alloc::fmt::format(arguments).as_bytes()),
        }
    }

    /// Whether the reader sees colours: never in a buffer.
    pub fn colours(&self) -> bool {
        !matches!(self, Output::Captured(_)) && machine::console::colours()
    }

    /// Takes what a buffer holds; nothing from the console.
    pub fn take(&mut self) -> String {
        match self {
            Output::Console | Output::Paged(_) => String::new(),
            Output::Captured(buffer) => String::from_utf8_lossy(&core::mem::take(buffer)).into_owned(),
        }
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// On which side a column's cells line up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells, printed with columns as wide as their widest cell and two spaces between them.
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[(&str, Align)]) -> Self {
        let heading = headings.iter().map(|(heading, _)| String::from(*heading)).collect();
        Table { columns: headings.iter().map(|(_, align)| *align).collect(), rows: alloc::vec![heading] }
    }

    /// Adds a row; cells missing at its end are empty, cells beyond the headings are left out.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.row_of(cells.into());
    }

    /// Like [`Table::row`], for a number of columns that is only known at run time.
    pub fn row_of(&mut self, mut cells: Vec<String>) {
        cells.truncate(self.columns.len());
        self.rows.push(cells);
    }

    /// Writes headings and rows.
    pub fn print(&self, out: &mut Output) {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = widths[column].saturating_sub(cell.chars().count());
                if self.columns[column] == Align::Right {
                    line.extend(core::iter::repeat_n(' ', padding));
                }
                line.push_str(cell);
                if self.columns[column] == Align::Left {
                    line.extend(core::iter::repeat_n(' ', padding));
                }
                line.push_str("  ");
            }
            writeln!(out, "{}", line.trim_end());
        }
    }
}
