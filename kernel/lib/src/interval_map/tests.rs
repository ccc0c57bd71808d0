//! Against a naive model: one cell for each address, which says what it means.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Like an area with a file: what `address` means is the tag and its distance from `origin`.
#[derive(Clone, Debug, PartialEq)]
struct Area {
    start: u64,
    end: u64,
    tag: u8,
    /// None: all addresses mean the same, as in anonymous memory.
    offset: Option<u64>,
}

impl Area {
    fn meaning(&self, address: u64) -> (u8, Option<u64>) {
        (self.tag, self.offset.map(|offset| offset + address - self.start))
    }
}

impl Interval for Area {
    fn start(&self) -> u64 {
        self.start
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn split_off(&mut self, at: u64) -> Self {
        assert!(self.start < at && at < self.end);
        let offset = self.offset.map(|offset| offset + at - self.start);
        let upper = Area { start: at, offset, ..*self };
        self.end = at;
        upper
    }

    fn absorb(&mut self, next: &Self) -> bool {
        assert_eq!(self.end, next.start);
        let alike = self.meaning(next.start) == next.meaning(next.start);
        if alike {
            self.end = next.end;
        }
        alike
    }
}

const SIZE: u64 = 96;

type Model = BTreeMap<u64, (u8, Option<u64>)>;

fn meanings(map: &IntervalMap<Area>) -> Model {
    map.iter().flat_map(|area| (area.start..area.end).map(|address| (address, area.meaning(address)))).collect()
}

/// What must hold whatever was done.
fn check(map: &IntervalMap<Area>, model: &Model) {
    let areas: Vec<_> = map.iter().collect();
    assert!(areas.iter().all(|area| area.start < area.end), "empty interval: {areas:?}");
    assert!(areas.windows(2).all(|pair| pair[0].end <= pair[1].start), "overlap: {areas:?}");
    assert_eq!(areas.len(), map.len());
    assert_eq!(map.is_empty(), areas.is_empty());
    for chunk in &map.chunks {
        assert!(!chunk.items.is_empty() && chunk.items.len() <= CHUNK_LEN);
        assert_eq!(chunk.gap, largest_gap(&chunk.items));
    }
    assert_eq!(&meanings(map), model);
}

fn check_searches(map: &IntervalMap<Area>, model: &Model, start: u64, end: u64) {
    let used = |address: &u64| model.contains_key(address);
    assert_eq!(map.is_free(start, end), !(start..end).any(|address| used(&address)));
    assert_eq!(map.covers(start, end), (start..end).all(|address| used(&address)));
    assert_eq!(map.covered_until(start, end), (start..end).find(|address| !used(address)).unwrap_or(end));
    assert_eq!(map.find(start).map(|area| area.meaning(start)), model.get(&start).copied());
    let next = (start..SIZE * 2).find(used);
    assert_eq!(map.first_from(start).map(|area| area.start.max(start)), next);
    let below = map.iter().rfind(|area| area.end <= start);
    assert_eq!(map.last_below(start), below);
    let overlapping: Vec<_> = map.iter().filter(|area| area.start < end && area.end > start).collect();
    assert_eq!(map.overlapping(start, end).collect::<Vec<_>>(), overlapping);
    let len = end - start;
    for top in [end, SIZE] {
        let free = |at: &u64| (*at..at + len).all(|address| !used(&address));
        let naive = (start..=top.saturating_sub(len)).rev().find(free);
        assert_eq!(map.find_gap(len, start, top), naive, "gap of {len} in {start}..{top}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, Option<u64>),
    Take,
    Update(u8),
}

fn step() -> impl Strategy<Value = (Step, u64, u64)> {
    let kind = prop_oneof![
        4 => (0..3u8, prop::option::of(0..3u64)).prop_map(|(tag, offset)| Step::Insert(tag, offset)),
        2 => Just(Step::Take),
        2 => (0..3u8).prop_map(Step::Update),
    ];
    (kind, 0..SIZE, 1..12u64).prop_map(|(kind, start, len)| (kind, start, start + len))
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let (mut map, mut model) = (IntervalMap::new(), Model::new());
        for (kind, start, end) in steps {
            match kind {
                Step::Insert(tag, offset) => {
                    // Offsets that make neighbours continue each other now and then.
                    let area = Area { start, end, tag, offset: offset.map(|offset| offset * 7 + start) };
                    if map.is_free(start, end) {
                        model.extend((start..end).map(|address| (address, area.meaning(address))));
                        prop_assert_eq!(map.insert(area), Ok(()));
                    } else {
                        prop_assert_eq!(map.insert(area), Err(Refused::Overlap));
                    }
                }
                Step::Take => {
                    let taken = map.take(start, end).unwrap();
                    prop_assert!(taken.iter().all(|area| area.start >= start && area.end <= end));
                    let taken: Model = taken
                        .iter()
                        .flat_map(|area| (area.start..area.end).map(|address| (address, area.meaning(address))))
                        .collect();
                    let expected: Model = model.range(start..end).map(|(&address, &meaning)| (address, meaning)).collect();
                    prop_assert_eq!(taken, expected);
                    model.retain(|&address, _| address < start || address >= end);
                }
                Step::Update(tag) => {
                    map.update(start, end, |area| area.tag = tag).unwrap();
                    model.range_mut(start..end).for_each(|(_, meaning)| meaning.0 = tag);
                    let alike = map.iter().zip(map.iter().skip(1)).any(|(below, above)| {
                        below.end == above.start
                            && (start..=end).contains(&above.start)
                            && below.clone().absorb(above)
                    });
                    prop_assert!(!alike, "neighbours that are alike were not joined");
                }
            }
            check(&map, &model);
            check_searches(&map, &model, start, end);
        }
        let copy = map.try_clone(|_| true).unwrap();
        check(&copy, &model);
        let some = map.try_clone(|area| area.tag == 1).unwrap();
        check(&some, &model.into_iter().filter(|(_, meaning)| meaning.0 == 1).collect());
    }
}

#[test]
fn like_neighbours_become_one_on_both_sides() {
    let mut map = IntervalMap::new();
    let area = |start, end| Area { start, end, tag: 0, offset: None };
    assert_eq!(map.insert(area(0, 10)), Ok(()));
    assert_eq!(map.insert(area(20, 30)), Ok(()));
    assert_eq!(map.insert(area(10, 20)), Ok(()));
    assert_eq!(map.iter().collect::<Vec<_>>(), [&area(0, 30)]);
    assert_eq!(map.insert(area(29, 31)), Err(Refused::Overlap));
}

#[test]
fn the_highest_gap_is_found_behind_full_chunks() {
    let mut map = IntervalMap::new();
    for number in 0..100 {
        let (start, end) = (number * 10, number * 10 + 9);
        assert_eq!(map.insert(Area { start, end, tag: number as u8, offset: None }), Ok(()));
    }
    assert_eq!(map.find_gap(2, 0, 1000), None);
    assert_eq!(map.find_gap(1, 0, 1000), Some(999));
    assert_eq!(map.take(230, 239).unwrap().len(), 1);
    assert_eq!(map.find_gap(2, 0, 1000), Some(238));
    assert_eq!(map.find_gap(11, 0, 999), Some(229));
    assert_eq!(map.find_gap(12, 0, 999), None);
}
