//! The naive tree: what a volume must look like after the same operations.

use std::collections::BTreeMap;

use crate::files::{self, Files};
use crate::image::fs_under_test::ext2::Ext2;
use crate::image::fs_under_test::{BlockStore, FileType};

/// A file, whatever its names.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: FileType,
    pub permissions: u16,
    /// Content of a regular file, target of a symbolic link.
    pub bytes: Vec<u8>,
    /// Extended attributes: class and name.
    pub attributes: BTreeMap<(u8, String), Vec<u8>>,
    /// Changed since the last commit, so that its content after a power cut may be of before or after, or both.
    pub written: bool,
}

/// Names to numbers of nodes; directories are those of kind directory.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub names: BTreeMap<String, usize>,
    pub nodes: Vec<Node>,
}

impl Model {
    pub fn make(&mut self, path: &str, kind: FileType, bytes: &[u8]) {
        self.names.insert(path.to_string(), self.nodes.len());
        self.nodes.push(Node {
            kind,
            permissions: 0o640,
            bytes: bytes.to_vec(),
            attributes: BTreeMap::new(),
            written: false,
        });
    }

    pub fn node(&mut self, path: &str) -> &mut Node {
        &mut self.nodes[self.names[path]]
    }

    pub fn kind(&self, path: &str) -> Option<FileType> {
        self.names.get(path).map(|&number| self.nodes[number].kind)
    }

    pub fn write(&mut self, path: &str, offset: usize, bytes: &[u8]) {
        let node = self.node(path);
        let end = offset + bytes.len();
        node.bytes.resize(node.bytes.len().max(end), 0);
        node.bytes[offset..end].copy_from_slice(bytes);
        node.written = true;
    }

    /// Whether nothing lies below `path`.
    pub fn is_empty(&self, path: &str) -> bool {
        let below = format!("{path}/");
        !self.names.keys().any(|name| name.starts_with(&below))
    }

    /// `from` and all below it become `to` and below; what was there is gone.
    pub fn rename(&mut self, from: &str, to: &str, exchange: bool) {
        let moved = self.take(from);
        let replaced = self.take(to);
        self.names.extend(moved.into_iter().map(|(below, number)| (format!("{to}{below}"), number)));
        if exchange {
            self.names.extend(replaced.into_iter().map(|(below, number)| (format!("{from}{below}"), number)));
        }
    }

    fn take(&mut self, path: &str) -> Vec<(String, usize)> {
        let below = format!("{path}/");
        let all = self.names.iter().filter(|(name, _)| *name == path || name.starts_with(&below));
        let taken: Vec<(String, usize)> = all.map(|(name, &number)| (name[path.len()..].to_string(), number)).collect();
        self.names.retain(|name, _| name != path && !name.starts_with(&below));
        taken
    }

    pub fn links(&self, path: &str) -> usize {
        let number = self.names[path];
        if self.nodes[number].kind != FileType::Directory {
            return self.names.values().filter(|&&other| other == number).count();
        }
        let below = format!("{path}/");
        let inside = |name: &&String| name.starts_with(&below) && !name[below.len()..].contains('/');
        2 + self.names.keys().filter(inside).filter(|name| self.kind(name) == Some(FileType::Directory)).count()
    }

    /// All is committed.
    pub fn settled(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.written = false);
    }

    /// The first difference between this and a volume. Content is not looked at where `excused` says so.
    pub fn difference<S: BlockStore>(&self, volume: &Ext2<S>, excused: impl Fn(&str) -> bool) -> Option<String>
    where
        S::Error: std::fmt::Debug,
    {
        let found = files::list(volume);
        let (ours, theirs): (Vec<&String>, Vec<&String>) =
            (self.names.keys().collect(), found.iter().map(|(path, _)| path).collect());
        if ours != theirs {
            return Some(format!("names {theirs:?}, not {ours:?}"));
        }
        let mut numbers = BTreeMap::new();
        for (path, inode) in &found {
            let node = &self.nodes[self.names[path]];
            if *numbers.entry(inode.number).or_insert(self.names[path]) != self.names[path] {
                return Some(format!("{path} is the wrong file"));
            }
            if (inode.kind, inode.mode & 0o7777) != (node.kind, node.permissions) {
                return Some(format!("{path} is a {} of mode {:o}, not {node:?}", inode.kind, inode.mode));
            }
            if usize::from(inode.links_count) != self.links(path) {
                return Some(format!("{path} has {} links, not {}", inode.links_count, self.links(path)));
            }
            let attributes = volume.attributes(inode).unwrap().into_iter();
            let attributes: BTreeMap<(u8, String), Vec<u8>> = attributes
                .map(|found| ((found.class, String::from_utf8_lossy(&found.name).into_owned()), found.value))
                .collect();
            if attributes != node.attributes {
                return Some(format!("attributes of {path}: {attributes:?}, not {:?}", node.attributes));
            }
            match node.kind {
                FileType::Regular if inode.size != node.bytes.len() as u64 => {
                    return Some(format!("{path} is of {} bytes, not {}", inode.size, node.bytes.len()));
                }
                FileType::Regular if !excused(path) && files::content(volume, inode) != node.bytes => {
                    return Some(format!("content of {path}"));
                }
                FileType::Symlink => {
                    let mut target = vec![0; 4096];
                    let len = volume.read_link(inode, &mut target).unwrap();
                    if target[..len] != node.bytes {
                        return Some(format!("target of {path}"));
                    }
                }
                _ => {}
            }
        }
        None
    }

    pub fn compare(&self, files: &Files) {
        if let Some(difference) = self.difference(&files.volume, |_| false) {
            panic!("{difference}");
        }
    }
}
