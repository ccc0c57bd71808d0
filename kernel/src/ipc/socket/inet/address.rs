//! Addresses of `ip(7)` as programs write them.

use super::super::name::{Endpoint, family};
use crate::vfs::Result;
use abi::Errno;
use abi::inet::SockaddrIn;
use abi::pod::Pod;
use abi::socket::{AF_INET, AF_UNSPEC};

/// The port and host that `bytes` (`struct sockaddr`) are; EINVAL, EAFNOSUPPORT. The family may be left out for hosts that
/// `without_family` takes.
pub fn parse(bytes: &[u8], without_family: impl Fn(u32) -> bool) -> Result<Endpoint> {
    if bytes.len() < SockaddrIn::SIZE {
        return Err(Errno::EINVAL);
    }
    let address = SockaddrIn::read_bytes(bytes);
    let host = u32::from_be_bytes(address.sin_addr);
    match family(bytes) {
        Some(AF_INET) => {}
        Some(AF_UNSPEC) if without_family(host) => {}
        _ => return Err(Errno::EAFNOSUPPORT),
    }
    Ok(Endpoint { host, port: u16::from_be_bytes(address.sin_port) })
}
