//! A linear framebuffer: pixels in memory that is written and never read.
//!
//! The memory of a device is mapped write-combining, so that stores leave the CPU in bursts; reading it would be slow on
//! any machine. A picture in our own memory is for devices that take pixels from there. Writing takes no lock and no memory,
//! so that a panic can draw. Two writers at once only mix their pixels.

use super::mmio::MmioError;
use super::{DmaBuffer, DmaError, Mmio};
use crate::addr::PhysAddr;
use crate::mm::space::Caching;
use alloc::vec::Vec;
use core::fmt;

/// Where the pixels are and what they look like, as the boot loader tells it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Of the first pixel.
    pub address: PhysAddr,
    /// Bytes from one line to the next.
    pub pitch: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// 15, 16, 24 or 32 bits make a pixel that can be drawn.
    pub bits_per_pixel: u8,
    /// Lowest bit, and number of bits.
    pub red: (u8, u8),
    /// Lowest bit, and number of bits.
    pub green: (u8, u8),
    /// Lowest bit, and number of bits.
    pub blue: (u8, u8),
}

/// Why a framebuffer cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FramebufferError {
    /// Pixels of so many bits are not supported.
    BitsPerPixel(u8),
    /// A colour is outside of the pixel, or has no bits or more than eight.
    ColourBits,
    /// The lines are empty, overlap, or are too many.
    Size,
    /// Its memory cannot be had.
    Memory(MmioError),
    /// There is no memory for it.
    NoMemory(DmaError),
}

impl fmt::Display for FramebufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramebufferError::BitsPerPixel(bits) => write!(f, "pixels of {bits} bits are not supported"),
            FramebufferError::ColourBits => write!(f, "impossible positions of the colours in a pixel"),
            FramebufferError::Size => write!(f, "impossible size"),
            FramebufferError::Memory(error) => write!(f, "{error}"),
            FramebufferError::NoMemory(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for FramebufferError {}

/// A pixel as the framebuffer has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pixel(u32);

/// A framebuffer with one owner.
#[derive(Debug)]
pub struct Framebuffer {
    memory: Memory,
    layout: Layout,
    bytes_per_pixel: usize,
}

#[derive(Debug)]
enum Memory {
    /// A device's.
    Device(Mmio),
    /// Our own, in pieces of [`PIECE_LEN`].
    Own(Vec<DmaBuffer>),
}

impl Memory {
    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        match self {
            Memory::Device(memory) => memory.write_bytes(offset, bytes),
            Memory::Own(pieces) => {
                let (mut offset, mut rest) = (offset, bytes);
                while !rest.is_empty() {
                    let (piece, within) = (offset / PIECE_LEN, offset % PIECE_LEN);
                    let (now, later) = rest.split_at(rest.len().min(PIECE_LEN - within));
                    pieces[piece].write(within, now);
                    offset += now.len();
                    rest = later;
                }
            }
        }
    }
}

/// Most bytes of pixels: more than any screen has.
const MAX_LEN: u64 = 1 << 30;
/// Bytes that lie beside each other of a picture in our own memory.
const PIECE_LEN: usize = 1 << 20;
/// Bytes put together before they are written.
const CHUNK_LEN: usize = 768; // a multiple of 2, 3, 4 and 8

impl Framebuffer {
    /// Claims and maps a device's.
    pub fn claim(layout: Layout) -> Result<Framebuffer, FramebufferError> {
        let (len, bytes_per_pixel) = check(&layout)?;
        let memory = Mmio::claim_with(layout.address, len, "framebuffer", Caching::WriteCombining)
            .map_err(FramebufferError::Memory)?;
        Ok(Framebuffer { memory: Memory::Device(memory), layout, bytes_per_pixel })
    }

