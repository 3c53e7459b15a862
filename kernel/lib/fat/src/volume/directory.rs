//! Names: entries of 32 bytes, a long name's pieces before the entry of its short name.

use super::item::{Item, attribute};
use crate::name::{self, Long};
use crate::parameters::ENTRY;
use crate::time::Timestamp;
use crate::{Error, Kind, Medium, Volume};
use alloc::{collections::BTreeSet, string::String, vec::Vec};

/// Bytes of a directory: it cannot be larger (section 6).
const DIRECTORY_BYTES: u64 = 65_536 * ENTRY;
/// Bytes that are read at once.
const READ: u64 = 4096;
/// The first byte of an entry that was removed.
const REMOVED: u8 = 0xe5;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name: the long one, if there is one.
    pub name: String,
    /// What it stands for.
    pub item: Item,
    /// Where the next name may be: a cursor for [`Volume::list`].
    pub next: u64,
    /// Where its entries are on the disk.
    places: Vec<u64>,
    short: [u8; 11],
}

/// An entry: where it is in its directory, and where on the disk.
#[derive(Clone, Copy)]
struct Slot {
    position: u64,
    place: u64,
}

/// What a walk along a directory puts together: the name that ends with an entry.
struct Names {
    long: Long,
    places: Vec<u64>,
    kind: Kind,
}

impl Names {
    fn new(kind: Kind) -> Self {
        Self { long: Long::new(), places: Vec::new(), kind }
    }

    /// Takes the next entry, which is in use; the name that it ends.
    fn take(&mut self, slot: Slot, bytes: &[u8; 32]) -> Option<Found> {
        if bytes[11] & attribute::LONG_NAME_MASK == attribute::LONG_NAME {
            if bytes[0] & 0x40 != 0 {
                self.places.clear();
            }
            self.long.add(bytes);
            self.places.push(slot.place);
            return None;
        }
        let mut places = core::mem::take(&mut self.places);
        let long = self.long.take(bytes);
        if long.is_none() {
            places.clear();
        }
        places.push(slot.place);
        if bytes[11] & attribute::VOLUME != 0 || bytes[0] == b'.' {
            return None;
        }
        let mut short = [0; 11];
        short.copy_from_slice(&bytes[..11]);
        Some(Found {
            name: long.unwrap_or_else(|| name::short(bytes)),
            item: Item::parse(bytes, slot.place, self.kind),
            next: slot.position + ENTRY,
            places,
            short,
        })
    }

    fn forget(&mut self) {
        self.long.forget();
        self.places.clear();
    }
}

/// What a directory keeps of a new name: dots at its end are dropped; [`Error::NotFound`] if there is nothing else.
fn stored_name(name: &str) -> Result<&str, Error> {
    let stored = name::without_end_dots(name);
    if stored.is_empty() && !name.is_empty() {
        return Err(Error::NotFound);
    }
    name::check(stored).map(|()| stored)
}

/// Room for a name.
#[derive(Default)]
struct Room {
    /// Entries in a row that are not in use.
    slots: Vec<Slot>,
    /// Where the directory's clusters end, and the last of them.
    end: u64,
    /// Whether the entries in use end where the row does.
    is_at_end: bool,
}

impl<M: Medium> Volume<M> {
    /// The first cluster of a directory; `None`: it is the root directory of FAT12 or FAT16.
    fn start(&self, directory: &Item) -> Result<Option<u32>, Error> {
        match (directory.is_directory, directory.entry, self.parameters.kind) {
            (false, _, _) => Err(Error::NotADirectory),
            (_, None, Kind::Fat12 | Kind::Fat16) => Ok(None),
            _ if self.parameters.has_cluster(directory.cluster) => Ok(Some(directory.cluster)),
            _ => Err(Error::Corrupt("a directory begins at a cluster that is not there")),
        }
    }

    /// Visits the entries of a directory from a position on, used or not, until `visit` says `false`; tells where the
    /// directory's space ends, and its last cluster.
    fn scan(
        &mut self,
        directory: &Item,
        from: u64,
        visit: &mut dyn FnMut(Slot, &[u8; 32]) -> bool,
    ) -> Result<(u64, Option<u32>), Error> {
        let Some(mut cluster) = self.start(directory)? else {
            let length = u64::from(self.parameters.root_entries) * ENTRY;
            self.scan_piece(self.parameters.root_offset(), 0..length, from, visit)?;
            return Ok((length, None));
        };
        let mut position = 0;
        loop {
            let end = position + self.cluster_bytes();
            let place = self.parameters.cluster_offset(cluster);
            if end > from && !self.scan_piece(place, position..end, from, visit)? {
                return Ok((end, Some(cluster)));
            }
            position = end;
            match self.next(cluster)? {
                Some(_) if position >= DIRECTORY_BYTES => {
                    return Err(Error::Corrupt("a directory is too long"));
                }
                Some(next) => cluster = next,
                None => return Ok((position, Some(cluster))),
            }
        }
    }

