//! What sockets are called, as getsockname(2) tells it.

use abi::inet::{INADDR_ANY, INADDR_LOOPBACK};
use abi::socket::AF_UNSPEC;
use alloc::sync::Arc;

/// A socket's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Name {
    /// `sun_path` as far as it counts (`unix(7)`): a path with its final zero, or bytes that begin with a zero and are a
    /// name in no directory ("abstract").
    Unix(Arc<[u8]>),
    /// A port of a host (`ip(7)`).
    Inet(Endpoint),
}

/// A port of a host, both as numbers of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The host; 0 for any of this machine.
    pub host: u32,
    /// The port; 0 for none yet.
    pub port: u16,
}

impl Endpoint {
    /// What a socket without a name is called.
    pub const NONE: Endpoint = Endpoint { host: INADDR_ANY, port: 0 };

    /// The same, on this host if it names none.
    pub fn here(self) -> Endpoint {
        if self.host == INADDR_ANY { Endpoint { host: INADDR_LOOPBACK, ..self } } else { self }
    }

    /// Whether the host is this machine (127.0.0.0/8).
    pub fn is_local(self) -> bool {
        self.host >> 24 == INADDR_LOOPBACK >> 24
    }
}

/// The family of an address that a program gave.
pub fn family(address: &[u8]) -> Option<u32> {
    Some(u16::from_le_bytes([*address.first()?, *address.get(1)?]).into())
}

/// Whether an address asks connect(2) to end a connection.
pub fn asks_for_none(address: &[u8]) -> bool {
    family(address) == Some(AF_UNSPEC)
}
