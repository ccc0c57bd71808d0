//! Allocation bitmaps as pure bytes: one block, a bit for each block or inode of a group, set if it is taken.
//!
//! Bit 0 is the lowest of the first byte. The last group may have fewer blocks than the bitmap has bits: those beyond
//! the end count as taken. Taking what is taken and freeing what is free are refused before anything changes, since
//! either means that the bitmap and the rest of the file system disagree.

use core::ops::Range;

/// The bitmap of one group, in a buffer of one block.
pub struct Bitmap<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

/// Bits looked at in one step.
const WORD_BITS: usize = 64;

impl<'a> Bitmap<'a> {
    /// The first `len` bits of `bytes`; `None` if there are not that many.
    pub fn new(bytes: &'a mut [u8], len: usize) -> Option<Self> {
        (len.div_ceil(8) <= bytes.len()).then_some(Bitmap { bytes, len })
    }

    /// Chooses free bits to take, at most `want`, near `goal`: those that start at `goal`; else the first row of `want`
    /// behind it or, from the start, before it; else the longest row there is. `None` if no bit is free, or `want` is 0.
    pub fn find_run(&self, goal: usize, want: usize) -> Option<Range<usize>> {
        if want == 0 {
            return None;
        }
        let goal = if goal < self.len { goal } else { 0 };
        let mut longest = 0..0;
        for range in [goal..self.len, 0..goal] {
            let mut next = range.start;
            while let Some(start) = self.find(false, next..range.end) {
                // A row that starts before the goal may well go on behind it.
                let end = self.find(true, start..self.len).unwrap_or(self.len);
                let run = start..end.min(start.saturating_add(want));
                if start == goal || run.len() == want {
                    return Some(run);
                }
                if run.len() > longest.len() {
                    longest = run;
                }
                next = end;
            }
        }
        (!longest.is_empty()).then_some(longest)
    }

    /// Takes the bits of `range`. Fails with the first that is taken already, and then has changed nothing.
    pub fn take(&mut self, range: Range<usize>) -> Result<(), usize> {
        self.change(range, true)
    }

    /// Frees the bits of `range`. Fails with the first that is free already, and then has changed nothing.
    pub fn free(&mut self, range: Range<usize>) -> Result<(), usize> {
        self.change(range, false)
    }

    /// Marks the bits of `range`, which ends within the bitmap, as taken, whatever they are.
    pub fn exclude(&mut self, range: Range<usize>) {
        let mut bit = range.start;
        while bit < range.end {
            let end = range.end.min((bit / 8 + 1) * 8);
            self.bytes[bit / 8] |= (0xff_u16 << (bit % 8) & !(0xff_u16 << ((end - 1) % 8 + 1))) as u8;
            bit = end;
        }
    }

    /// Whether `bit` is taken; bits beyond the end are.
    pub fn is_taken(&self, bit: usize) -> bool {
        bit >= self.len || self.bytes[bit / 8] & 1 << (bit % 8) != 0
    }

    /// Number of free bits: what the group descriptor should say.
    pub fn count_free(&self) -> usize {
        let whole = &self.bytes[..self.len / 8];
        let in_whole: usize = whole.iter().map(|byte| byte.count_zeros() as usize).sum();
        in_whole + (whole.len() * 8..self.len).filter(|&bit| !self.is_taken(bit)).count()
    }

