//! ext2 reading against images that `mke2fs`, `debugfs` and `e2fsck` made, which also serve as judges.
//!
//! `image` makes images and stores over them, `tree` compares whole trees with their source, `directories` and `mapping`
//! look closer at those two.

mod directories;
mod image;
mod mapping;
mod tree;
