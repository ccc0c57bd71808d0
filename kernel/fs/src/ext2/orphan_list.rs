//! The list of orphans as it is on the device, in memory: a change in the middle of it is to be found without a walk.
//!
//! Pure. What the operation under way does to it can be taken back.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Numbers of inodes, each once, from the head of the list on.
#[derive(Default)]
pub(super) struct OrphanList {
    /// Those on the list, each with the ones above and below it; 0 for none.
    members: BTreeMap<u32, (u32, u32)>,
    head: u32,
    /// What the operation under way did.
    steps: Vec<Step>,
}

enum Step {
    Pushed(u32),
    Removed { number: u32, above: u32, below: u32 },
}

impl OrphanList {
    pub(super) fn contains(&self, number: u32) -> bool {
        self.members.contains_key(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Puts `number`, which is not on it, at the head; what was there before, or 0.
    pub(super) fn push(&mut self, number: u32) -> u32 {
        let below = self.head;
        self.link(number, 0, below);
        self.steps.push(Step::Pushed(number));
        below
    }

    /// Takes `number` off; what was above and below it, 0 for none. None if it is not on the list.
    pub(super) fn remove(&mut self, number: u32) -> Option<(u32, u32)> {
        let (above, below) = self.unlink(number)?;
        self.steps.push(Step::Removed { number, above, below });
        Some((above, below))
    }

    /// The operation under way has succeeded.
    pub(super) fn keep(&mut self) {
        self.steps.clear();
    }

    /// The operation under way has failed: all is as before it.
    pub(super) fn take_back(&mut self) {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Pushed(number) => {
                    self.unlink(number);
                }
                Step::Removed { number, above, below } => self.link(number, above, below),
            }
        }
    }

    fn link(&mut self, number: u32, above: u32, below: u32) {
        match self.members.get_mut(&above) {
            Some(neighbour) => neighbour.1 = number,
            None => self.head = number,
        }
        if let Some(neighbour) = self.members.get_mut(&below) {
            neighbour.0 = number;
        }
        self.members.insert(number, (above, below));
    }

    fn unlink(&mut self, number: u32) -> Option<(u32, u32)> {
        let (above, below) = self.members.remove(&number)?;
        match self.members.get_mut(&above) {
            Some(neighbour) => neighbour.1 = below,
            None => self.head = below,
        }
        if let Some(neighbour) = self.members.get_mut(&below) {
            neighbour.0 = above;
        }
        Some((above, below))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::OrphanList;

    fn shown(list: &OrphanList) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut next = list.head;
        while next != 0 {
            numbers.push(next);
            next = list.members[&next].1;
        }
        numbers
    }

    #[test]
    fn it_is_a_list_and_a_failed_operation_leaves_no_trace() {
        let mut list = OrphanList::default();
        assert_eq!([5, 7, 9].map(|number| list.push(number)), [0, 5, 7]);
        list.keep();
        list.take_back();
        assert_eq!(shown(&list), [9, 7, 5]);

        assert_eq!(list.remove(7), Some((9, 5)));
        assert_eq!(list.remove(7), None);
        assert_eq!(list.remove(9), Some((0, 5)));
        assert_eq!(list.push(4), 5);
        assert_eq!(list.remove(5), Some((4, 0)));
        assert_eq!(shown(&list), [4]);
        list.take_back();
        assert_eq!(shown(&list), [9, 7, 5]);

        for number in [5, 9, 7] {
            assert!(list.contains(number) && list.remove(number).is_some());
        }
        assert_eq!((shown(&list), list.len()), (vec![], 0));
    }
}
