//! A map for few entries: a sorted list.
//!
//! `BTreeMap` is the map for many; each pair of types that it is used with costs five kilobytes of code, and this a
//! tenth of that. Putting an entry in or taking it out moves those behind it.

use alloc::vec::{self, Vec};
use core::mem;

/// Values by their keys, in the order of these.
#[derive(Clone, Debug)]
pub struct SmallMap<K, V>(Vec<(K, V)>);

impl<K: Ord, V> SmallMap<K, V> {
    /// An empty one.
    pub const fn new() -> Self {
        SmallMap(Vec::new())
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// The value of `key`, which is `make`'s if there was none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, make()));
            at
        });
        &mut self.0[at].1
    }

    /// Sets the value of `key`; the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes `key` and its value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the entries of which `holds` says so.
    pub fn retain(&mut self, mut holds: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| holds(key, value));
    }

    /// The entries from `key` on.
    pub fn from(&self, key: &K) -> &[(K, V)] {
        let at = self.find(key).unwrap_or_else(|at| at);
        &self.0[at..]
    }

    /// All entries.
    pub fn entries(&self) -> &[(K, V)] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K: Ord, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        SmallMap::new()
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::SmallMap;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is done to it, it is as the map that it stands in for.
        #[test]
        fn is_as_a_btree_map(steps in proptest::collection::vec((0u8..5, 0u8..20, any::<u16>()), 0..200)) {
            let (mut map, mut model) = (SmallMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                match step {
                    0 => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    1 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    2 => prop_assert_eq!(*map.get_or_insert_with(key, || value), *model.entry(key).or_insert(value)),
                    3 => {
                        map.retain(|known, _| known % 3 != key % 3);
                        model.retain(|known, _| known % 3 != key % 3);
                    }
                    _ => {
                        if let Some(known) = map.get_mut(&key) {
                            *known = value;
                        }
                        model.entry(key).and_modify(|known| *known = value);
                    }
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
                let from = |(key, value): (&u8, &u16)| (*key, *value);
                prop_assert_eq!(map.from(&key), model.range(key..).map(from).collect::<Vec<_>>());
            }
            prop_assert_eq!(map.entries().to_vec(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
