//! Devices: ports and memory-mapped registers, DMA memory.

pub mod dma;
pub mod framebuffer;
pub mod mmio;
pub mod pci_config;
mod port;
pub mod registers;

pub use dma::{DmaBuffer, DmaError};
pub use framebuffer::Framebuffer;
pub use mmio::Mmio;
pub use port::{Port, PortClaim, PortError};
