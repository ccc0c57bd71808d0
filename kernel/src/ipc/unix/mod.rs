//! Sockets of one machine: AF_UNIX (`unix(7)`).
//!
//! From the bottom up: `name` addresses · `options` · `passed` files in a message · `inbox` what waits to be received · `end` what
//! others know of a socket · `bound` who has which name · `socket` what a descriptor leads to · `transit` files under way and
//! circles of them · `connect`, `send`, `receive` · `file` the open file. One code serves the three types: a stream's bytes are in a ring, as a pipe's are,
//! and a packet is a stretch of such a ring with a record of its length.
//!
//! What a program can make the kernel keep is bounded: a socket takes in no more than its senders' SO_SNDBUF, in page
//! frames that are there only while they hold something; files under way are bounded by RLIMIT_NOFILE for each user.

mod bound;
mod connect;
mod end;
mod file;
mod inbox;
mod name;
pub mod options;
mod passed;
mod receive;
mod send;
mod socket;
mod transit;

pub use bound::{bind, bind_any};
pub use end::{End, Kind, Phase};
pub use inbox::Taken;
pub use name::{Address, Name, asks_for_name, asks_for_none, parse};
pub use send::Outgoing;
pub use socket::{Socket, socket};
