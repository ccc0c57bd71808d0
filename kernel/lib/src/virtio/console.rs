//! Console devices: their configuration and the messages of their control queues (virtio 1.2, 5.3).

use crate::bytes::{u16_at, u32_at};

/// Bytes of a message before what is its own: port, event, value.
pub const HEADER_LEN: usize = 8;
/// Queues of the first port, and then of the control messages, before those of the other ports.
const FIRST_QUEUES: usize = 4;

/// What the device tells of (virtio 1.2, 5.3.6.2).
const DEVICE_ADD: u16 = 1;
const DEVICE_REMOVE: u16 = 2;
const CONSOLE_PORT: u16 = 4;
const RESIZE: u16 = 5;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// A message of the device about a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// There is such a port now.
    Add,
    /// There is not any more.
    Remove,
    /// It is a console.
    Console,
    /// The window of the console at its other side.
    Resize {
        /// Characters of a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// Its other side is open, or closed.
    Open(bool),
    /// What it is called.
    Name(&'a [u8]),
}

/// A message of the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Answer {
    /// The device is driven.
    DeviceReady = 0,
    /// The port that was added can be used, or not.
    PortReady = 3,
    /// The port is open, or closed.
    PortOpen = PORT_OPEN,
}

/// A message that means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadMessage {
    /// It has so many bytes, which are too few.
    Short(usize),
    /// No such event is known.
    Event(u16),
}

/// The number of the port that a message is about, and what it says.
pub fn decode(bytes: &[u8]) -> Result<(u32, Message<'_>), BadMessage> {
    let short = BadMessage::Short(bytes.len());
    let [port, event_and_value] = [u32_at(bytes, 0).ok_or(short)?, u32_at(bytes, 4).ok_or(short)?];
    let (event, value) = (event_and_value as u16, event_and_value >> 16);
    let message = match event {
        DEVICE_ADD => Message::Add,
        DEVICE_REMOVE => Message::Remove,
        CONSOLE_PORT => Message::Console,
        RESIZE => Message::Resize {
            columns: u16_at(bytes, HEADER_LEN).ok_or(short)?,
            rows: u16_at(bytes, HEADER_LEN + 2).ok_or(short)?,
        },
        PORT_OPEN => Message::Open(value != 0),
        PORT_NAME => Message::Name(&bytes[HEADER_LEN..]),
        _ => return Err(BadMessage::Event(event)),
    };
    Ok((port, message))
}

/// A message of the driver, as the device reads it.
pub fn encode(port: u32, answer: Answer, value: bool) -> [u8; HEADER_LEN] {
    let [p0, p1, p2, p3] = port.to_le_bytes();
    let [e0, e1] = (answer as u16).to_le_bytes();
    [p0, p1, p2, p3, e0, e1, value.into(), 0]
}

/// How many ports a device has, at most `most`, if it says that it may have up to `ports` (None if it does not know of more
/// than one) and has so many queues. None if it has too few for any.
pub fn port_count(ports: Option<u32>, queues: u16, most: usize) -> Option<usize> {
    let queues = usize::from(queues);
    match ports {
        None => (queues >= 2).then_some(1),
        Some(ports) if ports > 0 && queues >= FIRST_QUEUES => {
            let served = 1 + (queues - FIRST_QUEUES) / 2;
            Some(served.min(most).min(usize::try_from(ports).unwrap_or(usize::MAX)))
        }
        Some(_) => None,
    }
}

/// The first of the two queues of a port: what comes in; then what goes out. The control messages' are behind those of port 0.
pub fn queue_of(port: usize) -> u16 {
    (if port == 0 { 0 } else { 2 + 2 * port }) as u16
}

/// The first of the two queues of control messages.
pub const CONTROL_QUEUE: u16 = 2;