    /// Visits the entries of a part of a directory that lies in one piece at `place`.
    fn scan_piece(
        &self,
        place: u64,
        positions: core::ops::Range<u64>,
        from: u64,
        visit: &mut dyn FnMut(Slot, &[u8; 32]) -> bool,
    ) -> Result<bool, Error> {
        let mut buffer = [0; READ as usize];
        let mut position = positions.start;
        while position < positions.end {
            let length = (positions.end - position).min(READ);
            let bytes = &mut buffer[..length as usize];
            let start = place + (position - positions.start);
            if position + length > from {
                if !self.disk.read(start, bytes) {
                    return Err(Error::Read);
                }
                for (index, entry) in (0..).zip(bytes.as_chunks::<32>().0) {
                    let slot = Slot { position: position + index * ENTRY, place: start + index * ENTRY };
                    if slot.position >= from && !visit(slot, entry) {
                        return Ok(false);
                    }
                }
            }
            position += length;
        }
        Ok(true)
    }

    /// Visits the names of a directory from a cursor on (0: the first), until `visit` says `false`.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] and what reading says.
    pub fn list(
        &mut self,
        directory: &Item,
        cursor: u64,
        visit: &mut dyn FnMut(Found) -> bool,
    ) -> Result<(), Error> {
        let mut names = Names::new(self.parameters.kind);
        self.scan(directory, cursor, &mut |slot, bytes| match bytes[0] {
            0 => false,
            REMOVED => {
                names.forget();
                true
            }
            _ => names.take(slot, bytes).is_none_or(&mut *visit),
        })?;
        Ok(())
    }

    /// What a name in a directory stands for: a long name or the short one beside it, in any case of letters.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`] and what reading says.
    pub fn lookup(&mut self, directory: &Item, wanted: &str) -> Result<Found, Error> {
        let folded = name::fold(name::without_end_dots(wanted));
        let mut result = None;
        self.list(directory, 0, &mut |found| {
            let mut short = [b' '; 32];
            short[..11].copy_from_slice(&found.short);
            short[12] = 0;
            if name::is_folded(&found.name, &folded) || name::is_folded(&name::short(&short), &folded) {
                result = Some(found);
            }
            result.is_none()
        })?;
        result.ok_or(Error::NotFound)
    }

    /// Whether a directory has no names.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] and what reading says.
    pub fn is_empty(&mut self, directory: &Item) -> Result<bool, Error> {
        let mut is_empty = true;
        self.list(directory, 0, &mut |_| {
            is_empty = false;
            false
        })?;
        Ok(is_empty)
    }

    /// Makes an empty file or directory under a name that is not there.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::LongName`], [`Error::NotFound`] for dots only, [`Error::Full`] and what reading and writing say.
    pub fn create(
        &mut self,
        directory: &Item,
        name: &str,
        is_directory: bool,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let name = stored_name(name)?;
        let mut item = Item {
            entry: None,
            is_directory,
            is_read_only: false,
            size: 0,
            cluster: 0,
            created: now,
            modified: now,
            accessed: now,
        };
        if is_directory {
            item.cluster = self.allocate(None)?;
        }
        let made = self.fill_directory(directory, &item).and_then(|()| self.insert(directory, name, &item));
        if made.is_err() {
            self.free(&item)?;
        }
        made
    }

    /// Writes "." and ".." into a new directory.
    fn fill_directory(&mut self, parent: &Item, item: &Item) -> Result<(), Error> {
        if !item.is_directory {
            return Ok(());
        }
        self.clear(item.cluster)?;
        let mut bytes = [0; 64];
        let (own, above) = bytes.split_at_mut(32);
        for (entry, name, cluster) in
            [(own, *b".          ", item.cluster), (above, *b"..         ", self.parent_cluster(parent))]
        {
            let mut dot = [0; 32];
            dot[..11].copy_from_slice(&name);
            Item { cluster, ..*item }.store(&mut dot, self.parameters.kind);
            entry.copy_from_slice(&dot);
        }
        self.write(self.parameters.cluster_offset(item.cluster), &bytes)
    }

    /// What ".." says: 0 for the root directory.
    fn parent_cluster(&self, parent: &Item) -> u32 {
        if parent.entry.is_none() { 0 } else { parent.cluster }
    }

