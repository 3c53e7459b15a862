//! Names as they stand in records (7.5, 7.6; Joliet: UCS-2, big-endian), and how they are shown.

use crate::Names;
use alloc::{string::String, vec::Vec};

/// The name as it is shown.
pub(crate) fn shown(bytes: &[u8], names: Names) -> Vec<u8> {
    match names {
        Names::Joliet => joliet(bytes),
        _ => plain(bytes),
    }
}

/// Small letters, without version and without a dot at the end.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let name = bytes.strip_suffix(b";1").unwrap_or(bytes);
    let name = name.strip_suffix(b".").unwrap_or(name);
    // Other versions, and what would divide a path.
    let shown = |byte: &u8| if matches!(byte, b';' | b'/') { b'.' } else { byte.to_ascii_lowercase() };
    name.iter().map(shown).collect()
}

/// UTF-8, without version.
fn joliet(bytes: &[u8]) -> Vec<u8> {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
    let characters = char::decode_utf16(units).map(|character| match character {
        Ok('/' | '\0') | Err(_) => '_',
        Ok(character) => character,
    });
    let name: String = characters.collect();
    let name = name.strip_suffix(";1").unwrap_or(&name);
    name.strip_suffix('.').unwrap_or(name).as_bytes().to_vec()
}

/// Whether a name that somebody looks for is one that is shown. Joliet does not tell capitals from small letters.
pub(crate) fn is_same(shown: &[u8], wanted: &[u8], names: Names) -> bool {
    match names {
        Names::Joliet => shown.eq_ignore_ascii_case(wanted),
        _ => shown == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_small_and_have_no_version() {
        assert_eq!(shown(b"README.TXT;1", Names::Plain), b"readme.txt");
        assert_eq!(shown(b"NOTHING.;1", Names::Plain), b"nothing");
        assert_eq!(shown(b"OLD.TXT;2", Names::Plain), b"old.txt.2");
        assert_eq!(shown(b"", Names::Plain), b"");
    }

    #[test]
    fn names_of_joliet_are_utf_16() {
        let bytes: Vec<u8> = "Größe 𝄞.txt;1".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(shown(&bytes, Names::Joliet), "Größe 𝄞.txt".as_bytes());
        assert_eq!(shown(&[0xd8, 0, 0, b'a', 7], Names::Joliet), b"_a");
        assert!(
            is_same(b"Readme", b"README", Names::Joliet) && !is_same(b"Readme", b"README", Names::RockRidge)
        );
    }
}
