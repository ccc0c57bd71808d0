//! Buses and device drivers.
#![no_std]
#![forbid(unsafe_code)]