    /// Puts a name for an item into a directory.
    fn insert(&mut self, directory: &Item, name: &str, item: &Item) -> Result<Found, Error> {
        let mut taken = BTreeSet::new();
        self.list(directory, 0, &mut |found| {
            taken.insert(found.short);
            true
        })?;
        let short = name::make_short(name, &taken).ok_or(Error::Full)?;
        let mut entry = [0; 32];
        entry[..11].copy_from_slice(&short);
        item.store(&mut entry, self.parameters.kind);
        let mut entries = if name::short(&entry) == name { Vec::new() } else { name::pieces(name, &short) };
        entries.push(entry);
        let room = self.make_room(directory, entries.len())?;
        let slots = &room.slots[..entries.len()];
        if let Some(behind) = room.slots.get(entries.len()).filter(|_| room.is_at_end) {
            // What comes then was never in use, whatever it holds.
            self.write(behind.place, &[0])?;
        }
        for (slot, bytes) in slots.iter().zip(&entries) {
            self.write(slot.place, bytes)?;
        }
        let last = slots[slots.len() - 1];
        Ok(Found {
            name: name.into(),
            item: Item { entry: Some(last.place), ..*item },
            next: last.position + ENTRY,
            places: slots.iter().map(|slot| slot.place).collect(),
            short,
        })
    }

    /// Entries in a row that are not in use, as many as are wanted, and where the last in use was before them, one more.
    fn make_room(&mut self, directory: &Item, wanted: usize) -> Result<Room, Error> {
        let mut room = Room::default();
        let mut has_ended = false;
        let (end, last) = self.scan(directory, 0, &mut |slot, bytes| {
            has_ended |= bytes[0] == 0;
            if has_ended || bytes[0] == REMOVED {
                room.slots.push(slot);
            } else {
                room.slots.clear();
            }
            room.slots.len() < wanted + usize::from(has_ended)
        })?;
        (room.end, room.is_at_end) = (end, has_ended);
        if room.slots.len() >= wanted {
            return Ok(room);
        }
        let Some(mut last) = last else { return Err(Error::Full) };
        while room.slots.len() < wanted {
            if room.end >= DIRECTORY_BYTES {
                return Err(Error::Full);
            }
            let cluster = self.allocate(None)?;
            self.clear(cluster)?;
            self.table.set(&self.disk, &self.parameters, last, cluster)?;
            last = cluster;
            let place = self.parameters.cluster_offset(cluster);
            let count = self.cluster_bytes() / ENTRY;
            let start = room.end;
            room.slots.extend(
                (0..count)
                    .map(|index| Slot { position: start + index * ENTRY, place: place + index * ENTRY }),
            );
            room.end += self.cluster_bytes();
        }
        Ok(room)
    }

    /// Removes a name. Its clusters stay: see [`free`](Self::free).
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(&mut self, found: &Found) -> Result<(), Error> {
        for place in found.places.iter().rev() {
            self.write(*place, &[REMOVED])?;
        }
        Ok(())
    }

    /// Gives what a name stands for another name, which is not there, perhaps in another directory. `item` is how the item
    /// is now.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::LongName`], [`Error::NotFound`] for dots only, [`Error::Full`] and what reading and writing say.
    pub fn rename(&mut self, old: &Found, item: &Item, directory: &Item, name: &str) -> Result<Found, Error> {
        let name = stored_name(name)?;
        let new = self.insert(directory, name, item)?;
        if item.is_directory {
            self.set_parent(item, directory)?;
        }
        self.remove(old)?;
        Ok(new)
    }

    /// Two items change their entries; both as they are then.
    ///
    /// # Errors
    /// What reading and writing say.
    pub fn exchange(
        &mut self,
        (one, one_parent): (&Item, &Item),
        (other, other_parent): (&Item, &Item),
    ) -> Result<(Item, Item), Error> {
        let moved = (Item { entry: other.entry, ..*one }, Item { entry: one.entry, ..*other });
        for (item, parent) in [(&moved.0, other_parent), (&moved.1, one_parent)] {
            self.update(item)?;
            if item.is_directory {
                self.set_parent(item, parent)?;
            }
        }
        Ok(moved)
    }

    /// A directory is in another one now: its ".." says so.
    fn set_parent(&mut self, item: &Item, parent: &Item) -> Result<(), Error> {
        let Some(cluster) = self.start(item)? else { return Ok(()) };
        let place = self.parameters.cluster_offset(cluster) + ENTRY;
        let mut bytes = [0; 32];
        if !self.disk.read(place, &mut bytes) {
            return Err(Error::Read);
        }
        if &bytes[..11] != b"..         " {
            return Err(Error::Corrupt("a directory without \"..\""));
        }
        let above = self.parent_cluster(parent);
        let mut above = Item { cluster: above, ..Item::parse(&bytes, place, self.parameters.kind) };
        above.is_directory = true;
        above.store(&mut bytes, self.parameters.kind);
        self.write(place, &bytes)
    }
}
