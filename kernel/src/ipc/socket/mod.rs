//! Sockets: AF_UNIX (`unix(7)`), and AF_INET (`ip(7)`, `tcp(7)`, `udp(7)`) within this machine.
//!
//! From the bottom up: `name` · `options` · `passed` files in a message · `inbox` what waits to be received · `end` what
//! others know of a socket · `descriptor` what a descriptor leads to · `transit` files under way and circles of them ·
//! `listen` taking connections · `stream` sending over them · `receive` · `unix` and `inet`: names, connections and packets of each family · `close` · `file` the open
//! file · `family` what system calls do by family.
//!
//! One code serves all types: a stream's bytes are in a ring, as a pipe's are, and a packet is a stretch of such a ring
//! with a record of its length. Both ends of what goes from this machine to itself are here, so a TCP connection is such a
//! ring each way: there are no segments that could be lost, and no headers, checksums, acknowledgements and timers.
//! What it does is what TCP does: a reset, a half that has ended, a listener without room.
//!
//! What a program can make the kernel keep is bounded for each socket and connection: one takes in no more than its sender's SO_SNDBUF, of
//! TCP its own SO_RCVBUF besides, of UDP that alone, in page frames that are there only while they hold something; all together an
//! eighth of the memory, beyond which each takes in a page. A listener keeps as many
//! connections as its backlog says; files under way are bounded by RLIMIT_NOFILE for each user.

mod close;
mod descriptor;
mod end;
mod family;
mod file;
mod inbox;
mod inet;
mod listen;
mod name;
pub mod options;
mod passed;
mod receive;
mod stream;
mod transit;
mod unix;

pub use descriptor::{Socket, socket};
pub use end::{End, Family, Kind, NOBODY, Phase};
pub use inbox::Taken;
pub use name::Name;
pub use stream::Outgoing;
