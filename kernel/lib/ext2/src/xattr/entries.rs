//! Lists of attributes as they lie in an attribute block and behind an inode.
//!
//! Entries stand one behind the other from the start, four zero bytes end them; values stand at the end, the first
//! entry's last. Offsets of values count from `base`: the start of the block, or the first entry behind an inode.
//! Entries and values are padded to 4 bytes ("Extended Attributes").

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use super::name::Name;
use crate::error::Error;
use crate::layout::{XATTR_MAGIC, XattrEntry, XattrHeader};

const HEADER: usize = size_of::<XattrHeader>();
const ENTRY: usize = size_of::<XattrEntry>();
const PADDING: usize = 4;
/// The zeros behind the last entry.
const END: usize = 4;

/// An attribute; the value is in the form of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Name,
    pub(super) value: Vec<u8>,
}

/// Whether entries hold a hash: those behind an inode hold 0.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hashes {
    Kept,
    Absent,
}

/// Reads the attributes of a block.
pub(super) fn read_block(block: &[u8]) -> Result<Vec<Attribute>, Error> {
    header(block)?;
    read(block, HEADER, 0)
}

/// The header of a block that is what it should be.
pub(super) fn header(block: &[u8]) -> Result<XattrHeader, Error> {
    let (header, _) =
        XattrHeader::read_from_prefix(block).map_err(|_| Error::Corrupt("attribute block is short"))?;
    if header.magic.get() != XATTR_MAGIC {
        return Err(Error::Corrupt("attribute block without its magic number"));
    }
    if header.blocks.get() != 1 {
        return Err(Error::Corrupt("attributes in several blocks"));
    }
    if header.reference_count.get() == 0 {
        return Err(Error::Corrupt("attribute block without users"));
    }
    Ok(header)
}

/// Makes a block with one user; `None` if the attributes do not fit.
pub(super) fn make_block(attributes: &[Attribute], size: usize) -> Option<Vec<u8>> {
    let mut sorted: Vec<&Attribute> = attributes.iter().collect();
    sorted.sort_by(|one, other| one.name.key().cmp(&other.name.key()));
    let mut block = vec![0; size];
    let hash = write(&sorted, &mut block, HEADER, 0, Hashes::Kept)?;
    let header = XattrHeader {
        magic: XATTR_MAGIC.into(),
        reference_count: 1.into(),
        blocks: 1.into(),
        hash: hash.into(),
        unused: [0; 16],
    };
    block[..HEADER].copy_from_slice(header.as_bytes());
    Some(block)
}

/// Reads the attributes behind an inode, in the space that its known fields leave.
pub(super) fn read_inode(space: &[u8]) -> Result<Vec<Attribute>, Error> {
    if space.len() < PADDING + END || space[..4] != XATTR_MAGIC.to_le_bytes() {
        return Ok(Vec::new());
    }
    read(space, PADDING, PADDING)
}

/// Writes attributes behind an inode, of which they are a part of what was there.
pub(super) fn write_inode(attributes: &[Attribute], space: &mut [u8]) -> Result<(), Error> {
    space.fill(0);
    if attributes.is_empty() {
        return Ok(());
    }
    let list: Vec<&Attribute> = attributes.iter().collect();
    write(&list, space, PADDING, PADDING, Hashes::Absent)
        .ok_or(Error::Corrupt("attributes behind an inode overlap"))?;
    space[..4].copy_from_slice(&XATTR_MAGIC.to_le_bytes());
    Ok(())
}

fn read(bytes: &[u8], first: usize, base: usize) -> Result<Vec<Attribute>, Error> {
    let mut attributes = Vec::new();
    let mut offset = first;
    loop {
        let rest = bytes.get(offset..).filter(|rest| rest.len() >= END);
        let rest = rest.ok_or(Error::Corrupt("attribute entries without an end"))?;
        if rest[..END] == [0; END] {
            return Ok(attributes);
        }
        let (entry, behind) = XattrEntry::read_from_prefix(rest)
            .map_err(|_| Error::Corrupt("attribute entries without an end"))?;
        let name = behind
            .get(..usize::from(entry.name_length))
            .ok_or(Error::Corrupt("attribute name crosses the end"))?;
        if entry.value_inode.get() != 0 {
            return Err(Error::Corrupt("attribute value in an inode of its own"));
        }
        let start = base + usize::from(entry.value_offset.get());
        let value = usize::try_from(entry.value_size.get())
            .ok()
            .and_then(|size| start.checked_add(size))
            .and_then(|end| bytes.get(start..end))
            .ok_or(Error::Corrupt("attribute value crosses the end"))?;
        attributes.push(Attribute {
            name: Name { prefix: entry.name_index, rest: name.to_vec() },
            value: value.to_vec(),
        });
        offset += entry_length(name.len());
    }
}

