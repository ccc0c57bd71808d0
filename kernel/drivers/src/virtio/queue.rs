//! The split virtqueue, driver's side (virtio 1.2, 2.7).
//!
//! Buffers are added in chains, each with a token that comes back when the device has used the chain. Everything needed
//! to go on is in the driver's own memory: of what the device can write, only the used ring is read, and checked. A head
//! that is not in flight, or an index that runs ahead of what was made available, breaks the queue (so a device cannot keep a
//! handler busy that adds each chain again): it then gives
//! nothing back any more, and its owner resets the device before taking the tokens out ([`Virtqueue::drain`]).
//!
//! No locks: the owner has the queue behind one. Neither `pop` nor anything else here allocates after [`Virtqueue::new`].

use super::feature;
use super::ring::{
    AvailableRing, DESCRIPTOR_INDIRECT, DESCRIPTOR_LEN, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE, Descriptor, USED_NO_NOTIFY,
    UsedRing, write_descriptor,
};
use alloc::vec::Vec;
use core::fmt;
use machine::PhysAddr;
use machine::io::dma::barrier;
use machine::io::{DmaBuffer, DmaError};
use macros::kernel_test;

/// Why there is no queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// The size is not a power of two between 1 and 32768 (virtio 1.2, 2.7).
    Size(u16),
    /// No memory for it.
    Memory(DmaError),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::Size(size) => write!(f, "a queue cannot have {size} entries"),
            QueueError::Memory(error) => write!(f, "{error}"),
        }
    }
}

impl From<DmaError> for QueueError {
    fn from(error: DmaError) -> Self {
        QueueError::Memory(error)
    }
}

/// What a device did that it must not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueFault {
    /// It gave back a chain that it does not have.
    BadHead(u32),
    /// Its used index says that it gave back more chains than it had.
    BadIndex {
        /// The index it wrote.
        used: u16,
        /// The index up to which the driver had read.
        seen: u16,
    },
    /// Its owner gave it up.
    GivenUp,
}

impl fmt::Display for QueueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueFault::BadHead(head) => write!(f, "the device gave back chain {head}, which it does not have"),
            QueueFault::BadIndex { used, seen } => {
                write!(f, "the device's used index went from {seen} to {used}, past all that it has")
            }
            QueueFault::GivenUp => write!(f, "the queue is given up"),
        }
    }
}

/// A piece of memory for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Where it is.
    pub address: PhysAddr,
    /// Bytes in it.
    pub len: u32,
    /// Whether the device writes it; otherwise it only reads it.
    pub device_writes: bool,
}

/// Where a queue's areas are, for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Areas {
    /// Descriptor table.
    pub descriptors: PhysAddr,
    /// Available ring.
    pub available: PhysAddr,
    /// Used ring.
    pub used: PhysAddr,
}

/// A chain that is written but not added.
#[must_use = "the chain is not added before it is committed"]
#[derive(Debug)]
pub struct Prepared {
    head: u16,
    len: u16,
}

/// A chain the device has used.
#[derive(Debug)]
pub struct Used<T> {
    /// What was added with it.
    pub token: T,
    /// The number it had, as [`Virtqueue::next_head`] told.
    pub head: u16,
    /// Bytes that the device says it has written.
    pub written: u32,
}

/// State of a descriptor, driver's side.
struct Slot<T> {
    /// The next descriptor of the chain, or of the free list.
    next: u16,
    /// Descriptors in the chain that begins here.
    chain_len: u16,
    /// Of a chain in flight that begins here.
    token: Option<T>,
}

/// A split virtqueue whose chains carry a `T` each.
pub struct Virtqueue<T> {
    size: u16,
    descriptors: DmaBuffer,
    available: AvailableRing,
    used: UsedRing,
    /// A table for each head, if indirect descriptors are in use.
    indirect: Option<IndirectTables>,
    event_index: bool,
    slots: Vec<Slot<T>>,
    free_head: u16,
    free_count: u16,
    in_flight: u16,
    /// Chains made available, ever; and up to which the device has been told. Both wrap.
    available_index: u16,
    published_index: u16,
    /// Chains taken back, ever. Wraps.
    seen_index: u16,
    fault: Option<QueueFault>,
}

struct IndirectTables {
    memory: DmaBuffer,
    len: u16,
}

