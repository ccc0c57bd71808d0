//! Bitmap fonts as the Linux console has them: PSF, version 1 and 2, with their table of characters.
//!
//! Everything of the file is checked when it is read. A lookup is an array access for the first 256 characters and a
//! binary search for the rest, and takes no memory: it works in a panic.

use crate::bytes::u32_at;
use crate::sort::sort_by;
use alloc::vec::Vec;
use core::fmt;

const MAGIC_1: [u8; 2] = [0x36, 0x04];
const MAGIC_2: u32 = 0x864a_b572;
/// PSF 1 modes: 512 glyphs, and a table of characters.
const MODE_512: u8 = 1;
const MODE_HAS_TABLE: u8 = 2 | 4;
/// PSF 2 flag: a table of characters.
const HAS_TABLE: u32 = 1;
/// Largest glyph, in pixels each way.
pub const MAX_GLYPH: usize = 64;
const MAX_GLYPHS: usize = 0x1_0000;
/// What is drawn for characters that the font lacks, first choice first.
const REPLACEMENTS: [char; 2] = ['\u{fffd}', '?'];

/// A font of glyphs of one size.
pub struct Font {
    bitmaps: &'static [u8],
    glyph_len: usize,
    width: usize,
    height: usize,
    /// Glyphs of the characters up to U+00FF; [`Font::NONE`] where there is none.
    low: [u16; 256],
    /// The other characters, sorted, with their glyphs.
    high: Vec<(char, u16)>,
    replacement: u16,
}

/// What is wrong with a font file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FontError {
    /// It is neither PSF 1 nor PSF 2.
    NotPsf,
    /// It ends too early.
    Truncated,
    /// Its glyphs are empty, or larger than [`MAX_GLYPH`], or of another length than their size gives.
    GlyphSize,
    /// It has no glyphs, or too many.
    GlyphCount,
    /// It does not say which characters its glyphs are.
    NoTable,
    /// No memory for the table.
    OutOfMemory,
}

impl fmt::Display for FontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FontError::NotPsf => "not a PSF font",
            FontError::Truncated => "the font file ends too early",
            FontError::GlyphSize => "the font has glyphs of an impossible size",
            FontError::GlyphCount => "the font has no glyphs, or too many",
            FontError::NoTable => "the font does not say which characters it has",
            FontError::OutOfMemory => "out of memory for the font's table",
        })
    }
}

impl core::error::Error for FontError {}

/// Where things are in a file.
struct Layout {
    header_len: usize,
    glyphs: usize,
    glyph_len: usize,
    width: usize,
    height: usize,
    utf8: bool,
}

impl Font {
    const NONE: u16 = u16::MAX;

    /// Reads a PSF file.
    pub fn parse(file: &'static [u8]) -> Result<Font, FontError> {
        let layout = layout(file)?;
        let (width, height) = (layout.width, layout.height);
        if !(1..=MAX_GLYPH).contains(&width) || !(1..=MAX_GLYPH).contains(&height) {
            return Err(FontError::GlyphSize);
        }
        if layout.glyph_len != width.div_ceil(8) * height {
            return Err(FontError::GlyphSize);
        }
        if !(1..MAX_GLYPHS).contains(&layout.glyphs) {
            return Err(FontError::GlyphCount);
        }
        let table_at = layout.header_len.checked_add(layout.glyphs * layout.glyph_len).ok_or(FontError::Truncated)?;
        let bitmaps = file.get(layout.header_len..table_at).ok_or(FontError::Truncated)?;
        let table = &file[table_at..];
        let mut font = Font {
            bitmaps,
            glyph_len: layout.glyph_len,
            width,
            height,
            low: [Self::NONE; 256],
            high: Vec::new(),
            replacement: 0,
        };
        match layout.utf8 {
            true => font.read_utf8_table(table, layout.glyphs)?,
            false => font.read_utf16_table(table, layout.glyphs)?,
        }
        // Of several glyphs for one character the first in the file counts, which has the least number.
        sort_by(&mut font.high, |a, b| a < b);
        font.high.dedup_by_key(|entry| entry.0);
        font.replacement = REPLACEMENTS.iter().find_map(|&c| font.index(c)).unwrap_or(0);
        Ok(font)
    }

