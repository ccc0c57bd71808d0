//! Values that requests exchange with programs, by their addresses.

use crate::vfs::Result;
use abi::Errno;
use abi::pod::Pod;
use machine::user::copy;

/// Copies `value` out; EFAULT.
pub fn put<T: Pod>(address: u64, value: &T) -> Result<()> {
    value.with_bytes(|bytes| copy::write(address, bytes)).map_err(|_| Errno::EFAULT)
}

/// Copies a value in; EFAULT.
pub fn get<T: Pod>(address: u64) -> Result<T> {
    T::try_from_fill(|bytes| copy::read(address, bytes)).map_err(|_| Errno::EFAULT)
}
