//! From the colours that programs name to those that a display has.

use super::cell::{Attributes, Colour, Style};

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// What text is drawn in when no colour is set: light grey on black, as on every PC console.
const DEFAULT_FOREGROUND: Rgb = BASIC[7];
const DEFAULT_BACKGROUND: Rgb = BASIC[0];

/// The first sixteen, in ANSI's order (red is bit 0).
const BASIC: [Rgb; 16] = [
    (0, 0, 0),
    (205, 49, 49),
    (13, 188, 121),
    (229, 229, 16),
    (60, 120, 216),
    (188, 63, 188),
    (17, 168, 205),
    (204, 204, 204),
    (102, 102, 102),
    (241, 76, 76),
    (35, 209, 139),
    (245, 245, 67),
    (97, 155, 255),
    (214, 112, 214),
    (41, 184, 219),
    (255, 255, 255),
];
/// Steps of the 6 × 6 × 6 cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The colour of an index of xterm's 256.
fn indexed(index: u8) -> Rgb {
    match index {
        0..16 => BASIC[usize::from(index)],
        16..232 => {
            let index = usize::from(index - 16);
            (CUBE[index / 36], CUBE[index / 6 % 6], CUBE[index % 6])
        }
        232.. => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn resolve(colour: Colour, default: Rgb) -> Rgb {
    match colour {
        Colour::Default => default,
        Colour::Indexed(index) => indexed(index),
        Colour::Rgb(red, green, blue) => (red, green, blue),
    }
}

impl Style {
    /// The colours of the character and of what is around it, with all attributes that change them.
    pub fn colours(&self) -> (Rgb, Rgb) {
        let has = |attribute| self.attributes.contains(attribute);
        let foreground = match self.foreground {
            Colour::Indexed(index @ 0..8) if has(Attributes::BOLD) => Colour::Indexed(index + 8),
            Colour::Default if has(Attributes::BOLD) => Colour::Indexed(15),
            colour => colour,
        };
        let (mut front, mut back) =
            (resolve(foreground, DEFAULT_FOREGROUND), resolve(self.background, DEFAULT_BACKGROUND));
        if has(Attributes::FAINT) {
            let mix = |a: u8, b: u8| ((u16::from(a) * 2 + u16::from(b)) / 3) as u8;
            front = (mix(front.0, back.0), mix(front.1, back.1), mix(front.2, back.2));
        }
        if has(Attributes::INVERSE) {
            core::mem::swap(&mut front, &mut back);
        }
        (if has(Attributes::HIDDEN) { back } else { front }, back)
    }
}

/// The nearest of the first sixteen.
pub fn nearest_basic(colour: Rgb) -> u8 {
    let distance = |other: Rgb| {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(colour.0, other.0) + square(colour.1, other.1) + square(colour.2, other.2)
    };
    (0..16).min_by_key(|&index| distance(BASIC[usize::from(index)])).unwrap_or(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_256_colours() {
        assert_eq!(
            (indexed(16), indexed(21), indexed(196), indexed(231)),
            ((0, 0, 0), (0, 0, 255), (255, 0, 0), (255, 255, 255))
        );
        assert_eq!((indexed(232), indexed(255)), ((8, 8, 8), (238, 238, 238)));
    }

    #[test]
    fn attributes_change_colours() {
        let style = |attributes| Style { foreground: Colour::Indexed(1), background: Colour::Rgb(1, 2, 3), attributes };
        assert_eq!(style(Attributes::empty()).colours(), (BASIC[1], (1, 2, 3)));
        assert_eq!(style(Attributes::BOLD).colours(), (BASIC[9], (1, 2, 3)));
        assert_eq!(style(Attributes::INVERSE).colours(), ((1, 2, 3), BASIC[1]));
        assert_eq!(style(Attributes::HIDDEN).colours(), ((1, 2, 3), (1, 2, 3)));
        assert_eq!(style(Attributes::FAINT).colours().0, (137, 33, 33));
    }

    #[test]
    fn the_nearest_of_sixteen() {
        for index in 0..16 {
            assert_eq!(nearest_basic(indexed(index)), index);
        }
        assert_eq!((nearest_basic((250, 250, 250)), nearest_basic((200, 40, 40))), (15, 1));
    }
}
