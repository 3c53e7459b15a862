//! The names of a directory, one after the other.
//!
//! # Cursors
//! Where names never move, a cursor is an offset in the directory. Where they do, because it has an index or will
//! get one, names are shown in the order of their hashes, and a cursor is a place in that order: it stays good
//! whatever happens to the blocks. Those cursors begin at [`HASHED`], above all offsets, so that a walk that began in
//! one order goes on in it, even if the index was found broken meanwhile.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::block::Entry;
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

/// Names to be shown, from a cursor on.
struct Batch {
    cursor: u64,
    /// Where the next batch begins.
    end: u64,
    names: Vec<u8>,
    entries: Vec<Listed>,
}

/// A name in a batch.
#[derive(Clone, Copy)]
struct Listed {
    position: u64,
    /// The cursor behind it.
    next: u64,
    /// Where in the batch's names it begins, and its length.
    start: usize,
    length: usize,
    inode: u32,
    kind: Option<FileKind>,
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
        Self { cursor, end: END, names: Vec::new(), entries: Vec::new() }
    }

    fn add(&mut self, entry: &Entry<'_>, position: u64, next: u64) {
        if position < self.cursor || position >= self.end {
            return;
        }
        let start = self.names.len();
        self.names.extend_from_slice(entry.name);
        let length = entry.name.len();
        self.entries.push(Listed { position, next, start, length, inode: entry.inode, kind: entry.kind });
    }

    /// Adds an entry at the place of its hash; `.` and `..` of the first block come first.
    fn add_hashed(&mut self, entry: &Entry<'_>, block: u64, hashing: NameHashing, algorithm: Algorithm) {
        let position = match entry.name {
            b"." if block == 0 => 0,
            b".." if block == 0 => 1,
            name => place(hashing.hash(algorithm, name)),
        };
        self.add(entry, position, position + 1);
    }

    fn sort(&mut self) {
        self.entries.sort_by_key(|entry| entry.position);
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
        let mut names = Vec::new();
        for entry in &mut self.entries {
            let start = names.len();
            names.extend_from_slice(&self.names[entry.start..entry.start + entry.length]);
            entry.start = start;
        }
        self.names = names;
    }

    /// Brings the names into order. Behind one that shares its place, a walk goes on at that place and shows both again;
    /// not where it began there, or it would not end.
    fn finish(&mut self) {
        self.sort();
        for index in 1..self.entries.len() {
            let position = self.entries[index].position;
            let before = &mut self.entries[index - 1];
            if before.position == position && position != self.cursor {
                before.next = position;
            }
        }
    }

    fn name(&self, entry: &Listed) -> &[u8] {
        &self.names[entry.start..entry.start + entry.length]
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
                let batch = {
                    let mut locked = self.lock(&node);
                    require_directory(&locked)?;
                    if locked.inode.links() == 0 {
                        return Ok(cursor);
                    }
                    self.next_batch(&mut locked, cursor)?
                };
                let Some(batch) = batch else { return Ok(cursor) };
                for entry in &batch.entries {
                    let ino = self.entry_ino(entry.inode)?;
                    let shown = DirEntry { ino, kind: entry.kind, name: batch.name(entry), next: entry.next };
                    if visit(shown).is_break() {
                        return Ok(cursor);
                    }
                    cursor = entry.next;
                }
                cursor = batch.end;
            }
        })
    }

    /// The next names from a cursor on; `None` at the end.
    fn next_batch(&self, dir: &mut Locked<'_>, cursor: u64) -> Result<Option<Batch>, Error> {
        let blocks = self.dir_blocks(dir);
        if cursor >= END || blocks == 0 {
            return Ok(None);
        }
        let Some(hashing) = self.geometry.name_hashing else { return self.next_block(dir, cursor) };
        if self.tree_hashing(dir).is_some() {
            let batch = self.next_leaves(dir, hashing, cursor);
            if let Some(batch) = self.by_tree(dir, batch)? {
                return Ok(Some(batch));
            }
        }
        let is_ordered = blocks == 1 || cursor >= HASHED || dir.inode.has_index();
        match hashing.usual.filter(|_| is_ordered) {
            Some(algorithm) => self.next_of_all(dir, hashing, algorithm, cursor).map(Some),
            None => self.next_block(dir, cursor),
        }
    }

    /// The rest of the block at an offset.
    fn next_block(&self, dir: &mut Locked<'_>, cursor: u64) -> Result<Option<Batch>, Error> {
        if cursor >= dir.inode.size() {
            return Ok(None);
        }
        let block = self.dir_block(dir, cursor >> self.geometry.block_bits)?;
        let base = block.index << self.geometry.block_bits;
        let mut batch = Batch::new(cursor);
        let start = cursor.saturating_sub(base) as usize;
        for entry in block.entries_from(start).filter(|entry| entry.inode != 0) {
            batch.add(&entry, base + entry.offset as u64, base + entry.end as u64);
        }
        batch.end = base + self.geometry.block_size() as u64;
        Ok(Some(batch))
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
            for entry in self.dir_block(dir, 0)?.used() {
                batch.add_hashed(&entry, 0, hashing, algorithm);
            }
        }
        self.descend(dir, &mut way, major(cursor))?;
        for _ in 0..self.dir_blocks(dir) {
            let leaf = self.dir_block(dir, way.leaf())?;
            for entry in leaf.used() {
                batch.add_hashed(&entry, leaf.index, hashing, algorithm);
            }
            batch.limit();
            match way.upper() {
                Some(upper) if upper & 1 != 0 => self.advance(dir, &mut way)?,
                upper => {
                    let end = upper.map_or(END, |major| place(NameHash { major, minor: 0 }));
                    if end <= cursor {
                        return Err(TreeError::Broken("index of a directory is not in order"));
                    }
                    batch.end = batch.end.min(end);
                    batch.finish();
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
            let block = self.dir_block(dir, index)?;
            for entry in block.used() {
                batch.add_hashed(&entry, index, hashing, algorithm);
            }
            batch.limit();
        }
        batch.finish();
        Ok(batch)
    }
}
