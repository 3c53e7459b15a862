//! Names added to a directory by its index, which grows with it.
//!
//! A name goes to the leaf of its hash. A full leaf gives the half where the name belongs to a new one, which the
//! index then points to as well; a full node of the index is split likewise, and above a full root's table comes another level. A directory of
//! one block becomes one with an index when that is full.
//!
//! # Order
//! What moves is written to new blocks before the old ones lose it. With a journal all of it is one transaction.
//! Without, blocks that lose names are written late: after a flush of the new ones, and of the inode that has them
//! ([`Store::write_late`](crate::journal::Store::write_late)). A cut in between leaves names twice or an index that
//! does not know a leaf, never a name nowhere; `e2fsck` makes the index anew. And since a disk may have written only
//! some sectors of a block when the power fails, names that stay in a block then stay where they are in it.

use alloc::vec::Vec;

use super::block::{DirBlock, entry_length};
use super::descent::{Step, TreeError, Way};
use super::hash::{Algorithm, NameHashing};
use super::tree::TreeNode;
use crate::attributes::FileKind;
use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::Locked;

/// A name to be added.
#[derive(Clone, Copy)]
pub(super) struct NewName<'a> {
    pub(super) name: &'a [u8],
    pub(super) ino: Ino,
    pub(super) kind: FileKind,
}

/// An entry on its way to another block.
#[derive(Clone, Copy)]
struct Moving<'a> {
    hash: u32,
    is_new: bool,
    inode: u32,
    kind: Option<FileKind>,
    name: &'a [u8],
}

/// New blocks of a directory, to be used one after the other.
struct NewBlocks {
    blocks: Vec<(u64, u32)>,
}

impl NewBlocks {
    fn next(&mut self) -> (u64, u32) {
        self.blocks.pop().expect("as many were taken as are needed")
    }
}

impl FileSystem {
    /// Adds a name that is not there yet to a directory with an index.
    pub(super) fn insert_by_tree(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        new: NewName<'_>,
    ) -> Result<(), TreeError> {
        let mut way = self.open_tree(dir)?;
        let hash = hashing.hash(way.shape.algorithm, new.name).major;
        self.descend(dir, &mut way, hash)?;
        let mut leaf = self.dir_block(dir, way.leaf())?;
        if leaf.insert(new.name, new.ino, new.kind) {
            self.write_dir_block(&leaf)?;
            self.touch(dir);
            return Ok(());
        }
        self.split_leaf(dir, hashing, way, leaf, new)
    }

    /// Adds a name to a directory of one full block, which gets an index. False if it cannot have one.
    pub(super) fn insert_with_new_tree(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        algorithm: Algorithm,
        new: NewName<'_>,
    ) -> Result<bool, Error> {
        let old = self.dir_block(dir, 0)?;
        let copy = DirBlock::new(old.index, old.block, old.bytes().to_vec(), self.entry_format())?;
        let Some(mut root) = TreeNode::new_root(copy, algorithm, 1) else { return Ok(false) };
        let names = sorted(hashing, algorithm, old.used().skip(2).map(Moving::from), new);
        let mut blocks = self.grow_by(dir, 2)?;
        let (middle, boundary) = middle(&names, self.geometry.block_size());
        let lower = self.pack(blocks.next(), &names[..middle]);
        let upper = self.pack(blocks.next(), &names[middle..]);
        root.insert(1, boundary, upper.index);
        let written = self.write_dir_block(&lower).and_then(|()| self.write_dir_block(&upper));
        self.or_shrink(dir, 1, written)?;
        dir.inode_mut().set_index();
        self.touch(dir);
        self.write_loss(dir, root.block, root.bytes())?;
        Ok(true)
    }

