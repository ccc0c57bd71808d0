//! SGR: colours and attributes (ECMA-48 8.3.117; 38 and 48 by ISO 8613-6, with `;` as well as `:`).

use super::cell::{Attributes, Colour, Style};

/// Does what the parameters say, in their order. A parameter is given with its `:` subparameters.
pub(super) fn apply<'a>(style: &mut Style, mut parameters: impl Iterator<Item = &'a [u16]>) {
    let mut any = false;
    while let Some(parameter) = parameters.next() {
        any = true;
        let Some((&code, sub)) = parameter.split_first() else { continue };
        match code {
            38 => set(&mut style.foreground, extended(sub, &mut parameters)),
            48 => set(&mut style.background, extended(sub, &mut parameters)),
            // The colour of underlining is the text's here; its parameters must be taken all the same.
            58 => drop(extended(sub, &mut parameters)),
            4 if sub == [0] => style.attributes.remove(Attributes::UNDERLINE),
            code => simple(style, code),
        }
    }
    if !any {
        *style = Style::default();
    }
}

fn set(colour: &mut Colour, new: Option<Colour>) {
    if let Some(new) = new {
        *colour = new;
    }
}

fn simple(style: &mut Style, code: u16) {
    let attributes = &mut style.attributes;
    match code {
        0 => *style = Style::default(),
        1 => attributes.insert(Attributes::BOLD),
        2 => attributes.insert(Attributes::FAINT),
        3 => attributes.insert(Attributes::ITALIC),
        4 | 21 => attributes.insert(Attributes::UNDERLINE),
        5 | 6 => attributes.insert(Attributes::BLINK),
        7 => attributes.insert(Attributes::INVERSE),
        8 => attributes.insert(Attributes::HIDDEN),
        9 => attributes.insert(Attributes::STRUCK),
        22 => attributes.remove(Attributes::BOLD | Attributes::FAINT),
        23 => attributes.remove(Attributes::ITALIC),
        24 => attributes.remove(Attributes::UNDERLINE),
        25 => attributes.remove(Attributes::BLINK),
        27 => attributes.remove(Attributes::INVERSE),
        28 => attributes.remove(Attributes::HIDDEN),
        29 => attributes.remove(Attributes::STRUCK),
        30..=37 => style.foreground = Colour::Indexed((code - 30) as u8),
        39 => style.foreground = Colour::Default,
        40..=47 => style.background = Colour::Indexed((code - 40) as u8),
        49 => style.background = Colour::Default,
        90..=97 => style.foreground = Colour::Indexed((code - 90 + 8) as u8),
        100..=107 => style.background = Colour::Indexed((code - 100 + 8) as u8),
        _ => {}
    }
}

/// The colour behind 38 or 48: in its subparameters, else in the parameters that follow.
fn extended<'a>(sub: &[u16], parameters: &mut impl Iterator<Item = &'a [u16]>) -> Option<Colour> {
    match *sub {
        [] => {}
        [5, index] => return byte(index).map(Colour::Indexed),
        // With or without the number of a colour space.
        [2, red, green, blue] | [2, _, red, green, blue, ..] => return rgb(red, green, blue),
        _ => return None,
    }
    let mut next = || parameters.next().and_then(|parameter| parameter.first().copied());
    match next()? {
        5 => byte(next()?).map(Colour::Indexed),
        2 => {
            let (red, green, blue) = (next()?, next()?, next()?);
            rgb(red, green, blue)
        }
        _ => None,
    }
}

fn byte(value: u16) -> Option<u8> {
    u8::try_from(value).ok()
}

fn rgb(red: u16, green: u16, blue: u16) -> Option<Colour> {
    Some(Colour::Rgb(byte(red)?, byte(green)?, byte(blue)?))
}
