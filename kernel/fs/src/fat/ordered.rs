//! The order in which changes of a FAT reach the device, for the case that the power goes.
//!
//! A FAT has no journal, so a cut may always leave something half done; what is left here is only what `fsck.fat -a` mends
//! without loss. What the crate writes goes two ways. Content of clusters that the device still has as free, and long runs
//! of content, go to the store at once, since nothing leads there yet or nothing depends on it. Everything else, sectors of
//! the FAT, of directories and what is written in place, is held in memory until a commit, which is every flush:
//!
//! 1. what has gone to the store is made safe;
//! 2. the FATs, with what has been allocated, but without what has been freed or cut off: clusters nothing leads to;
//! 3. directories: first with what has been added or changed, but still with the names that have been taken out, then without,
//!    so that a file that moves has a name at any moment;
//! 4. the FATs as they are, and the sectors before them.
//!
//! Each is safe before the next begins. A cluster that has been freed is not used again before a commit has freed it on the
//! device, nor an entry of a directory. The crate's own order (allocated before it is linked, unlinked before it is freed) is
//! such that a commit may come at any moment.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use hadris_fat::{FatKind, Geometry};

use super::bios;
use crate::WriteStore;

/// Bytes of a sector as devices write them whole.
const SECTOR: usize = 512;
/// Sectors that are held before a commit comes by itself.
const MOST_HELD: usize = 512;
/// First byte of a directory's entry that is free.
const FREE_ENTRIES: [u8; 2] = [0, 0xe5];
const ENTRY_LEN: usize = 32;

type Sector = Box<[u8; SECTOR]>;

/// A store whose changes are ordered. Offsets and lengths are of whole sectors.
pub(super) struct Ordered<S> {
    store: S,
    /// None if there is no telling what is where: then there is no order.
    geometry: Option<Geometry>,
    /// What a commit is to write, by number of the sector.
    held: BTreeMap<u64, Sector>,
    /// Something has gone to the store since it was flushed.
    passed: bool,
}

/// What a sector belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    /// Boot sector, FSInfo.
    Reserved,
    /// Sector `index` of the copy of the FAT that begins at the sector `start`.
    Table { start: u64, index: u64 },
    /// The root directory of FAT12 and FAT16.
    Root,
    /// A cluster.
    Cluster(u64),
}

impl<S: WriteStore> Ordered<S> {
    pub fn new(store: S) -> Self {
        let mut sector = [0; bios::LEN_BYTES];
        let read = store.len_bytes() >= SECTOR as u64 && store.read(0, &mut sector).is_ok();
        let geometry = if read { hadris_fat_raw::parse_boot(&sector).ok() } else { None };
        Ordered { store, geometry, held: BTreeMap::new(), passed: false }
    }

    pub fn len_bytes(&self) -> u64 {
        self.store.len_bytes()
    }

