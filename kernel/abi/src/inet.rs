//! Sockets of the Internet protocols: the addresses and options of `ip(7)`, `tcp(7)` and `udp(7)`, and what `netdevice(7)`
//! says of interfaces.

use linux_raw_sys::{if_arp, net as raw};

/// What `netdevice(7)` asks with.
pub use linux_raw_sys::ioctl::{
    SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFDSTADDR, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMETRIC,
    SIOCGIFMTU, SIOCGIFNAME, SIOCGIFNETMASK, SIOCGIFTXQLEN,
};
/// Options of `ip(7)` that sockets have.
pub use raw::{IP_MTU_DISCOVER, IP_RECVERR, IP_TOS, IP_TTL};
/// Options of `tcp(7)`.
pub use raw::{
    TCP_CONGESTION, TCP_CORK, TCP_DEFER_ACCEPT, TCP_INFO, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_LINGER2,
    TCP_MAXSEG, TCP_NODELAY, TCP_QUICKACK, TCP_SYNCNT, TCP_USER_TIMEOUT,
};

use crate::pod::pod_struct;
use crate::socket::AF_INET;

/// Protocols, which are levels of options, too.
pub const IPPROTO_IP: u32 = raw::IPPROTO_IP as u32;
/// See [`IPPROTO_IP`].
pub const IPPROTO_TCP: u32 = raw::IPPROTO_TCP as u32;
/// See [`IPPROTO_IP`].
pub const IPPROTO_UDP: u32 = raw::IPPROTO_UDP as u32;
/// A connection's state in [`TCP_INFO`]: it stands.
pub const TCP_ESTABLISHED: u8 = 1;
/// See [`TCP_ESTABLISHED`]: a connection is asked for, this side has ended its part, there is none, the other side has ended its part, it is waited for.
pub const TCP_SYN_SENT: u8 = 2;
/// See [`TCP_SYN_SENT`].
pub const TCP_FIN_WAIT2: u8 = 5;
/// See [`TCP_SYN_SENT`].
pub const TCP_CLOSE: u8 = 7;
/// See [`TCP_SYN_SENT`].
pub const TCP_CLOSE_WAIT: u8 = 8;
/// See [`TCP_SYN_SENT`].
pub const TCP_LISTEN: u8 = 10;
/// Bytes of `struct tcp_info` that are given, as Linux 5.10 has them.
pub const TCP_INFO_SIZE: usize = 232;

/// An interface is on, leads back, and works (`netdevice(7)`).
pub const IFF_UP: u32 = if_arp::net_device_flags::IFF_UP as u32;
/// See [`IFF_UP`].
pub const IFF_LOOPBACK: u32 = if_arp::net_device_flags::IFF_LOOPBACK as u32;
/// See [`IFF_UP`].
pub const IFF_RUNNING: u32 = if_arp::net_device_flags::IFF_RUNNING as u32;
/// Type of a hardware address: that of an interface that leads back has none.
pub const ARPHRD_LOOPBACK: u32 = if_arp::ARPHRD_LOOPBACK;
/// Bytes of an interface's name with its zero.
pub const IFNAMSIZ: usize = 16;

/// Any host, of this machine.
pub const INADDR_ANY: u32 = 0;
/// This machine.
pub const INADDR_LOOPBACK: u32 = raw::INADDR_LOOPBACK;
/// Everybody.
pub const INADDR_BROADCAST: u32 = u32::MAX;

pod_struct! {
    /// An address of `ip(7)`.
    pub struct SockaddrIn: 16 {
        /// `AF_INET`.
        pub sin_family: u16,
        /// Port, highest byte first.
        pub sin_port: [u8; 2],
        /// Host, highest byte first.
        pub sin_addr: [u8; 4],
        pad __pad: [u8; 8],
    }
}

const _: () = assert!(core::mem::offset_of!(SockaddrIn, sin_addr) == core::mem::offset_of!(raw::sockaddr_in, sin_addr));
const _: () = assert!(size_of::<SockaddrIn>() == size_of::<raw::sockaddr_in>());

impl SockaddrIn {
    /// The address of a port of a host, which are numbers of this machine.
    pub fn new(host: u32, port: u16) -> SockaddrIn {
        SockaddrIn {
            sin_family: AF_INET as u16,
            sin_port: port.to_be_bytes(),
            sin_addr: host.to_be_bytes(),
            ..Self::ZERO
        }
    }
}

pod_struct! {
    /// What is asked of an interface: its name, and the answer, which is an address or a number (`netdevice(7)`).
    pub struct Ifreq: 40 {
        /// Name, with a zero.
        pub ifr_name: [u8; IFNAMSIZ],
        /// The answer.
        pub ifr_value: [u8; 16],
        pad __pad: [u8; 8],
    }
}

pod_struct! {
    /// A list of interfaces that is asked for: bytes of it, and where.
    pub struct Ifconf: 16 {
        /// Bytes there is room for, or that were written.
        pub ifc_len: i32,
        pad __pad: [u8; 4],
        /// User address of an array of [`Ifreq`]; 0 asks how many bytes it takes.
        pub ifc_buf: u64,
    }
}

const _: () = assert!(size_of::<Ifconf>() == size_of::<raw::ifconf>());

pod_struct! {
    /// What closing does with what has not been sent (`SO_LINGER`).
    pub struct Linger = raw::linger {
        /// Whether it waits for it.
        pub l_onoff: i32,
        /// Seconds it waits; 0 loses it and resets the connection.
        pub l_linger: i32,
    }
}
