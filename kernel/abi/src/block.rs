//! Requests about disks (`ioctl(2)` of block devices), and what they move.

use crate::pod::pod_struct;

pub use linux_raw_sys::ioctl::{
    BLKALIGNOFF, BLKBSZGET, BLKBSZSET, BLKDISCARD, BLKDISCARDZEROES, BLKFLSBUF, BLKGETSIZE, BLKGETSIZE64, BLKIOMIN,
    BLKIOOPT, BLKPBSZGET, BLKRAGET, BLKRASET, BLKROGET, BLKROSET, BLKROTATIONAL, BLKRRPART, BLKSECDISCARD, BLKSECTGET,
    BLKSSZGET, BLKZEROOUT,
};

/// Asks for a [`HdGeometry`] (`linux/hdreg.h`).
pub const HDIO_GETGEO: u32 = 0x0301;

pod_struct! {
    /// `struct hd_geometry`: a disk in terms of a drive that none is any more.
    pub struct HdGeometry: 16 {
        /// Heads.
        pub heads: u8,
        /// Sectors on a track.
        pub sectors: u8,
        /// Cylinders.
        pub cylinders: u16,
        pad __pad: u32,
        /// First sector of the partition.
        pub start: u64,
    }
}
