//! The names of a directory, one after the other.
//!
//! # Cursors
//! Where names never move, a cursor is an offset in the directory. Where they do, because it has an index or will
//! get one, names are shown in the order of their hashes, and a cursor is a place in that order: it stays good
//! whatever happens to the blocks. Those cursors begin at [`HASHED`], above all offsets, so that a walk that began in
//! one order goes on in it, even if the index was found broken meanwhile.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::block::{DirBlock, Entry};
use super::descent::TreeError;
use super::hash::{Algorithm, NameHash, NameHashing};
use super::{DirEntry, require_directory};
use crate::attributes::FileKind;
use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::Locked;

/// Where cursors begin that are places in the order of hashes. Below: 0 is `.`, 1 is `..`.
const HASHED: u64 = 1 << 32;
/// The end of that order.
const END: u64 = HASHED + (1 << 62);
/// About how many names are looked for at once where all blocks have to be searched for the next.
const BATCH: usize = 1024;

/// So many listings wait for walks that go on with them.
const LISTINGS_MAX: usize = 16;

/// Names that were read and are about to be shown.
struct Listing {
    /// The cursor of what comes next.
    cursor: u64,
    /// Where the next listing begins.
    end: u64,
    names: Names,
}

/// What was left of listings when their walks stopped, for walks that begin there: one that stops often, as programs with little
/// room do, has each block read and checked once. The last one comes last.
#[derive(Default)]
pub(crate) struct Listings {
    waiting: Vec<(ListingsOf, Listing)>,
    states: u64,
}

/// A state of a directory: as long as it stays so, its listings are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListingsOf(u64);

impl Listings {
    /// A state that there was not before.
    fn new_state(&mut self) -> ListingsOf {
        self.states += 1;
        ListingsOf(self.states)
    }

    fn take(&mut self, state: ListingsOf, cursor: u64) -> Option<Listing> {
        let is_it = |(of, listing): &(ListingsOf, Listing)| *of == state && listing.cursor == cursor;
        let index = self.waiting.iter().rposition(is_it)?;
        Some(self.waiting.remove(index).1)
    }

    fn keep(&mut self, state: ListingsOf, listing: Listing) {
        if self.waiting.len() >= LISTINGS_MAX {
            self.waiting.remove(0);
        }
        self.waiting.push((state, listing));
    }
}

enum Names {
    /// The rest of a block from an offset in it on; the block begins at the cursor `base`.
    InBlock { block: DirBlock, base: u64, offset: usize },
    /// In the order of hashes; `shown` of them are done with.
    Hashed { batch: Batch, shown: usize },
}

/// Names in the order of their hashes, from a cursor on.
struct Batch {
    cursor: u64,
    /// Where the next batch begins.
    end: u64,
    /// What holds the names.
    bytes: Vec<u8>,
    entries: Vec<Listed>,
}

/// A name in a batch.
#[derive(Clone, Copy)]
struct Listed {
    position: u64,
    /// Where in the batch's bytes the name begins, and its length.
    start: u32,
    length: u16,
    kind: Option<FileKind>,
    inode: u32,
}

/// The place of a hash.
fn place(hash: NameHash) -> u64 {
    HASHED + (u64::from(hash.major >> 1) << 31 | u64::from(hash.minor >> 1))
}

/// The major hash at a place.
fn major(place: u64) -> u32 {
    ((place.saturating_sub(HASHED) >> 31) as u32) << 1
}

impl Batch {
    fn new(cursor: u64) -> Self {
        Self { cursor, end: END, bytes: Vec::new(), entries: Vec::new() }
    }

    /// Notes an entry, whose name begins at `start` in the bytes, at the place of its hash; `.` and `..` of the first block
    /// come first. False if it does not belong here.
    fn note(
        &mut self,
        entry: &Entry<'_>,
        start: usize,
        block: u64,
        hashing: NameHashing,
        algorithm: Algorithm,
    ) -> bool {
        let position = match entry.name {
            b"." if block == 0 => 0,
            b".." if block == 0 => 1,
            name => place(hashing.hash(algorithm, name)),
        };
        let belongs = (self.cursor..self.end).contains(&position);
        if belongs {
            let (start, length) = (start as u32, entry.name.len() as u16);
            self.entries.push(Listed { position, start, length, kind: entry.kind, inode: entry.inode });
        }
        belongs
    }

