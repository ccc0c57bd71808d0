//! Operations at random, on a volume and on the model, and e2fsck as the judge at the end. A failing sequence is
//! shrunk to a short one.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::files::{self, Files};
use crate::image::fs_under_test::FileType;
use crate::image::fs_under_test::ext2::{DeviceNumber, Error, NewKind};
use crate::image::{self, Numbers};
use crate::model::Model;
use crate::recorder::Recorder;

/// One operation; numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Make { directory: u8, name: u8, what: u8 },
    Write { file: u8, offset: u32, len: u32 },
    Truncate { file: u8, size: u32 },
    Punch { file: u8, offset: u32, len: u32 },
    Link { file: u8, directory: u8, name: u8 },
    Remove { path: u8, keep_open: bool },
    Rename { path: u8, directory: u8, name: u8, exchange: bool },
    Permissions { path: u8, bits: u16 },
    Attribute { path: u8, name: u8, len: u16, remove: bool },
    Close { file: u8 },
    Commit,
    Checkpoint,
}

/// Operations; with `far` ones at offsets where the trees of pointers are deep.
pub fn operation(far: u32) -> impl Strategy<Value = Operation> {
    use Operation::*;
    // Mostly small files, now and then one that reaches into double and, with small blocks, triple indirection.
    let position = move || prop_oneof![6 => 0..20_000u32, 3 => 0..400_000u32, far => 17_000_000..19_000_000u32];
    prop_oneof![
        6 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(directory, name, what)| Make { directory, name, what }),
        6 => (any::<u8>(), position(), 1..40_000u32).prop_map(|(file, offset, len)| Write { file, offset, len }),
        3 => (any::<u8>(), position()).prop_map(|(file, size)| Truncate { file, size }),
        2 => (any::<u8>(), position(), position()).prop_map(|(file, offset, len)| Punch { file, offset, len }),
        2 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(file, directory, name)| Link { file, directory, name }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(path, keep_open)| Remove { path, keep_open }),
        4 => (any::<u8>(), any::<u8>(), any::<u8>(), prop::bool::weighted(0.2))
            .prop_map(|(path, directory, name, exchange)| Rename { path, directory, name, exchange }),
        1 => (any::<u8>(), 0..0o10000u16).prop_map(|(path, bits)| Permissions { path, bits }),
        3 => (any::<u8>(), any::<u8>(), 0..600u16, prop::bool::weighted(0.3))
            .prop_map(|(path, name, len, remove)| Attribute { path, name, len, remove }),
        1 => any::<u8>().prop_map(|file| Close { file }),
        2 => Just(Commit),
        1 => Just(Checkpoint),
    ]
}

/// A volume and its model.
pub struct Pair {
    pub files: Files,
    pub model: Model,
    numbers: Numbers,
}

impl Pair {
    pub fn new(image: Vec<u8>) -> Pair {
        let files = Files::mount(Recorder::of(image)).unwrap();
        Pair { files, model: Model::default(), numbers: Numbers::seeded(77) }
    }

    fn pick(&self, number: u8, wanted: impl Fn(FileType) -> bool) -> Option<String> {
        let all: Vec<&String> =
            self.model.names.keys().filter(|path| self.model.kind(path).is_some_and(&wanted)).collect();
        (!all.is_empty()).then(|| all[usize::from(number) % all.len()].clone())
    }

    fn pick_name(&self, directory: u8, name: u8) -> String {
        let count =
            1 + self.model.names.keys().filter(|path| self.model.kind(path) == Some(FileType::Directory)).count();
        let parent = match usize::from(directory) % count {
            0 => String::new(),
            _ => self.pick(directory, |kind| kind == FileType::Directory).unwrap_or_default(),
        };
        let mut path = format!("{parent}/n{}", name % 24);
        if name.is_multiple_of(5) {
            // Long ones fill directory blocks.
            let _ = write!(path, "{}", "x".repeat(usize::from(name) / 2 + 60));
        }
        path
    }

    /// Does it, unless it makes no sense here. Both sides or none.
    pub fn run(&mut self, operation: Operation) {
        let outcome = self.try_run(operation);
        assert!(matches!(outcome, Ok(()) | Err(Error::NoSpace)), "{operation:?}: {outcome:?}");
    }

