//! One inode: its fields, checked as far as they can be without looking at anything else.

use super::error::{Corruption, Error, Place, Unsupported};
use super::features;
use super::field::Field;
use super::geometry::Geometry;
use crate::FileType;

/// The part of an inode that is read: revision 0's 128 bytes and the fields that larger inodes add.
pub(super) const RECORD_BYTES: usize = 160;
/// Size of an inode without the added fields.
pub(super) const GOOD_OLD_BYTES: usize = 128;

/// Pointers in `i_block` (`EXT2_N_BLOCKS`): twelve direct, then single, double and triple indirect.
pub(super) const POINTERS: usize = 15;

const I_MODE: Field<u16> = Field::at(0, "i_mode");
const I_UID: Field<u16> = Field::at(2, "i_uid");
const I_SIZE: Field<u32> = Field::at(4, "i_size");
const I_ATIME: Field<u32> = Field::at(8, "i_atime");
const I_CTIME: Field<u32> = Field::at(12, "i_ctime");
const I_MTIME: Field<u32> = Field::at(16, "i_mtime");
pub(super) const I_DTIME: Field<u32> = Field::at(20, "i_dtime");
const I_GID: Field<u16> = Field::at(24, "i_gid");
const I_LINKS_COUNT: Field<u16> = Field::at(26, "i_links_count");
const I_BLOCKS: Field<u32> = Field::at(28, "i_blocks");
const I_FLAGS: Field<u32> = Field::at(32, features::INODE_FLAGS);
const I_BLOCK: usize = 40;
pub(super) const I_GENERATION: Field<u32> = Field::at(100, "i_generation");
const I_FILE_ACL: Field<u32> = Field::at(104, "i_file_acl");
const I_SIZE_HIGH: Field<u32> = Field::at(108, "i_size_high");
const L_I_UID_HIGH: Field<u16> = Field::at(120, "l_i_uid_high");
const L_I_GID_HIGH: Field<u16> = Field::at(122, "l_i_gid_high");
pub(super) const I_EXTRA_ISIZE: Field<u16> = Field::at(128, "i_extra_isize");
const I_CTIME_EXTRA: Field<u32> = Field::at(132, "i_ctime_extra");
const I_MTIME_EXTRA: Field<u32> = Field::at(136, "i_mtime_extra");
const I_ATIME_EXTRA: Field<u32> = Field::at(140, "i_atime_extra");
const I_CRTIME: Field<u32> = Field::at(144, "i_crtime");
const I_CRTIME_EXTRA: Field<u32> = Field::at(148, "i_crtime_extra");

/// An inode in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Its number, from 1.
    pub number: u32,
    /// Kind of file.
    pub kind: FileType,
    /// `i_mode`: kind and permissions, as `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length of the content in bytes; for a regular file at most what the block map reaches.
    pub size: u64,
    /// `i_links_count`: names that lead here.
    pub links_count: u16,
    /// `i_blocks`: space taken, in units of 512 bytes, as `st_blocks`.
    pub sectors_count: u32,
    /// `i_flags` (`chattr(1)`).
    pub flags: u32,
    /// `i_generation`: changes when the number is used anew.
    pub generation: u32,
    /// `i_file_acl`: block of the extended attributes, or 0. Not checked.
    pub attributes_block: u32,
    /// Last read.
    pub accessed: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Creation, where inodes are large enough to say.
    pub created: Option<Timestamp>,
    /// `i_block`: block pointers, a fast symbolic link's target, or a device number. Not checked.
    pub(super) block: [u32; POINTERS],
}

/// Seconds since 1970, and nanoseconds below 10^9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// The rest.
    pub nanoseconds: u32,
}