    pub fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), S::Error> {
        self.store.read(offset, out)?;
        let first = offset / SECTOR as u64;
        let end = first + (out.len() / SECTOR) as u64;
        for (number, held) in self.held.range(first..end) {
            out[(number - first) as usize * SECTOR..][..SECTOR].copy_from_slice(&held[..]);
        }
        Ok(())
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), S::Error> {
        let Some(geometry) = self.geometry else { return self.store.write(offset, bytes) };
        let first = offset / SECTOR as u64;
        if bytes.len() > SECTOR && offset >= geometry.data_start() {
            return self.pass(first, bytes);
        }
        for (number, sector) in (first..).zip(bytes.chunks_exact(SECTOR)) {
            match region(&geometry, number) {
                Region::Cluster(cluster) if self.committed(&geometry, cluster)? == 0 => self.pass(number, sector)?,
                Region::Table { start, index } => {
                    if self.held.len() >= MOST_HELD || self.reuses(&geometry, (start, index), sector)? {
                        self.commit()?;
                    }
                    self.hold(number, sector);
                }
                _ => {
                    if self.held.len() >= MOST_HELD || self.reuses_entry(number, sector)? {
                        self.commit()?;
                    }
                    self.hold(number, sector);
                }
            }
        }
        Ok(())
    }

    /// Makes all changes safe, in their order.
    pub fn commit(&mut self) -> Result<(), S::Error> {
        let Some(geometry) = self.geometry.filter(|_| !self.held.is_empty()) else {
            self.passed = false;
            return self.store.flush();
        };
        if self.passed {
            self.store.flush()?;
            self.passed = false;
        }
        let is_table = |number| matches!(region(&geometry, number), Region::Table { .. });
        let numbers: Vec<u64> = self.held.keys().copied().collect();
        self.step(numbers.iter().copied().filter(|&number| is_table(number)), |ordered, number, _| {
            ordered.without_freed(&geometry, number)
        })?;
        let is_entry = |number| matches!(region(&geometry, number), Region::Root | Region::Cluster(_));
        self.step(numbers.iter().copied().filter(|&number| is_entry(number)), |ordered, number, old| {
            Ok(with_removed(old, &ordered.held[&number]))
        })?;
        let as_it_is = |ordered: &Self, number: u64, _: &[u8; SECTOR]| Ok(ordered.held[&number].clone());
        self.step(numbers.iter().copied().filter(|&number| is_entry(number)), as_it_is)?;
        self.step(numbers.iter().copied().filter(|&number| !is_entry(number)), as_it_is)?;
        self.held.clear();
        self.passed = false;
        Ok(())
    }

    /// Writes what `new` makes of each sector, given what is there, where that is something else; and makes it safe.
    fn step(
        &self,
        numbers: impl Iterator<Item = u64>,
        new: impl Fn(&Self, u64, &[u8; SECTOR]) -> Result<Sector, S::Error>,
    ) -> Result<(), S::Error> {
        let mut written = false;
        for number in numbers {
            let mut old = [0; SECTOR];
            self.store.read(number * SECTOR as u64, &mut old)?;
            let new = new(self, number, &old)?;
            if old != *new {
                self.store.write(number * SECTOR as u64, &new[..])?;
                written = true;
            }
        }
        if written { self.store.flush() } else { Ok(()) }
    }

    /// Writes at once.
    fn pass(&mut self, first: u64, bytes: &[u8]) -> Result<(), S::Error> {
        let end = first + (bytes.len() / SECTOR) as u64;
        while let Some((&number, _)) = self.held.range(first..end).next() {
            self.held.remove(&number);
        }
        self.passed = true;
        self.store.write(first * SECTOR as u64, bytes)
    }

    fn hold(&mut self, number: u64, sector: &[u8]) {
        let held = self.held.entry(number).or_insert_with(|| Box::new([0; SECTOR]));
        held.copy_from_slice(sector);
    }

    /// What the device's FAT has for `cluster`.
    fn committed(&self, geometry: &Geometry, cluster: u64) -> Result<u32, S::Error> {
        let kind = geometry.kind();
        let offset = geometry.fat_copy(geometry.active_fat()) + kind.entry_offset(cluster);
        let mut bytes = [0; 4];
        let bytes = &mut bytes[..kind.entry_len()];
        self.store.read(offset, bytes)?;
        Ok(kind.decode(cluster, bytes) & kind.mask())
    }

    /// Whether `sector`, which is to become that sector of the FAT, allocates a cluster that the device does not know to be
    /// free.
    fn reuses(&self, geometry: &Geometry, (start, index): (u64, u64), sector: &[u8]) -> Result<bool, S::Error> {
        let kind = geometry.kind();
        let mut new = self.window(geometry, (start, index), true)?;
        let before = new.clone();
        new[SECTOR..2 * SECTOR].copy_from_slice(sector);
        let old = self.window(geometry, (start, index), false)?;
        Ok(entries(geometry, index).any(|entry| {
            value(kind, entry, index, &before) == 0
                && [&new, &old].iter().all(|in_| value(kind, entry, index, in_) != 0)
        }))
    }

    /// Whether `sector` puts an entry where one has been taken out that the device still has. (What looks like that may be
    /// content: then a commit comes earlier than it has to.)
    fn reuses_entry(&self, number: u64, sector: &[u8]) -> Result<bool, S::Error> {
        let Some(held) = self.held.get(&number) else { return Ok(false) };
        let mut old = [0; SECTOR];
        self.store.read(number * SECTOR as u64, &mut old)?;
        let mut pairs =
            held.chunks_exact(ENTRY_LEN).zip(sector.chunks_exact(ENTRY_LEN)).zip(old.chunks_exact(ENTRY_LEN));
        Ok(pairs.any(|((held, new), old)| is_free(held) && !is_free(new) && !is_free(old)))
    }

    /// A sector of the FAT as it is to be, but with what is to be freed, or cut off, as it was.
    fn without_freed(&self, geometry: &Geometry, number: u64) -> Result<Sector, S::Error> {
        let mut sector = self.held[&number].clone();
        let Region::Table { start, index } = region(geometry, number) else { return Ok(sector) };
        let kind = geometry.kind();
        let mut new = self.window(geometry, (start, index), true)?;
        let old = self.window(geometry, (start, index), false)?;
        for entry in entries(geometry, index) {
            let (was, is) = (value(kind, entry, index, &old), value(kind, entry, index, &new));
            let grows = was == 0 || kind.is_end_of_chain(was) && is != 0;
            if was != is && !grows {
                kind.encode(entry, was, &mut new[place(kind, entry, index)..]);
            }
        }
        sector.copy_from_slice(&new[SECTOR..2 * SECTOR]);
        Ok(sector)
    }

    /// Sector `index` of a FAT between its neighbours, as entries of FAT12 lie across: as it is to be, or as the device has
    /// it. Of what lies beside the FAT, zeros.
    fn window(&self, geometry: &Geometry, (start, index): (u64, u64), to_be: bool) -> Result<Vec<u8>, S::Error> {
        let mut bytes = vec![0; 3 * SECTOR];
        let sectors = geometry.fat_size() / SECTOR as u64;
        for (slot, part) in bytes.chunks_exact_mut(SECTOR).enumerate() {
            let Some(index) = (index + slot as u64).checked_sub(1).filter(|&index| index < sectors) else { continue };
            let offset = (start + index) * SECTOR as u64;
            // The table may be longer than a damaged disk.
            if offset + SECTOR as u64 > self.len_bytes() {
                continue;
            }
            match to_be {
                true => self.read(offset, part)?,
                false => self.store.read(offset, part)?,
            }
        }
        Ok(bytes)
    }
}

