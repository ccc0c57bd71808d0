//! ATA disks on a PCI IDE controller in its legacy mode, by programmed I/O: slow, but every PC emulator and every older
//! PC has them. The CPU moves each sector through the data port, so there is no cache to be coherent with and no DMA to
//! go wrong.
//!
//! [`channel`] speaks the protocol; a [`Disk`] turns requests into commands. A request is done before `submit` returns,
//! in the task that submits it. Lock: the channel's, a sleeping lock that both disks of a channel share.

mod channel;

use super::{BlockDevice, BlockError, Operation, Outcome, Request, SECTOR_LEN, check};
use crate::driver::{Bound, ProbeError};
use crate::pci::{Claim, Function};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use channel::{Channel, Command};
use core::sync::atomic::{AtomicU32, Ordering};
use machine::PAGE_SIZE;
use machine::sync::Mutex;

/// Ports and ISA interrupts of the two channels (PCI IDE Controller Specification 1.0, 2.1).
const CHANNELS: [(u16, u16, u8); 2] = [(0x1f0, 0x3f6, 14), (0x170, 0x376, 15)];
/// Programming interface bits: a channel is in native mode, at ports of its own.
const NATIVE: [u8; 2] = [1 << 0, 1 << 2];
/// 256 sectors, the most that a command with 28-bit addresses takes, in pages.
const MAX_SEGMENTS: usize = 256 * SECTOR_LEN / PAGE_SIZE;

/// Commands (ACS, 7): with 28-bit addresses, and with 48-bit ones.
const READ_SECTORS: [u8; 2] = [0x20, 0x24];
const WRITE_SECTORS: [u8; 2] = [0x30, 0x34];
const FLUSH_CACHE: [u8; 2] = [0xe7, 0xea];

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

/// Whether the function is an IDE controller.
pub fn matches(function: &Function) -> bool {
    function.class[..2] == [0x01, 0x01]
}

/// Finds the disks of a controller.
pub fn probe(mut claim: Claim) -> Result<Bound<Vec<Arc<dyn BlockDevice>>>, ProbeError> {
    let interface = claim.class[2];
    claim.enable_ports();
    let claim = Arc::new(claim);
    let (mut disks, mut vectors): (Vec<Arc<dyn BlockDevice>>, Vec<u8>) = (Vec::new(), Vec::new());
    for ((block, control, isa), native) in CHANNELS.into_iter().zip(NATIVE) {
        if interface & native != 0 {
            log::warn!("PCI {}: an IDE channel in native mode is left alone", claim.address);
            continue;
        }
        let Some(mut channel) = Channel::open(block, control, isa)? else { continue };
        let found = [0, 1].map(|device| Some(Identity::read(&channel.identify(device)?)));
        if found.iter().all(Option::is_none) {
            continue;
        }
        vectors.push(channel.vector());
        let channel = Arc::new(Mutex::new("ATA channel", channel));
        for (device, identity) in (0..).zip(found) {
            let Some(identity) = identity else { continue };
            let name = format!("sd{}", char::from(b'a' + (NEXT_NAME.fetch_add(1, Ordering::Relaxed) % 26) as u8));
            log::debug!("{name}: {} sectors, {:?}", identity.sectors, identity.model);
            disks.push(Arc::new(Disk { name, device, identity, channel: channel.clone(), claim: claim.clone() }));
        }
    }
    Ok(Bound { device: disks, vectors, virtio: None })
}

/// A disk.
struct Disk {
    name: String,
    /// 0 or 1 on its channel.
    device: u8,
    identity: Identity,
    channel: Arc<Mutex<Channel>>,
    claim: Arc<Claim>,
}

/// What IDENTIFY DEVICE tells (ACS, 7.12.7).
#[derive(Clone, PartialEq, Eq, Debug)]
struct Identity {
    model: String,
    sectors: u64,
    /// Takes 48-bit addresses.
    wide: bool,
    write_cache: bool,
    can_flush: bool,
}

impl Identity {
    fn read(words: &[u16; 256]) -> Identity {
        let bit = |word: usize, bit: u32| words[word] >> bit & 1 != 0;
        // Words 83 and 84 count if their upper two bits are 01.
        let valid = words[83] >> 14 == 1;
        let wide = valid && bit(83, 10);
        let number = |range: core::ops::Range<usize>| {
            words[range].iter().rev().fold(0u64, |number, &word| number << 16 | u64::from(word))
        };
        // The first character of each pair is in the upper byte.
        let model: Vec<u8> = words[27..47].iter().flat_map(|word| word.to_be_bytes()).collect();
        let printable = |&byte: &u8| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' };
        Identity {
            model: model.iter().map(printable).collect::<String>().trim().to_string(),
            sectors: if wide { number(100..104) } else { number(60..62) },
            wide,
            write_cache: bit(85, 5),
            can_flush: valid && (bit(83, 12) || bit(83, 13)),
        }
    }
}

impl BlockDevice for Disk {
    fn name(&self) -> &str {
        &self.name
    }

    fn sectors(&self) -> u64 {
        self.identity.sectors
    }

    fn read_only(&self) -> bool {
        false
    }

    fn has_write_cache(&self) -> bool {
        self.identity.write_cache
    }

    fn max_segments(&self) -> usize {
        MAX_SEGMENTS
    }

    fn submit(&self, request: Request) {
        let outcome = check(&request, self).and_then(|count| self.transfer(&request, count));
        (request.done)(outcome);
    }

    fn identity(&self) -> String {
        format!("ATA disk {} of {}, {:?}", self.device, self.claim.address, self.identity.model)
    }
}

impl Disk {
    fn transfer(&self, request: &Request, count: u64) -> Outcome {
        let wide = self.identity.wide;
        let command = |codes: [u8; 2]| Command {
            device: self.device,
            code: codes[usize::from(wide)],
            sector: request.sector,
            // 256 is 0 in the eight bits of the narrow commands.
            count: if wide { count as u16 } else { count as u16 & 0xff },
            wide,
        };
        let mut channel = self.channel.lock();
        match request.operation {
            Operation::Read => channel.read(command(READ_SECTORS), &request.segments),
            Operation::Write => channel.write(command(WRITE_SECTORS), &request.segments),
            Operation::Flush if self.identity.can_flush => channel.command(command(FLUSH_CACHE)),
            Operation::Flush => Ok(()),
        }
        .inspect_err(|error: &BlockError| log::warn!("{}: sector {}: {error}", self.name, request.sector))
    }
}