    /// A black picture in our own memory, of pixels of 32 bits, blue lowest and red highest, line after line.
    pub fn in_memory(width: u32, height: u32) -> Result<Framebuffer, FramebufferError> {
        let (address, pitch) = (PhysAddr::new(0), width.saturating_mul(4));
        let layout =
            Layout { address, pitch, width, height, bits_per_pixel: 32, red: (16, 8), green: (8, 8), blue: (0, 8) };
        let (len, bytes_per_pixel) = check(&layout)?;
        let pieces = (0..len).step_by(PIECE_LEN).map(|start| DmaBuffer::new(PIECE_LEN.min(len - start)));
        let pieces = pieces.collect::<Result<Vec<_>, _>>().map_err(FramebufferError::NoMemory)?;
        Ok(Framebuffer { memory: Memory::Own(pieces), layout, bytes_per_pixel })
    }

    /// The pieces of our own memory that it is made of, in order: where, and how many bytes.
    pub fn pieces(&self) -> impl Iterator<Item = (PhysAddr, usize)> {
        let pieces = match &self.memory {
            Memory::Own(pieces) => pieces.as_slice(),
            Memory::Device(_) => &[],
        };
        pieces.iter().map(|piece| (piece.address(), piece.len_bytes()))
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.layout.width as usize, self.layout.height as usize)
    }

    /// The pixel of a colour.
    pub fn pixel(&self, red: u8, green: u8, blue: u8) -> Pixel {
        let place = |value: u8, (position, size): (u8, u8)| u32::from(value >> (8 - size)) << position;
        Pixel(place(red, self.layout.red) | place(green, self.layout.green) | place(blue, self.layout.blue))
    }

    /// Draws pixels from (`x`, `y`) to the right. What would be outside is left out.
    pub fn write_row(&self, x: usize, y: usize, pixels: &[Pixel]) {
        let (width, height) = self.size();
        if y >= height || x >= width {
            return;
        }
        let pixels = &pixels[..pixels.len().min(width - x)];
        let mut offset = y * self.layout.pitch as usize + x * self.bytes_per_pixel;
        let mut bytes = [0; CHUNK_LEN];
        for pixels in pixels.chunks(CHUNK_LEN / self.bytes_per_pixel) {
            let len = pixels.len() * self.bytes_per_pixel;
            self.encode(pixels, &mut bytes[..len]);
            self.memory.write_bytes(offset, &bytes[..len]);
            offset += len;
        }
    }

    fn encode(&self, pixels: &[Pixel], bytes: &mut [u8]) {
        match self.bytes_per_pixel {
            4 => {
                for (pixel, bytes) in pixels.iter().zip(bytes.as_chunks_mut::<4>().0) {
                    *bytes = pixel.0.to_le_bytes();
                }
            }
            size => {
                for (pixel, bytes) in pixels.iter().zip(bytes.chunks_exact_mut(size)) {
                    bytes.copy_from_slice(&pixel.0.to_le_bytes()[..size]);
                }
            }
        }
    }
}

/// Bytes of all lines, and of a pixel, if the layout is possible.
fn check(layout: &Layout) -> Result<(usize, usize), FramebufferError> {
    let bits = layout.bits_per_pixel;
    if !matches!(bits, 15 | 16 | 24 | 32) {
        return Err(FramebufferError::BitsPerPixel(bits));
    }
    let possible = |(position, size): (u8, u8)| (1..=8).contains(&size) && position.saturating_add(size) <= bits;
    if ![layout.red, layout.green, layout.blue].into_iter().all(possible) {
        return Err(FramebufferError::ColourBits);
    }
    let bytes_per_pixel = usize::from(bits).div_ceil(8);
    let len = u64::from(layout.pitch) * u64::from(layout.height);
    let line = u64::from(layout.width) * bytes_per_pixel as u64;
    if line == 0 || line > layout.pitch.into() || layout.height == 0 || len > MAX_LEN {
        return Err(FramebufferError::Size);
    }
    Ok((len as usize, bytes_per_pixel))
}
