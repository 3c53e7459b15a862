//! One block of a directory: a list of entries that fills it exactly.
//!
//! Each entry says how far it reaches; the rest behind its name is room for another entry. An entry whose inode is
//! 0 is all room. An entry never crosses a block border ("Linked List Directory").
//!
//! A disk writes sectors: when the power fails, one of a block may be new and the next old. Without a journal all
//! entries have to be found then, too ([`Rooms::InSector`]): an entry is put only behind one that begins in the same
//! sector, and becomes part only of such a one when it goes. So a walk that enters a sector finds what lies there,
//! old or new, and leaves it to the same place in the next.

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::attributes::FileKind;
use crate::error::Error;
use crate::geometry::Ino;
use crate::layout::DirEntryHeader;

const HEADER: usize = size_of::<DirEntryHeader>();
/// The shortest entry that holds a name.
const SHORTEST: usize = HEADER + 4;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// Whether entries hold the kind of their inode (the feature FILE_TYPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    Known,
    Unknown,
}

/// Which room may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rooms {
    /// All: blocks are written as a whole, or not at all.
    All,
    /// That in the sector of the entry before.
    InSector,
}

/// How entries are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryFormat {
    pub(crate) kinds: Kinds,
    pub(crate) rooms: Rooms,
}

/// A block whose list of entries is well-formed.
pub(crate) struct DirBlock {
    /// Which block of the directory this is.
    pub(crate) index: u64,
    /// Where it lies on the disk.
    pub(crate) block: u32,
    bytes: Vec<u8>,
    format: EntryFormat,
}

/// An entry in a block.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Where in the block it begins.
    pub(crate) offset: usize,
    /// Where the next one begins.
    pub(crate) end: usize,
    /// The number of the inode, unchecked; 0 if the entry is all room.
    pub(crate) inode: u32,
    /// The kind of the inode, if the entry tells.
    pub(crate) kind: Option<FileKind>,
    pub(crate) name: &'a [u8],
}

impl Entry<'_> {
    /// Where in the block the name begins.
    pub(crate) fn name_offset(&self) -> usize {
        self.offset + HEADER
    }

    /// Where the room of the entry begins; at its own start, if it is all room.
    fn room_start(&self) -> usize {
        let used = if self.inode == 0 { 0 } else { entry_length(self.name.len()) };
        self.offset + used
    }

    /// How many bytes another entry can have of it.
    fn room(&self, rooms: Rooms) -> usize {
        let start = self.room_start();
        let is_usable = start == self.offset || rooms == Rooms::All || is_one_sector(self.offset, start);
        if is_usable { self.end - start } else { 0 }
    }
}

/// Whether the length of an entry and the head of one behind it lie in one sector.
fn is_one_sector(offset: usize, behind: usize) -> bool {
    let sector = (offset + 4) / SECTOR;
    behind / SECTOR == sector && (behind + HEADER - 1) / SECTOR == sector
}

/// How long an entry with a name of this length is at least.
pub(crate) fn entry_length(name_length: usize) -> usize {
    (HEADER + name_length).next_multiple_of(4)
}

impl DirBlock {
    /// Checks a block from the disk.
    pub(crate) fn new(index: u64, block: u32, bytes: Vec<u8>, format: EntryFormat) -> Result<Self, Error> {
        let this = Self { index, block, bytes, format };
        let mut offset = 0;
        while offset < this.bytes.len() {
            let Some(header) = this.header(offset) else {
                return Err(Error::Corrupt("directory entry crosses the block's end"));
            };
            let length = usize::from(header.record_length.get());
            if length < SHORTEST || !length.is_multiple_of(4) {
                return Err(Error::Corrupt("directory entry has an impossible length"));
            }
            if offset + length > this.bytes.len() {
                return Err(Error::Corrupt("directory entry crosses the block's end"));
            }
            if entry_length(this.name_length(&header)) > length {
                return Err(Error::Corrupt("directory entry is shorter than its name"));
            }
            offset += length;
        }
        Ok(this)
    }

