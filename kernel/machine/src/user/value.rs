//! Values in user memory, by their addresses.

use super::copy;
use abi::Errno;
use abi::pod::Pod;
use core::mem::MaybeUninit;

/// The value at the user address `from`, which need not be aligned; EFAULT.
#[inline]
pub fn get<T: Pod>(from: u64) -> Result<T, Errno> {
    with(from, |value| *value)
}

/// Calls `f` with the value at the user address `from`: for one that is too large to be moved about; EFAULT.
#[inline]
pub fn with<T: Pod, R>(from: u64, f: impl FnOnce(&T) -> R) -> Result<R, Errno> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: (1) `value` has room for that many bytes.
    match unsafe { copy::read_to(from, value.as_mut_ptr().cast(), size_of::<T>()) } {
        // SAFETY: (1) every byte has been written, and of a Pod any bytes are a value.
        Ok(()) => Ok(f(unsafe { value.assume_init_ref() })),
        Err(_) => Err(Errno::EFAULT),
    }
}

/// Copies `value` to the user address `to`; EFAULT.
pub fn put<T: Pod>(to: u64, value: &T) -> Result<(), Errno> {
    value.with_bytes(|bytes| copy::write(to, bytes)).map_err(|_| Errno::EFAULT)
}
