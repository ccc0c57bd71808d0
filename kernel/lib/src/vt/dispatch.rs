//! From characters and control sequences to what they do.
//!
//! A parameter that is left out or 0 means 1 where the sequence counts something.

use super::charset::Charset;
use super::{State, sgr};
use vte::{Params, Perform};

/// Parameters by number, first subparameters only.
struct Numbers<'a>(&'a Params);

impl Numbers<'_> {
    /// The n-th, 0 if it is missing.
    fn get(&self, n: usize) -> u16 {
        self.0.iter().nth(n).and_then(|parameter| parameter.first().copied()).unwrap_or(0)
    }

    /// The n-th as a count: at least 1.
    fn count(&self, n: usize) -> usize {
        usize::from(self.get(n)).max(1)
    }

    /// The n-th as a place, counted from 0; None if it is not given.
    fn place(&self, n: usize) -> Option<usize> {
        usize::from(self.get(n)).checked_sub(1)
    }

    fn each(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().filter_map(|parameter| parameter.first().copied())
    }
}

impl Perform for State {
    fn print(&mut self, c: char) {
        self.print_character(c);
    }

    /// C0 and C1.
    fn execute(&mut self, byte: u8) {
        match byte {
            0x07 => self.bell = true,
            0x08 => self.backspace(),
            b'\t' => self.tab_forward(1),
            b'\n' | 0x0b | 0x0c => {
                self.index();
                if self.modes.newline {
                    self.carriage_return();
                }
            }
            b'\r' => self.carriage_return(),
            0x0e => self.cursor.charsets.lock(1),
            0x0f => self.cursor.charsets.lock(0),
            0x84 => self.index(),
            0x85 => self.next_line(),
            0x88 => self.set_tab(),
            0x8d => self.reverse_index(),
            0x8e => self.cursor.charsets.shift_once(2),
            0x8f => self.cursor.charsets.shift_once(3),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        if ignore {
            return;
        }
        match (intermediates, byte) {
            ([], b'7') => self.save_cursor(),
            ([], b'8') => self.restore_cursor(),
            ([], b'D') => self.index(),
            ([], b'E') => self.next_line(),
            ([], b'H') => self.set_tab(),
            ([], b'M') => self.reverse_index(),
            ([], b'N') => self.cursor.charsets.shift_once(2),
            ([], b'O') => self.cursor.charsets.shift_once(3),
            ([], b'Z') => self.report_device(),
            ([], b'c') => self.reset(),
            ([], b'n') => self.cursor.charsets.lock(2),
            ([], b'o') => self.cursor.charsets.lock(3),
            ([b'#'], b'8') => self.alignment_pattern(),
            ([slot @ b'('..=b'+'], set) => {
                let set = match set {
                    b'0' => Charset::LineDrawing,
                    b'A' => Charset::British,
                    _ => Charset::Ascii,
                };
                self.cursor.charsets.designate(usize::from(slot - b'('), set);
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if ignore {
            return;
        }
        let numbers = Numbers(params);
        match intermediates {
            [] => match action {
                'm' => sgr::apply(&mut self.cursor.style, params.iter()),
                '@' | 'J'..='M' | 'P' | 'S' | 'T' | 'X' | 'b' => self.csi_edit(&numbers, action),
                'A'..='I' | 'Z' | '`' | 'a' | 'd' | 'e' | 'f' => self.csi_move(&numbers, action),
                _ => self.csi_other(&numbers, action),
            },
            [b'?'] => match action {
                'h' | 'l' => numbers.each().for_each(|mode| self.set_private_mode(mode, action == 'h')),
                'J' => self.erase_screen(numbers.get(0)),
                'K' => self.erase_line(numbers.get(0)),
                'n' => self.report_status(true, numbers.get(0)),
                _ => {}
            },
            [b'>'] if action == 'c' && numbers.get(0) == 0 => self.report_version(),
            [b'!'] if action == 'p' => self.soft_reset(),
            [b'$'] if action == 'p' => self.report_mode(false, numbers.get(0)),
            [b'?', b'$'] if action == 'p' => self.report_mode(true, numbers.get(0)),
            _ => {}
        }
    }
}

impl State {
    fn csi_move(&mut self, numbers: &Numbers<'_>, action: char) {
        let count = numbers.count(0);
        match action {
            'A' => self.up(count),
            'B' | 'e' => self.down(count),
            'C' | 'a' => self.move_to_column(self.cursor.column.saturating_add(count)),
            'D' => self.move_to_column(self.cursor.column.saturating_sub(count)),
            'E' => {
                self.down(count);
                self.carriage_return();
            }
            'F' => {
                self.up(count);
                self.carriage_return();
            }
            'G' | '`' => self.move_to_column(numbers.place(0).unwrap_or(0)),
            'H' | 'f' => self.move_to(numbers.place(0).unwrap_or(0), numbers.place(1).unwrap_or(0)),
            'I' => self.tab_forward(count),
            'Z' => self.tab_backward(count),
            'd' => self.move_to(numbers.place(0).unwrap_or(0), self.cursor.column),
            _ => {}
        }
    }

    fn csi_edit(&mut self, numbers: &Numbers<'_>, action: char) {
        let count = numbers.count(0);
        match action {
            '@' => self.insert_blanks(count),
            'J' => self.erase_screen(numbers.get(0)),
            'K' => self.erase_line(numbers.get(0)),
            'L' => self.insert_lines(count),
            'M' => self.delete_lines(count),
            'P' => self.delete_characters(count),
            'S' => self.scroll_up(count),
            // With more parameters it is xterm's mouse tracking.
            'T' if numbers.0.len() <= 1 => self.scroll_down(count),
            'X' => self.erase_characters(count),
            'b' => self.repeat(count),
            _ => {}
        }
    }

    fn csi_other(&mut self, numbers: &Numbers<'_>, action: char) {
        match action {
            'c' if numbers.get(0) == 0 => self.report_device(),
            'g' => self.clear_tabs(numbers.get(0)),
            'h' | 'l' => numbers.each().for_each(|mode| self.set_mode(mode, action == 'h')),
            'n' => self.report_status(false, numbers.get(0)),
            'r' => self.set_region(numbers.place(0), numbers.place(1)),
            's' => self.save_cursor(),
            't' => self.report_size(numbers.get(0)),
            'u' => self.restore_cursor(),
            _ => {}
        }
    }

    fn set_mode(&mut self, mode: u16, on: bool) {
        match mode {
            4 => self.modes.insert = on,
            20 => self.modes.newline = on,
            _ => {}
        }
    }

    fn set_private_mode(&mut self, mode: u16, on: bool) {
        match mode {
            1 => self.modes.application_cursor = on,
            5 if self.modes.reverse != on => {
                self.modes.reverse = on;
                self.grid().damage_all();
            }
            6 => {
                self.modes.origin = on;
                self.move_to(0, 0);
            }
            7 => self.modes.wrap = on,
            25 => self.modes.cursor_visible = on,
            47 => self.use_alternate(on, false),
            1047 => self.use_alternate(on, !on),
            1048 if on => self.save_cursor(),
            1048 => self.restore_cursor(),
            1049 if on => {
                self.save_cursor();
                self.use_alternate(true, true);
            }
            1049 => {
                self.use_alternate(false, false);
                self.restore_cursor();
            }
            _ => {}
        }
    }

    /// The modes there are, for DECRQM.
    pub(super) fn mode(&self, private: bool, mode: u16) -> Option<bool> {
        let modes = &self.modes;
        match (private, mode) {
            (false, 4) => Some(modes.insert),
            (false, 20) => Some(modes.newline),
            (true, 1) => Some(modes.application_cursor),
            (true, 5) => Some(modes.reverse),
            (true, 6) => Some(modes.origin),
            (true, 7) => Some(modes.wrap),
            (true, 25) => Some(modes.cursor_visible),
            (true, 47 | 1047 | 1049) => Some(self.alternate),
            _ => None,
        }
    }
}
