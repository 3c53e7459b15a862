//! One block of a directory's index: a table of hashes, and the blocks of the directory where each begins.
//!
//! The index is a tree. Its root is the directory's first block, where it hides in the room behind `..`; other
//! nodes hide in blocks that are a single entry without inode. A table's first place holds its own length instead of
//! a hash: what it points to begins where the node itself does. A hash with its lowest bit set marks a leaf that goes
//! on with names of the hash that the leaf before ends with.
//!
//! # Source
//! "Ext4 Disk Layout", "Hash Tree Directories".

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use super::block::{DirBlock, entry_length};
use super::hash::Algorithm;
use crate::layout::{TreeEntry, TreeHead, TreeRootInfo};

/// Where the root's information lies, behind `.` and `..`.
const INFO: usize = 12 + 12;
/// Where the tables of the root and of other nodes begin.
const ROOT_TABLE: usize = INFO + size_of::<TreeRootInfo>();
const NODE_TABLE: usize = 8;
/// The bits of a pointer that are a number; the others are kept for later use.
const BLOCK_MASK: u32 = 0x0fff_ffff;
const ENTRY: usize = size_of::<TreeEntry>();

/// Why an index cannot be used.
pub(crate) type Fault = &'static str;

/// A node of the index in memory.
pub(crate) struct TreeNode {
    /// Which block of the directory this is.
    pub(crate) index: u64,
    /// Where it lies on the disk.
    pub(crate) block: u32,
    pub(crate) is_changed: bool,
    bytes: Vec<u8>,
    /// Where the table begins.
    table: usize,
}

/// What the root says about the whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeShape {
    pub(crate) algorithm: Algorithm,
    /// How many nodes are on the way to each leaf, the root included.
    pub(crate) levels: usize,
}

impl TreeNode {
    /// The root, in the directory's first block.
    pub(crate) fn root(block: u32, bytes: Vec<u8>, levels_max: usize) -> Result<(Self, TreeShape), Fault> {
        let size = bytes.len();
        let length_at =
            |offset: usize| usize::from(u16::from_le_bytes([bytes[offset + 4], bytes[offset + 5]]));
        if length_at(0) != entry_length(1) || length_at(entry_length(1)) != size - entry_length(1) {
            return Err("index of a directory does not hide behind ..");
        }
        let Ok((info, _)) = TreeRootInfo::read_from_prefix(&bytes[INFO..]) else {
            return Err("index of a directory is cut off");
        };
        if info.reserved.get() != 0
            || usize::from(info.length) != size_of::<TreeRootInfo>()
            || info.flags & 1 != 0
        {
            return Err("index of a directory has an unknown format");
        }
        let algorithm =
            Algorithm::from_number(info.hash_version).ok_or("index of a directory has an unknown hash")?;
        let levels = usize::from(info.indirect_levels) + 1;
        if levels > levels_max {
            return Err("index of a directory has too many levels");
        }
        let this = Self { index: 0, block, is_changed: false, bytes, table: ROOT_TABLE };
        this.check()?;
        Ok((this, TreeShape { algorithm, levels }))
    }

    /// Any other node.
    pub(crate) fn node(index: u64, block: u32, bytes: Vec<u8>) -> Result<Self, Fault> {
        let is_hidden =
            bytes[..4] == [0; 4] && usize::from(u16::from_le_bytes([bytes[4], bytes[5]])) == bytes.len();
        let this = Self { index, block, is_changed: false, bytes, table: NODE_TABLE };
        if !is_hidden {
            return Err("index of a directory points to names where a node should be");
        }
        this.check()?;
        Ok(this)
    }

    /// A node that points nowhere yet.
    pub(crate) fn empty(index: u64, block: u32, size: usize) -> Self {
        let mut bytes = vec![0; size];
        bytes[4..6].copy_from_slice(&(size as u16).to_le_bytes());
        let mut this = Self { index, block, is_changed: true, bytes, table: NODE_TABLE };
        this.set_head(0);
        this
    }

