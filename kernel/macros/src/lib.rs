//! Procedural macros of the kernel.
#![forbid(unsafe_code)]
