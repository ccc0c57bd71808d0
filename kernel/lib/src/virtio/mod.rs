//! What virtio devices say, decoded (Virtual I/O Device 1.2, 5.3, 5.7, 5.8).
//!
//! A device may write anything. The drivers copy what it wrote out of the memory they share with it, once, and have it looked
//! at here: lengths, numbers and kinds are checked, and an error names what was wrong.

pub mod console;
pub mod gpu;
pub mod input;

use alloc::string::String;

/// A text of a device: some end it with a zero byte, and what cannot be shown is left out.
pub fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_ends_at_a_zero() {
        assert_eq!(text(b"org.example\0rest"), "org.example");
        assert_eq!(text(b"a\x1b[31m\r\nb\xff"), "a[31mb\u{fffd}");
        assert_eq!((text(b""), text(b"\0\0")), (String::new(), String::new()));
    }

    proptest! {
        #[test]
        fn a_text_shows_nothing_but_characters(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = text(&bytes);
            prop_assert!(!text.chars().any(char::is_control) && text.chars().count() <= bytes.len());
        }
    }
}