    /// A block that is all room.
    pub(crate) fn empty(index: u64, block: u32, size: usize, format: EntryFormat) -> Self {
        let mut this = Self { index, block, bytes: alloc::vec![0; size], format };
        this.put_room(0);
        this
    }

    /// Makes all from here on room; `from` is where a sector begins.
    fn put_room(&mut self, from: usize) {
        let size = self.bytes.len();
        let length = if self.format.rooms == Rooms::All { size } else { SECTOR };
        let mut start = from;
        while start < size {
            let end = size.min(start + length);
            self.put(start, end, 0, None, b"");
            start = end;
        }
    }

    /// Where the room of what was put last ends: at the end of its sector, or of the block.
    fn room_end(&self, end: usize) -> usize {
        if self.format.rooms == Rooms::All { self.bytes.len() } else { end.next_multiple_of(SECTOR) }
    }

    /// A block with these entries, which fit: each in one sector, if they fit so too.
    pub(crate) fn pack<'a>(
        index: u64,
        block: u32,
        size: usize,
        format: EntryFormat,
        entries: impl Iterator<Item = (u32, Option<FileKind>, &'a [u8])> + Clone,
    ) -> Self {
        let mut this = Self::empty(index, block, size, format);
        // Where an entry goes if the last one ends at `end`.
        let in_sector = |end: usize, length: usize| {
            let rest = end.next_multiple_of(SECTOR) - end;
            if length > rest { end + rest } else { end }
        };
        let lengths = entries.clone().map(|(.., name)| entry_length(name.len()));
        let spread = lengths.fold(0, |end, length| in_sector(end, length) + length);
        let is_spread = format.rooms == Rooms::InSector && spread <= size;
        let mut last = None;
        let mut end = 0;
        for (inode, kind, name) in entries {
            let length = entry_length(name.len());
            let start = if is_spread { in_sector(end, length) } else { end };
            if let Some(last) = last {
                this.set_end(last, start);
            }
            this.put(start, start + length, inode, kind, name);
            (last, end) = (Some(start), start + length);
        }
        if let Some(last) = last {
            let room_end = this.room_end(end);
            this.set_end(last, room_end);
            this.put_room(room_end);
        }
        this
    }

    /// Takes all entries out but `.` and `..`, the latter with all room. `None` if these are not the first two.
    pub(crate) fn keep_only_dots(&mut self) -> Option<()> {
        let mut entries = self.entries();
        let (this, parent) = (entries.next()?, entries.next()?);
        let first = entry_length(1);
        let are_dots = this.name == b"." && this.inode != 0 && parent.name == b".." && parent.inode != 0;
        if !are_dots || parent.offset != first {
            return None;
        }
        drop(entries);
        self.set_end(first, self.bytes.len());
        Some(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    fn header(&self, offset: usize) -> Option<DirEntryHeader> {
        let bytes: &[u8; HEADER] = self.bytes.get(offset..)?.first_chunk()?;
        Some(zerocopy::transmute!(*bytes))
    }

    #[inline]
    fn name_length(&self, header: &DirEntryHeader) -> usize {
        match self.format.kinds {
            Kinds::Known => usize::from(header.name_length),
            Kinds::Unknown => usize::from(header.file_type) << 8 | usize::from(header.name_length),
        }
    }

    /// All entries, also those that are only room.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries_at(0)
    }

    /// Where the first entry begins that begins at `start` or behind it.
    pub(crate) fn entry_behind(&self, start: usize) -> usize {
        let mut offset = 0;
        while offset < start
            && let Some(header) = self.header(offset)
        {
            offset += usize::from(header.record_length.get());
        }
        offset
    }

    /// The entries from the one that begins at `offset` on.
    pub(crate) fn entries_at(&self, mut offset: usize) -> impl Iterator<Item = Entry<'_>> {
        core::iter::from_fn(move || {
            let header = (offset < self.bytes.len()).then(|| self.header(offset))??;
            let start = offset + HEADER;
            let entry = Entry {
                offset,
                end: offset + usize::from(header.record_length.get()),
                inode: header.inode.get(),
                kind: FileKind::from_entry(header.file_type).filter(|_| self.format.kinds == Kinds::Known),
                name: &self.bytes[start..start + self.name_length(&header)],
            };
            offset = entry.end;
            Some(entry)
        })
    }

