//! The one thing taken out of AML without an interpreter: the values that switch the machine off.

use crate::bytes::{u8_at, u16_at, u32_at};

const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const PACKAGE_OP: u8 = 0x12;
const ROOT_CHAR: u8 = b'\\';

/// The sleep types of state S5 (soft off) for the registers `PM1a_CNT` and `PM1b_CNT`, 0 to 7 each, out of
/// `Name (_S5_, Package () {a, b, …})` in the AML of a DSDT or SSDT (ACPI 6.5, 7.4.2 and 20.2). `None` if there is
/// no such package; a `_S5_` in another place, such as in a string, is passed over.
pub fn s5_sleep_type(aml: &[u8]) -> Option<(u8, u8)> {
    let named = |&at: &usize| aml.get(at..at.saturating_add(4)) == Some(b"_S5_");
    (0..aml.len()).filter(named).find_map(|at| is_definition(aml, at).then(|| package_pair(aml, at + 4)).flatten())
}

/// Whether the name at `at` is what a `NameOp` defines, with or without the root prefix.
fn is_definition(aml: &[u8], at: usize) -> bool {
    let before = |distance: usize| at.checked_sub(distance).and_then(|index| u8_at(aml, index));
    before(1) == Some(NAME_OP) || (before(1) == Some(ROOT_CHAR) && before(2) == Some(NAME_OP))
}

/// The first two integers of the package at `at`. A package of a single integer, as some early firmware has it, holds
/// both in its two low bytes.
fn package_pair(aml: &[u8], at: usize) -> Option<(u8, u8)> {
    if u8_at(aml, at)? != PACKAGE_OP {
        return None;
    }
    // The two upper bits of the first byte of PkgLength tell how many more bytes it has (ACPI 6.5, 20.2.4).
    let length_bytes = 1 + usize::from(u8_at(aml, at + 1)? >> 6);
    let count_at = at + 1 + length_bytes;
    let (first, next) = integer(aml, count_at + 1)?;
    let second = match u8_at(aml, count_at)? {
        0 => return None,
        1 => first >> 8,
        _ => integer(aml, next)?.0,
    };
    Some(((first & 7) as u8, (second & 7) as u8))
}

/// The integer constant at `at`, and where the next element begins.
fn integer(aml: &[u8], at: usize) -> Option<(u32, usize)> {
    match u8_at(aml, at)? {
        ZERO_OP => Some((0, at + 1)),
        ONE_OP => Some((1, at + 1)),
        BYTE_PREFIX => Some((u32::from(u8_at(aml, at + 1)?), at + 2)),
        WORD_PREFIX => Some((u32::from(u16_at(aml, at + 1)?), at + 3)),
        DWORD_PREFIX => Some((u32_at(aml, at + 1)?, at + 5)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_of_qemu() {
        // Name (_S5, Package (0x04) { Zero, Zero, Zero, Zero })
        assert_eq!(s5_sleep_type(b"junk\x08_S5_\x12\x06\x04\x00\x00\x00\x00more"), Some((0, 0)));
    }

    #[test]
    fn every_form_of_integer_and_length() {
        assert_eq!(s5_sleep_type(b"\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x06\x00\x00"), Some((5, 6)));
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x48\x00\x04\x0b\x07\x00\x01"), Some((7, 1)));
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x08\x04\x0c\x03\0\0\0\x0a\x02"), Some((3, 2)));
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x04\x01\x0b\x05\x04"), Some((5, 4)), "one packed integer");
    }

    #[test]
    fn only_the_definition_counts() {
        assert_eq!(s5_sleep_type(b"\x0d_S5_\0 \x08_S5_\x12\x06\x02\x0a\x01\x0a\x02"), Some((1, 2)));
        assert_eq!(s5_sleep_type(b"\x08_S4_\x12\x06\x04\0\0\0\0"), None);
        assert_eq!(s5_sleep_type(b"\x08_S5_\x0a\x05"), None, "not a package");
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x02\x00"), None, "an empty package");
    }

    #[test]
    fn truncation_at_every_byte_is_none() {
        let whole = b"\x08_S5_\x12\x08\x02\x0a\x05\x0a\x06";
        assert_eq!(s5_sleep_type(whole), Some((5, 6)));
        for length in 0..whole.len() {
            assert_eq!(s5_sleep_type(&whole[..length]), None, "{length}");
        }
    }
}
