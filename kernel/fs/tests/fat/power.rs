//! Power cuts: random operations, then the volume as it can be after a cut at any moment. `fsck.fat -a` repairs it, and what
//! was made safe, and not touched since, is there and whole; if it was only moved since, by its old name or its new one.

use std::collections::BTreeMap;

use fs::fat::{Fat, NoClock};

use crate::disk::{Memory, Numbers, fsck, make_with, repaired};
use crate::recorder::Recorder;

const OPERATIONS: usize = 250;
const NAMES: [&str; 10] = [
    "a",
    "b.txt",
    "c",
    "A long name of a file.text",
    "another name, which is long",
    "e",
    "f",
    "g.g",
    "sub/x",
    "sub/A longer y",
];

type Files = BTreeMap<&'static str, Vec<u8>>;

/// A file that was safe when it moved.
#[derive(Clone, PartialEq)]
struct Moved {
    from: &'static str,
    to: &'static str,
    content: Vec<u8>,
}

/// A state: from which moment on it is, and what of it is safe.
struct Promised {
    moment: usize,
    files: Files,
    moved: Vec<Moved>,
}

struct Run<'a> {
    store: &'a Recorder,
    fat: Fat<&'a Recorder>,
    /// What there is.
    files: Files,
    safe: Files,
    /// What moved since it was made safe.
    moved: Vec<Moved>,
    history: Vec<Promised>,
}

impl<'a> Run<'a> {
    fn new(store: &'a Recorder) -> Run<'a> {
        let mut fat = Fat::mount(store, true, &NoClock).unwrap();
        let root = fat.root();
        let sub = fat.make(root, b"sub", true).unwrap();
        fat.release(sub).unwrap();
        fat.sync().unwrap();
        Run { store, fat, files: Files::new(), safe: Files::new(), moved: Vec::new(), history: Vec::new() }
    }

    /// Does `work` with the directory and the last name of `name`.
    fn in_directory<R>(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Fat<&'a Recorder>, fs::fat::NodeId, &[u8]) -> R,
    ) -> R {
        let root = self.fat.root();
        match name.split_once('/') {
            None => work(&mut self.fat, root, name.as_bytes()),
            Some((sub, name)) => {
                let sub = self.fat.lookup(root, sub.as_bytes()).unwrap();
                let result = work(&mut self.fat, sub, name.as_bytes());
                self.fat.release(sub).unwrap();
                result
            }
        }
    }

    /// Writes to a file, which is made if it is not there; `at` may lie behind its end. What it had is not promised any more.
    fn write(&mut self, name: &'static str, at: usize, bytes: &[u8]) {
        let is_there = self.files.contains_key(name);
        self.in_directory(name, |fat, directory, last| {
            let node = if is_there { fat.lookup(directory, last) } else { fat.make(directory, last, false) }.unwrap();
            fat.write(node, at as u64, bytes).unwrap();
            fat.release(node).unwrap();
        });
        let file = self.files.entry(name).or_default();
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        self.touched(name);
    }

    fn resize(&mut self, name: &'static str, len: usize) {
        self.in_directory(name, |fat, directory, last| {
            let node = fat.lookup(directory, last).unwrap();
            fat.resize(node, len as u64).unwrap();
            fat.release(node).unwrap();
        });
        self.files.get_mut(name).unwrap().resize(len, 0);
        self.touched(name);
    }

    fn remove(&mut self, name: &'static str) {
        self.in_directory(name, |fat, directory, last| {
            let node = fat.lookup(directory, last).unwrap();
            fat.remove_file(directory, last, node).unwrap();
            fat.release(node).unwrap();
        });
        self.files.remove(name);
        self.touched(name);
    }

    /// Nothing is promised any more of what has this name.
    fn touched(&mut self, name: &str) {
        self.safe.remove(name);
        self.moved.retain(|moved| moved.from != name && moved.to != name);
    }

    fn rename(&mut self, from: &'static str, to: &'static str) {
        if self.files.contains_key(to) {
            self.remove(to);
        }
        let root = self.fat.root();
        let sub = self.fat.lookup(root, b"sub").unwrap();
        let place = |name: &'static str| match name.split_once('/') {
            Some((_, name)) => (sub, name.as_bytes()),
            None => (root, name.as_bytes()),
        };
        self.fat.rename(place(from), place(to), None).unwrap();
        self.fat.release(sub).unwrap();
        let file = self.files.remove(from).unwrap();
        self.files.insert(to, file);
        let was_safe = self.safe.get(from).cloned();
        self.touched(from);
        self.touched(to);
        self.moved.extend(was_safe.map(|content| Moved { from, to, content }));
    }

    fn sync_one(&mut self, name: &'static str) {
        self.in_directory(name, |fat, directory, last| {
            let node = fat.lookup(directory, last).unwrap();
            fat.sync_node(node).unwrap();
            fat.release(node).unwrap();
        });
        self.moved.retain(|moved| moved.from != name && moved.to != name);
        self.safe.insert(name, self.files[name].clone());
    }

