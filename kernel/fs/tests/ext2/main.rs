//! ext2 reading against images that `mke2fs`, `debugfs` and `e2fsck` made, which also serve as judges.
//!
//! `image` makes images and stores over them, `tree` compares whole trees with their source, `directories` and `mapping`
//! look closer at those two, `oracle` compares with an independent reader, `damage` breaks one field at a time, `fuzz`
//! breaks bytes at random.
//!
//! Writing: `recorder` is a store that remembers what is written and made safe, `files` works on a volume by paths, `model`
//! is the naive tree to compare with, `attributes` looks at extended attributes, `writing` tests one thing at a time, `random` many operations at random, and
//! `power` cuts the power in the middle.

mod attributes;
mod damage;
mod directories;
mod ext4;
mod files;
mod fuzz;
mod image;
mod mapping;
mod model;
mod oracle;
mod power;
mod random;
#[path = "../common/recorder.rs"]
mod recorder;
mod tree;
mod writing;
