//! Addresses of `unix(7)` as programs write them.

use super::super::name::family;
use crate::vfs::Result;
use abi::Errno;
use abi::socket::{AF_UNIX, PATH_OFFSET, SockaddrUn};
use alloc::sync::Arc;

/// An address that a program gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address<'a> {
    /// A path, without a zero.
    Path(&'a [u8]),
    /// A name in no directory, with the zero it begins with.
    Abstract(&'a [u8]),
}

/// The address that `bytes` (`struct sockaddr`) are; EINVAL.
pub fn parse(bytes: &[u8]) -> Result<Address<'_>> {
    if bytes.len() <= PATH_OFFSET || bytes.len() > size_of::<SockaddrUn>() || family(bytes) != Some(AF_UNIX) {
        return Err(Errno::EINVAL);
    }
    let path = &bytes[PATH_OFFSET..];
    Ok(match path.iter().position(|&byte| byte == 0) {
        Some(0) => Address::Abstract(path),
        Some(end) => Address::Path(&path[..end]),
        None => Address::Path(path),
    })
}

/// Whether `bytes` ask bind(2) to find a name ("autobind").
pub fn asks_for_name(bytes: &[u8]) -> bool {
    bytes.len() == PATH_OFFSET && family(bytes) == Some(AF_UNIX)
}

/// The name that a socket gets by `address`.
pub fn name_of(address: Address<'_>) -> Result<Arc<[u8]>> {
    let (text, end): (_, &[u8]) = match address {
        Address::Path(path) => (path, &[0]),
        Address::Abstract(name) => (name, &[]),
    };
    let mut name = alloc::vec::Vec::new();
    name.try_reserve_exact(text.len() + end.len()).map_err(|_| Errno::ENOMEM)?;
    name.extend_from_slice(text);
    name.extend_from_slice(end);
    Ok(name.into())
}