    /// Splits a full leaf, and adds a name to the half where it belongs.
    fn split_leaf(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        mut way: Way,
        leaf: DirBlock,
        new: NewName<'_>,
    ) -> Result<(), TreeError> {
        let names = sorted(hashing, way.shape.algorithm, leaf.used().map(Moving::from), new);
        require_within(&way, &names)?;
        let can_move = self.io.is_running() || names.len() <= 2;
        if can_move && names.iter().map(Moving::length).sum::<usize>() <= self.geometry.block_size() {
            // There is room, in pieces.
            self.write_dir_block(&self.pack((leaf.index, leaf.block), &names))?;
            self.touch(dir);
            return Ok(());
        }
        let full = way.steps.iter().rev().take_while(|step| step.node.is_full()).count();
        if full == way.shape.levels && full >= self.geometry.tree_levels_max {
            return Err(Error::NoSpace.into());
        }
        let old_blocks = self.dir_blocks(dir);
        let mut blocks = self.grow_by(dir, 1 + full)?;
        let (middle, boundary) = middle(&names, self.geometry.block_size());
        let (lower, upper) = names.split_at(middle);
        let goes_low = lower.iter().any(|moving| moving.is_new);
        let (moved, kept) = if goes_low { (lower, upper) } else { (upper, lower) };
        let fresh = self.pack(blocks.next(), moved);
        let rest = self.reduce(&leaf, moved, kept)?;
        let (low, high) = if goes_low { (&fresh, &rest) } else { (&rest, &fresh) };
        let aside = self.make_room(&mut way, full, &mut blocks);
        let last = way.steps.last_mut().expect("the root is on every way");
        last.node.replace(last.at, low.index);
        last.node.insert(last.at + 1, boundary, high.index);
        let written = self
            .write_dir_block(&fresh)
            .and_then(|()| aside.iter().try_for_each(|node| self.write_tree_node(node)));
        self.or_shrink(dir, old_blocks, written)?;
        for step in way.steps.iter().rev().filter(|step| step.node.is_changed) {
            self.write_tree_node(&step.node)?;
        }
        self.touch(dir);
        Ok(self.write_loss(dir, rest.block, rest.bytes())?)
    }

    /// A block with names in order.
    fn pack(&self, place: (u64, u32), names: &[Moving<'_>]) -> DirBlock {
        let entries = names.iter().map(|moving| (moving.inode, moving.kind, moving.name));
        DirBlock::pack(place.0, place.1, self.geometry.block_size(), self.entry_format(), entries)
    }

    /// What a leaf becomes when names move away.
    fn reduce(&self, leaf: &DirBlock, moved: &[Moving<'_>], kept: &[Moving<'_>]) -> Result<DirBlock, Error> {
        if self.io.is_running() {
            return Ok(self.pack((leaf.index, leaf.block), kept));
        }
        let mut rest = DirBlock::new(leaf.index, leaf.block, leaf.bytes().to_vec(), self.entry_format())?;
        for moving in moved.iter().filter(|moving| !moving.is_new) {
            if let Some(offset) = rest.find(moving.name).map(|entry| entry.offset) {
                rest.remove(offset);
            }
        }
        Ok(rest)
    }

    /// Splits the `full` nodes at the end of a way, so that another place fits the last. Returns the nodes that are not
    /// on the way any more.
    fn make_room(&self, way: &mut Way, full: usize, blocks: &mut NewBlocks) -> Vec<TreeNode> {
        let size = self.geometry.block_size();
        let mut aside = Vec::new();
        let mut first = way.steps.len() - full;
        if first == 0 && full > 0 {
            let (index, block) = blocks.next();
            let mut below = TreeNode::empty(index, block, size);
            let root = &mut way.steps[0];
            root.node.add_level(&mut below);
            let at = core::mem::take(&mut root.at);
            way.steps.insert(1, Step { node: below, at });
            way.shape.levels += 1;
            // The table of the root is shorter than that of other nodes: there is room now.
            first = 2;
        }
        for level in first..way.steps.len() {
            let (index, block) = blocks.next();
            let mut upper = TreeNode::empty(index, block, size);
            let boundary = way.steps[level].node.split(&mut upper);
            let parent_at = way.steps[level - 1].at;
            way.steps[level - 1].node.insert(parent_at + 1, boundary, upper.index);
            let kept = way.steps[level].node.count();
            if way.steps[level].at >= kept {
                way.steps[level - 1].at += 1;
                way.steps[level].at -= kept;
                core::mem::swap(&mut way.steps[level].node, &mut upper);
            }
            aside.push(upper);
        }
        aside
    }

    /// Gives a directory more blocks, which are not yet written; all, or none.
    fn grow_by(&self, dir: &mut Locked<'_>, count: usize) -> Result<NewBlocks, Error> {
        let first = self.dir_blocks(dir);
        let mut blocks = Vec::with_capacity(count);
        for number in 0..count as u64 {
            match self.grow_directory(dir, first + number) {
                Ok(block) => blocks.push((first + number, block)),
                Err(error) => {
                    self.free_blocks_from(dir, first)?;
                    return Err(error);
                }
            }
        }
        dir.inode_mut().set_size((first + count as u64) << self.geometry.block_bits);
        blocks.reverse();
        Ok(NewBlocks { blocks })
    }

    /// Takes new blocks away again, if writing them failed.
    fn or_shrink(&self, dir: &mut Locked<'_>, blocks: u64, written: Result<(), Error>) -> Result<(), Error> {
        if written.is_err() {
            dir.inode_mut().set_size(blocks << self.geometry.block_bits);
            self.free_blocks_from(dir, blocks)?;
        }
        written
    }

    /// Writes a block that lost names, after what they moved to.
    fn write_loss(&self, dir: &mut Locked<'_>, block: u32, bytes: &[u8]) -> Result<(), Error> {
        if !self.io.is_running() {
            self.write_node(dir)?;
        }
        Ok(self.io.write_late(self.geometry.offset(block), bytes)?)
    }
}

impl<'a> From<super::block::Entry<'a>> for Moving<'a> {
    fn from(entry: super::block::Entry<'a>) -> Self {
        Self { hash: 0, is_new: false, inode: entry.inode, kind: entry.kind, name: entry.name }
    }
}