    fn change(&mut self, range: Range<usize>, taken: bool) -> Result<(), usize> {
        if range.end > self.len {
            return Err(range.start.max(self.len));
        }
        if let Some(bit) = self.find(taken, range.clone()) {
            return Err(bit);
        }
        for bit in range {
            self.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(())
    }

    /// The first free bit from `from` on.
    pub fn first_free(&self, from: usize) -> Option<usize> {
        self.find(false, from..self.len)
    }

    /// The first bit of `range`, which ends within the bitmap, that is as `taken` says.
    fn find(&self, taken: bool, range: Range<usize>) -> Option<usize> {
        let mut bit = range.start;
        while bit < range.end {
            let word = if taken { self.word(bit / WORD_BITS) } else { !self.word(bit / WORD_BITS) };
            let ahead = word >> (bit % WORD_BITS);
            if ahead != 0 {
                return Some(bit + ahead.trailing_zeros() as usize).filter(|&found| found < range.end);
            }
            bit = (bit / WORD_BITS + 1) * WORD_BITS;
        }
        None
    }

    /// Word number `index`, filled up with zeros if the bytes end within it.
    fn word(&self, index: usize) -> u64 {
        let bytes = &self.bytes[index * 8..];
        let mut word = [0; 8];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::Bitmap;

    #[test]
    fn bits_beyond_the_end_are_taken() {
        let mut bytes = [0; 2];
        assert!(Bitmap::new(&mut bytes, 17).is_none());
        let mut bitmap = Bitmap::new(&mut bytes, 11).unwrap();
        assert_eq!(bitmap.count_free(), 11);
        assert!(!bitmap.is_taken(10) && bitmap.is_taken(11));
        assert_eq!(bitmap.find_run(9, 4), Some(9..11));
        assert_eq!(bitmap.take(9..12), Err(11));
        assert_eq!(bitmap.take(0..11), Ok(()));
        assert_eq!(bitmap.find_run(0, 1), None);
        assert_eq!(bytes, [0xff, 0x07]);
    }

    #[test]
    fn excluded_bits_are_taken_and_no_others() {
        for (start, end) in [(0, 0), (3, 4), (3, 8), (0, 8), (5, 19), (8, 24), (7, 9), (0, 24)] {
            let mut bytes = [0x10, 0, 0];
            Bitmap::new(&mut bytes, 24).unwrap().exclude(start..end);
            let bitmap = Bitmap::new(&mut bytes, 24).unwrap();
            for bit in 0..24 {
                assert_eq!(bitmap.is_taken(bit), bit == 4 || (start..end).contains(&bit), "{bit} of {start}..{end}");
            }
        }
    }

    #[test]
    fn a_run_starts_at_the_goal_or_is_long_enough_or_the_longest() {
        // Free: 4 to 7, 16 to 19, 25 to 30.
        let mut bytes = [0x0f, 0xff, 0xf0, 0x81];
        let bitmap = Bitmap::new(&mut bytes, 32).unwrap();
        assert_eq!(bitmap.find_run(17, 5), Some(17..20));
        assert_eq!(bitmap.find_run(8, 4), Some(16..20));
        assert_eq!(bitmap.find_run(8, 5), Some(25..30));
        assert_eq!(bitmap.find_run(31, 2), Some(4..6));
        assert_eq!(bitmap.find_run(0, 20), Some(25..31));
        assert_eq!(bitmap.find_run(1000, 1), Some(4..5));
        assert_eq!(bitmap.find_run(4, 0), None);
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut bytes = [0b0001_0000, 0];
        let mut bitmap = Bitmap::new(&mut bytes, 16).unwrap();
        assert_eq!(bitmap.take(0..16), Err(4));
        assert_eq!(bitmap.free(4..6), Err(5));
        assert_eq!(bitmap.free(4..5), Ok(()));
        assert_eq!(bitmap.count_free(), 16);
    }

    /// The bits that `find_run` should choose, looked for one by one.
    fn naive_run(taken: &[bool], goal: usize, want: usize) -> Option<std::ops::Range<usize>> {
        let goal = if goal < taken.len() { goal } else { 0 };
        let length = |start: usize| taken[start..].iter().take(want).take_while(|&&taken| !taken).count();
        let starts: Vec<usize> = (goal..taken.len())
            .chain(0..goal)
            .filter(|&start| !taken[start] && (start == 0 || start == goal || taken[start - 1]))
            .collect();
        let full = |&&start: &&usize| start == goal || length(start) == want;
        let longest = || starts.iter().rev().max_by_key(|&&start| length(start));
        starts.iter().find(full).or_else(longest).map(|&start| start..start + length(start))
    }

    proptest! {
        #[test]
        fn finding_and_changing_equal_a_list_of_bools(
            taken in prop::collection::vec(prop::bool::weighted(0.7), 1..300),
            goal in 0..320usize,
            want in 1..20usize,
        ) {
            let mut bytes = vec![0; taken.len().div_ceil(8)];
            let mut bitmap = Bitmap::new(&mut bytes, taken.len()).unwrap();
            for (bit, _) in taken.iter().enumerate().filter(|(_, taken)| **taken) {
                prop_assert_eq!(bitmap.take(bit..bit + 1), Ok(()));
            }
            let free = taken.iter().filter(|taken| !**taken).count();
            prop_assert_eq!(bitmap.count_free(), free);
            let run = bitmap.find_run(goal, want);
            prop_assert_eq!(run.clone(), naive_run(&taken, goal, want));
            if let Some(run) = run {
                prop_assert_eq!(bitmap.take(run.clone()), Ok(()));
                prop_assert_eq!(bitmap.count_free(), free - run.len());
                prop_assert_eq!(bitmap.take(run.clone()), Err(run.start));
                prop_assert_eq!(bitmap.free(run.clone()), Ok(()));
                prop_assert_eq!(bitmap.free(run.clone()), Err(run.start));
            }
        }
    }
}
