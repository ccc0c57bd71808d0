//! Plain old data: values that cross the border between kernel and user program as bytes.
//!
//! A [`Pod`] is its own x86-64 memory image. `zerocopy` proves at compile time that every bit pattern is a valid value
//! and that there is no padding, so no byte of the kernel's memory leaks through a hole; padding of a C structure is a
//! field here. The macro `pod_struct!` defines such a structure, and asserts at compile time that its size and the
//! offset of each field are those of the structure of `linux-raw-sys` that it names.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A value with a fixed memory image of which every bit pattern is valid.
pub trait Pod: Copy + FromBytes + IntoBytes + Immutable {
    /// Bytes in the image: `size_of` of the C type.
    const SIZE: usize = size_of::<Self>();

    /// Writes the image into the first [`Pod::SIZE`] bytes of `out`.
    ///
    /// # Panics
    /// If `out` is shorter than that, which is a mistake of the caller and never depends on user input.
    fn write_bytes(&self, out: &mut [u8]) {
        out[..Self::SIZE].copy_from_slice(self.as_bytes());
    }

    /// The value of which the image is the first [`Pod::SIZE`] bytes of `bytes`.
    ///
    /// # Panics
    /// If `bytes` is shorter than that, as for [`Pod::write_bytes`].
    fn read_bytes(bytes: &[u8]) -> Self {
        let mut value = Self::new_zeroed();
        value.as_mut_bytes().copy_from_slice(&bytes[..Self::SIZE]);
        value
    }

    /// Calls `consume` with the image, for a copy to user memory.
    fn with_bytes<R>(&self, consume: impl FnOnce(&[u8]) -> R) -> R {
        consume(self.as_bytes())
    }
}

impl<T: Copy + FromBytes + IntoBytes + Immutable> Pod for T {}

/// Defines structures with [`Pod`]. `pub struct Name = path::to::reference { pub field: Type, … }` asserts size and
/// field offsets against the reference, whose fields have the same names; `pub struct Name: size { … }` asserts the
/// size alone, for structures that `linux-raw-sys` lacks. `pad __pad: Type,` behind a field is what C leaves unused there.
macro_rules! pod_struct {
    ($(#[$attr:meta])* pub struct $name:ident = $reference:path {
        $($(#[$field_attr:meta])* pub $field:ident: $kind:ty, $(pad $pad:ident: $pad_kind:ty,)?)*
    }) => {
        $crate::pod::pod_struct! {
            @define size_of::<$reference>(); $(#[$attr])* $name { $($(#[$field_attr])* pub $field: $kind, $(pad $pad: $pad_kind,)?)* }
        }
        const _: () = {
            assert!(align_of::<$name>() == align_of::<$reference>());
            $(assert!(core::mem::offset_of!($name, $field) == core::mem::offset_of!($reference, $field));)*
        };
    };
    ($(#[$attr:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_attr:meta])* pub $field:ident: $kind:ty, $(pad $pad:ident: $pad_kind:ty,)?)*
    }) => {
        $crate::pod::pod_struct! { @define $size; $(#[$attr])* $name { $($(#[$field_attr])* pub $field: $kind, $(pad $pad: $pad_kind,)?)* } }
    };
    (@define $size:expr; $(#[$attr:meta])* $name:ident {
        $($(#[$field_attr:meta])* pub $field:ident: $kind:ty, $(pad $pad:ident: $pad_kind:ty,)?)*
    }) => {
        $(#[$attr])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable,
        )]
        #[repr(C)]
        pub struct $name { $($(#[$field_attr])* pub $field: $kind, $(#[doc(hidden)] pub $pad: $pad_kind,)?)* }

        const _: () = assert!(size_of::<$name>() == $size);

        impl $name {
            /// All zeros.
            pub const ZERO: Self = zerocopy::transmute!([0u8; size_of::<$name>()]);
        }

        impl Default for $name {
            fn default() -> Self {
                $name::ZERO
            }
        }
    };
}

pub(crate) use pod_struct;

#[cfg(test)]
mod tests {
    use super::*;

    pod_struct! {
        /// Has what C would pad.
        pub struct Padded: 24 {
            /// 1 byte, then 7 of padding.
            pub small: u8,
            pad __pad0: [u8; 7],
            /// 8 bytes.
            pub large: i64,
            /// 6 bytes, then 2 of padding.
            pub array: [u16; 3],
            pad __pad1: [u8; 2],
        }
    }

    #[test]
    fn image_is_little_endian() {
        let value = Padded { small: 0xab, large: -2, array: [1, 0x203, 4], ..Padded::ZERO };
        let mut image = [0xee; 26];
        value.write_bytes(&mut image);
        let mut expected = [0; 26];
        expected[0] = 0xab;
        expected[8] = 0xfe;
        expected[9..16].fill(0xff);
        expected[16..22].copy_from_slice(&[1, 0, 3, 2, 4, 0]);
        expected[24..].fill(0xee);
        assert_eq!(image, expected);
        assert_eq!(Padded::read_bytes(&image), value);
    }

    #[test]
    fn copies_through_closures() {
        let value = Padded { small: 1, ..Default::default() };
        assert_eq!(value.with_bytes(<[u8]>::len), 24);
        assert_eq!([7u32, 9].with_bytes(|bytes| (bytes.len(), bytes[4])), (8, 9));
    }
}
