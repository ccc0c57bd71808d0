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
    FIOASYNC, FIOCLEX, FIOGETOWN, FIONBIO, FIONCLEX, FIONREAD, FIOSETOWN, SIOCGPGRP, SIOCSPGRP, TCFLSH, TCGETS,
    TCGETS2, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2, TCXONC, TIOCCBRK, TIOCEXCL,
    TIOCGETD, TIOCGEXCL, TIOCGICOUNT, TIOCGPGRP, TIOCGPKT, TIOCGPTLCK, TIOCGPTN, TIOCGPTPEER, TIOCGSID, TIOCGSOFTCAR,
    TIOCGWINSZ, TIOCMBIC, TIOCMBIS, TIOCMGET, TIOCMIWAIT, TIOCMSET, TIOCNOTTY, TIOCNXCL, TIOCOUTQ, TIOCPKT, TIOCSBRK,
    TIOCSCTTY, TIOCSETD, TIOCSIG, TIOCSPGRP, TIOCSPTLCK, TIOCSSOFTCAR, TIOCSTI, TIOCSWINSZ,
};
/// What the master of a pseudo-terminal is told in packet mode (`ioctl_tty(2)`).
pub use raw::{TIOCPKT_DOSTOP, TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHWRITE, TIOCPKT_NOSTOP, TIOCPKT_START, TIOCPKT_STOP};

/// Control modes ([`Termios::c_cflag`]), and modem lines (TIOCMGET).
pub use raw::{
    BOTHER, CBAUD, CLOCAL, CMSPAR, CREAD, CRTSCTS, CS5, CS6, CS7, CS8, CSIZE, CSTOPB, HUPCL, PARENB, PARODD, TIOCM_CD,
    TIOCM_CTS, TIOCM_DSR, TIOCM_DTR, TIOCM_LOOP, TIOCM_OUT1, TIOCM_OUT2, TIOCM_RI, TIOCM_RTS,
};

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

    /// What the console starts with, which is on a serial port as well: 9600 baud.
    pub const CONSOLE: Termios = Termios { c_cflag: raw::B9600 | raw::CS8 | raw::CREAD | raw::HUPCL, ..Self::INITIAL };

    /// What a serial port starts with: 9600 baud, and no modem.
    pub const SERIAL: Termios =
        Termios { c_cflag: raw::B9600 | raw::CS8 | raw::CREAD | raw::HUPCL | raw::CLOCAL, ..Self::INITIAL };

    /// The output speed in baud that the control modes name; `other` if they say that it is given as a number.
    pub fn output_speed(&self, other: u32) -> u32 {
        named_speed(self.c_cflag & CBAUD).unwrap_or(other)
    }

    /// The same for input, whose speed is that of output if nothing is said.
    pub fn input_speed(&self, other: u32, output: u32) -> u32 {
        match self.c_cflag >> raw::IBSHIFT & CBAUD {
            0 => output,
            code => named_speed(code).unwrap_or(other),
        }
    }

    /// Has the control modes name this speed, for both directions.
    pub fn set_speed(&mut self, speed: u32) {
        let named = SPEEDS.iter().find(|(_, named)| *named == speed);
        self.c_cflag = self.c_cflag & !(CBAUD | raw::CIBAUD) | named.map_or(BOTHER, |(code, _)| *code);
    }

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

/// The speed with this code in the control modes; None for BOTHER.
fn named_speed(code: u32) -> Option<u32> {
    SPEEDS.iter().find(|(other, _)| *other == code).map(|(_, speed)| *speed)
}

/// Codes of speeds; that of 134 baud stands for 134.5.
const SPEEDS: [(u32, u32); 31] = [
    (raw::B0, 0),
    (raw::B50, 50),
    (raw::B75, 75),
    (raw::B110, 110),
    (raw::B134, 134),
    (raw::B150, 150),
    (raw::B200, 200),
    (raw::B300, 300),
    (raw::B600, 600),
    (raw::B1200, 1200),
    (raw::B1800, 1800),
    (raw::B2400, 2400),
    (raw::B4800, 4800),
    (raw::B9600, 9600),
    (raw::B19200, 19_200),
    (raw::B38400, 38_400),
    (raw::B57600, 57_600),
    (raw::B115200, 115_200),
    (raw::B230400, 230_400),
    (raw::B460800, 460_800),
    (raw::B500000, 500_000),
    (raw::B576000, 576_000),
    (raw::B921600, 921_600),
    (raw::B1000000, 1_000_000),
    (raw::B1152000, 1_152_000),
    (raw::B1500000, 1_500_000),
    (raw::B2000000, 2_000_000),
    (raw::B2500000, 2_500_000),
    (raw::B3000000, 3_000_000),
    (raw::B3500000, 3_500_000),
    (raw::B4000000, 4_000_000),
];

pod_struct! {
    /// What a serial port has seen (TIOCGICOUNT).
    pub struct SerialCounts: 80 {
        /// Changes of CTS.
        pub cts: u32,
        /// Changes of DSR.
        pub dsr: u32,
        /// Rings.
        pub rng: u32,
        /// Changes of the carrier.
        pub dcd: u32,
        /// Bytes in.
        pub rx: u32,
        /// Bytes out.
        pub tx: u32,
        /// Bytes without their stop bit.
        pub frame: u32,
        /// Bytes that the port had no room for.
        pub overrun: u32,
        /// Bytes with the wrong parity.
        pub parity: u32,
        /// Breaks.
        pub brk: u32,
        /// Bytes that the driver had no room for.
        pub buf_overrun: u32,
        /// Nothing.
        pub reserved: [u32; 9],
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

    #[test]
    fn speeds_have_codes() {
        let mut termios = Termios::SERIAL;
        assert_eq!((termios.output_speed(7), termios.input_speed(7, 9600)), (9600, 9600));
        termios.set_speed(115_200);
        assert_eq!((termios.c_cflag & CBAUD, termios.output_speed(7)), (raw::B115200, 115_200));
        termios.set_speed(31_250);
        assert_eq!((termios.c_cflag & CBAUD, termios.output_speed(31_250)), (BOTHER, 31_250));
        termios.c_cflag |= raw::B300 << raw::IBSHIFT;
        assert_eq!(termios.input_speed(7, 31_250), 300);
    }
}
