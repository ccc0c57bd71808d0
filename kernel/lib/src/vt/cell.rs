//! What stands in one place of the screen: a character and how it looks.

use bitflags::bitflags;

/// A colour as programs ask for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colour {
    /// The terminal's own, of text or of the background.
    #[default]
    Default,
    /// Of xterm's 256: 0 to 7 and their bright ones 8 to 15, a cube of 6 × 6 × 6 from 16 on, 24 greys from 232 on.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

bitflags! {
    /// How a character is drawn.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Attributes: u16 {
        /// SGR 1.
        const BOLD = 1 << 0;
        /// SGR 2.
        const FAINT = 1 << 1;
        /// SGR 3.
        const ITALIC = 1 << 2;
        /// SGR 4 and 21.
        const UNDERLINE = 1 << 3;
        /// SGR 5.
        const BLINK = 1 << 4;
        /// SGR 7, the cursor, and the whole screen under DECSCNM.
        const INVERSE = 1 << 5;
        /// SGR 8.
        const HIDDEN = 1 << 6;
        /// SGR 9.
        const STRUCK = 1 << 7;
        /// The left half of a character of two columns.
        const WIDE = 1 << 8;
        /// The right half of one; its character is a blank.
        const WIDE_END = 1 << 9;
    }
}

/// The look that SGR sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    /// Of the character.
    pub foreground: Colour,
    /// Of what is around it.
    pub background: Colour,
    /// The rest.
    pub attributes: Attributes,
}

/// One place of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// A printable character.
    pub character: char,
    /// Its look.
    pub style: Style,
}

impl Cell {
    /// A blank of the terminal's own colours.
    pub const BLANK: Cell = Cell {
        character: ' ',
        style: Style { foreground: Colour::Default, background: Colour::Default, attributes: Attributes::empty() },
    };

    /// What erasing leaves: a blank on the background that is set (xterm's "back colour erase").
    pub fn erased(style: Style) -> Cell {
        Cell { style: Style { background: style.background, ..Style::default() }, ..Cell::BLANK }
    }
}