fn entry_length(name_length: usize) -> usize {
    (ENTRY + name_length).next_multiple_of(PADDING)
}

/// Writes entries and values into bytes that are zero. Returns the hash of the whole; `None` if there is no room.
fn write(list: &[&Attribute], bytes: &mut [u8], first: usize, base: usize, hashes: Hashes) -> Option<u32> {
    let entries: usize = list.iter().map(|attribute| entry_length(attribute.name.rest.len())).sum();
    let values: usize = list.iter().map(|attribute| attribute.value.len().next_multiple_of(PADDING)).sum();
    if first + entries + END + values > bytes.len() {
        return None;
    }
    let (mut offset, mut end) = (first, bytes.len() / PADDING * PADDING);
    let mut whole = Some(0u32);
    for attribute in list {
        let name = &attribute.name.rest;
        end -= attribute.value.len().next_multiple_of(PADDING);
        bytes[end..end + attribute.value.len()].copy_from_slice(&attribute.value);
        let hash = if hashes == Hashes::Kept { hash(name, &attribute.value) } else { 0 };
        let value_offset = if attribute.value.is_empty() { 0 } else { end - base };
        let entry = XattrEntry {
            name_length: name.len() as u8,
            name_index: attribute.name.prefix,
            value_offset: (value_offset as u16).into(),
            value_inode: 0.into(),
            value_size: (attribute.value.len() as u32).into(),
            hash: hash.into(),
        };
        bytes[offset..offset + ENTRY].copy_from_slice(entry.as_bytes());
        bytes[offset + ENTRY..offset + ENTRY + name.len()].copy_from_slice(name);
        offset += entry_length(name.len());
        // One entry without a hash, and the whole has none.
        whole = whole.filter(|_| hash != 0).map(|whole| whole.rotate_left(16) ^ hash);
    }
    Some(whole.unwrap_or(0))
}

/// `e_hash`: over the name, then over the value in words of 32 bits.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let hash = name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
    value.chunks(PADDING).fold(hash, |hash, chunk| {
        let mut word = [0; PADDING];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn attribute(name: &[u8], value: &[u8]) -> Attribute {
        Attribute { name: Name::parse(name).expect("known"), value: value.to_vec() }
    }

    #[test]
    fn blocks_are_read_as_written() {
        let list =
            [attribute(b"user.one", b"1"), attribute(b"user.b", b""), attribute(b"trusted.c", &[7; 100])];
        let block = make_block(&list, 1024).expect("fits");
        let mut read = read_block(&block).expect("well-formed");
        assert_eq!(read[0].name.rest, b"b", "shorter names come first");
        read.sort_by_key(|attribute| attribute.value.len());
        assert_eq!(read, [list[1].clone(), list[0].clone(), list[2].clone()]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let room = 1024 - HEADER - END - entry_length(1);
        assert!(make_block(&[attribute(b"user.n", &std::vec![1; room])], 1024).is_some());
        assert!(make_block(&[attribute(b"user.n", &std::vec![1; room + 1])], 1024).is_none());
    }

    #[test]
    fn space_behind_an_inode_holds_some() {
        let mut space = [0; 96];
        let list = [attribute(b"user.a", b"value"), attribute(b"user.b", b"other value")];
        write_inode(&list, &mut space).expect("fits");
        assert_eq!(read_inode(&space), Ok(list.to_vec()));
        write_inode(&[], &mut space).expect("fits");
        assert_eq!(space, [0; 96]);
        assert!(write_inode(&[attribute(b"user.a", &[1; 90])], &mut space).is_err());
    }

    #[test]
    fn broken_blocks_are_refused() {
        let good = make_block(&[attribute(b"user.name", b"value")], 1024).expect("fits");
        for (offset, value) in
            [(0, 1u8), (4, 0), (8, 2), (HEADER, 255), (HEADER + 3, 0xff), (HEADER + 4, 1), (HEADER + 11, 1)]
        {
            let mut bytes = good.clone();
            bytes[offset] = value;
            assert!(offset == HEADER || read_block(&bytes).is_err(), "{offset}");
        }
    }
}
