//! Names of attributes: user space knows a prefix, the disk a number for it and the rest of the name.

use alloc::vec::Vec;

use crate::error::Error;

/// The longest name in bytes, its prefix included (`XATTR_NAME_MAX` of Linux).
pub const XATTR_NAME_MAX: usize = 255;

/// `e_name_index` and prefix. A prefix that ends in a dot wants more behind it, the others stand alone.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// The name of an attribute as it lies on the disk. The order is that of entries in an attribute block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) prefix: u8,
    pub(super) rest: Vec<u8>,
}

impl Name {
    /// From user space. [`Error::NotSupported`] if the prefix is none that a disk can hold.
    pub(super) fn parse(name: &[u8]) -> Result<Self, Error> {
        if name.len() > XATTR_NAME_MAX {
            return Err(Error::NameTooLong);
        }
        for (number, prefix) in PREFIXES {
            match name.strip_prefix(prefix) {
                Some(rest) if prefix.ends_with(b".") => {
                    let rest = Some(rest).filter(|rest| !rest.is_empty() && !rest.contains(&0));
                    return Ok(Self { prefix: number, rest: rest.ok_or(Error::InvalidArgument)?.to_vec() });
                }
                Some([]) => return Ok(Self { prefix: number, rest: Vec::new() }),
                _ => {}
            }
        }
        Err(Error::NotSupported)
    }

    /// To user space; `None` for a prefix that is not known.
    pub(super) fn full(&self) -> Option<Vec<u8>> {
        let (_, prefix) = PREFIXES.into_iter().find(|&(number, _)| number == self.prefix)?;
        Some([prefix, &self.rest].concat())
    }

    /// Whether the value is an access control list, which lies on the disk in another form.
    pub(super) fn is_acl(&self) -> bool {
        matches!(self.prefix, 2 | 3)
    }

    /// What entries in a block are sorted by.
    pub(super) fn key(&self) -> (u8, usize, &[u8]) {
        (self.prefix, self.rest.len(), &self.rest)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn names_survive_the_disk() {
        for name in [&b"user.a"[..], b"trusted.x.y", b"security.capability", b"system.posix_acl_default"] {
            assert_eq!(Name::parse(name).expect("known").full().as_deref(), Some(name));
        }
    }

    #[test]
    fn foreign_names_are_refused() {
        for name in [&b"other.a"[..], b"", b"user", b"system.posix_acl", b"system.posix_acl_access2"] {
            assert_eq!(Name::parse(name), Err(Error::NotSupported));
        }
        for name in [&b"user."[..], b"trusted.", b"user.a\0b"] {
            assert_eq!(Name::parse(name), Err(Error::InvalidArgument));
        }
        let long = [&b"user."[..], &[b'n'; 251]].concat();
        assert_eq!(Name::parse(&long), Err(Error::NameTooLong));
        assert!(Name::parse(&long[..255]).is_ok());
    }
}