    /// Pixels of a glyph, across and down.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether there is a glyph for `c`.
    pub fn has(&self, c: char) -> bool {
        self.index(c).is_some()
    }

    /// The glyph of `c`, or the one for characters that the font lacks. Line by line from the top, each of
    /// `width.div_ceil(8)` bytes, the leftmost pixel in the highest bit.
    pub fn glyph(&self, c: char) -> &'static [u8] {
        let at = usize::from(self.index(c).unwrap_or(self.replacement)) * self.glyph_len;
        &self.bitmaps[at..at + self.glyph_len]
    }

    fn index(&self, c: char) -> Option<u16> {
        match self.low.get(c as usize) {
            Some(&glyph) => (glyph != Self::NONE).then_some(glyph),
            None => self.high.binary_search_by_key(&c, |entry| entry.0).ok().map(|at| self.high[at].1),
        }
    }

    fn add(&mut self, c: char, glyph: usize) -> Result<(), FontError> {
        let glyph = glyph as u16;
        match self.low.get_mut(c as usize) {
            Some(slot) if *slot == Self::NONE => *slot = glyph,
            Some(_) => {}
            None => {
                self.high.try_reserve(1).map_err(|_| FontError::OutOfMemory)?;
                self.high.push((c, glyph));
            }
        }
        Ok(())
    }

    /// PSF 1: 16-bit characters; 0xffff ends a glyph's, 0xfffe begins sequences, which are left out.
    fn read_utf16_table(&mut self, table: &[u8], glyphs: usize) -> Result<(), FontError> {
        let (mut glyph, mut in_sequence) = (0, false);
        for &unit in table.as_chunks::<2>().0 {
            match u16::from_le_bytes(unit) {
                0xffff => (glyph, in_sequence) = (glyph + 1, false),
                0xfffe => in_sequence = true,
                _ if in_sequence => {}
                unit => {
                    if let Some(c) = char::from_u32(unit.into()) {
                        self.add(c, glyph)?;
                    }
                }
            }
            if glyph == glyphs {
                return Ok(());
            }
        }
        Err(FontError::Truncated)
    }

    /// PSF 2: UTF-8; 0xff ends a glyph's characters, 0xfe begins sequences, which are left out.
    fn read_utf8_table(&mut self, table: &[u8], glyphs: usize) -> Result<(), FontError> {
        let mut entries = table.split(|&byte| byte == 0xff);
        for glyph in 0..glyphs {
            let entry = entries.next().ok_or(FontError::Truncated)?;
            let single = entry.split(|&byte| byte == 0xfe).next().unwrap_or(&[]);
            for chunk in single.utf8_chunks() {
                for c in chunk.valid().chars() {
                    self.add(c, glyph)?;
                }
            }
        }
        // Behind the last glyph's end there is at least the empty rest.
        entries.next().map(drop).ok_or(FontError::Truncated)
    }
}

