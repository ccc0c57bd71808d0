//! Input devices as programs see them (`linux/input.h`): events, and what can be asked of `/dev/input/eventN`.

use crate::pod::pod_struct;

pub use linux_raw_sys::ioctl::{EVIOCGID, EVIOCGRAB, EVIOCGVERSION, EVIOCSCLOCKID};

/// What [`EVIOCGVERSION`] gives.
pub const EV_VERSION: u32 = 0x01_0001;

/// Types of events.
pub const EV_SYN: u16 = 0x00;
/// Keys and buttons.
pub const EV_KEY: u16 = 0x01;
/// Moves.
pub const EV_REL: u16 = 0x02;
/// Places.
pub const EV_ABS: u16 = 0x03;
/// Others.
pub const EV_MSC: u16 = 0x04;
/// Switches.
pub const EV_SW: u16 = 0x05;
/// Lights.
pub const EV_LED: u16 = 0x11;
/// Sounds.
pub const EV_SND: u16 = 0x12;
/// The device's keys repeat.
pub const EV_REP: u16 = 0x14;

/// Of [`EV_SYN`]: all that happened at once has been told.
pub const SYN_REPORT: u16 = 0;
/// Of [`EV_SYN`]: events were lost.
pub const SYN_DROPPED: u16 = 3;

/// Keys from here on are buttons of mice and the like.
pub const BTN_MISC: u16 = 0x100;
/// Keys and buttons there can be.
pub const KEY_CNT: usize = 0x300;
/// Axes there can be.
pub const ABS_CNT: usize = 0x40;
/// Types there can be.
pub const EV_CNT: usize = 0x20;

/// The type of all requests, which is their second byte (`_IOC_TYPE`).
pub const EVIOC_TYPE: u32 = b'E' as u32;
/// Numbers of requests that say how long the caller's memory is (`_IOC_NR`): name, serial number, properties, the
/// keys that are held.
pub const NR_NAME: u32 = 0x06;
/// The device's serial number.
pub const NR_UNIQ: u32 = 0x08;
/// Properties.
pub const NR_PROP: u32 = 0x09;
/// Keys that are held.
pub const NR_KEY: u32 = 0x18;
/// The codes of a type, or with 0 the types, are from here on.
pub const NR_BIT: u32 = 0x20;
/// The axes are from here on.
pub const NR_ABS: u32 = 0x40;
/// What is behind the last axis.
pub const NR_ABS_END: u32 = NR_ABS + ABS_CNT as u32;

/// Codes that a type can have, as far as [`NR_BIT`] can ask for them; with 0 the types themselves.
pub const fn code_count(kind: u16) -> Option<usize> {
    Some(match kind {
        EV_SYN => EV_CNT,
        EV_KEY => KEY_CNT,
        EV_REL | EV_LED => 0x10,
        EV_ABS => ABS_CNT,
        EV_MSC | EV_SND => 0x08,
        EV_SW => 0x11,
        _ => return None,
    })
}

pod_struct! {
    /// `struct input_event`.
    pub struct InputEvent: 24 {
        /// When.
        pub sec: i64,
        /// Microseconds of it.
        pub usec: i64,
        /// What: `EV_*`.
        pub kind: u16,
        /// Which.
        pub code: u16,
        /// Of a key 1 when it is pressed, 2 when it repeats.
        pub value: i32,
    }
}

pod_struct! {
    /// `struct input_id`.
    pub struct InputId: 8 {
        /// `BUS_*`.
        pub bus: u16,
        /// Whose.
        pub vendor: u16,
        /// Which.
        pub product: u16,
        /// Which of these.
        pub version: u16,
    }
}

pod_struct! {
    /// `struct input_absinfo`: an axis.
    pub struct InputAbsInfo: 24 {
        /// Where it is.
        pub value: i32,
        /// The lowest value.
        pub minimum: i32,
        /// The highest value.
        pub maximum: i32,
        /// Changes up to this are noise.
        pub fuzz: i32,
        /// Values up to this are the middle.
        pub flat: i32,
        /// Units in a millimetre.
        pub resolution: i32,
    }
}
