//! Plain old data: structures that cross the border as bytes, field by field.

/// A value with a fixed size whose bytes a user program may see and make. Little endian; padding is zero.
pub trait Pod: Sized {
    /// Bytes.
    const SIZE: usize;
    /// Writes the value to the first `SIZE` bytes of `out`. Panics if it is shorter.
    fn write_bytes(&self, out: &mut [u8]);
    /// Reads a value from the first `SIZE` bytes. Panics if there are fewer.
    fn read_bytes(bytes: &[u8]) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => { $(impl Pod for $type {
        const SIZE: usize = size_of::<$type>();
        fn write_bytes(&self, out: &mut [u8]) {
            out[..Self::SIZE].copy_from_slice(&self.to_le_bytes());
        }
        fn read_bytes(bytes: &[u8]) -> Self {
            let mut own = [0; size_of::<$type>()];
            own.copy_from_slice(&bytes[..Self::SIZE]);
            <$type>::from_le_bytes(own)
        }
    })* };
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

impl<T: Pod + Copy + Default, const N: usize> Pod for [T; N] {
    const SIZE: usize = T::SIZE * N;
    fn write_bytes(&self, out: &mut [u8]) {
        for (value, chunk) in self.iter().zip(out.chunks_exact_mut(T::SIZE)) {
            value.write_bytes(chunk);
        }
    }
    fn read_bytes(bytes: &[u8]) -> Self {
        let mut values = [T::default(); N];
        for (value, chunk) in values.iter_mut().zip(bytes.chunks_exact(T::SIZE)) {
            *value = T::read_bytes(chunk);
        }
        values
    }
}

/// Declares a structure of the ABI: each field with its offset, and the size of the whole, both asserted against
/// `linux-raw-sys`'s structure where one is named.
macro_rules! pod_struct {
    ($(#[$attribute:meta])* $name:ident, $size:literal $(as $raw:ty)? {
        $($offset:literal $field:ident: $type:ty,)*
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[allow(missing_docs, reason = "the fields are named as in the man page")]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl $crate::pod::Pod for $name {
            const SIZE: usize = $size;
            fn write_bytes(&self, out: &mut [u8]) {
                out[..$size].fill(0);
                $($crate::pod::Pod::write_bytes(&self.$field, &mut out[$offset..]);)*
            }
            fn read_bytes(bytes: &[u8]) -> Self {
                $name { $($field: $crate::pod::Pod::read_bytes(&bytes[$offset..]),)* }
            }
        }

        $(const _: () = assert!($offset + <$type as $crate::pod::Pod>::SIZE <= $size);)*
        $(const _: () = assert!(size_of::<$raw>() == $size);)?
    };
}
pub(crate) use pod_struct;