/// Columns and rows of a window; None if the device says by a zero that it does not know.
pub fn window(columns: u16, rows: u16) -> Option<(u16, u16)> {
    (columns != 0 && rows != 0).then_some((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn message(port: u32, event: u16, value: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(port.to_le_bytes());
        bytes.extend(event.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn messages_mean_what_the_specification_says() {
        for (event, value, rest, meant) in [
            (1, 1, &b""[..], Message::Add),
            (2, 1, b"", Message::Remove),
            (4, 1, b"", Message::Console),
            (5, 0, &[80, 0, 0x2c, 1, 9], Message::Resize { columns: 80, rows: 300 }),
            (6, 1, b"", Message::Open(true)),
            (6, 0x100, b"", Message::Open(true)),
            (6, 0, b"more", Message::Open(false)),
            (7, 1, b"org.example\0", Message::Name(b"org.example\0")),
            (7, 1, b"", Message::Name(b"")),
        ] {
            assert_eq!(decode(&message(0x0102_0304, event, value, rest)), Ok((0x0102_0304, meant)));
        }
    }

    #[test]
    fn malformed_messages_are_told() {
        for len in 0..HEADER_LEN {
            assert_eq!(decode(&message(1, 1, 1, b"")[..len]), Err(BadMessage::Short(len)));
        }
        for len in 8..12 {
            assert_eq!(decode(&message(1, RESIZE, 0, &[0; 4])[..len]), Err(BadMessage::Short(len)));
        }
        // What the driver says, and what nobody does.
        for event in [0, 3, 8, u16::MAX] {
            assert_eq!(decode(&message(1, event, 1, b"rest")), Err(BadMessage::Event(event)));
        }
    }

    #[test]
    fn ports_have_their_queues() {
        assert_eq!([queue_of(0), CONTROL_QUEUE, queue_of(1), queue_of(2), queue_of(31)], [0, 2, 4, 6, 64]);
        assert_eq!(port_count(None, 2, 8), Some(1));
        assert_eq!(port_count(None, 1, 8), None);
        assert_eq!(port_count(Some(31), 64, 8), Some(8));
        assert_eq!(port_count(Some(31), 64, 99), Some(31));
        assert_eq!(port_count(Some(u32::MAX), 9, 8), Some(3));
        assert_eq!(port_count(Some(1), 64, 8), Some(1));
        assert_eq!((port_count(Some(0), 64, 8), port_count(Some(4), 3, 8)), (None, None));
    }

    #[test]
    fn a_window_has_room() {
        assert_eq!((window(80, 25), window(0, 25), window(80, 0)), (Some((80, 25)), None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), event in 0u16..10) {
            let mut bytes = bytes;
            // Most kinds there can be are none.
            if let Some(place) = bytes.get_mut(4..6) {
                place.copy_from_slice(&event.to_le_bytes());
            }
            match decode(&bytes) {
                Ok((_, Message::Name(name))) => prop_assert_eq!(name.len(), bytes.len() - HEADER_LEN),
                Ok(_) => prop_assert!(bytes.len() >= HEADER_LEN),
                Err(BadMessage::Short(len)) => prop_assert!(len == bytes.len() && len < HEADER_LEN + 4),
                Err(BadMessage::Event(event)) => prop_assert!(matches!(event, 0 | 3 | 8..)),
            }
        }

        #[test]
        fn no_port_is_beyond_the_queues(ports in any::<Option<u32>>(), queues in any::<u16>(), most in 1usize..64) {
            if let Some(count) = port_count(ports, queues, most) {
                prop_assert!((1..=most).contains(&count) && ports.is_none_or(|ports| count as u64 <= u64::from(ports)));
                prop_assert!(queue_of(count - 1) + 1 < queues && (ports.is_none() || CONTROL_QUEUE + 1 < queues));
            }
        }

        #[test]
        fn what_the_driver_says_is_as_the_device_would_say_it(port in any::<u32>(), open in any::<bool>()) {
            let [said, other] = [Answer::PortOpen, Answer::PortReady].map(|answer| encode(port, answer, open));
            prop_assert_eq!(decode(&said), Ok((port, Message::Open(open))));
            prop_assert_eq!(decode(&other), Err(BadMessage::Event(3)));
        }
    }
}