impl<T> Virtqueue<T> {
    /// A queue of `size` descriptors for a device with which `features` were negotiated. With indirect descriptors a
    /// chain of up to `indirect_len` buffers takes one descriptor; `indirect_len` 0 goes without them.
    pub fn new(size: u16, features: u64, indirect_len: u16) -> Result<Self, QueueError> {
        if !size.is_power_of_two() {
            return Err(QueueError::Size(size));
        }
        let count = usize::from(size);
        let indirect_len = indirect_len.min(size);
        let indirect = if features & feature::INDIRECT_DESC != 0 && indirect_len > 1 {
            // A table's entries are written before the descriptor that leads to them.
            let memory = DmaBuffer::with_old_contents(count * usize::from(indirect_len) * DESCRIPTOR_LEN)?;
            Some(IndirectTables { memory, len: indirect_len })
        } else {
            None
        };
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(|_| DmaError::OutOfMemory)?;
        // The last one's successor is never used, as the count ends the list.
        slots.extend((1..=size).map(|next| Slot { next: next % size, chain_len: 0, token: None }));
        Ok(Virtqueue {
            size,
            descriptors: DmaBuffer::new(count * DESCRIPTOR_LEN)?,
            available: AvailableRing::new(size)?,
            used: UsedRing::new(size)?,
            indirect,
            event_index: features & feature::EVENT_IDX != 0,
            slots,
            free_head: 0,
            free_count: size,
            in_flight: 0,
            available_index: 0,
            published_index: 0,
            seen_index: 0,
            fault: None,
        })
    }