    fn step(&mut self, numbers: &mut Numbers) {
        let name = NAMES[numbers.below(NAMES.len())];
        let bytes: Vec<u8> = (0..numbers.below(9000)).map(|_| numbers.below(256) as u8).collect();
        let len = self.files.get(name).map(Vec::len);
        match (numbers.below(10), len) {
            (_, None) | (0, _) => self.write(name, 0, &bytes),
            (1 | 2, Some(len)) => self.write(name, len, &bytes),
            (3, Some(len)) => self.write(name, numbers.below(len + 3000), &bytes[..bytes.len() / 8]),
            (4, Some(_)) => self.resize(name, bytes.len()),
            (5 | 6, Some(_)) => self.remove(name),
            (7, Some(_)) => {
                let to = NAMES[numbers.below(NAMES.len())];
                if to != name {
                    self.rename(name, to);
                }
            }
            (8, Some(_)) => self.sync_one(name),
            _ => {
                self.fat.sync().unwrap();
                self.safe = self.files.clone();
                self.moved.clear();
            }
        }
        let (files, moved) = (self.safe.clone(), self.moved.clone());
        self.history.push(Promised { moment: self.store.moment(), files, moved });
    }
}

/// What must be there after a cut at `moment`: what was safe before it, but for what was being done.
fn wanted(history: &[Promised], moment: usize) -> Files {
    let Some(last) = history.iter().rposition(|state| state.moment <= moment) else { return Files::new() };
    let touched = |name: &str| history.get(last + 1).is_some_and(|next| !next.files.contains_key(name));
    history[last].files.iter().filter(|(name, _)| !touched(name)).map(|(&name, file)| (name, file.clone())).collect()
}

/// Of what must be there by one of two names after a cut at `moment`: what had moved before it, or was just moving.
fn wanted_moves(history: &[Promised], moment: usize) -> Vec<Moved> {
    let Some(at) = history.iter().rposition(|state| state.moment <= moment) else { return Vec::new() };
    let (last, next) = (&history[at], history.get(at + 1).unwrap_or(&history[at]));
    let stays = |moved: &&Moved| next.moved.contains(moved) || next.files.get(moved.to) == Some(&moved.content);
    let begins = |moved: &&Moved| !last.moved.contains(moved) && last.files.get(moved.from) == Some(&moved.content);
    last.moved.iter().filter(stays).chain(next.moved.iter().filter(begins)).cloned().collect()
}

/// Whether there is a file with this name and content.
fn has(fat: &mut Fat<&Memory>, name: &str, content: &[u8]) -> bool {
    let mut directory = fat.root();
    let (sub, last) = name.split_once('/').map_or((None, name), |(sub, last)| (Some(sub), last));
    if let Some(sub) = sub {
        directory = fat.lookup(directory, sub.as_bytes()).unwrap();
    }
    let Ok(node) = fat.lookup(directory, last.as_bytes()) else { return false };
    let mut found = vec![0; content.len() + 1];
    let len = fat.read(node, 0, &mut found).unwrap();
    found[..len] == *content
}

fn check(bytes: Vec<u8>, (files, moves): (&Files, &[Moved]), what: &str) {
    let store = Memory::new(bytes, usize::MAX);
    let mut fat = Fat::mount(&store, false, &NoClock).unwrap_or_else(|error| panic!("{what}: {}", error.message()));
    for (name, content) in files {
        assert!(has(&mut fat, name, content), "{what}: {name} was safe, but is not there as it was");
    }
    for Moved { from, to, content } in moves {
        let there = [from, to].map(|name| has(&mut fat, name, content));
        assert!(there.contains(&true), "{what}: {from} was safe, and is there neither as that nor as {to}");
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_safe() {
    let cuts: usize = std::env::var("FS_POWER_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    for (seed, (kind, mib, sectors)) in [(12, 2, 1), (16, 9, 2), (32, 34, 1)].into_iter().enumerate() {
        let store = Recorder::of(make_with(kind, mib, sectors).bytes());
        let mut numbers = Numbers(0x5eed + seed as u64);
        let mut run = Run::new(&store);
        for _ in 0..OPERATIONS {
            run.step(&mut numbers);
        }
        let (end, history) = (store.moment(), run.history);
        run.fat.finish().unwrap();
        fsck(&Memory::new(store.bytes(), usize::MAX));
        assert!(end > OPERATIONS, "FAT{kind}: hardly anything was written");
        for number in 0..cuts {
            let moment = if number == 0 { end } else { numbers.below(end + 1) };
            let percent = [0, 50, 90, 100][numbers.below(4)];
            let image = store.cut(moment, || numbers.below(100) < percent);
            let what = format!("FAT{kind}, cut at {moment} of {end}, {percent} % of what was not safe");
            check(repaired(&image, &what), (&wanted(&history, moment), &wanted_moves(&history, moment)), &what);
        }
    }
}
