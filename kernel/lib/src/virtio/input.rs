//! Input devices: their configuration and their events (virtio 1.2, 5.8).

use crate::bytes::{array_at, u16_at, u32_at};
use abi::input::{EV_CNT, EV_SYN};
use core::array;

/// Bytes of an event: type, code, value.
pub const EVENT_LEN: usize = 8;
/// Most bytes of what is selected in the configuration.
pub const DATA_LEN: usize = 128;
/// Most axes that there can be, an eighth of them.
const AXES_LEN: usize = 8;

/// The bytes that hold what is selected, of which the device says that there are `len`; None if it cannot be so many.
pub fn selected_len(len: u8) -> Option<usize> {
    Some(usize::from(len)).filter(|&len| len <= DATA_LEN)
}

/// Type, code and value of an event, of which the device says to have written `written` bytes; None if that is none.
pub fn event(bytes: &[u8; EVENT_LEN], written: u32) -> Option<(u16, u16, i32)> {
    let whole = written as usize == EVENT_LEN;
    whole.then(|| Some((u16_at(bytes, 0)?, u16_at(bytes, 2)?, u32_at(bytes, 4)? as i32)))?
}

/// Whether a device may send this: only codes that it has said to have, and the ends of reports. `codes` gives the codes of a
/// type, a bit for each.
pub fn is_declared<'a>(kind: u16, code: u16, codes: impl Fn(u16) -> &'a [u8]) -> bool {
    kind == EV_SYN || usize::from(kind) < EV_CNT && has_bit(codes(kind), code)
}

/// Whether bit `bit` is set; what is not there is not.
pub fn has_bit(bits: &[u8], bit: u16) -> bool {
    bits.get(usize::from(bit / 8)).is_some_and(|byte| byte >> (bit % 8) & 1 != 0)
}

/// The axes that there are, of those that there can be.
pub fn axes(bits: &[u8]) -> impl Iterator<Item = u16> {
    (0..8 * AXES_LEN as u16).filter(|&axis| has_bit(bits, axis))
}

/// Bus, vendor, product and version; zeros where the device says nothing.
pub fn ids(bytes: &[u8]) -> [u16; 4] {
    array::from_fn(|index| u16_at(bytes, 2 * index).unwrap_or(0))
}

/// Minimum, maximum, fuzz, flat and resolution of an axis; zeros where the device says nothing.
pub fn axis(bytes: &[u8]) -> [i32; 5] {
    array::from_fn(|index| array_at(bytes, 4 * index).map_or(0, i32::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::input::{EV_ABS, EV_KEY};
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn events_have_eight_bytes() {
        let bytes = [3, 0, 1, 0, 0xfe, 0xff, 0xff, 0xff];
        assert_eq!(event(&bytes, 8), Some((EV_ABS, 1, -2)));
        for written in [0, 7, 9, 16, u32::MAX] {
            assert_eq!(event(&bytes, written), None);
        }
    }

    #[test]
    fn what_was_not_declared_is_not_sent() {
        let codes = |kind| match kind {
            EV_KEY => &[0, 0, 0, 1 << 6][..],
            // What other drivers' numbers may stand for.
            u16::MAX | 0x20 => &[0xff; 96],
            _ => &[],
        };
        assert!(is_declared(EV_SYN, 3, codes) && is_declared(EV_KEY, 30, codes));
        for (kind, code) in [(EV_KEY, 31), (EV_KEY, 32), (EV_KEY, u16::MAX), (EV_ABS, 0), (0x20, 0), (u16::MAX, 0)] {
            assert!(!is_declared(kind, code, codes), "{kind:#x} {code:#x}");
        }
    }

    #[test]
    fn configurations_may_be_short_or_long() {
        assert_eq!(
            (selected_len(0), selected_len(128), selected_len(129), selected_len(255)),
            (Some(0), Some(128), None, None)
        );
        assert_eq!(ids(&[3, 0, 0x27, 6, 1]), [3, 0x627, 0, 0]);
        assert_eq!(ids(&[0xff; 20]), [0xffff; 4]);
        assert_eq!(axis(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 9, 9]), [1, -1, 0, 0, 0]);
        assert_eq!(axes(&[0b101, 0, 0, 0, 0, 0, 0, 0x80, 0xff]).collect::<Vec<_>>(), [0, 2, 63]);
        assert_eq!(axes(&[2]).collect::<Vec<_>>(), [1]);
    }

    proptest! {
        #[test]
        fn any_configuration_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..=DATA_LEN), bit in any::<u16>()) {
            prop_assert!(axes(&bytes).all(|axis| axis < 64 && has_bit(&bytes, axis)));
            prop_assert!(!has_bit(&bytes, bit) || usize::from(bit) < 8 * bytes.len());
            let ids = ids(&bytes);
            prop_assert!((0..4).all(|index| ids[index] == 0 || 2 * index + 1 < bytes.len()));
            let axis = axis(&bytes);
            prop_assert!((0..5).all(|index| axis[index] == 0 || 4 * index + 3 < bytes.len()));
        }
    }
}
