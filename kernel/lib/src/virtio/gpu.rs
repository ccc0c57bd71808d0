//! Graphics devices: the answers to commands, and the screens that they tell (virtio 1.2, 5.7.6).

use crate::bytes::u32_at;
use core::fmt;

/// Bytes of a request or answer before what is its own: type, flags, fence, context, ring.
pub const HEADER_LEN: usize = 24;
/// Screens that an answer describes, and bytes for each: place, size, whether it is there, flags.
const MAX_SCREENS: usize = 16;
const SCREEN_LEN: usize = 24;
/// Bytes of the answer that tells the screens.
pub const DISPLAY_INFO_LEN: usize = HEADER_LEN + MAX_SCREENS * SCREEN_LEN;
/// Most pixels of a screen, and of one of its sides.
pub const MAX_PIXELS: u32 = 1 << 24;
const MAX_SIDE: u32 = 1 << 14;

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadAnswer {
    /// It is of this type.
    Type(u32),
    /// It has so many bytes.
    Length(u32),
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAnswer::Type(answer) => write!(f, "is {answer:#x}"),
            BadAnswer::Length(len) => write!(f, "has {len} bytes"),
        }
    }
}

/// A screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Which it is.
    pub number: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl Screen {
    /// Whether a screen can have so many pixels.
    pub fn is_possible(&self) -> bool {
        let sides = 1..=MAX_SIDE;
        sides.contains(&self.width) && sides.contains(&self.height) && self.width * self.height <= MAX_PIXELS
    }
}

/// Whether an answer, for which there was as much room as `answer` has, and of which the device says to have written
/// `written` bytes, is of type `wanted` and complete. Errors come with a header alone.
pub fn check(answer: &[u8], written: u32, wanted: u32) -> Result<(), BadAnswer> {
    let len = usize::try_from(written).unwrap_or(usize::MAX);
    match u32_at(answer, 0) {
        Some(other) if other != wanted && (HEADER_LEN..=answer.len()).contains(&len) => Err(BadAnswer::Type(other)),
        Some(_) if len == answer.len() => Ok(()),
        _ => Err(BadAnswer::Length(written)),
    }
}

/// The first screen that is there, whatever its size is.
pub fn first_screen(answer: &[u8; DISPLAY_INFO_LEN]) -> Option<Screen> {
    let (screens, _) = answer[HEADER_LEN..].as_chunks::<SCREEN_LEN>();
    let (number, screen) = (0..).zip(screens).find(|(_, screen)| u32_at(&screen[..], 16) != Some(0))?;
    Some(Screen { number, width: u32_at(screen, 8)?, height: u32_at(screen, 12)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn info(screens: &[(usize, [u32; 6])]) -> [u8; DISPLAY_INFO_LEN] {
        let mut answer = [0; DISPLAY_INFO_LEN];
        for (number, words) in screens {
            let bytes = words.iter().flat_map(|word| word.to_le_bytes());
            answer[HEADER_LEN + number * SCREEN_LEN..].iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        answer
    }

    #[test]
    fn the_first_screen_that_is_there_counts() {
        let off = [0, 0, 640, 480, 0, 0];
        assert_eq!(first_screen(&info(&[(0, off)])), None);
        let screens = info(&[(0, off), (3, [5, 6, 1000, 700, 2, 9]), (4, [0, 0, 640, 480, 1, 0])]);
        assert_eq!(first_screen(&screens), Some(Screen { number: 3, width: 1000, height: 700 }));
        let last = info(&[(15, [0, 0, u32::MAX, 1, 1, 0])]);
        let screen = first_screen(&last).unwrap();
        assert_eq!((screen.number, screen.width, screen.is_possible()), (15, u32::MAX, false));
    }

    #[test]
    fn sizes_are_possible_or_not() {
        let possible = |width, height| Screen { number: 0, width, height }.is_possible();
        assert!(possible(1, 1) && possible(4096, 4096) && possible(1 << 14, 1 << 10));
        assert!(!possible(0, 700) && !possible(700, 0) && !possible(4096, 4097) && !possible(1 << 15, 1));
        assert!(!possible(u32::MAX, u32::MAX) && !possible(1 << 16, 1 << 16));
    }

    #[test]
    fn answers_are_complete_and_of_their_type() {
        let mut answer = [0; 32];
        answer[..4].copy_from_slice(&0x1101u32.to_le_bytes());
        assert_eq!(check(&answer, 32, 0x1101), Ok(()));
        assert_eq!(check(&answer, 24, 0x1100), Err(BadAnswer::Type(0x1101)), "an error has a header alone");
        assert_eq!(check(&answer, 32, 0x1100), Err(BadAnswer::Type(0x1101)));
        for len in [0, 23, 24, 31, 33, u32::MAX] {
            assert_eq!(check(&answer, len, 0x1101), Err(BadAnswer::Length(len)));
        }
        for len in [0, 23, 33, u32::MAX] {
            assert_eq!(check(&answer, len, 0x1100), Err(BadAnswer::Length(len)), "what has no header says nothing");
        }
        assert_eq!(check(&[], 0, 0), Err(BadAnswer::Length(0)));
    }

    proptest! {
        #[test]
        fn any_answer_is_decoded(words in prop::collection::vec(any::<u32>(), DISPLAY_INFO_LEN / 4), written in 0u32..1000) {
            let mut answer = [0; DISPLAY_INFO_LEN];
            answer.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())).for_each(|(to, from)| *to = from);
            if let Some(screen) = first_screen(&answer) {
                prop_assert!((screen.number as usize) < MAX_SCREENS);
                let pixels = u64::from(screen.width) * u64::from(screen.height);
                prop_assert!(!screen.is_possible() || (1..=u64::from(MAX_PIXELS)).contains(&pixels));
            }
            prop_assert_eq!(check(&answer, written, words[0]).is_ok(), written as usize == DISPLAY_INFO_LEN);
            prop_assert!(check(&answer, written, !words[0]).is_err());
        }
    }
}