impl Moving<'_> {
    fn length(&self) -> usize {
        entry_length(self.name.len())
    }
}

/// Names and a new one, in the order of their hashes.
fn sorted<'a>(
    hashing: NameHashing,
    algorithm: Algorithm,
    names: impl Iterator<Item = Moving<'a>>,
    new: NewName<'a>,
) -> Vec<Moving<'a>> {
    let new = Moving { hash: 0, is_new: true, inode: new.ino.0, kind: Some(new.kind), name: new.name };
    let mut all: Vec<_> = names.chain([new]).collect();
    for moving in &mut all {
        moving.hash = hashing.hash(algorithm, moving.name).major;
    }
    all.sort_by_key(|moving| moving.hash);
    all
}

/// All names of a leaf, in order, are where the index looks for them.
fn require_within(way: &Way, names: &[Moving<'_>]) -> Result<(), TreeError> {
    let is_after_lower = names.first().is_none_or(|first| first.hash >= way.lower() & !1);
    let is_before_upper = match (names.last(), way.upper()) {
        // An odd hash is that of names on both sides.
        (Some(last), Some(upper)) => last.hash < upper,
        _ => true,
    };
    if is_after_lower && is_before_upper {
        Ok(())
    } else {
        Err(TreeError::Broken("index of a directory does not lead to all names"))
    }
}

/// Divides names that are in order as evenly as possible; returns how many come first, and the hash at which the others
/// begin, marked if the first end with it too.
fn middle(names: &[Moving<'_>], size: usize) -> (usize, u32) {
    let all: usize = names.iter().map(Moving::length).sum();
    let mut before = 0;
    let mut best = (usize::MAX, 1);
    for (index, pair) in names.windows(2).enumerate() {
        before += pair[0].length();
        let (larger, smaller) = (before.max(all - before), before.min(all - before));
        if larger > size {
            continue;
        }
        // Names of one hash are torn apart only where that is much more even.
        let penalty = if pair[0].hash == pair[1].hash { size / 4 } else { 0 };
        best = best.min((larger - smaller + penalty, index + 1));
    }
    let middle = best.1;
    let goes_on = names[middle - 1].hash == names[middle].hash;
    (middle, names[middle].hash | u32::from(goes_on))
}
