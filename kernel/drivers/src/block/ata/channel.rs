//! One ATA channel: its registers, commands and data transfer by programmed I/O (ATA/ATAPI-8 ACS, and ATA8-APT).
//!
//! A channel has up to two disks and does one command at a time: it is behind a sleeping lock, whose holder sleeps in
//! [`Channel::command`] until the device wants it. The interrupt only wakes it; whether the device is ready is read from
//! the alternate status register, which does not acknowledge anything, so a lost interrupt costs a few milliseconds.

use super::super::{BlockError, SECTOR_LEN, Segment};
use crate::driver::{ProbeError, next_cpu};
use alloc::sync::Arc;
use core::time::Duration;
use machine::hooks;
use machine::io::{Port, PortClaim};
use machine::irq::IrqLine;
use machine::sync::WaitQueue;
use machine::time::{self, Instant};

/// Registers of the command block, as offsets (ATA8-APT, 7).
const DATA: u16 = 0;
const COUNT: u16 = 2;
const LBA_LOW: u16 = 3;
const LBA_MIDDLE: u16 = 4;
const LBA_HIGH: u16 = 5;
const DEVICE: u16 = 6;
const STATUS: u16 = 7;
const COMMAND: u16 = 7;

/// Status bits (ACS, 6.2).
const BUSY: u8 = 1 << 7;
const FAULT: u8 = 1 << 5;
const WANTS_DATA: u8 = 1 << 3;
const ERROR: u8 = 1 << 0;
/// What a channel without devices reads.
const FLOATING: u8 = 0xff;

/// Device control bits.
const SOFT_RESET: u8 = 1 << 2;
const NO_INTERRUPT: u8 = 1 << 1;

/// Device register: addresses are sector numbers.
const BY_LBA: u8 = 1 << 6;
const ALWAYS: u8 = 0xa0;

/// Longest a command may take; a disk may have to spin up.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a waiter looks by itself.
const LOOK: Duration = Duration::from_millis(5);
/// How long a reset may take, while a channel is looked at during boot.
const RESET_TIMEOUT: Duration = Duration::from_millis(500);

/// A command with its registers.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// 0 or 1 on the channel.
    pub device: u8,
    /// The command's code.
    pub code: u8,
    /// First sector.
    pub sector: u64,
    /// How many; 0 stands for the most there can be.
    pub count: u16,
    /// Whether the registers take 48-bit addresses, upper halves first.
    pub wide: bool,
}

/// The registers of a channel.
pub struct Channel {
    block: PortClaim,
    control: Port<u8>,
    _control: PortClaim,
    interrupt: Arc<Interrupt>,
    _line: IrqLine,
}

struct Interrupt {
    status: Port<u8>,
    came: WaitQueue,
}

impl Channel {
    /// The channel at the command block's ports `block` and control port `control`, with ISA interrupt `isa`. None if
    /// there is no device on it.
    pub fn open(block: u16, control: u16, isa: u8) -> Result<Option<Channel>, ProbeError> {
        let in_use = |_| ProbeError::Unusable("its ports belong to something else");
        let block = PortClaim::new(block..block + 8, "ATA").map_err(in_use)?;
        let control_claim = PortClaim::new(control..control + 1, "ATA").map_err(in_use)?;
        if block.port::<u8>(STATUS).read() == FLOATING {
            return Ok(None);
        }
        let interrupt = Arc::new(Interrupt { status: block.port(STATUS), came: WaitQueue::new("ATA disk") });
        let handler = interrupt.clone();
        let line = IrqLine::allocate("ATA", move || {
            // Reading the status acknowledges the interrupt.
            handler.status.read();
            handler.came.wake_all();
        })?;
        line.route_isa(isa, next_cpu())?;
        let channel =
            Channel { block, control: control_claim.port(0), _control: control_claim, interrupt, _line: line };
        Ok(channel.reset().then_some(channel))
    }

    /// The interrupt vector.
    pub fn vector(&self) -> u8 {
        self._line.vector()
    }

    /// IDENTIFY DEVICE: the answer, or None if there is no ATA disk as `device`.
    pub fn identify(&mut self, device: u8) -> Option<[u16; 256]> {
        const IDENTIFY_DEVICE: u8 = 0xec;
        self.select(device);
        self.start(Command { device, code: IDENTIFY_DEVICE, sector: 0, count: 0, wide: false });
        if self.control.read() == 0 {
            return None; // nobody there
        }
        self.ready().ok()?;
        // Something that is no disk says so in its signature (ACS, 7.12).
        let signature = [LBA_MIDDLE, LBA_HIGH].map(|register| self.block.port::<u8>(register).read());
        if signature != [0, 0] {
            return None;
        }
        self.wants_data().ok()?;
        let data = self.block.port::<u16>(DATA);
        Some(core::array::from_fn(|_| data.read()))
    }