    /// Adds the entries of a block, of which most belong here, and all its bytes.
    fn add_block(&mut self, block: DirBlock, hashing: NameHashing, algorithm: Algorithm) {
        let base = self.bytes.len();
        for entry in block.used() {
            self.note(&entry, base + entry.name_offset(), block.index, hashing, algorithm);
        }
        if base == 0 {
            self.bytes = block.into_bytes();
        } else {
            self.bytes.extend_from_slice(block.bytes());
        }
    }

    /// Adds those entries of a block that belong here.
    fn add_some(&mut self, block: &DirBlock, hashing: NameHashing, algorithm: Algorithm) {
        for entry in block.used() {
            if self.note(&entry, self.bytes.len(), block.index, hashing, algorithm) {
                self.bytes.extend_from_slice(entry.name);
            }
        }
    }

    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.position, entry.start));
    }

    /// Forgets what comes after the first names.
    fn limit(&mut self) {
        if self.entries.len() < 2 * BATCH {
            return;
        }
        self.sort();
        // Names at one place stay together.
        let end = self.entries[BATCH].position;
        let kept = self.entries.partition_point(|entry| entry.position < end);
        if kept == 0 {
            return;
        }
        self.end = end;
        self.entries.truncate(kept);
        let mut bytes = Vec::new();
        for entry in &mut self.entries {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[entry.start as usize..][..usize::from(entry.length)]);
            entry.start = start as u32;
        }
        self.bytes = bytes;
    }

    fn listing(mut self) -> Listing {
        self.sort();
        Listing { cursor: self.cursor, end: self.end, names: Names::Hashed { batch: self, shown: 0 } }
    }

    /// The cursor behind an entry. Behind one that shares its place with the next, a walk goes on at that place and shows both
    /// again; not where it began there, or it would not end.
    fn behind(&self, index: usize) -> u64 {
        let position = self.entries[index].position;
        let is_shared = self.entries.get(index + 1).is_some_and(|next| next.position == position);
        if is_shared && position != self.cursor { position } else { position + 1 }
    }
}

impl Listing {
    /// Shows names until `visit` breaks, which is told.
    fn show(
        &mut self,
        file_system: &FileSystem,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        match &mut self.names {
            Names::InBlock { block, base, offset } => {
                for entry in block.entries_at(*offset) {
                    let next = *base + entry.end as u64;
                    if entry.inode != 0 {
                        let ino = file_system.entry_ino(entry.inode)?;
                        let shown = DirEntry { ino, kind: entry.kind, name: entry.name, next };
                        if visit(shown).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                        self.cursor = next;
                    }
                    *offset = entry.end;
                }
            }
            Names::Hashed { batch, shown } => {
                while let Some(&Listed { start, length, kind, inode, .. }) = batch.entries.get(*shown) {
                    let name = &batch.bytes[start as usize..][..usize::from(length)];
                    let (ino, next) = (file_system.entry_ino(inode)?, batch.behind(*shown));
                    if visit(DirEntry { ino, kind, name, next }).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    self.cursor = next;
                    *shown += 1;
                }
            }
        }
        self.cursor = self.end;
        Ok(ControlFlow::Continue(()))
    }

    /// Whether this is all that comes at its cursor: not if names at the same place were shown already.
    fn is_whole(&self) -> bool {
        match &self.names {
            Names::InBlock { .. } => true,
            Names::Hashed { batch, shown } => match batch.entries.get(shown.wrapping_sub(1)..=*shown) {
                Some([before, next]) => before.position != next.position,
                _ => true,
            },
        }
    }
}