    /// The entries that name something.
    pub(crate) fn used(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(|entry| entry.inode != 0)
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Entry<'_>> {
        self.used().find(|entry| entry.name == name)
    }

    /// The longest entry that can be inserted.
    pub(crate) fn room(&self) -> usize {
        self.entries().map(|entry| entry.room(self.format.rooms)).max().unwrap_or(0)
    }

    /// Adds an entry where there is room for it; false if there is none.
    #[must_use]
    pub(crate) fn insert(&mut self, name: &[u8], ino: Ino, kind: FileKind) -> bool {
        let needed = entry_length(name.len());
        let rooms = self.format.rooms;
        let Some(place) = self.entries().find(|entry| entry.room(rooms) >= needed) else { return false };
        let (offset, end, start) = (place.offset, place.end, place.room_start());
        if start > offset {
            self.set_end(offset, start);
        }
        self.put(start, end, ino.0, Some(kind), name);
        true
    }

    /// Makes the entry at `offset` room: part of the entry before it, if there is one, and in the same sector.
    pub(crate) fn remove(&mut self, offset: usize) {
        let end = self.entries().find(|entry| entry.offset == offset).map_or(offset, |entry| entry.end);
        let before = self.entries().find(|entry| entry.end == offset).map(|entry| entry.offset);
        let rooms = self.format.rooms;
        match before.filter(|&before| rooms == Rooms::All || is_one_sector(before, offset)) {
            Some(before) => self.set_end(before, end),
            None => self.put(offset, end, 0, None, b""),
        }
    }

    /// Lets the entry at `offset` name another inode.
    pub(crate) fn replace(&mut self, offset: usize, ino: Ino, kind: FileKind) {
        self.bytes[offset..offset + 4].copy_from_slice(&ino.0.to_le_bytes());
        if self.format.kinds == Kinds::Known {
            self.bytes[offset + 7] = kind as u8;
        }
    }

    /// The first two entries of a directory.
    pub(crate) fn put_dots(&mut self, this: Ino, parent: Ino) {
        let first = entry_length(1);
        self.put(0, first, this.0, Some(FileKind::Directory), b".");
        let end = self.room_end(2 * first);
        self.put(first, end, parent.0, Some(FileKind::Directory), b"..");
        self.put_room(end);
    }

    fn set_end(&mut self, offset: usize, end: usize) {
        let length = (end - offset) as u16;
        self.bytes[offset + 4..offset + 6].copy_from_slice(&length.to_le_bytes());
    }

