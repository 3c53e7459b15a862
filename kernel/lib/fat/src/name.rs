//! Names: eight characters, a dot and three (section 6.1), and long names, whose pieces stand in entries before (7).

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

/// The most characters of a long name.
const LONG: usize = 255;
/// Characters in one piece.
const PIECE: usize = 13;
/// Where they stand in its entry.
const PLACES: [usize; PIECE] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Bytes 0x80 to 0xff of code page 437, the first PC's.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Bits of an entry's byte 12: parts of the short name are meant to be small (Windows NT).
const SMALL_NAME: u8 = 0x08;
const SMALL_EXTENSION: u8 = 0x10;

fn character(byte: u8, is_small: bool) -> char {
    let character = match byte {
        0..0x20 | 0x7f => '\u{fffd}',
        0x20..0x7f => char::from(byte),
        _ => CODE_PAGE_437.chars().nth(usize::from(byte - 0x80)).unwrap_or('\u{fffd}'),
    };
    if is_small { character.to_ascii_lowercase() } else { character }
}

/// The short name of an entry.
pub(crate) fn short(entry: &[u8; 32]) -> String {
    let part = |bytes: &[u8], is_small: bool, name: &mut String| {
        let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        name.extend(bytes[..end].iter().map(|byte| character(*byte, is_small)));
    };
    let mut first = [0; 8];
    first.copy_from_slice(&entry[..8]);
    // A first byte 0xe5 means "deleted", so that character is written as 5.
    if first[0] == 5 {
        first[0] = 0xe5;
    }
    let mut name = String::new();
    part(&first, entry[12] & SMALL_NAME != 0, &mut name);
    if entry[8..11] != *b"   " {
        name.push('.');
        part(&entry[8..11], entry[12] & SMALL_EXTENSION != 0, &mut name);
    }
    name
}

