//! VGA's text mode: two bytes for each character, its code in code page 437 and its colours (IBM VGA Technical
//! Reference).

use super::code_page::code;
use super::{Display, DisplayError};
use klib::vt::{Cell, nearest_basic};
use machine::boot::info::TextScreen;
use machine::io::mmio::Mmio;
use machine::io::{Port, PortClaim};

/// The CRT controller's index and data ports, and its register for the cursor's first line with the bit that hides it.
const CRT_CONTROLLER: core::ops::Range<u16> = 0x3d4..0x3d6;
const CURSOR_START: u8 = 0x0a;
const CURSOR_OFF: u8 = 1 << 5;
/// Bytes of a character.
const CELL_LEN: usize = 2;
const MAX_SIDE: u32 = 512;

/// A screen in text mode.
pub(super) struct TextDisplay {
    memory: Mmio,
    columns: usize,
    rows: usize,
    pitch: usize,
}

impl TextDisplay {
    pub(super) fn open(screen: TextScreen) -> Result<Self, DisplayError> {
        let TextScreen { address, pitch, columns, rows } = screen;
        let sides_fit = (2..MAX_SIDE).contains(&columns) && (2..MAX_SIDE).contains(&rows);
        if !sides_fit || pitch < columns * CELL_LEN as u32 || pitch % 2 != 0 || pitch > MAX_SIDE * 8 {
            return Err(DisplayError::TooSmall);
        }
        let (columns, rows, pitch) = (columns as usize, rows as usize, pitch as usize);
        let memory = Mmio::claim(address, rows * pitch, "text screen").map_err(DisplayError::TextMemory)?;
        hide_cursor();
        Ok(TextDisplay { memory, columns, rows, pitch })
    }
}

/// The terminal draws its own.
fn hide_cursor() {
    match PortClaim::new(CRT_CONTROLLER, "text screen") {
        Ok(claim) => {
            let (index, data): (Port<u8>, Port<u8>) = (claim.port(0), claim.port(1));
            index.write(CURSOR_START);
            data.write(CURSOR_OFF);
        }
        Err(error) => log::warn!("text screen: the hardware's cursor stays: {error}"),
    }
}

impl Display for TextDisplay {
    fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    fn draw(&self, row: usize, column: usize, cells: &[Cell]) {
        if row >= self.rows {
            return;
        }
        for (column, cell) in (column..self.columns).zip(cells) {
            let (front, back) = cell.style.colours();
            // The highest bit may mean blinking, so there are only eight backgrounds.
            let (front, mut back) = (vga_colour(nearest_basic(front)), vga_colour(nearest_basic(back)) & 7);
            if back == front {
                back = if front == 0 { 7 } else { 0 };
            }
            let colours = back << 4 | front;
            let value = u16::from(colours) << 8 | u16::from(code(cell.character));
            self.memory.write(row * self.pitch + column * CELL_LEN, value);
        }
    }

    fn clear(&self) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                self.draw(row, column, &[Cell::BLANK]);
            }
        }
    }
}

/// VGA has blue in bit 0 and red in bit 2, ANSI the other way round.
fn vga_colour(ansi: u8) -> u8 {
    ansi & 0b1010 | (ansi & 1) << 2 | ansi >> 2 & 1
}