/// What sector `number` belongs to.
fn region(geometry: &Geometry, number: u64) -> Region {
    let offset = number * SECTOR as u64;
    if let Some(beyond) = offset.checked_sub(geometry.data_start()) {
        // Behind the last cluster there is nothing that the crate would write.
        return Region::Cluster((beyond >> geometry.cluster_shift()) + 2);
    }
    let Some(beyond) = offset.checked_sub(geometry.fat_start()) else { return Region::Reserved };
    let copy = beyond / geometry.fat_size();
    if copy >= u64::from(geometry.fat_count()) {
        return Region::Root;
    }
    let start = geometry.fat_copy(copy as u8) / SECTOR as u64;
    Region::Table { start, index: number - start }
}

/// The clusters whose entries lie in sector `index` of a FAT, in part at least. The first two entries are of no cluster.
fn entries(geometry: &Geometry, index: u64) -> impl Iterator<Item = u64> + use<> {
    let bits = geometry.kind().entry_bits();
    let sector_bits = SECTOR as u64 * 8;
    let (first, end) = (index * sector_bits / bits, ((index + 1) * sector_bits).div_ceil(bits));
    first.max(2)..end.min(u64::from(geometry.max_cluster()) + 1)
}

/// Where the entry of `cluster` is in the window around sector `index`.
fn place(kind: FatKind, cluster: u64, index: u64) -> usize {
    (kind.entry_offset(cluster) + SECTOR as u64 - index * SECTOR as u64) as usize
}

fn value(kind: FatKind, cluster: u64, index: u64, window: &[u8]) -> u32 {
    kind.decode(cluster, &window[place(kind, cluster, index)..]) & kind.mask()
}

/// Whether an entry of a directory is free.
fn is_free(entry: &[u8]) -> bool {
    FREE_ENTRIES.contains(&entry[0])
}

/// A sector of a directory as it is to be, but with the entries that have been taken out.
fn with_removed(old: &[u8; SECTOR], new: &Sector) -> Sector {
    let mut sector = new.clone();
    for (old, new) in old.chunks_exact(ENTRY_LEN).zip(sector.chunks_exact_mut(ENTRY_LEN)) {
        if is_free(new) && !is_free(old) {
            new.copy_from_slice(old);
        }
    }
    sector
}
