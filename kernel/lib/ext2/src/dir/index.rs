//! Where the names of a large directory are: an index in memory, made when the directory is first searched.
//!
//! It spares the search through all blocks that the format on disk would need, above all for a name that is not
//! there. It says in which blocks a name can be; the blocks themselves say whether it is.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use super::block::DirBlock;

/// The index of one directory.
#[derive(Default)]
pub(crate) struct DirIndex {
    /// Hashes of names and the blocks that hold them, with the number of names that have the hash and are there.
    names: BTreeMap<(u32, u32), u32>,
    /// For each block, the longest entry that it can take.
    room: Vec<u16>,
}

impl DirIndex {
    /// Takes up the next block, all of it.
    pub(crate) fn add_block(&mut self, block: &DirBlock) {
        let index = self.room.len() as u32;
        for entry in block.used() {
            *self.names.entry((hash(entry.name), index)).or_default() += 1;
        }
        self.room.push(block.room() as u16);
    }

    /// The blocks that can hold a name.
    pub(crate) fn blocks_of(&self, name: &[u8]) -> Vec<u64> {
        let hash = hash(name);
        self.names.range((hash, 0)..=(hash, u32::MAX)).map(|(&(_, index), _)| u64::from(index)).collect()
    }

    /// The first block that can take an entry of this length.
    pub(crate) fn block_with_room(&self, length: usize) -> Option<u64> {
        self.room.iter().position(|&room| usize::from(room) >= length).map(|index| index as u64)
    }

    /// A block got a name.
    pub(crate) fn note_insertion(&mut self, block: &DirBlock, name: &[u8]) {
        *self.names.entry((hash(name), block.index as u32)).or_default() += 1;
        self.note_room(block);
    }

    /// A block lost a name.
    pub(crate) fn note_removal(&mut self, block: &DirBlock, name: &[u8]) {
        if let Entry::Occupied(mut count) = self.names.entry((hash(name), block.index as u32)) {
            match count.get() {
                2.. => *count.get_mut() -= 1,
                _ => drop(count.remove()),
            }
        }
        self.note_room(block);
    }

    fn note_room(&mut self, block: &DirBlock) {
        if let Some(room) = self.room.get_mut(block.index as usize) {
            *room = block.room() as u16;
        }
    }
}

/// FNV-1a.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