    /// Where the areas are.
    pub fn areas(&self) -> Areas {
        Areas {
            descriptors: self.descriptors.address(),
            available: self.available.memory.address(),
            used: self.used.memory.address(),
        }
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Chains that the device has.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The most buffers that a chain may have, indirect or not (virtio 1.2, 2.7.5.3.1).
    pub fn max_chain(&self) -> u16 {
        self.size
    }

    /// What broke the queue, if it is broken.
    pub fn fault(&self) -> Option<QueueFault> {
        self.fault
    }

    /// The number that the next chain added will have; None while there is no room for any.
    pub fn next_head(&self) -> Option<u16> {
        (self.free_count > 0 && self.fault.is_none()).then_some(self.free_head)
    }

    /// Writes a chain of `buffers`, those that the device reads first. None if there is no room now, which is for good if
    /// there are more buffers than [`Virtqueue::max_chain`], or none. Nothing is kept of it unless it is committed.
    pub fn prepare(&mut self, buffers: impl Iterator<Item = Buffer> + Clone) -> Option<Prepared> {
        let count = buffers.clone().count();
        let head = self.next_head()?;
        match &self.indirect {
            Some(tables) if count > 1 && count <= usize::from(tables.len) => {
                self.write_indirect(head, buffers, count);
                Some(Prepared { head, len: 1 })
            }
            _ if count > 0 && count <= usize::from(self.free_count) => {
                self.write_chain(head, buffers, count);
                Some(Prepared { head, len: count as u16 })
            }
            _ => None,
        }
    }

    /// Adds the chain just prepared; `token` comes back with it. Panics if another chain was added in between.
    pub fn commit(&mut self, prepared: Prepared, token: T) {
        let Prepared { head, len } = prepared;
        assert!(head == self.free_head, "chain {head} was prepared and another one committed");
        self.take_free(head, len);
        self.slots[usize::from(head)].token = Some(token);
        self.in_flight += 1;
        self.available.set_head(self.available_index, head);
        self.available_index = self.available_index.wrapping_add(1);
    }

    /// Makes all chains added since the last call available. Whether the device wants to be notified of it.
    #[must_use = "the device may wait for a notification"]
    pub fn publish(&mut self) -> bool {
        let (old, new) = (self.published_index, self.available_index);
        if old == new {
            return false;
        }
        barrier(); // chains before the index
        self.available.set_index(new);
        self.published_index = new;
        barrier(); // the index before the device's wish is read (virtio 1.2, 2.7.13.4.1)
        if self.event_index {
            passes(self.used.available_event(), old, new)
        } else {
            self.used.flags() & USED_NO_NOTIFY == 0
        }
    }

    /// A chain that the device has used, oldest first; None if there is none, or the queue is broken.
    pub fn pop(&mut self) -> Option<Used<T>> {
        if self.fault.is_some() {
            return None;
        }
        loop {
            let used = self.used.index();
            let waiting = used.wrapping_sub(self.seen_index);
            if waiting == 0 {
                if !self.ask_for_interrupt() {
                    return None;
                }
                continue;
            }
            if waiting > self.published_index.wrapping_sub(self.seen_index) {
                self.fault = Some(QueueFault::BadIndex { used, seen: self.seen_index });
                return None;
            }
            barrier(); // the index before what it counts
            let (head, written) = self.used.element(self.seen_index);
            self.seen_index = self.seen_index.wrapping_add(1);
            let token = usize::try_from(head).ok().and_then(|head| self.slots.get_mut(head)?.token.take());
            let Some(token) = token else {
                self.fault = Some(QueueFault::BadHead(head));
                return None;
            };
            let head = head as u16; // it was found in a table of at most 32768
            self.give_free(head);
            self.in_flight -= 1;
            return Some(Used { token, head, written });
        }
    }

    /// Takes the token of a chain out that the device has not given back. Only once the device cannot touch the chain's
    /// buffers any more, or the token keeps them alive for good. Breaks the queue if it was not broken.
    pub fn drain(&mut self) -> Option<T> {
        self.fault.get_or_insert(QueueFault::GivenUp);
        let token = self.slots.iter_mut().find_map(|slot| slot.token.take());
        self.in_flight -= u16::from(token.is_some());
        token
    }

    /// Asks for an interrupt with the next used chain. True if one has come meanwhile, for which none was asked.
    fn ask_for_interrupt(&mut self) -> bool {
        if !self.event_index {
            return false; // interrupts come for every chain
        }
        self.available.set_used_event(self.seen_index);
        barrier(); // the wish before the look
        self.used.index() != self.seen_index
    }

    fn write_indirect(&self, head: u16, buffers: impl Iterator<Item = Buffer>, count: usize) {
        let Some(tables) = &self.indirect else { return };
        let first = usize::from(head) * usize::from(tables.len);
        for (index, buffer) in buffers.enumerate() {
            let more = index + 1 < count;
            write_descriptor(&tables.memory, first + index, buffer.descriptor(more.then_some(index as u16 + 1)));
        }
        let table = Descriptor {
            address: tables.memory.address().offset((first * DESCRIPTOR_LEN) as u64),
            len: (count * DESCRIPTOR_LEN) as u32,
            flags: DESCRIPTOR_INDIRECT,
            next: 0,
        };
        write_descriptor(&self.descriptors, head.into(), table);
    }

    fn write_chain(&self, head: u16, buffers: impl Iterator<Item = Buffer>, count: usize) {
        let mut at = head;
        for (index, buffer) in buffers.enumerate() {
            let next = self.slots[usize::from(at)].next;
            let more = index + 1 < count;
            write_descriptor(&self.descriptors, at.into(), buffer.descriptor(more.then_some(next)));
            at = next;
        }
    }

    /// Takes the chain of `len` descriptors at the head of the free list out of it.
    fn take_free(&mut self, head: u16, len: u16) {
        let mut after = head;
        for _ in 0..len {
            after = self.slots[usize::from(after)].next;
        }
        self.slots[usize::from(head)].chain_len = len;
        self.free_head = after;
        self.free_count -= len;
    }

    /// Puts a chain back to the head of the free list.
    fn give_free(&mut self, head: u16) {
        let len = self.slots[usize::from(head)].chain_len;
        let mut last = head;
        for _ in 1..len {
            last = self.slots[usize::from(last)].next;
        }
        self.slots[usize::from(last)].next = self.free_head;
        self.free_head = head;
        self.free_count += len;
    }
}

impl Buffer {
    fn descriptor(self, next: Option<u16>) -> Descriptor {
        let flags = if self.device_writes { DESCRIPTOR_WRITE } else { 0 };
        Descriptor {
            address: self.address,
            len: self.len,
            flags: if next.is_some() { flags | DESCRIPTOR_NEXT } else { flags },
            next: next.unwrap_or(0),
        }
    }
}

/// Whether going from `old` to `new` passes `event`, all of them wrapping (virtio 1.2, 2.7.10.1).
pub(super) fn passes(event: u16, old: u16, new: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[kernel_test]
fn a_device_gives_back_only_what_it_has() {
    for (head, sound) in [(0, true), (2, false), (u32::MAX, false)] {
        let Ok(mut queue) = Virtqueue::new(4, 0, 0) else { panic!("no queue") };
        for available in [true, false] {
            let buffer = Buffer { address: PhysAddr::new(0), len: 1, device_writes: true };
            let Some(chain) = queue.prepare(core::iter::once(buffer)) else { panic!("no room") };
            queue.commit(chain, ());
            assert!(!available || queue.publish());
        }
        queue.used.play(0, head);
        assert!(queue.pop().is_some() == sound && queue.fault().is_none() == sound);
        // It is there, but was not made available.
        queue.used.play(1, 1);
        assert!(queue.pop().is_none() && queue.fault().is_some());
    }
}
