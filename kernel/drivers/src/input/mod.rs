//! Input devices.

pub mod i8042;
