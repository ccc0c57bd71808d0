//! Letters with the accents of dead keys.

/// For each accent, as layouts type it: the letters that can have it, and what they become.
const TABLE: [(&[char], &str, &str); 5] = [
    (&['`'], "AEIOUNWYaeiounwy", "ÀÈÌÒÙǸẀỲàèìòùǹẁỳ"),
    (&['´', '\''], "AEIOUYCLNRSZaeiouyclnrsz", "ÁÉÍÓÚÝĆĹŃŔŚŹáéíóúýćĺńŕśź"),
    (&['^'], "AEIOUYCGHJSWaeiouycghjsw", "ÂÊÎÔÛŶĈĜĤĴŜŴâêîôûŷĉĝĥĵŝŵ"),
    (&['~'], "ANOIUanoiu", "ÃÑÕĨŨãñõĩũ"),
    (&['¨', '"'], "AEIOUYaeiouy", "ÄËÏÖÜŸäëïöüÿ"),
];

/// `letter` with `accent`, if there is such a character.
pub(super) fn with_accent(accent: char, letter: char) -> Option<char> {
    // The key is that of the quotation mark as well, where a cedilla has none of its own.
    match (accent, letter) {
        ('\'', 'c') => return Some('ç'),
        ('\'', 'C') => return Some('Ç'),
        _ => {}
    }
    let (_, letters, composed) = TABLE.iter().find(|(accents, ..)| accents.contains(&accent))?;
    let place = letters.chars().position(|one| one == letter)?;
    composed.chars().nth(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_has_its_own() {
        for (accents, letters, composed) in TABLE {
            assert_eq!(letters.chars().count(), composed.chars().count());
            for (letter, wanted) in letters.chars().zip(composed.chars()) {
                let got = with_accent(accents[0], letter);
                assert_eq!(got, Some(wanted));
                assert_eq!(wanted.is_uppercase(), letter.is_uppercase());
            }
        }
        assert_eq!(
            (with_accent('\'', 'c'), with_accent('´', 'c'), with_accent('^', 'x')),
            (Some('ç'), Some('ć'), None)
        );
        assert_eq!(with_accent('x', 'a'), None);
    }
}
