//! Little-endian fields at fixed offsets of on-disk records, each with the name that e2fsprogs gives it.

use core::marker::PhantomData;

use super::error::{Corruption, Place};

/// A number of type `T` at a fixed byte offset of a record.
#[derive(Clone, Copy)]
pub(super) struct Field<T> {
    offset: usize,
    name: &'static str,
    kind: PhantomData<T>,
}

impl<T: LittleEndian> Field<T> {
    /// The field `name` at byte `offset`.
    pub(super) const fn at(offset: usize, name: &'static str) -> Self {
        Field { offset, name, kind: PhantomData }
    }

    /// The field's value. `record` is a whole record of the kind that the field belongs to: its length is a constant
    /// above the offset, never a value from the device.
    #[inline(always)]
    pub(super) fn get(self, record: &[u8]) -> T {
        T::load(&record[self.offset..])
    }

    /// Sets the field of `record`, which is as [`get`](Self::get) wants it.
    #[inline(always)]
    pub(super) fn put(self, record: &mut [u8], value: T) {
        value.store(&mut record[self.offset..]);
    }

    /// Where in its record the field starts, in bytes.
    pub(super) const fn offset(self) -> usize {
        self.offset
    }

    /// The statement that this field of the record at `place` holds `value` and so breaks `rule`.
    pub(super) fn corrupt(self, place: Place, value: T, rule: &'static str) -> Corruption {
        Corruption { place, field: self.name, value: value.into(), rule }
    }
}

/// Unsigned integers as ext2 stores them: the lowest byte first.
pub(super) trait LittleEndian: Copy + Into<u64> {
    /// The number in the first bytes of `bytes`.
    fn load(bytes: &[u8]) -> Self;
    /// Puts the number into the first bytes of `bytes`.
    fn store(self, bytes: &mut [u8]);
}

impl LittleEndian for u8 {
    #[inline(always)]
    fn load(bytes: &[u8]) -> Self {
        bytes[0]
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        bytes[0] = self;
    }
}

impl LittleEndian for u16 {
    #[inline(always)]
    fn load(bytes: &[u8]) -> Self {
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        bytes[..2].copy_from_slice(&self.to_le_bytes());
    }
}

impl LittleEndian for u32 {
    #[inline(always)]
    fn load(bytes: &[u8]) -> Self {
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    #[inline(always)]
    fn store(self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Place};

    #[test]
    fn the_lowest_byte_comes_first() {
        let record = [0xaa, 0x01, 0x02, 0x03, 0x04];
        assert_eq!(Field::<u8>::at(0, "a").get(&record), 0xaa);
        assert_eq!(Field::<u16>::at(1, "b").get(&record), 0x0201);
        assert_eq!(Field::<u32>::at(1, "c").get(&record), 0x0403_0201);
    }

    #[test]
    fn what_is_put_is_got() {
        let mut record = [0xff; 5];
        Field::<u16>::at(1, "b").put(&mut record, 0x0201);
        assert_eq!(record, [0xff, 0x01, 0x02, 0xff, 0xff]);
        Field::<u32>::at(1, "c").put(&mut record, 0x0403_0201);
        assert_eq!(Field::<u32>::at(1, "c").get(&record), 0x0403_0201);
    }

    #[test]
    fn a_corrupt_field_is_named() {
        extern crate std;
        use std::string::ToString;
        let corruption = Field::<u16>::at(56, "s_magic").corrupt(Place::Superblock, 0x1234, "must be 0xef53");
        assert_eq!(corruption.to_string(), "superblock: s_magic is 4660 (0x1234), must be 0xef53");
    }
}