    /// Makes the first block of a directory, whose names have moved, the root of an index with one leaf. `None` if it
    /// does not begin with `.` and `..`.
    pub(crate) fn new_root(mut block: DirBlock, algorithm: Algorithm, leaf: u64) -> Option<Self> {
        block.keep_only_dots()?;
        let (number, mut bytes) = (block.block, block.into_bytes());
        let info = TreeRootInfo {
            reserved: 0.into(),
            hash_version: algorithm as u8,
            length: size_of::<TreeRootInfo>() as u8,
            indirect_levels: 0,
            flags: 0,
        };
        // What lay behind stays: only the first sector changes, in one piece.
        bytes[INFO..ROOT_TABLE].copy_from_slice(info.as_bytes());
        let mut this = Self { index: 0, block: number, is_changed: true, bytes, table: ROOT_TABLE };
        this.set_entry(0, 0, leaf);
        this.set_head(1);
        Some(this)
    }

    fn check(&self) -> Result<(), Fault> {
        if usize::from(self.head().limit.get()) != self.limit() {
            return Err("index of a directory has a node of another size");
        }
        if self.count() == 0 || self.count() > self.limit() {
            return Err("index of a directory has a node of an impossible length");
        }
        if !(2..self.count()).all(|at| self.hash(at - 1) <= self.hash(at)) {
            return Err("index of a directory is not in order");
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn head(&self) -> TreeHead {
        TreeHead::read_from_prefix(&self.bytes[self.table..]).expect("a table lies within its block").0
    }

    fn set_head(&mut self, count: usize) {
        let head = TreeHead { limit: (self.limit() as u16).into(), count: (count as u16).into() };
        self.bytes[self.table..][..size_of::<TreeHead>()].copy_from_slice(head.as_bytes());
        self.is_changed = true;
    }

    /// How many places the table has.
    fn limit(&self) -> usize {
        (self.bytes.len() - self.table) / ENTRY
    }

    /// How many of them are in use.
    pub(crate) fn count(&self) -> usize {
        self.head().count.get().into()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.limit()
    }

    fn entry(&self, at: usize) -> TreeEntry {
        TreeEntry::read_from_prefix(&self.bytes[self.table + at * ENTRY..])
            .expect("a place lies within its table")
            .0
    }

    /// Where what a place points to begins; not for the first.
    pub(crate) fn hash(&self, at: usize) -> u32 {
        self.entry(at).hash.get()
    }

    /// The block of the directory that a place points to, unchecked.
    pub(crate) fn child(&self, at: usize) -> u64 {
        u64::from(self.entry(at).block.get() & BLOCK_MASK)
    }

    fn set_entry(&mut self, at: usize, hash: u32, child: u64) {
        let entry = TreeEntry { hash: hash.into(), block: (child as u32).into() };
        self.bytes[self.table + at * ENTRY..][..ENTRY].copy_from_slice(entry.as_bytes());
    }

    /// The place that leads to a hash: to the first leaf, where several have it.
    pub(crate) fn search(&self, hash: u32) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low + 1 < high {
            let middle = (low + high) / 2;
            if self.hash(middle) <= hash { low = middle } else { high = middle }
        }
        low
    }

    /// Lets a place point to another block.
    pub(crate) fn replace(&mut self, at: usize, child: u64) {
        if self.child(at) != child {
            let offset = self.table + at * ENTRY + size_of::<TreeHead>();
            self.bytes[offset..offset + 4].copy_from_slice(&(child as u32).to_le_bytes());
            self.is_changed = true;
        }
    }

    /// Adds a place; the node is not full.
    pub(crate) fn insert(&mut self, at: usize, hash: u32, child: u64) {
        let count = self.count();
        let (from, end) = (self.table + at * ENTRY, self.table + count * ENTRY);
        self.bytes.copy_within(from..end, from + ENTRY);
        self.set_entry(at, hash, child);
        self.set_head(count + 1);
    }

    /// Gives the upper half to an empty node; returns where that begins.
    pub(crate) fn split(&mut self, upper: &mut Self) -> u32 {
        let (count, keep) = (self.count(), self.count() / 2);
        let boundary = self.hash(keep);
        self.hand_over(keep, upper);
        debug_assert_eq!(upper.count(), count - keep);
        self.set_head(keep);
        boundary
    }

    /// Puts an empty node between the root and what it points to.
    pub(crate) fn add_level(&mut self, below: &mut Self) {
        self.hand_over(0, below);
        self.set_entry(0, 0, below.index);
        self.set_head(1);
        // `indirect_levels`.
        self.bytes[INFO + 6] += 1;
    }

    fn hand_over(&self, from: usize, to: &mut Self) {
        let moved = &self.bytes[self.table + from * ENTRY..self.table + self.count() * ENTRY];
        to.bytes[to.table..][..moved.len()].copy_from_slice(moved);
        to.set_head(self.count() - from);
    }
}
