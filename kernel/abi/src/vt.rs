//! Requests of virtual terminals (`ioctl_console(2)`).

use crate::pod::pod_struct;
pub use linux_raw_sys::ioctl::{
    KDGETMODE, KDGKBMODE, KDGKBTYPE, KDMKTONE, KDSETMODE, KDSKBMODE, KIOCSOUND, VT_ACTIVATE, VT_DISALLOCATE,
    VT_GETMODE, VT_GETSTATE, VT_OPENQRY, VT_RELDISP, VT_SETMODE, VT_WAITACTIVE,
};

/// What KDGKBTYPE says: a PC keyboard.
pub const KB_101: u8 = 2;
/// KDGETMODE: the screen shows text.
pub const KD_TEXT: i32 = 0;
/// A program draws on the screen.
pub const KD_GRAPHICS: i32 = 1;
/// The same as KD_TEXT.
pub const KD_TEXT0: i32 = 2;
/// The same as KD_TEXT.
pub const KD_TEXT1: i32 = 3;
/// KDGKBMODE: keys give scan codes.
pub const K_RAW: i32 = 0;
/// Keys give Latin-1.
pub const K_XLATE: i32 = 1;
/// Keys give their numbers.
pub const K_MEDIUMRAW: i32 = 2;
/// Keys give UTF-8.
pub const K_UNICODE: i32 = 3;
/// Keys give nothing.
pub const K_OFF: i32 = 4;
/// [`VtMode::mode`]: the kernel alone switches.
pub const VT_AUTO: i8 = 0;
/// [`VtMode::mode`]: a process is asked.
pub const VT_PROCESS: i8 = 1;
/// VT_RELDISP: it has been seen that the terminal is shown.
pub const VT_ACKACQ: u64 = 2;
/// Forbids switching, and allows it again.
pub const VT_LOCKSWITCH: u32 = 0x560b;
/// Allows switching again.
pub const VT_UNLOCKSWITCH: u32 = 0x560c;

pod_struct! {
    /// Linux's `struct vt_mode`.
    pub struct VtMode: 8 {
        /// Who switches.
        pub mode: i8,
        /// Writing waits while it is not shown.
        pub waitv: i8,
        /// Signal that asks to leave.
        pub relsig: i16,
        /// Signal that tells of the arrival.
        pub acqsig: i16,
        /// Unused.
        pub frsig: i16,
    }
}

pod_struct! {
    /// Linux's `struct vt_stat`.
    pub struct VtState: 6 {
        /// Number of the virtual terminal that is shown, from 1 on.
        pub v_active: u16,
        /// Unused.
        pub v_signal: u16,
        /// A bit for each number that is in use; the lowest is always set.
        pub v_state: u16,
    }
}
