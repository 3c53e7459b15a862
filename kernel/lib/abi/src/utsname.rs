//! What `uname` answers. Source: uname(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a field, the final NUL included.
pub const FIELD_LEN: usize = 65;

/// `struct new_utsname`, 390 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Utsname {
    /// "Linux".
    pub sysname: [u8; FIELD_LEN],
    /// Host name.
    pub nodename: [u8; FIELD_LEN],
    /// Release.
    pub release: [u8; FIELD_LEN],
    /// What was built, and when.
    pub version: [u8; FIELD_LEN],
    /// "x86_64".
    pub machine: [u8; FIELD_LEN],
    /// NIS domain.
    pub domainname: [u8; FIELD_LEN],
}

/// A field with this text, cut to 64 bytes and filled with NUL.
pub const fn field(text: &[u8]) -> [u8; FIELD_LEN] {
    let mut bytes = [0; FIELD_LEN];
    let mut i = 0;
    while i < text.len() && i < FIELD_LEN - 1 {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_matches_the_c_library() {
        assert_eq!(size_of::<Utsname>(), size_of::<libc::utsname>());
    }

    #[test]
    fn fields_end_with_nul() {
        assert_eq!(field(&[b'x'; 100])[63..], *b"x\0");
        assert_eq!(field(b"ab")[..3], *b"ab\0");
    }
}
