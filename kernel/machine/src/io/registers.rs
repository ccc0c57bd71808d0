//! Typed device registers: what `#[derive(Registers)]` (crate `macros`) builds on.
//!
//! A register's type says which accesses it has. Bounds and alignment are checked when registers are made out of a
//! [`Window`]; after that an access is one volatile load or store and cannot fail.

use super::mmio::{Register, RegisterValue, Window};
use core::fmt;
use core::marker::PhantomData;

/// A register, or a group of them, that can be made out of a window of device memory.
pub trait Registers: Sized {
    /// Bytes from its start to the end of its last register; of an [`Array`], 0.
    const SIZE: usize;
    /// What its offset must be a multiple of.
    const ALIGN: usize;

    /// The registers at `offset` of `window`.
    fn map_at(window: Window, offset: usize) -> Result<Self, OutOfWindow>;

    /// The registers at the start of `window`.
    fn map(window: Window) -> Result<Self, OutOfWindow> {
        Self::map_at(window, 0)
    }
}

/// Registers do not fit into their window, or are not aligned in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfWindow {
    /// Where the first register that does not fit would be, in bytes from the window's start.
    pub offset: usize,
    /// Bytes in the window.
    pub window_len: usize,
}

impl fmt::Display for OutOfWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a register at {:#x} does not fit into {:#x} bytes of device memory", self.offset, self.window_len)
    }
}

macro_rules! access_types {
    ($($(#[$documentation:meta])* $name:ident: $($access:ident)+;)+) => { $(
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<T>(Register<T>);

        impl<T: RegisterValue> Registers for $name<T> {
            const SIZE: usize = size_of::<T>();
            const ALIGN: usize = size_of::<T>();
            fn map_at(window: Window, offset: usize) -> Result<Self, OutOfWindow> {
                let error = OutOfWindow { offset, window_len: window.len_bytes() };
                window.try_register(offset).map($name).ok_or(error)
            }
        }

        impl<T: RegisterValue> $name<T> {
            $( access_types!(@$access); )+
        }
    )+ };
    (@read) => {
        /// Reads the register.
        #[inline]
        pub fn read(self) -> T {
            self.0.read()
        }
    };
    (@write) => {
        /// Writes the register.
        #[inline]
        pub fn write(self, value: T) {
            self.0.write(value);
        }
    };
}

access_types! {
    /// A register that is only read.
    ReadOnly: read;
    /// A register that is only written.
    WriteOnly: write;
    /// A register with both accesses.
    ReadWrite: read write;
}

impl<T: RegisterValue> ReadWrite<T> {
    /// Writes what `change` makes of the value read. Not atomic: the register must have one user at a time.
    #[inline]
    pub fn modify(self, change: impl FnOnce(T) -> T) {
        self.write(change(self.read()));
    }
}

impl<R: Registers, const N: usize> Registers for [R; N] {
    const SIZE: usize = R::SIZE * N;
    const ALIGN: usize = R::ALIGN;

    fn map_at(window: Window, offset: usize) -> Result<Self, OutOfWindow> {
        let mut error = None;
        let all = core::array::from_fn(|index| {
            R::map_at(window, offset + index * R::SIZE).map_err(|out| error = Some(out)).ok()
        });
        match error {
            Some(error) => Err(error),
            // Without an error every element is there.
            None => Ok(all.map(|one| one.unwrap_or_else(|| unreachable!("made without an error")))),
        }
    }
}

/// Groups of registers one after the other, to the end of their window: their number is known at run time.
#[derive(Clone, Copy, Debug)]
pub struct Array<R> {
    window: Window,
    _element: PhantomData<fn() -> R>,
}

impl<R: Registers> Registers for Array<R> {
    const SIZE: usize = 0;
    const ALIGN: usize = R::ALIGN;

    fn map_at(window: Window, offset: usize) -> Result<Self, OutOfWindow> {
        let error = OutOfWindow { offset, window_len: window.len_bytes() };
        let rest = window.len_bytes().checked_sub(offset).ok_or(error)?;
        let window = window.part(offset, rest).ok_or(error)?;
        Ok(Array { window, _element: PhantomData })
    }
}

impl<R: Registers> Array<R> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.window.len_bytes() / R::SIZE.max(1)
    }

    /// Whether the window had no room for a single one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `index`, if there are as many.
    pub fn get(&self, index: usize) -> Option<R> {
        let offset = index.checked_mul(R::SIZE)?;
        R::map_at(self.window, offset).ok()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = R> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// The larger one, at compile time: for the derive.
pub const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