    fn try_run(&mut self, operation: Operation) -> files::Outcome<()> {
        match operation {
            Operation::Make { directory, name, what } => self.make(&self.pick_name(directory, name), what),
            Operation::Write { file, offset, len } => {
                let Some(path) = self.pick(file, |kind| kind == FileType::Regular) else { return Ok(()) };
                let bytes = self.numbers.bytes(len as usize);
                self.files.write(&path, offset.into(), &bytes)?;
                self.model.write(&path, offset as usize, &bytes);
                Ok(())
            }
            Operation::Truncate { file, size } => {
                let Some(path) = self.pick(file, |kind| kind == FileType::Regular) else { return Ok(()) };
                self.files.truncate(&path, size.into())?;
                let node = self.model.node(&path);
                node.bytes.resize(size as usize, 0);
                node.written = true;
                Ok(())
            }
            Operation::Punch { file, offset, len } => {
                let Some(path) = self.pick(file, |kind| kind == FileType::Regular) else { return Ok(()) };
                let block_len = self.files.volume.geometry().block_size();
                let (first, count) = (offset as usize / block_len, len as usize / block_len);
                self.files.punch(&path, first as u64, count as u64)?;
                let node = self.model.node(&path);
                let end = node.bytes.len();
                node.bytes[(first * block_len).min(end)..((first + count) * block_len).min(end)].fill(0);
                node.written = true;
                Ok(())
            }
            Operation::Link { file, directory, name } => {
                let Some(path) = self.pick(file, |kind| kind != FileType::Directory) else { return Ok(()) };
                let new = self.pick_name(directory, name);
                if !self.model.names.contains_key(&new) {
                    self.files.link(&path, &new)?;
                    self.model.names.insert(new, self.model.names[&path]);
                }
                Ok(())
            }
            Operation::Remove { path, keep_open } => {
                let Some(path) = self.pick(path, |_| true) else { return Ok(()) };
                if self.model.is_empty(&path) {
                    self.files.unlink(&path, keep_open)?;
                    self.model.names.remove(&path);
                } else {
                    let refused = self.files.unlink(&path, false);
                    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
                }
                Ok(())
            }
            Operation::Rename { path, directory, name, exchange } => {
                let Some(path) = self.pick(path, |_| true) else { return Ok(()) };
                self.rename(&path, &self.pick_name(directory, name), exchange)
            }
            Operation::Permissions { path, bits } => {
                let Some(path) = self.pick(path, |kind| kind != FileType::Symlink) else { return Ok(()) };
                self.files.set_permissions(&path, bits)?;
                self.model.node(&path).permissions = bits;
                Ok(())
            }
            Operation::Attribute { path, name, len, remove } => {
                let Some(path) = self.pick(path, |_| true) else { return Ok(()) };
                let key =
                    ([1, 4, 6][usize::from(name % 3)], format!("{name}{}", "\u{e9}".repeat(usize::from(name) % 9)));
                // Few values, so that some files have the same.
                let value = vec![name; usize::from(if name % 2 == 0 { len % 40 } else { len / 100 * 100 })];
                let there = self.model.node(&path).attributes.contains_key(&key);
                let outcome = self.files.set_attribute(&path, (key.0, key.1.as_bytes()), (!remove).then_some(&value));
                if remove && !there {
                    assert!(matches!(outcome, Err(Error::NoAttribute { .. })), "{outcome:?}");
                    return Ok(());
                }
                outcome?;
                let attributes = &mut self.model.node(&path).attributes;
                if remove {
                    attributes.remove(&key)
                } else {
                    attributes.insert(key, value)
                };
                Ok(())
            }
            Operation::Close { file } => {
                if !self.files.open.is_empty() {
                    self.files.close(usize::from(file) % self.files.open.len());
                }
                Ok(())
            }
            Operation::Commit => {
                self.files.commit();
                Ok(())
            }
            Operation::Checkpoint => self.files.edit().checkpoint(),
        }
    }

    fn make(&mut self, path: &str, what: u8) -> files::Outcome<()> {
        if self.model.names.contains_key(path) {
            return Ok(());
        }
        let target = self.numbers.bytes(1 + usize::from(what) * 3);
        let target: Vec<u8> = target.iter().map(|byte| byte | 1).collect();
        let device = DeviceNumber { major: 8, minor: u32::from(what) * 9 };
        let (kind, file_type) = match what % 8 {
            0..3 => (NewKind::Regular, FileType::Regular),
            3..6 => (NewKind::Directory, FileType::Directory),
            6 => (NewKind::Symlink(&target), FileType::Symlink),
            _ => (NewKind::BlockDevice(device), FileType::BlockDevice),
        };
        let inode = self.files.make(path, kind)?;
        let is_link = file_type == FileType::Symlink;
        self.model.make(path, file_type, if is_link { &target } else { &[] });
        assert_eq!(inode.device(), (file_type == FileType::BlockDevice).then_some(device));
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, exchange: bool) -> files::Outcome<()> {
        let below = |path: &str, above: &str| path == above || path.starts_with(&format!("{above}/"));
        if below(to, from) || below(from, to) {
            return Ok(());
        }
        let (kind, there) = (self.model.kind(from), self.model.kind(to));
        let directory = |kind: Option<FileType>| kind == Some(FileType::Directory);
        let fits = match there {
            None => !exchange,
            Some(_) if self.model.names[from] == self.model.names[to] => false,
            Some(_) if exchange => true,
            Some(_) => directory(kind) == directory(there) && self.model.is_empty(to),
        };
        if fits {
            self.files.rename(from, to, exchange)?;
            self.model.rename(from, to, exchange);
        }
        Ok(())
    }
}

/// Images to write to: sizes of blocks and inodes, with room for a journal and without, dir_index in use.
const LAYOUTS: [(&[&str], &str); 5] = [
    (&["-b", "1024", "-I", "128"], "8M"),
    (&["-b", "1024", "-I", "256", "-g", "2048"], "8M"),
    (&["-b", "4096", "-I", "256"], "12M"),
    (&["-b", "2048", "-O", "^filetype"], "1M"),
    (&["-b", "1024", "-N", "64"], "4M"),
];

#[test]
fn random_operations_equal_the_model_and_e2fsck_finds_nothing() {
    let scratch = image::scratch("random");
    let cases: u32 = std::env::var("FS_RANDOM_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    for (options, size) in LAYOUTS {
        let empty = std::fs::read(image::make(&scratch, options, size)).unwrap();
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let result = runner.run(&prop::collection::vec(operation(1), 1..400), |operations| {
            let mut pair = Pair::new(empty.clone());
            for operation in operations {
                pair.run(operation);
            }
            pair.model.compare(&pair.files);
            let Pair { files, .. } = pair;
            files::check_clean(&scratch, &files.unmount());
            Ok(())
        });
        if let Err(error) = result {
            panic!("{options:?} {size}: {error}");
        }
    }
}