/// What a device node stands for, as `major(3)` and `minor(3)` split it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl Inode {
    /// Reads inode `number`. The part of `record` beyond the inode's size on the device must be zero.
    pub(super) fn parse<E>(number: u32, record: &[u8; RECORD_BYTES], geometry: &Geometry) -> Result<Inode, Error<E>> {
        let place = Place::Inode(number);
        let mode = I_MODE.get(record);
        let links_count = I_LINKS_COUNT.get(record);
        if links_count == 0 && (mode == 0 || I_DTIME.get(record) != 0) {
            return Err(Error::InodeNotInUse { inode: number });
        }
        let kind = FileType::from_mode(mode)
            .ok_or_else(|| I_MODE.corrupt(place, mode, "its top four bits must be a kind of file"))?;
        let flags = I_FLAGS.get(record);
        let extents = if geometry.has_extents { 0 } else { features::INODE_FLAG_EXTENTS };
        let bits = flags & (features::INODE_FLAGS_UNREADABLE | extents);
        if bits != 0 {
            return Err(Unsupported { field: features::INODE_FLAGS, bits }.into());
        }
        let extra = Extra::new(place, record, geometry)?;
        Ok(Inode {
            number,
            kind,
            mode,
            uid: u32::from(I_UID.get(record)) | u32::from(L_I_UID_HIGH.get(record)) << 16,
            gid: u32::from(I_GID.get(record)) | u32::from(L_I_GID_HIGH.get(record)) << 16,
            size: size(place, kind, record, geometry)?,
            links_count,
            sectors_count: I_BLOCKS.get(record),
            flags,
            generation: I_GENERATION.get(record),
            attributes_block: I_FILE_ACL.get(record),
            accessed: Timestamp::decode(I_ATIME.get(record), extra.get(140, I_ATIME_EXTRA)),
            changed: Timestamp::decode(I_CTIME.get(record), extra.get(132, I_CTIME_EXTRA)),
            modified: Timestamp::decode(I_MTIME.get(record), extra.get(136, I_MTIME_EXTRA)),
            created: extra.get(144, I_CRTIME).map(|seconds| Timestamp::decode(seconds, extra.get(148, I_CRTIME_EXTRA))),
            block: core::array::from_fn(|index| Field::<u32>::at(I_BLOCK + 4 * index, "i_block").get(record)),
        })
    }

    /// Writes the fields into `record`, which holds the inode as it is on the device: what is not kept here, such as
    /// `i_dtime` or attributes behind the times, stays. `len` bytes of it are of the inode.
    pub(super) fn encode(&self, record: &mut [u8; RECORD_BYTES], len: usize) {
        I_MODE.put(record, self.mode);
        I_UID.put(record, self.uid as u16);
        L_I_UID_HIGH.put(record, (self.uid >> 16) as u16);
        I_GID.put(record, self.gid as u16);
        L_I_GID_HIGH.put(record, (self.gid >> 16) as u16);
        I_SIZE.put(record, self.size as u32);
        if self.kind == FileType::Regular {
            I_SIZE_HIGH.put(record, (self.size >> 32) as u32);
        }
        I_LINKS_COUNT.put(record, self.links_count);
        I_BLOCKS.put(record, self.sectors_count);
        I_FLAGS.put(record, self.flags);
        I_GENERATION.put(record, self.generation);
        I_FILE_ACL.put(record, self.attributes_block);
        for (index, word) in self.block.iter().enumerate() {
            Field::<u32>::at(I_BLOCK + 4 * index, "i_block").put(record, *word);
        }
        let end = match len > GOOD_OLD_BYTES {
            true => GOOD_OLD_BYTES + usize::from(I_EXTRA_ISIZE.get(record)),
            false => GOOD_OLD_BYTES,
        };
        for (time, low, high) in [
            (Some(self.accessed), I_ATIME, I_ATIME_EXTRA),
            (Some(self.changed), I_CTIME, I_CTIME_EXTRA),
            (Some(self.modified), I_MTIME, I_MTIME_EXTRA),
            (self.created, I_CRTIME, I_CRTIME_EXTRA),
        ] {
            let Some(time) = time else { continue };
            let extended = high.offset() + 4 <= end;
            let (seconds, extra) = time.encode(extended);
            if low.offset() + 4 <= end {
                low.put(record, seconds);
            }
            if extended {
                high.put(record, extra);
            }
        }
    }

    /// Makes a record of zeros one of a new inode: the size of the added fields.
    pub(super) fn lay_out(record: &mut [u8]) {
        if record.len() > GOOD_OLD_BYTES {
            // Up to `i_projid`, as e2fsprogs and Linux lay inodes out.
            I_EXTRA_ISIZE.put(record, 32.min((record.len() - GOOD_OLD_BYTES) as u16));
        }
    }

    /// What a device node stands for; `None` for all other kinds.
    ///
    /// `i_block[0]` holds the old 16-bit form; if it is zero, `i_block[1]` holds the 32-bit one, as Linux encodes it:
    /// minor bits 0-7, major bits 0-11, minor bits 8-19.
    pub fn device(&self) -> Option<DeviceNumber> {
        let is_device = matches!(self.kind, FileType::CharDevice | FileType::BlockDevice);
        is_device.then(|| DeviceNumber::decode(self.block[0], self.block[1]))
    }

    /// Whether this is a symbolic link whose target is kept in `i_block`: all its space, if any, is its attributes'.
    pub(super) fn is_fast_symlink(&self, geometry: &Geometry) -> bool {
        let attributes = if self.attributes_block == 0 { 0 } else { geometry.block_size() as u32 / 512 };
        self.kind == FileType::Symlink && self.sectors_count == attributes
    }

    /// Whether `i_block` holds a tree of extents, if it leads to blocks at all.
    pub(super) fn has_extents(&self) -> bool {
        self.flags & features::INODE_FLAG_EXTENTS != 0
    }

    /// Whether `i_block` leads to blocks.
    pub(super) fn has_block_map(&self, geometry: &Geometry) -> bool {
        match self.kind {
            FileType::Regular | FileType::Directory => true,
            FileType::Symlink => !self.is_fast_symlink(geometry),
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => false,
        }
    }
}

