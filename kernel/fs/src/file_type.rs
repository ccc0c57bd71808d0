//! The seven kinds of file, as `stat(2)` knows them.

use core::fmt;

/// Kind of a file, from the `S_IFMT` bits of its mode (`inode(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Bytes.
    Regular,
    /// Names.
    Directory,
    /// A path to go on with.
    Symlink,
    /// A character device number.
    CharDevice,
    /// A block device number.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A Unix socket's name.
    Socket,
}

impl FileType {
    /// The kind that the top four bits of `mode` say; `None` for a combination that stands for nothing.
    pub const fn from_mode(mode: u16) -> Option<FileType> {
        Some(match mode & 0xf000 {
            0x1000 => FileType::Fifo,
            0x2000 => FileType::CharDevice,
            0x4000 => FileType::Directory,
            0x6000 => FileType::BlockDevice,
            0x8000 => FileType::Regular,
            0xa000 => FileType::Symlink,
            0xc000 => FileType::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits of this kind.
    pub const fn mode_bits(self) -> u16 {
        match self {
            FileType::Fifo => 0x1000,
            FileType::CharDevice => 0x2000,
            FileType::Directory => 0x4000,
            FileType::BlockDevice => 0x6000,
            FileType::Regular => 0x8000,
            FileType::Symlink => 0xa000,
            FileType::Socket => 0xc000,
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileType::Regular => "regular file",
            FileType::Directory => "directory",
            FileType::Symlink => "symbolic link",
            FileType::CharDevice => "character device",
            FileType::BlockDevice => "block device",
            FileType::Fifo => "fifo",
            FileType::Socket => "socket",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::FileType;

    #[test]
    fn mode_bits_and_kinds_agree() {
        let kinds: usize = (0..16u16)
            .filter_map(|top| FileType::from_mode(top << 12 | 0o644).map(|kind| (kind.mode_bits(), top << 12)))
            .inspect(|(bits, top)| assert_eq!(bits, top))
            .count();
        assert_eq!(kinds, 7);
    }
}
