//! Metadata changed by the running transaction: whole blocks that hide those on the device until they are committed.
//!
//! Pure data. The store keeps one of these under its own lock ([`BlockStore::with_changes`](crate::BlockStore)), so that
//! readers and the one writer see the same. Each operation can be taken back as long as it is not kept: the bytes that
//! it replaced are remembered, not whole blocks, since most changes are of a few bytes.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

/// Changed blocks by number, and how to take the last operation back.
#[derive(Default)]
pub struct Changes {
    blocks: BTreeMap<u64, Box<[u8]>>,
    /// What the operation under way did, oldest first.
    steps: Vec<Step>,
    /// Bytes that steps of the kind `Patched` replaced, one after the other.
    replaced: Vec<u8>,
}

enum Step {
    /// The block entered.
    Entered(u64),
    /// Bytes of the block changed; the old ones are the last `len` of `replaced`.
    Patched { block: u64, offset: usize, len: usize },
    /// The block left.
    Left(u64, Box<[u8]>),
}

impl Changes {
    /// None.
    pub const fn new() -> Self {
        Changes { blocks: BTreeMap::new(), steps: Vec::new(), replaced: Vec::new() }
    }

    /// Number of changed blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Fills `out` with the bytes of `block` from `offset` on, if the block has changed.
    pub fn read(&self, block: u64, offset: usize, out: &mut [u8]) -> bool {
        let Some(bytes) = self.blocks.get(&block) else { return false };
        out.copy_from_slice(&bytes[offset..offset + out.len()]);
        true
    }

    /// Enters `block`, with the content that it has to begin with.
    pub(crate) fn enter(&mut self, block: u64, content: Box<[u8]>) {
        match self.blocks.entry(block) {
            Entry::Vacant(vacant) => {
                vacant.insert(content);
                self.steps.push(Step::Entered(block));
            }
            Entry::Occupied(mut occupied) => {
                let old = core::mem::replace(occupied.get_mut(), content);
                self.steps.push(Step::Left(block, old));
            }
        }
    }

    /// Replaces bytes of `block`; false if it has not been entered.
    pub(crate) fn patch(&mut self, block: u64, offset: usize, bytes: &[u8]) -> bool {
        let Some(content) = self.blocks.get_mut(&block) else { return false };
        let target = &mut content[offset..offset + bytes.len()];
        self.replaced.extend_from_slice(target);
        target.copy_from_slice(bytes);
        self.steps.push(Step::Patched { block, offset, len: bytes.len() });
        true
    }

    /// `block` has been freed: what it holds does not matter any more.
    pub(crate) fn leave(&mut self, block: u64) {
        if let Some(content) = self.blocks.remove(&block) {
            self.steps.push(Step::Left(block, content));
        }
    }

    /// The operation under way has succeeded.
    pub(crate) fn keep(&mut self) {
        self.steps.clear();
        self.replaced.clear();
    }

    /// The operation under way has failed: all is as before it.
    pub(crate) fn take_back(&mut self) {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Entered(block) => {
                    self.blocks.remove(&block);
                }
                Step::Left(block, content) => {
                    self.blocks.insert(block, content);
                }
                Step::Patched { block, offset, len } => {
                    let start = self.replaced.len() - len;
                    if let Some(content) = self.blocks.get_mut(&block) {
                        content[offset..offset + len].copy_from_slice(&self.replaced[start..]);
                    }
                    self.replaced.truncate(start);
                }
            }
        }
    }

    /// Numbers of the changed blocks, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.blocks.keys().copied().collect()
    }

    /// All has been written: starts anew.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;

    use super::Changes;

    fn read(changes: &Changes, block: u64) -> Option<[u8; 4]> {
        let mut bytes = [0; 4];
        changes.read(block, 0, &mut bytes).then_some(bytes)
    }

    #[test]
    fn a_failed_operation_leaves_no_trace() {
        let mut changes = Changes::new();
        changes.enter(7, vec![1, 2, 3, 4].into());
        changes.enter(8, vec![5; 4].into());
        changes.keep();

        assert!(changes.patch(7, 1, &[9, 9]));
        assert!(changes.patch(7, 2, &[8, 8]));
        changes.leave(8);
        changes.enter(8, vec![6; 4].into());
        changes.enter(7, vec![0; 4].into());
        changes.enter(9, vec![7; 4].into());
        assert!(!changes.patch(10, 0, &[1]));
        changes.take_back();
        assert_eq!((read(&changes, 7), read(&changes, 8), read(&changes, 9)), (Some([1, 2, 3, 4]), Some([5; 4]), None));
    }

    #[test]
    fn what_is_kept_stays() {
        let mut changes = Changes::new();
        changes.enter(7, vec![1, 2, 3, 4].into());
        assert!(changes.patch(7, 0, &[9]));
        changes.keep();
        changes.take_back();
        assert_eq!(read(&changes, 7), Some([9, 2, 3, 4]));
        assert_eq!((changes.numbers(), changes.len()), (vec![7], 1));
        changes.clear();
        assert!(changes.is_empty());
    }
}