/// The statement that `inode` is of a kind that breaks `rule`.
pub(super) fn wrong_kind(inode: &Inode, rule: &'static str) -> Corruption {
    I_MODE.corrupt(Place::Inode(inode.number), inode.mode, rule)
}

/// The statement that the size of `inode` breaks `rule`.
pub(super) fn wrong_size(inode: &Inode, rule: &'static str) -> Corruption {
    Corruption { place: Place::Inode(inode.number), field: "i_size", value: inode.size, rule }
}

/// The statement that `i_blocks` of `inode` is less than the blocks found.
pub(super) fn wrong_sectors(inode: &Inode) -> Corruption {
    I_BLOCKS.corrupt(Place::Inode(inode.number), inode.sectors_count, "must count all blocks of the inode")
}

/// `i_size` with its upper half, which only regular files have.
fn size<E>(place: Place, kind: FileType, record: &[u8], geometry: &Geometry) -> Result<u64, Error<E>> {
    let low = I_SIZE.get(record);
    let high = if kind == FileType::Regular { I_SIZE_HIGH.get(record) } else { 0 };
    let size = u64::from(low) | u64::from(high) << 32;
    if size > geometry.max_file_bytes() {
        return Err(I_SIZE_HIGH
            .corrupt(place, high, "must not make the file larger than its block map reaches")
            .into());
    }
    Ok(size)
}

/// The fields behind the first 128 bytes, present as far as `i_extra_isize` says.
struct Extra<'a> {
    record: &'a [u8; RECORD_BYTES],
    end: usize,
}

impl<'a> Extra<'a> {
    fn new<E>(place: Place, record: &'a [u8; RECORD_BYTES], geometry: &Geometry) -> Result<Self, Error<E>> {
        let len = I_EXTRA_ISIZE.get(record);
        if usize::from(len) + GOOD_OLD_BYTES > geometry.inode_size as usize {
            return Err(I_EXTRA_ISIZE.corrupt(place, len, "must end within s_inode_size").into());
        }
        Ok(Extra { record, end: GOOD_OLD_BYTES + usize::from(len) })
    }

    /// The four-byte field at `offset`, if it is there.
    fn get(&self, offset: usize, field: Field<u32>) -> Option<u32> {
        (offset + 4 <= self.end).then(|| field.get(self.record))
    }
}

impl DeviceNumber {
    /// `i_block[0]` and `i_block[1]`: the old form where the numbers fit into it, as Linux does.
    pub(super) fn encode(self) -> (u32, u32) {
        let DeviceNumber { major, minor } = self;
        match major < 256 && minor < 256 {
            true => (major << 8 | minor, 0),
            false => (0, minor & 0xff | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12),
        }
    }

