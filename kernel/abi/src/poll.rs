//! Readiness of descriptors: `poll(2)` and `epoll(7)`.

use bitflags::bitflags;
use linux_raw_sys::general as raw;

pub use raw::{
    EFD_SEMAPHORE, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN,
    EPOLLONESHOT, EPOLLOUT, EPOLLWAKEUP, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET,
};

use crate::pod::{Pod, pod_struct};
use zerocopy::{FromBytes, Immutable, IntoBytes};

bitflags! {
    /// Events of `poll(2)`; those of `epoll(7)` have the same values. Unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PollEvents: u16 {
        /// There is something to read.
        const IN = raw::POLLIN as u16;
        /// There is urgent data.
        const PRI = raw::POLLPRI as u16;
        /// A write would not wait.
        const OUT = raw::POLLOUT as u16;
        /// Error; always reported.
        const ERR = raw::POLLERR as u16;
        /// The other side hung up; always reported.
        const HUP = raw::POLLHUP as u16;
        /// Not an open descriptor; always reported.
        const NVAL = raw::POLLNVAL as u16;
        /// As `IN`.
        const RDNORM = raw::POLLRDNORM as u16;
        /// Priority data to read.
        const RDBAND = raw::POLLRDBAND as u16;
        /// As `OUT`.
        const WRNORM = raw::POLLWRNORM as u16;
        /// Priority data may be written.
        const WRBAND = raw::POLLWRBAND as u16;
        /// The other side will not write any more.
        const RDHUP = raw::POLLRDHUP as u16;
        const _ = !0;
    }
}

impl PollEvents {
    /// What is reported without being asked for.
    pub const ALWAYS: PollEvents = PollEvents::ERR.union(PollEvents::HUP).union(PollEvents::NVAL);
}

pod_struct! {
    /// One descriptor of `poll(2)`.
    pub struct PollFd = raw::pollfd {
        /// The descriptor; a negative one is passed over.
        pub fd: i32,
        /// What is asked for ([`PollEvents`]).
        pub events: i16,
        /// What is the case.
        pub revents: i16,
    }
}

/// An event of `epoll(7)`. On x86-64 the C structure is packed: 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// What is asked for, or is the case.
    pub events: u32,
    /// The program's own.
    pub data: u64,
}

const _: () = assert!(EpollEvent::SIZE == size_of::<raw::epoll_event>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_event_is_packed() {
        let mut image = [0; 12];
        let event = EpollEvent { events: 1, data: 0x0807_0605_0403_0201 };
        event.write_bytes(&mut image);
        assert_eq!(image, [1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(EpollEvent::read_bytes(&image), event);
    }

    #[test]
    fn image() {
        let mut image = [0; 8];
        PollFd { fd: -1, events: PollEvents::IN.bits() as i16, revents: 0x10 }.write_bytes(&mut image);
        assert_eq!(image, [255, 255, 255, 255, 1, 0, 16, 0]);
    }
}
