//! Samples of a profiler, equal ones counted: a task's name and a stack of addresses.
//!
//! Memory is taken once, so that a sample can be added in an interrupt. A stack that finds no room is counted as lost. The
//! kernel keeps one [`Samples`] a CPU (`machine::profile`).

use crate::trace::Label;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Most addresses of one stack.
pub const MAX_DEPTH: usize = 64;
/// Words before a stack's addresses: how often it came, how many addresses, the name.
const HEAD: usize = 4;
/// Words of memory for each slot of the index: what a stack takes at least.
const WORDS_PER_SLOT: usize = 4;

/// Stacks, and how often each was met.
#[derive(Debug)]
pub struct Samples {
    /// Open-addressed by hash: where a stack begins in `words`, plus one; 0 for a slot that is free.
    index: Vec<u32>,
    words: Vec<u64>,
    taken: u64,
    lost: u64,
}

/// One stack.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Name of the task.
    pub task: Label,
    /// Addresses, innermost first.
    pub stack: &'a [u64],
    /// How often it was met.
    pub count: u64,
}

impl Samples {
    /// Room for about `bytes` of samples; None if there is not so much memory.
    pub fn try_new(bytes: usize) -> Option<Samples> {
        let (mut index, mut words) = (Vec::new(), Vec::new());
        let capacity = bytes.div_ceil(8).max(HEAD + MAX_DEPTH).min(u32::MAX as usize - 1);
        words.try_reserve_exact(capacity).ok()?;
        // At least as many slots as stacks can be, and one more, so that a search ends.
        let slots = capacity / WORDS_PER_SLOT + 1;
        index.try_reserve_exact(slots).ok()?;
        index.resize(slots, 0);
        Some(Samples { index, words, taken: 0, lost: 0 })
    }

    /// Adds a sample; of a stack that is too deep the innermost part. Takes no memory.
    pub fn add(&mut self, task: Label, stack: &[u64]) {
        self.taken += 1;
        let stack = &stack[..stack.len().min(MAX_DEPTH)];
        let name = task.words();
        let mut slot = self.slot_of(name, stack);
        while self.index[slot] != 0 {
            let at = self.index[slot] as usize - 1;
            let (head, rest) = self.words[at..].split_at_mut(HEAD);
            if head[1] == stack.len() as u64 && head[2..] == name && rest[..stack.len()] == *stack {
                head[0] += 1;
                return;
            }
            slot = (slot + 1) % self.index.len();
        }
        let at = self.words.len();
        if self.words.capacity() - at < HEAD + stack.len() {
            self.lost += 1;
            return;
        }
        self.words.extend_from_slice(&[1, stack.len() as u64, name[0], name[1]]);
        self.words.extend_from_slice(stack);
        self.index[slot] = at as u32 + 1;
    }

    /// FNV-1a over words.
    fn slot_of(&self, name: [u64; 2], stack: &[u64]) -> usize {
        let fold = |hash: u64, word: &u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        (name.iter().chain(stack).fold(0xcbf2_9ce4_8422_2325, fold) % self.index.len() as u64) as usize
    }

    /// How many samples were added.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of them found no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What was met, in the order in which it came first.
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> {
        let mut rest = self.words.as_slice();
        core::iter::from_fn(move || {
            let (&[count, len, first, second], more) = rest.split_first_chunk()?;
            let (stack, more) = more.split_at_checked(len as usize)?;
            rest = more;
            Some(Sample { task: Label::from_words([first, second]), stack, count })
        })
    }
}

/// Writes a name as one frame of a folded stack, where `;` and the line's end have a meaning of their own.
pub struct FrameName<'a>(pub &'a mut dyn Write);

impl Write for FrameName<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| {
            self.0.write_char(match character {
                ';' => ':',
                character if character.is_control() => '?',
                character => character,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn equal_stacks_are_counted() {
        let mut samples = Samples::try_new(4096).unwrap();
        let (a, b) = (Label::new("a"), Label::new("b"));
        for (task, stack) in [(a, &[1, 2][..]), (b, &[1, 2]), (a, &[1]), (a, &[1, 2]), (a, &[]), (a, &[2, 1])] {
            samples.add(task, stack);
        }
        let found: Vec<_> = samples.iter().map(|sample| (sample.task, sample.stack.to_vec(), sample.count)).collect();
        let wanted: [(Label, &[u64], u64); 5] =
            [(a, &[1, 2], 2), (b, &[1, 2], 1), (a, &[1], 1), (a, &[], 1), (a, &[2, 1], 1)];
        assert_eq!(found, wanted.map(|(task, stack, count)| (task, stack.to_vec(), count)));
        assert_eq!((samples.taken(), samples.lost()), (6, 0));
    }

    #[test]
    fn the_deepest_part_of_a_stack_is_kept() {
        let mut samples = Samples::try_new(0).unwrap();
        let deep: Vec<u64> = (0..MAX_DEPTH as u64 + 9).collect();
        samples.add(Label::new("deep"), &deep);
        assert_eq!(samples.iter().next().unwrap().stack, &deep[..MAX_DEPTH]);
        samples.add(Label::new("deep"), &[1]);
        assert_eq!((samples.taken(), samples.lost(), samples.iter().count()), (2, 1, 1));
    }

    #[test]
    fn a_frame_has_no_separator() {
        let mut text = String::new();
        FrameName(&mut text).write_str("<[u8; 4] as A<B>>::c\n").unwrap();
        assert_eq!(text, "<[u8: 4] as A<B>>::c?");
    }

    proptest! {
        #[test]
        fn nothing_goes_uncounted(bytes in 0usize..3000, stacks in prop::collection::vec(prop::collection::vec(0u64..4, 0..4), 0..300)) {
            let mut samples = Samples::try_new(bytes).unwrap();
            let mut wanted = HashMap::new();
            for stack in &stacks {
                samples.add(Label::new("task"), stack);
                *wanted.entry(stack.as_slice()).or_insert(0u64) += 1;
            }
            prop_assert_eq!(samples.taken(), stacks.len() as u64);
            prop_assert_eq!(samples.iter().map(|sample| sample.count).sum::<u64>() + samples.lost(), samples.taken());
            for sample in samples.iter() {
                prop_assert_eq!(sample.count, wanted.remove(sample.stack).unwrap());
            }
            prop_assert!(wanted.is_empty() || samples.lost() > 0);
        }
    }
}
