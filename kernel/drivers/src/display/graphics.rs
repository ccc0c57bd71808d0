//! Text on a framebuffer: glyphs of a bitmap font, a line of pixels of several cells at a time. A graphics device is told
//! which rectangle has changed.

use super::virtio_gpu::{Rectangle, VirtioGpu};
use super::{Display, DisplayError};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use klib::font::{Font, MAX_GLYPH};
use klib::vt::{Attributes, Cell};
use machine::io::Framebuffer;
use machine::io::framebuffer::{Layout, Pixel};

/// Pixels that are put together before they are written: on the stack, as a panic may be drawing.
const LINE_LEN: usize = 256;
const CELLS: usize = 32;
/// Screens as wide as this get the larger font.
const WIDE: u32 = 2560;

/// A framebuffer with a font.
pub(super) struct GraphicsDisplay {
    framebuffer: Framebuffer,
    font: Font,
    /// What takes the pixels from the framebuffer.
    device: Option<(Arc<VirtioGpu>, Damage)>,
}

/// The rectangle that has changed: left, top, right and bottom, the latter two behind it. One task draws, or a panic, hence
/// `Relaxed`.
struct Damage([AtomicU32; 4]);

impl Damage {
    const fn new() -> Self {
        Damage([AtomicU32::new(u32::MAX), AtomicU32::new(u32::MAX), AtomicU32::new(0), AtomicU32::new(0)])
    }

    fn add(&self, x: usize, y: usize, width: usize, height: usize) {
        let [left, top, right, bottom] = &self.0;
        left.fetch_min(x as u32, Relaxed);
        top.fetch_min(y as u32, Relaxed);
        right.fetch_max((x + width) as u32, Relaxed);
        bottom.fetch_max((y + height) as u32, Relaxed);
    }

    fn take(&self) -> Option<Rectangle> {
        let [left, top, right, bottom] = &self.0;
        let (x, y) = (left.swap(u32::MAX, Relaxed), top.swap(u32::MAX, Relaxed));
        let (right, bottom) = (right.swap(0, Relaxed), bottom.swap(0, Relaxed));
        (x < right && y < bottom).then(|| Rectangle { x, y, width: right - x, height: bottom - y })
    }
}

/// A cell with all that does not change from line to line.
#[derive(Clone, Copy)]
struct Painted {
    glyph: &'static [u8],
    foreground: Pixel,
    background: Pixel,
    attributes: Attributes,
}

impl GraphicsDisplay {
    pub(super) fn open(layout: Layout) -> Result<Self, DisplayError> {
        let font = font_for(layout.width, layout.height)?;
        let framebuffer = Framebuffer::claim(layout).map_err(DisplayError::Framebuffer)?;
        Ok(GraphicsDisplay { framebuffer, font, device: None })
    }

    pub(super) fn on_device(device: Arc<VirtioGpu>) -> Result<Self, DisplayError> {
        let (width, height) = device.size();
        let font = font_for(width, height)?;
        let framebuffer = device.show()?;
        Ok(GraphicsDisplay { framebuffer, font, device: Some((device, Damage::new())) })
    }

    fn note_damage(&self, x: usize, y: usize, width: usize, height: usize) {
        if let Some((_, damage)) = &self.device {
            damage.add(x, y, width, height);
        }
    }

    fn painted(&self, cell: &Cell) -> Painted {
        let (front, back) = cell.style.colours();
        Painted {
            glyph: self.font.glyph(cell.character),
            foreground: self.framebuffer.pixel(front.0, front.1, front.2),
            background: self.framebuffer.pixel(back.0, back.1, back.2),
            attributes: cell.style.attributes,
        }
    }

    /// The pixels of line `y` of a cell, the leftmost in the highest of `width` bits.
    fn bits(&self, cell: &Painted, y: usize) -> u64 {
        let (width, height) = self.font.size();
        let bytes = width.div_ceil(8);
        let line = &cell.glyph[y * bytes..(y + 1) * bytes];
        let all = line.iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte)) >> (bytes * 8 - width);
        let has = |attribute| cell.attributes.contains(attribute);
        let mut bits = all;
        if has(Attributes::ITALIC) {
            // The upper third leans to the right, the lower one to the left.
            bits = match y * 3 / height {
                0 => bits >> 1,
                1 => bits,
                _ => bits << 1,
            };
        }
        if has(Attributes::BOLD) {
            bits |= bits >> 1;
        }
        let is_line = has(Attributes::UNDERLINE) && y == height - 2 || has(Attributes::STRUCK) && y == height / 2;
        if is_line { u64::MAX } else { bits }
    }
}

/// The font for a screen of so many pixels, if that has room for text.
fn font_for(width: u32, height: u32) -> Result<Font, DisplayError> {
    let file = if width >= WIDE { spleen_font::FONT_16X32 } else { spleen_font::FONT_8X16 };
    let font = Font::parse(file).map_err(DisplayError::Font)?;
    let (glyph_width, glyph_height) = font.size();
    let has_room = width as usize / glyph_width >= 2 && height as usize / glyph_height >= 2;
    if has_room { Ok(font) } else { Err(DisplayError::TooSmall) }
}

const _: () = assert!(MAX_GLYPH <= 64 && MAX_GLYPH <= LINE_LEN);

impl Display for GraphicsDisplay {
    fn size(&self) -> (usize, usize) {
        let (width, height) = self.framebuffer.size();
        let (glyph_width, glyph_height) = self.font.size();
        (width / glyph_width, height / glyph_height)
    }

    fn draw(&self, row: usize, column: usize, cells: &[Cell]) {
        let ((width, height), (columns, rows)) = (self.font.size(), self.size());
        if row >= rows || column >= columns {
            return;
        }
        let cells = &cells[..cells.len().min(columns - column)];
        self.note_damage(column * width, row * height, cells.len() * width, height);
        let chunk = (LINE_LEN / width).min(CELLS);
        let mut line = [Pixel::default(); LINE_LEN];
        for (number, cells) in cells.chunks(chunk).enumerate() {
            let mut painted = [self.painted(&Cell::BLANK); CELLS];
            for (painted, cell) in painted.iter_mut().zip(cells) {
                *painted = self.painted(cell);
            }
            let x = (column + number * chunk) * width;
            for y in 0..height {
                for (cell, pixels) in painted.iter().zip(line.chunks_exact_mut(width)).take(cells.len()) {
                    let bits = self.bits(cell, y);
                    for (at, pixel) in pixels.iter_mut().enumerate() {
                        let set = bits >> (width - 1 - at) & 1 != 0;
                        *pixel = if set { cell.foreground } else { cell.background };
                    }
                }
                self.framebuffer.write_row(x, row * height + y, &line[..cells.len() * width]);
            }
        }
    }

    fn clear(&self) {
        let (width, height) = self.framebuffer.size();
        let black = [self.framebuffer.pixel(0, 0, 0); LINE_LEN];
        for y in 0..height {
            for x in (0..width).step_by(LINE_LEN) {
                self.framebuffer.write_row(x, y, &black);
            }
        }
        self.note_damage(0, 0, width, height);
    }

    fn present(&self) {
        if let Some((device, damage)) = &self.device
            && let Some(part) = damage.take()
        {
            device.update(part);
        }
    }
}