    fn put(&mut self, offset: usize, end: usize, inode: u32, kind: Option<FileKind>, name: &[u8]) {
        let kind = kind.filter(|_| self.format.kinds == Kinds::Known);
        let header = DirEntryHeader {
            inode: inode.into(),
            record_length: ((end - offset) as u16).into(),
            name_length: name.len() as u8,
            file_type: kind.map_or(0, |kind| kind as u8),
        };
        self.bytes[offset..offset + HEADER].copy_from_slice(header.as_bytes());
        self.bytes[offset + HEADER..offset + HEADER + name.len()].copy_from_slice(name);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    const FORMAT: EntryFormat = EntryFormat { kinds: Kinds::Known, rooms: Rooms::All };
    const IN_SECTOR: EntryFormat = EntryFormat { kinds: Kinds::Known, rooms: Rooms::InSector };

    fn names(block: &DirBlock) -> Vec<Vec<u8>> {
        block.used().map(|entry| entry.name.to_vec()).collect()
    }

    fn check(block: &DirBlock) {
        DirBlock::new(0, 0, block.bytes.clone(), block.format).map(|_| ()).expect("stays well-formed");
    }

    #[test]
    fn entries_come_and_go() {
        let mut block = DirBlock::empty(0, 0, 1024, FORMAT);
        block.put_dots(Ino(12), Ino(2));
        for name in [&b"one"[..], b"two", b"three"] {
            assert!(block.insert(name, Ino(20), FileKind::Regular));
            check(&block);
        }
        assert_eq!(names(&block), [&b"."[..], b"..", b"one", b"two", b"three"]);
        let two = block.find(b"two").expect("inserted").offset;
        block.remove(two);
        check(&block);
        assert_eq!(names(&block), [&b"."[..], b"..", b"one", b"three"]);
        assert!(block.insert(b"2", Ino(21), FileKind::Symlink));
        let found = block.find(b"2").expect("inserted");
        assert_eq!((found.offset, found.inode, found.kind), (two, 21, Some(FileKind::Symlink)));
        check(&block);
    }

    #[test]
    fn first_entry_becomes_room() {
        let mut block = DirBlock::empty(1, 0, 1024, EntryFormat { kinds: Kinds::Unknown, rooms: Rooms::All });
        assert!(block.insert(b"a", Ino(20), FileKind::Regular));
        block.remove(0);
        check(&block);
        assert_eq!(block.room(), 1024);
        assert_eq!(names(&block).len(), 0);
    }

    #[test]
    fn full_block_takes_no_more() {
        let mut block = DirBlock::empty(0, 0, 1024, FORMAT);
        let mut count = 0;
        while block.insert(&[b'x'; 100], Ino(20), FileKind::Regular) {
            count += 1;
        }
        assert_eq!(count, 1024 / 108);
        assert!(block.room() < 108);
        check(&block);
    }

    #[test]
    fn broken_lists_are_refused() {
        let mut good = DirBlock::empty(0, 0, 1024, FORMAT);
        good.put_dots(Ino(12), Ino(2));
        for (offset, value) in [(4, 0u8), (4, 11), (5, 0xff), (6, 200), (16, 3)] {
            let mut bytes = good.bytes.clone();
            bytes[offset] = value;
            assert!(DirBlock::new(0, 0, bytes, FORMAT).is_err(), "{offset}");
        }
        assert!(DirBlock::new(0, 0, vec![0; 1024], FORMAT).is_err());
    }

    /// Whatever sectors of a change reach the disk, all names that were there before and after are there.
    #[test]
    fn names_outlive_changes_torn_at_sectors() {
        let name = |index: usize| std::format!("{index}{}", "n".repeat(index * 37 % 200)).into_bytes();
        for size in [1024, 4096] {
            let mut block = DirBlock::empty(0, 0, size, IN_SECTOR);
            block.put_dots(Ino(12), Ino(2));
            let mut state = 1_usize;
            for step in 0..3000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let old = block.bytes.clone();
                let before: Vec<_> = names(&block);
                // Several changes at once: those that were not written yet.
                for change in 0..1 + state % 5 {
                    let index = (state >> 33).wrapping_add(change * 7) % 60;
                    match block.find(&name(index)).map(|entry| entry.offset) {
                        Some(offset) => block.remove(offset),
                        None => _ = block.insert(&name(index), Ino(20), FileKind::Regular),
                    }
                }
                check(&block);
                let after = names(&block);
                let mut torn = old;
                for (sector, bytes) in torn.chunks_mut(SECTOR).enumerate() {
                    if state >> (20 + sector) & 1 == 0 {
                        bytes.copy_from_slice(&block.bytes[sector * SECTOR..][..SECTOR]);
                    }
                }
                let torn = DirBlock::new(0, 0, torn, IN_SECTOR).map(|torn| names(&torn));
                let Ok(torn) = torn else { panic!("step {step}") };
                assert!(
                    before.iter().filter(|name| after.contains(name)).all(|name| torn.contains(name)),
                    "{step}"
                );
            }
            let entries: Vec<_> = block.used().map(|entry| (entry.inode, entry.kind, entry.name)).collect();
            let packed = DirBlock::pack(0, 0, size, IN_SECTOR, entries.into_iter());
            check(&packed);
            assert_eq!(names(&packed), names(&block));
        }
    }
}