impl FileSystem {
    /// Shows the entries of a directory from a cursor on; 0 is the start. `visit` ends the walk by breaking, and
    /// then has not consumed its entry. Returns the cursor to go on from. No lock is held during `visit`; names
    /// that come or go meanwhile may be shown or not, all others are shown once.
    pub fn read_dir(
        &self,
        dir: Ino,
        cursor: u64,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Error> {
        self.watch(|| {
            let node = self.node(dir)?;
            let mut cursor = cursor;
            loop {
                let (listing, state) = {
                    let mut locked = self.lock(&node);
                    require_directory(&locked)?;
                    if locked.inode.links() == 0 {
                        return Ok(cursor);
                    }
                    let mut listings = self.listings.lock();
                    let state = *locked.listings.get_or_insert_with(|| listings.new_state());
                    let waiting = listings.take(state, cursor);
                    drop(listings);
                    let listing = match waiting {
                        Some(listing) => Some(listing),
                        None => self.next_listing(&mut locked, cursor)?,
                    };
                    (listing, state)
                };
                let Some(mut listing) = listing else { return Ok(cursor) };
                let flow = listing.show(self, visit)?;
                cursor = listing.cursor;
                if flow.is_break() {
                    if listing.is_whole() {
                        self.listings.lock().keep(state, listing);
                    }
                    return Ok(cursor);
                }
            }
        })
    }

    /// The next names from a cursor on; `None` at the end.
    fn next_listing(&self, dir: &mut Locked<'_>, cursor: u64) -> Result<Option<Listing>, Error> {
        let blocks = self.dir_blocks(dir);
        if cursor >= END || blocks == 0 {
            return Ok(None);
        }
        let Some(hashing) = self.geometry.name_hashing else { return self.next_block(dir, cursor) };
        if self.tree_hashing(dir).is_some() {
            let batch = self.next_leaves(dir, hashing, cursor);
            if let Some(batch) = self.by_tree(dir, batch)? {
                return Ok(Some(batch.listing()));
            }
        }
        let is_ordered = blocks == 1 || cursor >= HASHED || dir.inode.has_index();
        match hashing.usual.filter(|_| is_ordered) {
            Some(algorithm) => {
                let batch = self.next_of_all(dir, hashing, algorithm, cursor)?;
                Ok(Some(batch.listing()))
            }
            None => self.next_block(dir, cursor),
        }
    }

    /// The rest of the block at an offset.
    fn next_block(&self, dir: &mut Locked<'_>, cursor: u64) -> Result<Option<Listing>, Error> {
        if cursor >= dir.inode.size() {
            return Ok(None);
        }
        let block = self.dir_block(dir, cursor >> self.geometry.block_bits)?;
        let base = block.index << self.geometry.block_bits;
        let offset = block.entry_behind(cursor.saturating_sub(base) as usize);
        let end = base + self.geometry.block_size() as u64;
        Ok(Some(Listing { cursor, end, names: Names::InBlock { block, base, offset } }))
    }

    /// The names of the leaf at a place, and of those that share their hashes with it.
    fn next_leaves(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        cursor: u64,
    ) -> Result<Batch, TreeError> {
        let mut way = self.open_tree(dir)?;
        let algorithm = way.shape.algorithm;
        let mut batch = Batch::new(cursor);
        if cursor < HASHED {
            batch.add_some(&self.dir_block(dir, 0)?, hashing, algorithm);
        }
        self.descend(dir, &mut way, major(cursor))?;
        for _ in 0..self.dir_blocks(dir) {
            batch.add_block(self.dir_block(dir, way.leaf())?, hashing, algorithm);
            batch.limit();
            match way.upper() {
                Some(upper) if upper & 1 != 0 => self.advance(dir, &mut way)?,
                upper => {
                    let end = upper.map_or(END, |major| place(NameHash { major, minor: 0 }));
                    if end <= cursor {
                        return Err(TreeError::Broken("index of a directory is not in order"));
                    }
                    batch.end = batch.end.min(end);
                    return Ok(batch);
                }
            }
        }
        Err(TreeError::Broken("index of a directory has more leaves than it has blocks"))
    }

    /// The next names of all blocks in the order of hashes.
    fn next_of_all(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        algorithm: Algorithm,
        cursor: u64,
    ) -> Result<Batch, Error> {
        let mut batch = Batch::new(cursor);
        for index in 0..self.dir_blocks(dir) {
            batch.add_some(&self.dir_block(dir, index)?, hashing, algorithm);
            batch.limit();
        }
        Ok(batch)
    }
}
