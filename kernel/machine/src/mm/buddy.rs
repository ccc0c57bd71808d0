//! The buddy system (Knuth, TAOCP volume 1, 2.5): free blocks of 2^order frames, split when smaller ones are wanted,
//! joined with their buddies when freed.
//!
//! Free blocks are linked through the descriptors of their first frames. Safe code: a wrong link would hand a frame out
//! twice, so every step checks `order` of what it takes.

use super::frame::{Descriptor, MAX_ORDER};
use core::sync::atomic::Ordering::Relaxed;

/// `order` of a frame that no free block begins at.
pub(super) const NOT_A_HEAD: u8 = 0xff;
const NONE: u32 = u32::MAX;

/// Heads of the lists of free blocks, by order.
pub(super) struct Buddy {
    heads: [u32; MAX_ORDER as usize + 1],
}

impl Buddy {
    pub(super) const fn new() -> Self {
        Buddy { heads: [NONE; MAX_ORDER as usize + 1] }
    }

    /// Adds free frames `[start, end)` in the largest aligned blocks.
    pub(super) fn add_range(&mut self, all: &[Descriptor], mut start: usize, end: usize) {
        while start < end {
            let mut order = (start.trailing_zeros() as u8).min(MAX_ORDER);
            while start + (1 << order) > end {
                order -= 1;
            }
            self.free(all, start as u32, order);
            start += 1 << order;
        }
    }

    /// First frame of a block of 2^order frames.
    pub(super) fn allocate(&mut self, all: &[Descriptor], order: u8) -> Option<u32> {
        let found = (order..=MAX_ORDER).find(|&order| self.heads[order as usize] != NONE)?;
        let number = self.heads[found as usize];
        self.unlink(all, number, found);
        // The upper halves stay free.
        for smaller in (order..found).rev() {
            self.link(all, number + (1 << smaller), smaller);
        }
        Some(number)
    }

    /// Gives a block back, joined with its free buddies.
    pub(super) fn free(&mut self, all: &[Descriptor], mut number: u32, mut order: u8) {
        assert!(all[number as usize].order.load(Relaxed) == NOT_A_HEAD, "frame {number:#x} freed twice");
        while order < MAX_ORDER {
            let buddy = number ^ (1 << order);
            if all.get(buddy as usize).is_none_or(|descriptor| descriptor.order.load(Relaxed) != order) {
                break;
            }
            self.unlink(all, buddy, order);
            number &= !(1 << order);
            order += 1;
        }
        self.link(all, number, order);
    }

    fn link(&mut self, all: &[Descriptor], number: u32, order: u8) {
        let head = self.heads[order as usize];
        let descriptor = &all[number as usize];
        descriptor.order.store(order, Relaxed);
        descriptor.previous.store(NONE, Relaxed);
        descriptor.next.store(head, Relaxed);
        if head != NONE {
            all[head as usize].previous.store(number, Relaxed);
        }
        self.heads[order as usize] = number;
    }

    fn unlink(&mut self, all: &[Descriptor], number: u32, order: u8) {
        let descriptor = &all[number as usize];
        assert!(descriptor.order.load(Relaxed) == order, "free list of order {order} holds frame {number:#x}");
        let (previous, next) = (descriptor.previous.load(Relaxed), descriptor.next.load(Relaxed));
        match previous {
            NONE => self.heads[order as usize] = next,
            previous => all[previous as usize].next.store(next, Relaxed),
        }
        if next != NONE {
            all[next as usize].previous.store(previous, Relaxed);
        }
        descriptor.order.store(NOT_A_HEAD, Relaxed);
    }
}
