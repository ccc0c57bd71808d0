//! Terminal settings as the kernel keeps them (`termios(3)`, `ioctl_tty(2)`), and their usual values.

use bitflags::bitflags;
use linux_raw_sys::general as raw;
/// Indices of control characters in [`Termios::c_cc`].
pub use raw::{
    VDISCARD, VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VMIN, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP, VSWTC,
    VTIME, VWERASE,
};

/// Requests of `ioctl(2)`.
pub use linux_raw_sys::ioctl::{
    FIONBIO, FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2,
    TCXONC, TIOCEXCL, TIOCGETD, TIOCGEXCL, TIOCGPGRP, TIOCGPKT, TIOCGPTLCK, TIOCGPTN, TIOCGPTPEER, TIOCGSID,
    TIOCGWINSZ, TIOCNOTTY, TIOCNXCL, TIOCOUTQ, TIOCPKT, TIOCSCTTY, TIOCSETD, TIOCSIG, TIOCSPGRP, TIOCSPTLCK, TIOCSTI,
    TIOCSWINSZ,
};
/// What the master of a pseudo-terminal is told in packet mode (`ioctl_tty(2)`).
pub use raw::{TIOCPKT_DOSTOP, TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHWRITE, TIOCPKT_NOSTOP, TIOCPKT_START, TIOCPKT_STOP};

use crate::pod::pod_struct;

/// A control character of this value is disabled.
pub const VDISABLE: u8 = 0;

bitflags! {
    /// Input modes; unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct InputFlags: u32 {
        /// Pass over breaks.
        const IGNBRK = raw::IGNBRK;
        /// A break is an interrupt.
        const BRKINT = raw::BRKINT;
        /// Pass over bytes with wrong parity.
        const IGNPAR = raw::IGNPAR;
        /// Mark bytes with wrong parity.
        const PARMRK = raw::PARMRK;
        /// Check parity.
        const INPCK = raw::INPCK;
        /// Clear the eighth bit.
        const ISTRIP = raw::ISTRIP;
        /// NL becomes CR.
        const INLCR = raw::INLCR;
        /// Pass over CR.
        const IGNCR = raw::IGNCR;
        /// CR becomes NL.
        const ICRNL = raw::ICRNL;
        /// Upper case becomes lower case.
        const IUCLC = raw::IUCLC;
        /// Stop and start characters control output.
        const IXON = raw::IXON;
        /// Any character starts output again.
        const IXANY = raw::IXANY;
        /// Stop and start characters control input.
        const IXOFF = raw::IXOFF;
        /// Ring the bell when the buffer is full.
        const IMAXBEL = raw::IMAXBEL;
        /// Input is UTF-8: erase whole characters.
        const IUTF8 = raw::IUTF8;
        const _ = !0;
    }
}

bitflags! {
    /// Output modes; unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct OutputFlags: u32 {
        /// Any of the following has an effect.
        const OPOST = raw::OPOST;
        /// Lower case becomes upper case.
        const OLCUC = raw::OLCUC;
        /// NL becomes CR NL.
        const ONLCR = raw::ONLCR;
        /// CR becomes NL.
        const OCRNL = raw::OCRNL;
        /// No CR in the first column.
        const ONOCR = raw::ONOCR;
        /// NL also returns to the first column.
        const ONLRET = raw::ONLRET;
        /// The tab delay of which a tab becomes spaces.
        const XTABS = raw::XTABS;
        const _ = !0;
    }
}

bitflags! {
    /// Local modes; unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct LocalFlags: u32 {
        /// Control characters send signals.
        const ISIG = raw::ISIG;
        /// Whole lines, with editing.
        const ICANON = raw::ICANON;
        /// Show what is typed.
        const ECHO = raw::ECHO;
        /// Erasing takes the character off the screen.
        const ECHOE = raw::ECHOE;
        /// A newline follows the kill character.
        const ECHOK = raw::ECHOK;
        /// Show NL even without `ECHO`.
        const ECHONL = raw::ECHONL;
        /// Signals do not empty the queues.
        const NOFLSH = raw::NOFLSH;
        /// Background output stops a process.
        const TOSTOP = raw::TOSTOP;
        /// Show control characters as `^X`.
        const ECHOCTL = raw::ECHOCTL;
        /// Show erased characters as they are erased, for printers.
        const ECHOPRT = raw::ECHOPRT;
        /// Killing takes the line off the screen.
        const ECHOKE = raw::ECHOKE;
        /// Output is being discarded.
        const FLUSHO = raw::FLUSHO;
        /// Input is to be shown again.
        const PENDIN = raw::PENDIN;
        /// The extended control characters work.
        const IEXTEN = raw::IEXTEN;
        /// Input is for a program on the other side.
        const EXTPROC = raw::EXTPROC;
        const _ = !0;
    }
}

