//! Filled in by its own commits.
#![no_std]
#![forbid(unsafe_code)]
