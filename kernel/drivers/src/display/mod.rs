//! Displays that show cells of text: a framebuffer with a font, or VGA's text mode.
//!
//! Drawing takes no lock, no memory and does not fail, so that a panic can draw as well as the terminal can. What is drawn
//! on a graphics device is seen when it is presented; that may sleep, but not in a panic.

mod code_page;
mod graphics;
mod text;
pub mod virtio_gpu;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use graphics::GraphicsDisplay;
use klib::font::FontError;
use klib::vt::Cell;
use machine::boot::info::BootInfo;
use machine::io::framebuffer::FramebufferError;
use machine::io::mmio::MmioError;
use text::TextDisplay;
use virtio_gpu::{GpuError, VirtioGpu};

/// A display of text.
pub trait Display: Send + Sync {
    /// Columns and rows.
    fn size(&self) -> (usize, usize);

    /// Draws cells of one row from `column` on. What would be outside is left out.
    fn draw(&self, row: usize, column: usize, cells: &[Cell]);

    /// Makes all of it black.
    fn clear(&self);

    /// Lets what was drawn since the last call be seen, where it is not seen at once.
    fn present(&self) {}
}

/// Why there is no display.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisplayError {
    /// The boot loader named none.
    NoScreen,
    /// The framebuffer cannot be used.
    Framebuffer(FramebufferError),
    /// The font cannot be used.
    Font(FontError),
    /// The memory of text mode cannot be had.
    TextMemory(MmioError),
    /// It has no room for text.
    TooSmall,
    /// The graphics device failed.
    Gpu(GpuError),
}

impl fmt::Display for DisplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisplayError::NoScreen => write!(f, "the boot loader set up no screen"),
            DisplayError::Framebuffer(error) => write!(f, "framebuffer: {error}"),
            DisplayError::Font(error) => write!(f, "{error}"),
            DisplayError::TextMemory(error) => write!(f, "text mode: {error}"),
            DisplayError::TooSmall => write!(f, "too small for text"),
            DisplayError::Gpu(error) => write!(f, "graphics device: {error}"),
        }
    }
}

impl core::error::Error for DisplayError {}

/// The display that the boot loader set up. Called once.
pub fn open(info: &BootInfo) -> Result<Box<dyn Display>, DisplayError> {
    match (info.framebuffer, info.text_screen) {
        (Some(framebuffer), _) => Ok(Box::new(GraphicsDisplay::open(framebuffer)?)),
        (None, Some(screen)) => Ok(Box::new(TextDisplay::open(screen)?)),
        (None, None) => Err(DisplayError::NoScreen),
    }
}

/// The display on a graphics device. Called once for each.
pub fn on_device(device: Arc<VirtioGpu>) -> Result<Box<dyn Display>, DisplayError> {
    Ok(Box::new(GraphicsDisplay::on_device(device)?))
}
