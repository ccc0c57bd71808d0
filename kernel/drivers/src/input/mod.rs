//! Input devices: the PC's own keyboard, and devices that say what happens in Linux's numbers.

pub mod i8042;
pub mod virtio_input;

use alloc::string::String;
use core::fmt;
use klib::virtio::input::has_bit;
use machine::time::Instant;

/// What happened, in the numbers of Linux's `input-event-codes.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When it came.
    pub time: Instant,
    /// `EV_*`.
    pub kind: u16,
    /// Which key, axis, light.
    pub code: u16,
    /// How it is now.
    pub value: i32,
}

/// An axis of a device that says places.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Axis {
    /// The lowest value.
    pub minimum: i32,
    /// The highest value.
    pub maximum: i32,
    /// Changes up to this are noise.
    pub fuzz: i32,
    /// Values up to this are the middle.
    pub flat: i32,
    /// Units in a millimetre.
    pub resolution: i32,
}

/// What a device is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// What it calls itself.
    pub name: String,
    /// Its serial number; may be empty.
    pub serial: String,
    /// Bus, vendor, product and version.
    pub ids: [u16; 4],
}

/// The device broke its protocol and is not used any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the input device misbehaved and was switched off")
    }
}

impl core::error::Error for Broken {}

/// A device that says what happens to it.
pub trait InputDevice: Send + Sync {
    /// What it is.
    fn identity(&self) -> &Identity;

    /// The codes of a type that it has, a bit for each, the lowest first; empty if it has none. The properties are type
    /// [`PROPERTIES`].
    fn codes(&self, kind: u16) -> &[u8];

    /// An axis.
    fn axis(&self, code: u16) -> Option<Axis>;

    /// Takes what happened next, in the order in which it came; sleeps until something has, or the deadline comes: None.
    fn next_event(&self, deadline: Option<Instant>) -> Result<Option<Event>, Broken>;

    /// Switches a light.
    fn set_light(&self, code: u16, on: bool);

    /// Whether it has code `code` of a type.
    fn has(&self, kind: u16, code: u16) -> bool {
        has_bit(self.codes(kind), code)
    }
}

/// A type of no event: what [`InputDevice::codes`] gives are the properties.
pub const PROPERTIES: u16 = u16::MAX;
