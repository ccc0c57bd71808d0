//! A terminal on a line: what comes in damaged, flow control of input, modem lines, waiting until all is sent. The console
//! is on one too, as far as its settings go.

use super::Terminal;
use super::line::Line;
use super::serial_line;
use super::state::{Effects, QUEUE_LEN};
use super::terminal::Waiting;
use crate::sched;
use abi::Errno;
use abi::termios::{self, InputFlags, LocalFlags, VSTART, VSTOP};
use core::time::Duration;
use drivers::serial::Condition;
use klib::ldisc::BUFFER_LEN;
use machine::console;
use machine::time;

/// With less room than this for input the other side is asked to stop, and with no more than this kept to go on (Linux's
/// TTY_THRESHOLD_THROTTLE and TTY_THRESHOLD_UNTHROTTLE).
const THRESHOLD: usize = 128;
/// How often it is looked whether the last bit has been sent, once it is in the port.
const IDLE_LOOK: Duration = Duration::from_millis(1);
/// How long the console's port may take for what it has.
const PORT_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked for a carrier that is waited for.
const CARRIER_LOOK: Duration = Duration::from_millis(50);

impl Terminal {
    /// Takes what came in on the line, with how it came.
    pub fn receive_marked(&self, bytes: &[(u8, Condition)]) {
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            if state.discipline.settings().c_cflag & termios::CREAD == 0 {
                return;
            }
            for &(byte, condition) in bytes {
                // What comes after others that have no room yet is taken as it is.
                let plain = condition == Condition::Good || !state.incoming.is_empty();
                if !plain {
                    state.take_marked(byte, condition == Condition::Break, &mut effects);
                } else if state.accept(&[byte], &mut effects) != Ok(1)
                    && let Some(line) = self.line.and_then(Line::serial)
                {
                    line.note_lost(1);
                }
            }
            effects.changed = true;
        }
        self.settle(effects);
    }

    /// Tells the line whether output is held, and the other side whether input is wanted. Called after each input and read.
    pub(super) fn attend_line(&self) {
        if self.line.is_none() && !self.is_console() {
            return;
        }
        let mut character;
        {
            let mut state = self.state.lock();
            if state.is_shells() {
                return;
            }
            if let Some(line) = self.line.filter(|_| state.incoming.len() <= QUEUE_LEN / 2) {
                line.note_room();
            }
            let settings = *state.discipline.settings();
            if let Some(line) = self.line {
                line.hold(state.discipline.is_stopped());
            }
            let by_rts = self.line.is_some() && settings.c_cflag & termios::CRTSCTS != 0;
            let by_character = settings.input().contains(InputFlags::IXOFF);
            let kept = state.discipline.kept() + state.incoming.len();
            // Without a whole line no read could make room.
            let unreadable = state.discipline.has(LocalFlags::ICANON) && !state.discipline.is_readable();
            let change = match state.throttled {
                false => kept > BUFFER_LEN - THRESHOLD && !unreadable && (by_rts || by_character),
                true => kept <= THRESHOLD || unreadable || !(by_rts || by_character),
            };
            if !change {
                return;
            }
            state.throttled = !state.throttled;
            character = settings.control(if state.throttled { VSTOP } else { VSTART }).filter(|_| by_character);
            if let Some(line) = self.line {
                line.throttle(state.throttled, by_rts, character.take());
            }
        }
        if let Some(byte) = character {
            // The console sends at once.
            let _ = self.send_raw(&[byte]);
        }
    }

    /// Has the console's serial port do what the settings say, once it has sent what it has; speed 0 hangs up.
    pub(super) fn set_port(&self) {
        if !self.is_console() {
            return;
        }
        // Whoever comes last sets what holds then, and no output begins meanwhile.
        let _output = self.output.lock();
        let (settings, speed) = (self.settings(), self.speeds().1);
        let format = serial_line::format(&settings, speed);
        let deadline = time::now() + PORT_WAIT;
        while !console::set_format(format.divisor, format.line_control(), speed != 0) && time::now() < deadline {
            sched::sleep(IDLE_LOOK);
        }
    }

    /// Waits until all output has been sent: EINTR, or EIO after a hang-up.
    pub fn drain(&self, waiting: Waiting) -> Result<(), Errno> {
        let Some(line) = self.line else { return Ok(()) };
        let all_queued = || match (self.hangups() == waiting.opened_at, line.unsent()) {
            (false, _) => Some(Err(Errno::EIO)),
            (true, (0, _)) => Some(Ok(())),
            _ => None,
        };
        super::terminal::wait_in(&self.writers, waiting, all_queued)?;
        while !line.unsent().1 {
            if (waiting.interrupted)() {
                return Err(Errno::EINTR);
            }
            sched::sleep(IDLE_LOOK);
        }
        Ok(())
    }

    /// Whether a loss of the carrier hangs up: without CLOCAL.
    pub fn minds_carrier(&self) -> bool {
        self.settings().c_cflag & termios::CLOCAL == 0
    }

    /// Waits until there is a carrier, if that is minded: EINTR.
    pub fn wait_for_carrier(&self, waiting: Waiting) -> Result<(), Errno> {
        let there = || {
            !self.minds_carrier()
                || self.line.and_then(Line::serial).is_none_or(|line| line.modem() & termios::TIOCM_CD != 0)
        };
        while !there() {
            if (waiting.interrupted)() {
                return Err(Errno::EINTR);
            }
            sched::sleep(CARRIER_LOOK);
        }
        Ok(())
    }
}
