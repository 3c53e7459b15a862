//! Names: eight characters, a dot and three (section 6.1), and long names, whose pieces stand in entries before (7).

use alloc::string::String;

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

/// Whether two names mean the same file.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    let fold = |name: &str| name.chars().flat_map(char::to_lowercase).collect::<String>();
    fold(a) == fold(b)
}

#[cfg(test)]
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
