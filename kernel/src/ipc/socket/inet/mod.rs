//! AF_INET within this machine (`ip(7)`, `tcp(7)`, `udp(7)`): `address` as programs write it · `ports` who has which · `connection` of TCP · `datagram` UDP · [`interfaces`] what `netdevice(7)` says.
//!
//! The hosts 127.0.0.0/8 are this machine; there is no way to others (ENETUNREACH).

mod address;
mod connection;
mod datagram;
pub mod interfaces;
mod ports;

pub use address::parse;
pub use ports::{bind, end_listening, forget, listen};
