//! Plain old data: values that cross the border between kernel and user program as bytes.
//!
//! [`Pod`] turns a value into its x86-64 memory image and back, field by field and in little-endian order, so that no
//! `unsafe` is needed and padding is always zero: none of the kernel's memory leaks through it. The macro
//! `pod_struct!` defines a `repr(C)` structure with its `Pod` implementation, and asserts at compile time that its size
//! and the offset of each field are those of the structure of `linux-raw-sys` that it names.

/// The largest [`Pod::SIZE`] there may be; enough for every structure of the ABI.
pub const MAX_POD_BYTES: usize = 512;

/// A value with a fixed memory image of which every bit pattern is valid.
pub trait Pod: Copy {
    /// Bytes in the image, padding included: `size_of` of the C type.
    const SIZE: usize;
    /// The value of which the image is all zeros.
    const ZERO: Self;

    /// Writes the image into the first [`Pod::SIZE`] bytes of `out`; padding becomes 0.
    ///
    /// # Panics
    /// If `out` is shorter than that, which is a mistake of the caller and never depends on user input.
    fn write_bytes(&self, out: &mut [u8]);

    /// The value of which the image is the first [`Pod::SIZE`] bytes of `bytes`; padding is ignored.
    ///
    /// # Panics
    /// If `bytes` is shorter than that, as for [`Pod::write_bytes`].
    fn read_bytes(bytes: &[u8]) -> Self;

    /// Calls `consume` with the image, for a copy to user memory.
    fn with_bytes<R>(&self, consume: impl FnOnce(&[u8]) -> R) -> R {
        const { assert!(Self::SIZE <= MAX_POD_BYTES) };
        let mut image = [0; MAX_POD_BYTES];
        self.write_bytes(&mut image[..Self::SIZE]);
        consume(&image[..Self::SIZE])
    }

    /// The value of which `fill` provides the image, by a copy from user memory into the slice it is given.
    fn try_from_fill<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        const { assert!(Self::SIZE <= MAX_POD_BYTES) };
        let mut image = [0; MAX_POD_BYTES];
        fill(&mut image[..Self::SIZE])?;
        Ok(Self::read_bytes(&image[..Self::SIZE]))
    }
}

macro_rules! pod_integers {
    ($($integer:ty)*) => { $(
        impl Pod for $integer {
            const SIZE: usize = size_of::<$integer>();
            const ZERO: Self = 0;

            fn write_bytes(&self, out: &mut [u8]) {
                out[..Self::SIZE].copy_from_slice(&self.to_le_bytes());
            }

            fn read_bytes(bytes: &[u8]) -> Self {
                let mut image = [0; size_of::<$integer>()];
                image.copy_from_slice(&bytes[..Self::SIZE]);
                Self::from_le_bytes(image)
            }
        }
    )* };
}

pod_integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl<T: Pod, const N: usize> Pod for [T; N] {
    const SIZE: usize = T::SIZE * N;
    const ZERO: Self = [T::ZERO; N];

    fn write_bytes(&self, out: &mut [u8]) {
        for (element, image) in self.iter().zip(out[..Self::SIZE].chunks_exact_mut(T::SIZE)) {
            element.write_bytes(image);
        }
    }

    fn read_bytes(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::SIZE];
        core::array::from_fn(|index| T::read_bytes(&bytes[index * T::SIZE..]))
    }
}

/// Defines structures with [`Pod`]. `pub struct Name = path::to::reference { pub field: Type, … }` asserts size and
/// field offsets against the reference, whose fields have the same names; `pub struct Name: size { … }` asserts the
/// size alone, for structures that `linux-raw-sys` lacks.
macro_rules! pod_struct {
    ($(#[$attr:meta])* pub struct $name:ident = $reference:path {
        $($(#[$field_attr:meta])* pub $field:ident: $kind:ty,)*
    }) => {
        $crate::pod::pod_struct! {
            @define size_of::<$reference>(); $(#[$attr])* $name { $($(#[$field_attr])* $field: $kind,)* }
        }
        const _: () = {
            assert!(align_of::<$name>() == align_of::<$reference>());
            $(assert!(core::mem::offset_of!($name, $field) == core::mem::offset_of!($reference, $field));)*
        };
    };
    ($(#[$attr:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_attr:meta])* pub $field:ident: $kind:ty,)*
    }) => {
        $crate::pod::pod_struct! { @define $size; $(#[$attr])* $name { $($(#[$field_attr])* $field: $kind,)* } }
    };
    (@define $size:expr; $(#[$attr:meta])* $name:ident {
        $($(#[$field_attr:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(C)]
        pub struct $name { $($(#[$field_attr])* pub $field: $kind,)* }

        const _: () = assert!(size_of::<$name>() == $size);

        impl $crate::pod::Pod for $name {
            const SIZE: usize = size_of::<$name>();
            const ZERO: Self = $name { $($field: <$kind as $crate::pod::Pod>::ZERO,)* };

            fn write_bytes(&self, out: &mut [u8]) {
                let out = &mut out[..Self::SIZE];
                out.fill(0);
                $($crate::pod::Pod::write_bytes(&self.$field, &mut out[core::mem::offset_of!($name, $field)..]);)*
            }

            fn read_bytes(bytes: &[u8]) -> Self {
                let bytes = &bytes[..Self::SIZE];
                $name { $($field: $crate::pod::Pod::read_bytes(&bytes[core::mem::offset_of!($name, $field)..]),)* }
            }

            fn with_bytes<R>(&self, consume: impl FnOnce(&[u8]) -> R) -> R {
                let mut image = [0; size_of::<$name>()];
                $crate::pod::Pod::write_bytes(self, &mut image);
                consume(&image)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                <$name as $crate::pod::Pod>::ZERO
            }
        }
    };
}

pub(crate) use pod_struct;

#[cfg(test)]
mod tests {
    use super::*;

    pod_struct! {
        /// Has padding after its first field and at its end.
        pub struct Padded: 24 {
            /// 1 byte, then 7 of padding.
            pub small: u8,
            /// 8 bytes.
            pub large: i64,
            /// 6 bytes, then 2 of padding.
            pub array: [u16; 3],
        }
    }

    #[test]
    fn image_is_little_endian_with_zero_padding() {
        let value = Padded { small: 0xab, large: -2, array: [1, 0x203, 4] };
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
        let read = u16::try_from_fill(|bytes| {
            bytes.copy_from_slice(&[0x34, 0x12]);
            Ok::<(), ()>(())
        });
        assert_eq!(read, Ok(0x1234));
        assert_eq!(u64::try_from_fill(|_| Err("EFAULT")), Err("EFAULT"));
    }
}
