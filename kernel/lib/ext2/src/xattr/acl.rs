//! Access control lists in their two forms.
//!
//! User space: version 2, then entries of 8 bytes: tag, permissions, id. The disk: version 1, and only entries for
//! a named user or group have an id. Everything is little-endian.

use alloc::vec::Vec;

use crate::error::Error;

const VERSION_USER: u32 = 2;
const VERSION_DISK: u32 = 1;
/// The tags whose entries have an id: ACL_USER and ACL_GROUP.
const WITH_ID: [u16; 2] = [2, 8];
/// ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER.
const WITHOUT_ID: [u16; 4] = [1, 4, 0x10, 0x20];
/// What user space sees as the id of an entry without one.
const NO_ID: u32 = u32::MAX;

/// From user space to the disk. [`Error::InvalidArgument`] if it is no list.
pub(super) fn to_disk(value: &[u8]) -> Result<Vec<u8>, Error> {
    let (version, entries) = value.split_at_checked(4).ok_or(Error::InvalidArgument)?;
    if version != VERSION_USER.to_le_bytes() || !entries.len().is_multiple_of(8) {
        return Err(Error::InvalidArgument);
    }
    let mut disk = VERSION_DISK.to_le_bytes().to_vec();
    for entry in entries.chunks_exact(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        match (WITH_ID.contains(&tag), WITHOUT_ID.contains(&tag)) {
            (true, _) => disk.extend(entry),
            (_, true) => disk.extend(&entry[..4]),
            _ => return Err(Error::InvalidArgument),
        }
    }
    Ok(disk)
}

/// From the disk to user space.
pub(super) fn from_disk(value: &[u8]) -> Result<Vec<u8>, Error> {
    const BROKEN: Error = Error::Corrupt("access control list is broken");
    let (version, mut rest) = value.split_at_checked(4).ok_or(BROKEN)?;
    if version != VERSION_DISK.to_le_bytes() {
        return Err(BROKEN);
    }
    let mut list = VERSION_USER.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let (entry, behind) = rest.split_at_checked(4).ok_or(BROKEN)?;
        rest = behind;
        list.extend(entry);
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        if WITH_ID.contains(&tag) {
            let (id, behind) = rest.split_at_checked(4).ok_or(BROKEN)?;
            rest = behind;
            list.extend(id);
        } else if WITHOUT_ID.contains(&tag) {
            list.extend(NO_ID.to_le_bytes());
        } else {
            return Err(BROKEN);
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn entry(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    }

    #[test]
    fn lists_survive_the_disk() {
        let entries = [
            entry(1, 7, NO_ID),
            entry(2, 6, 1000),
            entry(4, 5, NO_ID),
            entry(0x10, 7, NO_ID),
            entry(0x20, 0, NO_ID),
        ];
        let list = [&VERSION_USER.to_le_bytes()[..], &entries.concat()].concat();
        let disk = to_disk(&list).expect("a list");
        assert_eq!(disk.len(), 4 + 4 * 4 + 8);
        assert_eq!(from_disk(&disk), Ok(list));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let bad_tag = [&VERSION_USER.to_le_bytes()[..], &entry(3, 7, 0)].concat();
        for value in [&b""[..], b"abc", &[2, 0, 0, 0, 1], &[1, 0, 0, 0], &bad_tag] {
            assert_eq!(to_disk(value), Err(Error::InvalidArgument));
        }
        for value in
            [&b""[..], &[2, 0, 0, 0], &[1, 0, 0, 0, 1], &[1, 0, 0, 0, 2, 0, 7, 0], &[1, 0, 0, 0, 9, 9, 0, 0]]
        {
            assert!(matches!(from_disk(value), Err(Error::Corrupt(_))));
        }
    }
}