    fn decode(old: u32, new: u32) -> DeviceNumber {
        if old != 0 {
            DeviceNumber { major: old >> 8 & 0xff, minor: old & 0xff }
        } else {
            DeviceNumber { major: new >> 8 & 0xfff, minor: new & 0xff | new >> 12 & 0xf_ff00 }
        }
    }
}

impl Timestamp {
    /// The four bytes of the seconds, and those of their extension. Where there is none, times beyond 32 bits stop at
    /// the first or last that can be said.
    fn encode(self, extended: bool) -> (u32, u32) {
        let least = i64::from(i32::MIN);
        let most = if extended { i64::from(i32::MAX) + (3 << 32) } else { i64::from(i32::MAX) };
        let seconds = self.seconds.clamp(least, most);
        let low = seconds as u32;
        let epoch = (seconds - i64::from(low.cast_signed())) >> 32;
        (low, self.nanoseconds << 2 | epoch as u32 & 3)
    }

    /// `seconds` counts as signed; the two low bits of `extra` add multiples of 2^32 to it, the others are nanoseconds.
    fn decode(seconds: u32, extra: Option<u32>) -> Timestamp {
        let extra = extra.unwrap_or(0);
        let epoch = i64::from(extra & 3) << 32;
        Timestamp {
            seconds: i64::from(seconds.cast_signed()) + epoch,
            // Only a corrupt inode has more; readers of the time are promised less than a second.
            nanoseconds: (extra >> 2).min(999_999_999),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceNumber, Timestamp};

    #[test]
    fn device_numbers_have_an_old_and_a_new_form() {
        assert_eq!(DeviceNumber::decode(0x0811, 0x1234_5678), DeviceNumber { major: 8, minor: 17 });
        assert_eq!(DeviceNumber::decode(0, 0xabcd_ef12), DeviceNumber { major: 0xdef, minor: 0xabc12 });
        assert_eq!(DeviceNumber::decode(0, 0), DeviceNumber { major: 0, minor: 0 });
    }

    #[test]
    fn seconds_are_signed_and_the_epoch_bits_extend_them() {
        // From the table of extended times in the ext4 documentation.
        let cases = [
            (0x8000_0000, None, -0x8000_0000),
            (0xffff_ffff, Some(0), -1),
            (0x7fff_ffff, Some(0), 0x7fff_ffff),
            (0x8000_0000, Some(1), 0x8000_0000),
            (0xffff_ffff, Some(1), 0xffff_ffff),
            (0, Some(1), 0x1_0000_0000),
            (0x7fff_ffff, Some(3), 0x3_7fff_ffff),
        ];
        for (seconds, extra, expected) in cases {
            assert_eq!(Timestamp::decode(seconds, extra).seconds, expected, "{seconds:#x} {extra:?}");
        }
    }

    #[test]
    fn times_and_device_numbers_survive_encoding() {
        for seconds in [-0x8000_0000, -1, 0, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x3_7fff_ffff] {
            let time = Timestamp { seconds, nanoseconds: 123_456_789 };
            let (low, extra) = time.encode(true);
            assert_eq!(Timestamp::decode(low, Some(extra)), time);
        }
        let late = Timestamp { seconds: 1 << 40, nanoseconds: 5 };
        assert_eq!(late.encode(false).0, 0x7fff_ffff);
        for (major, minor) in [(0, 0), (8, 17), (255, 255), (256, 0), (1, 256), (0xfff, 0xf_ffff)] {
            let number = DeviceNumber { major, minor };
            let (old, new) = number.encode();
            assert_eq!(DeviceNumber::decode(old, new), number);
        }
    }

    #[test]
    fn nanoseconds_are_the_upper_thirty_bits_and_stay_below_a_second() {
        assert_eq!(Timestamp::decode(0, Some(123_456_789 << 2)).nanoseconds, 123_456_789);
        assert_eq!(Timestamp::decode(0, Some(u32::MAX)).nanoseconds, 999_999_999);
    }
}
