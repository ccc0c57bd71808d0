//! The BIOS parameter block: what the boot sector of a FAT file system says of it.
//!
//! Source: Microsoft's "FAT: General Overview of On-Disk Format", 1.03.

use core::fmt;

use hadris_fat::{FatKind, Geometry};
use hadris_fat_raw::BootError;
use hadris_fs::ErrorKind;

/// Bytes of a boot sector that matter.
pub const LEN_BYTES: usize = 512;

/// Whether a disk that begins with `sector` holds a FAT, or something that was meant to be one.
pub fn looks_like_fat(sector: &[u8; LEN_BYTES]) -> bool {
    match hadris_fat_raw::parse_boot(sector) {
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::NotRecognized,
    }
}

/// The field that is wrong, and what it must be.
pub(super) fn what_is_wrong(error: BootError) -> &'static str {
    match error {
        BootError::NotFat(text) | BootError::Corrupt(text) => text,
        BootError::Signature(_) => "the boot sector must end with 55 aa",
        BootError::RootCluster { .. } => "BPB root cluster must be one of the clusters there are",
        _ => "no boot sector of a FAT",
    }
}

/// The fields of a boot sector, to be shown line by line.
pub struct ParameterBlock<'a> {
    sector: &'a [u8; LEN_BYTES],
    geometry: Geometry,
}

impl<'a> ParameterBlock<'a> {
    /// The fields of `sector`; what is wrong with them if it is no boot sector of a FAT.
    pub fn read(sector: &'a [u8; LEN_BYTES]) -> Result<Self, &'static str> {
        match hadris_fat_raw::parse_boot(sector) {
            Ok(geometry) => Ok(ParameterBlock { sector, geometry }),
            Err(error) => Err(what_is_wrong(error)),
        }
    }

    fn number(&self, offset: usize, len: usize) -> u32 {
        self.sector[offset..offset + len].iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }

    fn text(&self, offset: usize, len: usize) -> impl fmt::Display {
        self.sector[offset..offset + len].trim_ascii_end().escape_ascii()
    }

    /// The fields behind the common ones, at `offset`: 36, or 64 for FAT32.
    fn extended(&self, f: &mut fmt::Formatter<'_>, offset: usize) -> fmt::Result {
        writeln!(f, "drive number:        {:#04x}", self.number(offset, 1))?;
        if !matches!(self.number(offset + 2, 1), 0x28 | 0x29) {
            return Ok(());
        }
        let serial = self.number(offset + 3, 4);
        writeln!(f, "volume serial:       {:04X}-{:04X}", serial >> 16, serial & 0xffff)?;
        if self.number(offset + 2, 1) == 0x29 {
            writeln!(f, "volume label:        {}", self.text(offset + 7, 11))?;
            writeln!(f, "type string:         {}", self.text(offset + 18, 8))?;
        }
        Ok(())
    }
}

/// Name, offset and length of the numbers that all FATs have.
const COMMON: [(&str, usize, usize); 11] = [
    ("bytes per sector", 11, 2),
    ("sectors per cluster", 13, 1),
    ("reserved sectors", 14, 2),
    ("FATs", 16, 1),
    ("root entries", 17, 2),
    ("sectors (16 bits)", 19, 2),
    ("sectors per FAT", 22, 2),
    ("sectors per track", 24, 2),
    ("heads", 26, 2),
    ("hidden sectors", 28, 4),
    ("sectors (32 bits)", 32, 4),
];

/// Those of FAT32 alone.
const FAT32: [(&str, usize, usize); 6] = [
    ("sectors per FAT", 36, 4),
    ("extended flags", 40, 2),
    ("version", 42, 2),
    ("root cluster", 44, 4),
    ("FSInfo sector", 48, 2),
    ("backup boot sector", 50, 2),
];

impl fmt::Display for ParameterBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.geometry.kind();
        writeln!(f, "OEM name:            {}", self.text(3, 8))?;
        let of_fat32 = if kind == FatKind::Fat32 { &FAT32[..] } else { &[] };
        for &(name, offset, len) in COMMON.iter().chain(of_fat32) {
            writeln!(f, "{name}:{:width$}{}", "", self.number(offset, len), width = 20 - name.len())?;
        }
        writeln!(f, "media:               {:#04x}", self.number(21, 1))?;
        self.extended(f, if kind == FatKind::Fat32 { 64 } else { 36 })?;
        let name = match kind {
            FatKind::Fat12 => "FAT12",
            FatKind::Fat16 => "FAT16",
            _ => "FAT32",
        };
        let (clusters, size) = (self.geometry.max_cluster() - 1, self.geometry.cluster_size());
        write!(f, "so it is:            {name}, {clusters} clusters of {size} bytes")
    }
}
