//! What the terminal answers (DSR, DA, DECRQM, window size).

use super::{MAX_REPLY, State};
use core::fmt::{self, Write};

impl State {
    fn answer(&mut self, arguments: fmt::Arguments<'_>) {
        // An answer is whole or not at all.
        let before = self.reply.len();
        let mut reply = Reply(self);
        if reply.write_fmt(arguments).is_err() {
            self.reply.truncate(before);
        }
    }

    /// DSR; `private` are those with `?`.
    pub(super) fn report_status(&mut self, private: bool, what: u16) {
        let first = if self.modes.origin { self.region.0 } else { 0 };
        // A restored cursor may be above the region.
        let row = self.cursor.row.saturating_sub(first) + 1;
        let column = self.cursor.column + 1;
        match (private, what) {
            (false, 5) => self.answer(format_args!("\x1b[0n")),
            (false, 6) => self.answer(format_args!("\x1b[{row};{column}R")),
            (true, 6) => self.answer(format_args!("\x1b[?{row};{column}R")),
            (true, 15) => self.answer(format_args!("\x1b[?13n")), // no printer
            (true, 25) => self.answer(format_args!("\x1b[?21n")), // user-defined keys are locked
            (true, 26) => self.answer(format_args!("\x1b[?27;1n")), // North American keyboard
            _ => {}
        }
    }

    /// DA1: a VT220 with colours.
    pub(super) fn report_device(&mut self) {
        self.answer(format_args!("\x1b[?62;22c"));
    }

    /// DA2: a VT220, firmware 1.0, no options.
    pub(super) fn report_version(&mut self) {
        self.answer(format_args!("\x1b[>1;10;0c"));
    }

    /// DECRQM: 1 is set, 2 reset, 0 not known.
    pub(super) fn report_mode(&mut self, private: bool, mode: u16) {
        let value = match self.mode(private, mode) {
            Some(true) => 1,
            Some(false) => 2,
            None => 0,
        };
        let mark = if private { "?" } else { "" };
        self.answer(format_args!("\x1b[{mark}{mode};{value}$y"));
    }

    /// XTWINOPS 18 and 19: rows and columns.
    pub(super) fn report_size(&mut self, what: u16) {
        let (rows, columns) = (self.rows, self.columns);
        match what {
            18 => self.answer(format_args!("\x1b[8;{rows};{columns}t")),
            19 => self.answer(format_args!("\x1b[9;{rows};{columns}t")),
            _ => {}
        }
    }
}

struct Reply<'a>(&'a mut State);

impl Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.reply.len() + text.len() > MAX_REPLY {
            return Err(fmt::Error);
        }
        self.0.reply.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