fn layout(file: &[u8]) -> Result<Layout, FontError> {
    if file.starts_with(&MAGIC_1) {
        let (&mode, &height) = file.get(2).zip(file.get(3)).ok_or(FontError::Truncated)?;
        if mode & MODE_HAS_TABLE == 0 {
            return Err(FontError::NoTable);
        }
        let (height, glyphs) = (usize::from(height), if mode & MODE_512 != 0 { 512 } else { 256 });
        return Ok(Layout { header_len: 4, glyphs, glyph_len: height, width: 8, height, utf8: false });
    }
    let field = |number: usize| u32_at(file, number * 4).ok_or(FontError::Truncated);
    if file.len() < 4 || field(0)? != MAGIC_2 {
        return Err(FontError::NotPsf);
    }
    if field(3)? & HAS_TABLE == 0 {
        return Err(FontError::NoTable);
    }
    // Every number that is too large for the checks above is one for them.
    let number = |at| field(at).map(|value| value.min(MAX_GLYPHS as u32) as usize);
    Ok(Layout {
        header_len: number(2)?,
        glyphs: number(4)?,
        glyph_len: number(5)?,
        height: number(6)?,
        width: number(7)?,
        utf8: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec;
    use proptest::prelude::*;

    /// Two glyphs of 9 by 2 pixels: for `A` and `B`, and for `é` and `─`; a sequence at the end of the first.
    fn psf2() -> Vec<u8> {
        let mut file = Vec::new();
        for field in [MAGIC_2, 0, 32, HAS_TABLE, 2, 4, 2, 9] {
            file.extend(u32::to_le_bytes(field));
        }
        file.extend([0x80, 0x00, 0x40, 0x80, 1, 2, 3, 4]);
        file.extend(b"AB\xfeAB\xff");
        file.extend("é─".as_bytes());
        file.push(0xff);
        file
    }

    fn parse(file: Vec<u8>) -> Result<Font, FontError> {
        Font::parse(Box::leak(file.into_boxed_slice()))
    }

    #[test]
    fn version_2() {
        let font = parse(psf2()).unwrap();
        assert_eq!(font.size(), (9, 2));
        assert_eq!(
            (font.glyph('A'), font.glyph('B')),
            ([0x80, 0, 0x40, 0x80].as_slice(), [0x80, 0, 0x40, 0x80].as_slice())
        );
        assert_eq!((font.glyph('é'), font.glyph('─')), ([1, 2, 3, 4].as_slice(), [1, 2, 3, 4].as_slice()));
        assert!(font.has('─') && !font.has('C'));
        assert_eq!(font.glyph('C'), font.glyph('A'), "the first one, for want of a replacement");
    }

    #[test]
    fn version_1() {
        let mut file = vec![0x36, 0x04, MODE_HAS_TABLE & 2, 1];
        file.extend(0..=255);
        for glyph in 0..256u16 {
            file.extend((if glyph == 0 { '?' as u16 } else { glyph + 0x100 }).to_le_bytes());
            file.extend(0xffffu16.to_le_bytes());
        }
        let font = parse(file).unwrap();
        assert_eq!(
            (font.size(), font.glyph('\u{142}'), font.glyph('\u{9999}')),
            ((8, 1), [0x42].as_slice(), [0].as_slice())
        );
    }

    #[test]
    fn damage_has_a_name() {
        let changed = |at: usize, to: u8| {
            let mut file = psf2();
            file[at] = to;
            parse(file).err()
        };
        assert_eq!(changed(0, 0), Some(FontError::NotPsf));
        assert_eq!(changed(12, 0), Some(FontError::NoTable));
        assert_eq!(changed(16, 0), Some(FontError::GlyphCount));
        assert_eq!(changed(19, 0xff), Some(FontError::GlyphCount));
        assert_eq!(changed(20, 5), Some(FontError::GlyphSize));
        assert_eq!(changed(28, 0), Some(FontError::GlyphSize));
        assert_eq!(changed(8, 200), Some(FontError::Truncated));
        assert_eq!(changed(16, 3), Some(FontError::Truncated));
        for len in 0..psf2().len() {
            let error = parse(psf2()[..len].to_vec()).err();
            assert!(matches!(error, Some(FontError::Truncated | FontError::NotPsf)), "{len}: {error:?}");
        }
    }

    #[test]
    fn the_console_fonts_have_text_and_lines() {
        for (file, size) in [(spleen_font::FONT_8X16, (8, 16)), (spleen_font::FONT_16X32, (16, 32))] {
            let font = Font::parse(file).unwrap();
            assert_eq!(font.size(), size);
            for c in (' '..='~').chain('\u{a1}'..='ÿ').chain('─'..='╿').chain("█▒◆→€\u{fffd}".chars()) {
                assert!(font.has(c), "{c:?} is missing");
            }
            assert!(font.glyph(' ').iter().all(|&byte| byte == 0));
            assert!(font.glyph('█').iter().all(|&byte| byte == 0xff));
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(mut file in prop::collection::vec(any::<u8>(), 0..300), psf in 0..3, c in any::<char>()) {
            match psf {
                1 if file.len() > 3 => file[..2].copy_from_slice(&MAGIC_1),
                2 => file.splice(0..0, psf2().into_iter().take(28)).for_each(drop),
                _ => {}
            }
            if let Ok(font) = parse(file) {
                let (width, height) = font.size();
                prop_assert_eq!(font.glyph(c).len(), width.div_ceil(8) * height);
            }
        }
    }
}