pod_struct! {
    /// Terminal settings: what `TCGETS` and `TCSETS` exchange, 36 bytes.
    pub struct Termios = raw::termios {
        /// Input modes ([`InputFlags`]).
        pub c_iflag: u32,
        /// Output modes ([`OutputFlags`]).
        pub c_oflag: u32,
        /// Control modes.
        pub c_cflag: u32,
        /// Local modes ([`LocalFlags`]).
        pub c_lflag: u32,
        /// Line discipline; 0 is the usual one.
        pub c_line: u8,
        /// Control characters by `V…`.
        pub c_cc: [u8; 19],
    }
}

impl Termios {
    /// What a Linux terminal starts with: canonical, with echo, 38400 baud of 8 bits.
    pub const INITIAL: Termios = Termios {
        c_iflag: raw::ICRNL | raw::IXON,
        c_oflag: raw::OPOST | raw::ONLCR,
        c_cflag: raw::B38400 | raw::CS8 | raw::CREAD | raw::HUPCL,
        c_lflag: raw::ISIG
            | raw::ICANON
            | raw::ECHO
            | raw::ECHOE
            | raw::ECHOK
            | raw::ECHOCTL
            | raw::ECHOKE
            | raw::IEXTEN,
        c_line: 0,
        c_cc: [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0],
    };

    /// Input modes.
    pub fn input(&self) -> InputFlags {
        InputFlags::from_bits_retain(self.c_iflag)
    }

    /// Output modes.
    pub fn output(&self) -> OutputFlags {
        OutputFlags::from_bits_retain(self.c_oflag)
    }

    /// Local modes.
    pub fn local(&self) -> LocalFlags {
        LocalFlags::from_bits_retain(self.c_lflag)
    }

    /// The control character at one of the `V…` indices, unless it is disabled.
    pub fn control(&self, index: u32) -> Option<u8> {
        self.c_cc.get(index as usize).copied().filter(|&byte| byte != VDISABLE)
    }
}

pod_struct! {
    /// Terminal settings with free speeds: what `TCGETS2` and `TCSETS2` exchange, 44 bytes.
    pub struct Termios2 = raw::termios2 {
        /// As in [`Termios`], as are the following.
        pub c_iflag: u32,
        /// Output modes.
        pub c_oflag: u32,
        /// Control modes.
        pub c_cflag: u32,
        /// Local modes.
        pub c_lflag: u32,
        /// Line discipline.
        pub c_line: u8,
        /// Control characters.
        pub c_cc: [u8; 19],
        /// Input speed in baud.
        pub c_ispeed: u32,
        /// Output speed in baud.
        pub c_ospeed: u32,
    }
}

pod_struct! {
    /// Size of a terminal.
    pub struct Winsize = raw::winsize {
        /// Rows of characters.
        pub ws_row: u16,
        /// Columns of characters.
        pub ws_col: u16,
        /// Width in pixels; 0 if unknown.
        pub ws_xpixel: u16,
        /// Height in pixels; 0 if unknown.
        pub ws_ypixel: u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    #[test]
    fn initial_settings_are_those_of_stty_sane() {
        let termios = Termios::INITIAL;
        assert_eq!((termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag), (0x500, 5, 0x4bf, 0x8a3b));
        assert_eq!((termios.control(VINTR), termios.control(VEOF), termios.control(VEOL)), (Some(3), Some(4), None));
        assert_eq!((termios.control(VERASE), termios.c_cc[VMIN as usize]), (Some(127), 1));
        assert_eq!((Termios::SIZE, Winsize::SIZE), (36, 8));
        assert_eq!(termios.control(1000), None);
    }
}
