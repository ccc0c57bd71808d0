//! Sockets: `socket(2)`, `sendmsg(2)`, `recvmsg(2)`, `socket(7)`, and the addresses of `unix(7)`.

use linux_raw_sys::net as raw;

/// Families, types and what goes with a type (`socket(2)`).
pub use raw::{AF_INET, AF_MAX, AF_UNIX, AF_UNSPEC, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
/// Flags of single transfers.
pub use raw::{
    MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_EOR, MSG_ERRQUEUE, MSG_MORE, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK,
    MSG_TRUNC, MSG_WAITALL,
};
/// Types of control messages.
pub use raw::{SCM_CREDENTIALS, SCM_RIGHTS};
/// Ways of `shutdown(2)`.
pub use raw::{SHUT_RD, SHUT_RDWR, SHUT_WR};
/// Options of every socket (`socket(7)`), and their level.
pub use raw::{
    SO_ACCEPTCONN, SO_BROADCAST, SO_DOMAIN, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_OOBINLINE, SO_PASSCRED, SO_PEERCRED,
    SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDTIMEO,
    SO_TYPE, SOL_SOCKET,
};

use crate::fcntl::OpenFlags;
use crate::pod::{Pod, pod_struct};

/// The bits of a socket type that are the type; the rest are flags.
pub const SOCK_TYPE_MASK: u32 = 0xf;
/// Types there could be (`SOCK_MAX`).
pub const SOCK_MAX: u32 = 11;
/// Close on `execve(2)`, in a type.
pub const SOCK_CLOEXEC: u32 = OpenFlags::CLOEXEC.bits();
/// Do not wait, in a type.
pub const SOCK_NONBLOCK: u32 = OpenFlags::NONBLOCK.bits();
/// Of several messages, only the first is waited for (`recvmmsg(2)`).
pub const MSG_WAITFORONE: u32 = 0x10000;
/// Most descriptors of one message (`SCM_MAX_FD`).
pub const SCM_MAX_FD: usize = 253;
/// Longest address of any family, in bytes (`struct sockaddr_storage`).
pub const ADDRESS_MAX: usize = 128;
/// Where the path of an address begins, in bytes.
pub const PATH_OFFSET: usize = 2;

pod_struct! {
    /// An address of `unix(7)`. Which part of the path counts, the length of the address says.
    pub struct SockaddrUn = raw::sockaddr_un {
        /// `AF_UNIX`.
        pub sun_family: u16,
        /// Path, or a name that begins with a zero.
        pub sun_path: [u8; 108],
    }
}

const _: () = assert!(core::mem::offset_of!(SockaddrUn, sun_path) == PATH_OFFSET);

pod_struct! {
    /// A message of `sendmsg(2)` and `recvmsg(2)`.
    pub struct Msghdr = raw::msghdr {
        /// User address of the address.
        pub msg_name: u64,
        /// Bytes of it.
        pub msg_namelen: i32,
        pad __pad0: [u8; 4],
        /// User address of the array of pieces.
        pub msg_iov: u64,
        /// Pieces in it.
        pub msg_iovlen: u64,
        /// User address of the control messages.
        pub msg_control: u64,
        /// Bytes of them.
        pub msg_controllen: u64,
        /// What became of it (`MSG_*`).
        pub msg_flags: u32,
        pad __pad1: [u8; 4],
    }
}

pod_struct! {
    /// One of several messages (`sendmmsg(2)`, `recvmmsg(2)`).
    pub struct Mmsghdr = raw::mmsghdr {
        /// The message.
        pub msg_hdr: Msghdr,
        /// Bytes that were moved.
        pub msg_len: u32,
        pad __pad0: [u8; 4],
    }
}

pod_struct! {
    /// Head of a control message.
    pub struct Cmsghdr = raw::cmsghdr {
        /// Bytes of the message with this head.
        pub cmsg_len: u64,
        /// `SOL_SOCKET`.
        pub cmsg_level: i32,
        /// `SCM_*`.
        pub cmsg_type: i32,
    }
}

pod_struct! {
    /// Who sent something, or is on the other side.
    pub struct Ucred = raw::ucred {
        /// Process.
        pub pid: u32,
        /// User.
        pub uid: u32,
        /// Group.
        pub gid: u32,
    }
}

/// Bytes from one control message to the next for one of `len` bytes (`CMSG_ALIGN`).
pub const fn control_space(len: usize) -> usize {
    len.next_multiple_of(8)
}

const _: () = assert!(Msghdr::SIZE == 56 && Cmsghdr::SIZE == 16 && Ucred::SIZE == 12);
