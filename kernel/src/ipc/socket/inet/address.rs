//! Addresses of `ip(7)` as programs write them.

use super::super::name::{Endpoint, family};
use crate::vfs::Result;
use abi::Errno;
use abi::inet::{INADDR_ANY, SockaddrIn};
use abi::pod::Pod;
use abi::socket::{AF_INET, AF_UNSPEC};

/// The port and host that `bytes` (`struct sockaddr`) are; EINVAL, EAFNOSUPPORT. Who `binds` may leave out the family for any
/// host, as on Linux.
pub fn parse(bytes: &[u8], binds: bool) -> Result<Endpoint> {
    if bytes.len() < SockaddrIn::SIZE {
        return Err(Errno::EINVAL);
    }
    let address = SockaddrIn::read_bytes(bytes);
    let host = u32::from_be_bytes(address.sin_addr);
    match family(bytes) {
        Some(AF_INET) => {}
        Some(AF_UNSPEC) if binds && host == INADDR_ANY => {}
        _ => return Err(Errno::EAFNOSUPPORT),
    }
    Ok(Endpoint { host, port: u16::from_be_bytes(address.sin_port) })
}
