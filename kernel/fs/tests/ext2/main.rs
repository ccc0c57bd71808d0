//! ext2 reading against images that `mke2fs`, `debugfs` and `e2fsck` made, which also serve as judges.
//!
//! `image` makes images and stores over them, `tree` compares whole trees with their source, `directories` and `mapping`
//! look closer at those two, `oracle` compares with an independent reader, `damage` breaks one field at a time, `fuzz`
//! breaks bytes at random.

mod damage;
mod directories;
mod fuzz;
mod image;
mod mapping;
mod oracle;
mod tree;