/// What ties the pieces of a long name to their short name (section 7.2).
fn checksum(entry: &[u8; 32]) -> u8 {
    entry[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The pieces of a long name that have come; the last piece comes first.
#[derive(Clone, Debug)]
pub(crate) struct Long {
    units: [u16; PIECE * 20],
    /// Number of the piece that came last; 0: there is none.
    piece: usize,
    /// Number of pieces.
    pieces: usize,
    checksum: u8,
}

impl Long {
    pub(crate) const fn new() -> Self {
        Self { units: [0; PIECE * 20], piece: 0, pieces: 0, checksum: 0 }
    }

    /// What has come belongs to nothing.
    pub(crate) fn forget(&mut self) {
        self.pieces = 0;
        self.piece = 0;
    }

    /// Takes a piece. One that does not follow the last begins anew, or is dropped.
    pub(crate) fn add(&mut self, entry: &[u8; 32]) {
        let number = usize::from(entry[0] & 0x1f);
        let is_first = entry[0] & 0x40 != 0;
        if number == 0 || number > 20 {
            return self.forget();
        }
        if is_first {
            self.pieces = number;
            self.checksum = entry[13];
        } else if self.piece != number + 1 || entry[13] != self.checksum {
            return self.forget();
        }
        self.piece = number;
        for (index, place) in PLACES.into_iter().enumerate() {
            self.units[(number - 1) * PIECE + index] = crate::u16_at(entry, place);
        }
    }

    /// The name, if all of its pieces came and belong to this entry.
    pub(crate) fn take(&mut self, entry: &[u8; 32]) -> Option<String> {
        let is_whole = self.pieces > 0 && self.piece == 1 && self.checksum == checksum(entry);
        let units = &self.units[..self.pieces * PIECE];
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len()).min(LONG);
        let name: String = char::decode_utf16(units[..end].iter().copied())
            .map(|unit| unit.unwrap_or('\u{fffd}'))
            .map(|unit| if unit.is_control() || unit == '/' { '\u{fffd}' } else { unit })
            .collect();
        self.forget();
        (is_whole && !name.is_empty()).then_some(name)
    }
}

/// The pieces of a long name, the last one first, as they stand before the entry of a short name.
pub(crate) fn pieces(name: &str, short: &[u8; 11]) -> Vec<[u8; 32]> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(short);
    let checksum = checksum(&entry);
    let count = units.len().div_ceil(PIECE);
    let piece = |index: usize| {
        let mut piece = [0; 32];
        let last = if index + 1 == count { 0x40 } else { 0 };
        (piece[0], piece[11], piece[13]) = ((index + 1) as u8 | last, 0x0f, checksum);
        // A NUL ends the name, unless it fills its last piece; then come ones.
        let units = units[index * PIECE..].iter().copied().chain([0]).chain([0xffff; PIECE]);
        for (place, unit) in PLACES.into_iter().zip(units) {
            piece[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        piece
    };
    (0..count).rev().map(piece).collect()
}

/// A name as a directory keeps it: without dots at its end. All that is left of one of dots only is nothing.
pub(crate) fn without_end_dots(name: &str) -> &str {
    name.trim_end_matches('.')
}

/// Whether a file can have that name, which has no dots at its end.
pub(crate) fn check(name: &str) -> Result<(), crate::Error> {
    let is_bad = |character: char| character < ' ' || "*?<>|\":/\\".contains(character);
    if name.is_empty() || name.ends_with(['.', ' ']) || name.chars().any(is_bad) {
        return Err(crate::Error::BadName);
    }
    if name.encode_utf16().count() > LONG { Err(crate::Error::LongName) } else { Ok(()) }
}

/// A short name that none of `taken` is, for a name that a file can have; `None` if all are taken.
pub(crate) fn make_short(name: &str, taken: &BTreeSet<[u8; 11]>) -> Option<[u8; 11]> {
    let trimmed = name.trim_start_matches('.');
    let (base, extension) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
    let mut is_whole = trimmed.len() == name.len();
    let mut fold = |part: &str, room: usize| {
        let mut bytes = Vec::new();
        for character in part.chars() {
            match character.to_ascii_uppercase() {
                ' ' | '.' => is_whole = false,
                upper if upper.is_ascii_alphanumeric() || "$%'-_@~`!(){}^#&".contains(upper) => {
                    bytes.push(upper as u8);
                }
                _ => {
                    is_whole = false;
                    bytes.push(b'_');
                }
            }
        }
        is_whole &= bytes.len() <= room;
        bytes.truncate(room);
        bytes
    };
    let (mut base, extension) = (fold(base, 8), fold(extension, 3));
    if base.is_empty() {
        base.push(b'_');
        is_whole = false;
    }
    let join = |base: &[u8]| {
        let mut short = [b' '; 11];
        short[..base.len()].copy_from_slice(base);
        short[8..8 + extension.len()].copy_from_slice(&extension);
        short
    };
    let plain = join(&base);
    if is_whole && !taken.contains(&plain) {
        return Some(plain);
    }
    (1..1_000_000).find_map(|number| {
        let tail = format!("~{number}");
        let kept = base.len().min(8 - tail.len());
        let short = join(&[&base[..kept], tail.as_bytes()].concat());
        (!taken.contains(&short)).then_some(short)
    })
}

/// A name as [`is_folded`] compares it.
pub(crate) fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Whether a name is the one that was folded.
pub(crate) fn is_folded(name: &str, folded: &str) -> bool {
    name.chars().flat_map(char::to_lowercase).eq(folded.chars())
}

/// Whether two names mean the same file.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    is_folded(a, &fold(b))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    fn entry(name: &[u8; 11]) -> [u8; 32] {
        let mut entry = [0; 32];
        entry[..11].copy_from_slice(name);
        entry
    }

    #[test]
    fn short_names_lose_their_blanks() {
        assert_eq!(short(&entry(b"README  TXT")), "README.TXT");
        assert_eq!(short(&entry(b"KERNEL     ")), "KERNEL");
        assert_eq!(short(&entry(b"A B     C  ")), "A B.C");
        assert_eq!(short(&entry(b"\x05\x81\x9a\x00\xff  X  Y")), "σüÜ\u{fffd}\u{a0}  X.  Y");
        let mut small = entry(b"README  TXT");
        small[12] = SMALL_NAME;
        assert_eq!(short(&small), "readme.TXT");
        assert_eq!(CODE_PAGE_437.chars().count(), 128);
    }

    #[test]
    fn short_names_are_made() {
        let mut taken = BTreeSet::new();
        let mut make = |name: &str| {
            let short = make_short(name, &taken).unwrap();
            taken.insert(short);
            String::from_utf8(short.to_vec()).unwrap()
        };
        assert_eq!(make("README.TXT"), "README  TXT");
        assert_eq!(make("readme.txt"), "README~1TXT");
        assert_eq!(make("foo"), "FOO        ");
        assert_eq!(make("A long name.with.dots.html"), "ALONGN~1HTM");
        assert_eq!(make("A long name.with.dots.html2"), "ALONGN~2HTM");
        assert_eq!(make(".bashrc"), "BASHRC~1   ");
        assert_eq!(make("Größe"), "GR__E~1    ");
        assert_eq!(make("ü"), "_~1        ");
        for number in 3..12 {
            let name = make("A long name.with.dots.html");
            assert_eq!(name.len(), 11);
            assert!(name.contains(&format!("~{number}")), "{name}");
        }
    }

    #[test]
    fn pieces_are_read_back() {
        for name in ["a", "exactly13char", "Größe 𝄞 and more than one piece", &"x".repeat(255)] {
            let short = entry(b"SHORT   TXT");
            let mut long = Long::new();
            for piece in pieces(name, b"SHORT   TXT") {
                long.add(&piece);
            }
            assert_eq!(long.take(&short).as_deref(), Some(name));
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["", "a.", "a ", "a*b", "a\nb", "x:y", "a\\b", "what?"] {
            assert_eq!(check(bad), Err(crate::Error::BadName), "{bad}");
        }
        assert_eq!(check(&"ü".repeat(256)), Err(crate::Error::LongName));
        assert_eq!(check(&"ü".repeat(255)), Ok(()));
        assert_eq!(check("+,;=[] .x"), Ok(()));
    }

    #[test]
    fn pieces_must_fit() {
        let short = entry(b"LONGNA~1TXT");
        let piece = |number: u8, text: &str| {
            let mut piece = [0; 32];
            (piece[0], piece[11], piece[13]) = (number, 0x0f, checksum(&short));
            for (place, unit) in PLACES.into_iter().zip(text.encode_utf16().chain([0]).chain([0xffff; 12])) {
                piece[place..place + 2].copy_from_slice(&unit.to_le_bytes());
            }
            piece
        };
        let mut long = Long::new();
        long.add(&piece(0x42, "tail"));
        long.add(&piece(1, "long name with"));
        assert_eq!(long.take(&short).as_deref(), Some("long name wittail"));
        // Not twice, not out of turn, not of another file, not without an end.
        assert_eq!(long.take(&short), None);
        long.add(&piece(0x43, "tail"));
        long.add(&piece(1, "head"));
        assert_eq!(long.take(&short), None);
        long.add(&piece(0x41, "name"));
        assert_eq!(long.take(&entry(b"OTHER   TXT")), None);
        long.add(&piece(1, "name"));
        assert_eq!(long.take(&short), None);
        for number in [0x40, 0x55, 0x5f] {
            long.add(&piece(number, "x"));
            assert_eq!(long.take(&short), None);
        }
        assert!(is_same("Straße.TXT", "straße.txt") && !is_same("a", "b"));
    }
}