    /// Does a command that moves no data.
    pub fn command(&mut self, command: Command) -> Result<(), BlockError> {
        self.start(command);
        let done = self.ready();
        self.recover(done)
    }

    /// Does a command that reads into the segments.
    pub fn read(&mut self, command: Command, segments: &[Segment]) -> Result<(), BlockError> {
        self.start(command);
        let done = self.each_sector(segments, |channel, segment, offset| {
            let mut bytes = [0; SECTOR_LEN];
            let data = channel.block.port::<u16>(DATA);
            for pair in bytes.chunks_exact_mut(2) {
                pair.copy_from_slice(&data.read().to_le_bytes());
            }
            segment.frame.write(segment.offset + offset, &bytes);
        });
        self.recover(done)
    }

    /// Does a command that writes what is in the segments.
    pub fn write(&mut self, command: Command, segments: &[Segment]) -> Result<(), BlockError> {
        self.start(command);
        let done = self.each_sector(segments, |channel, segment, offset| {
            let mut bytes = [0; SECTOR_LEN];
            segment.frame.read(segment.offset + offset, &mut bytes);
            let data = channel.block.port::<u16>(DATA);
            for pair in bytes.chunks_exact(2) {
                data.write(u16::from_le_bytes([pair[0], pair[1]]));
            }
        });
        let done = done.and_then(|()| self.ready());
        self.recover(done)
    }

    fn each_sector(
        &mut self,
        segments: &[Segment],
        mut transfer: impl FnMut(&mut Self, &Segment, usize),
    ) -> Result<(), BlockError> {
        for segment in segments {
            for offset in (0..segment.len).step_by(SECTOR_LEN) {
                self.wants_data()?;
                transfer(self, segment, offset);
            }
        }
        Ok(())
    }

    /// After a failure the device may still want to go on with the command: it is reset.
    fn recover(&mut self, done: Result<(), BlockError>) -> Result<(), BlockError> {
        if done.is_err() {
            self.reset();
        }
        done
    }

    fn start(&mut self, command: Command) {
        let [low, middle, high, fourth, fifth, sixth, ..] = command.sector.to_le_bytes();
        let [count, count_high] = command.count.to_le_bytes();
        let port = |register| self.block.port::<u8>(register);
        let top = if command.wide { 0 } else { fourth & 0xf };
        port(DEVICE).write(ALWAYS | BY_LBA | command.device << 4 | top);
        self.settle();
        if command.wide {
            port(COUNT).write(count_high);
            port(LBA_LOW).write(fourth);
            port(LBA_MIDDLE).write(fifth);
            port(LBA_HIGH).write(sixth);
        }
        port(COUNT).write(count);
        port(LBA_LOW).write(low);
        port(LBA_MIDDLE).write(middle);
        port(LBA_HIGH).write(high);
        port(COMMAND).write(command.code);
        self.settle();
    }

    fn select(&mut self, device: u8) {
        self.block.port::<u8>(DEVICE).write(ALWAYS | device << 4);
        self.settle();
    }

    /// The status is valid 400 ns after a write, which is four reads.
    fn settle(&self) {
        for _ in 0..4 {
            self.control.read();
        }
    }

    /// Sleeps until the device is not busy; an error if it reports one, or does not become ready.
    fn ready(&mut self) -> Result<(), BlockError> {
        let status = self.wait(|status| status & BUSY == 0)?;
        if status & (ERROR | FAULT) != 0 { Err(BlockError::Io) } else { Ok(()) }
    }

    /// Sleeps until the device wants a sector to be moved.
    fn wants_data(&mut self) -> Result<(), BlockError> {
        let status = self.wait(|status| status & BUSY == 0 && status & (WANTS_DATA | ERROR | FAULT) != 0)?;
        if status & (ERROR | FAULT) != 0 { Err(BlockError::Io) } else { Ok(()) }
    }

    fn wait(&self, holds: impl Fn(u8) -> bool) -> Result<u8, BlockError> {
        let look = || Some(self.control.read()).filter(|&status| holds(status));
        let deadline = time::now() + TIMEOUT;
        while time::now() < deadline {
            let status = match hooks::single_tasking() {
                true => look(),
                false => self.interrupt.came.wait_until(Some(time::now() + LOOK), || false, look).ok(),
            };
            if let Some(status) = status {
                return Ok(status);
            }
        }
        Err(BlockError::Io)
    }

    /// Resets both devices; false if none becomes ready.
    fn reset(&self) -> bool {
        self.control.write(SOFT_RESET | NO_INTERRUPT);
        time::spin_for(Duration::from_micros(10));
        self.control.write(0);
        time::spin_for(Duration::from_micros(10));
        let deadline: Instant = time::now() + RESET_TIMEOUT;
        while time::now() < deadline {
            if self.control.read() & BUSY == 0 {
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }
}
