//! Keys by the numbers that input devices give them (Linux's `input-event-codes.h`).
//!
//! The numbers up to F12 are the scan codes of set 1 themselves; of the others those are here that have one behind the
//! prefix 0xe0.

/// The prefix of set 1's other half.
pub(super) const EXTENDED: u8 = 0xe0;

/// Numbers, and scan codes behind the prefix.
const TABLE: [(u16, u8); 18] = [
    (96, 0x1c),  // Enter of the keypad
    (97, 0x1d),  // right Ctrl
    (98, 0x35),  // division of the keypad
    (99, 0x37),  // Print Screen
    (100, 0x38), // AltGr
    (102, 0x47), // Home
    (103, 0x48), // up
    (104, 0x49), // Page Up
    (105, 0x4b), // left
    (106, 0x4d), // right
    (107, 0x4f), // End
    (108, 0x50), // down
    (109, 0x51), // Page Down
    (110, 0x52), // Insert
    (111, 0x53), // Delete
    (125, 0x5b), // left and right Windows key
    (126, 0x5c),
    (127, 0x5d), // Menu
];

/// The scan code of set 1 that a key sends when it is pressed, and whether that has the prefix.
pub(super) fn scan_code(key: u16) -> Option<(bool, u8)> {
    match key {
        1..=83 | 86..=88 => Some((false, key as u8)),
        _ => TABLE.iter().find(|(number, _)| *number == key).map(|&(_, code)| (true, code)),
    }
}
