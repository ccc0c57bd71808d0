//! AF_UNIX (`unix(7)`): `address` as programs write it · `bound` who has which name · `packet` sending packets, and whose a datagram
//! socket takes · `connect`.

mod address;
mod bound;
mod connect;
mod packet;

pub use address::{asks_for_name, parse};
pub use bound::{bind, bind_any, forget};
