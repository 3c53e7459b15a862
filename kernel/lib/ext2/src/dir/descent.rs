//! The way through a directory's index, from the root to a leaf.
//!
//! What the index says is checked on the way: a directory with a broken one is searched block by block, as one
//! without. Whether the names of a leaf belong there is found out when it is split.

use alloc::vec;
use alloc::vec::Vec;

use super::Found;
use super::block::DirBlock;
use super::hash::NameHashing;
use super::tree::{Fault, TreeNode, TreeShape};
use crate::block_map::Mapping;
use crate::error::Error;
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::node::Locked;

/// Why something could not be done by the index.
pub(super) enum TreeError {
    /// The index is broken.
    Broken(Fault),
    /// Something else is wrong, without the index too.
    Other(Error),
}

impl From<Error> for TreeError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A node on a way, and the place by which the way goes on.
pub(super) struct Step {
    pub(super) node: TreeNode,
    pub(super) at: usize,
}

/// A way from the root, which comes first, to a leaf.
pub(super) struct Way {
    pub(super) shape: TreeShape,
    pub(super) steps: Vec<Step>,
}

impl Way {
    fn last(&self) -> &Step {
        self.steps.last().expect("the root is on every way")
    }

    /// The leaf, as a block of the directory.
    pub(super) fn leaf(&self) -> u64 {
        let step = self.last();
        step.node.child(step.at)
    }

    /// The hash at which the leaf begins.
    pub(super) fn lower(&self) -> u32 {
        self.steps.iter().rev().find(|step| step.at > 0).map_or(0, |step| step.node.hash(step.at))
    }

    /// The hash at which the next leaf begins; none for the last.
    pub(super) fn upper(&self) -> Option<u32> {
        let step = self.steps.iter().rev().find(|step| step.at + 1 < step.node.count())?;
        Some(step.node.hash(step.at + 1))
    }
}

impl FileSystem {
    /// How names are ordered, if this directory has an index that can be used.
    pub(super) fn tree_hashing(&self, dir: &Locked<'_>) -> Option<NameHashing> {
        self.geometry.name_hashing.filter(|_| dir.inode.has_index() && !dir.has_broken_tree)
    }

    /// What was done by the index; `None` if it is broken, which is reported, and not relied on again.
    pub(super) fn by_tree<T>(
        &self,
        dir: &mut Locked<'_>,
        result: Result<T, TreeError>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(TreeError::Other(error)) => Err(error),
            Err(TreeError::Broken(fault)) => {
                dir.has_broken_tree = true;
                self.note_fault(fault);
                Ok(None)
            }
        }
    }

    /// Reads the root.
    pub(super) fn open_tree(&self, dir: &mut Locked<'_>) -> Result<Way, TreeError> {
        let (block, bytes) = self.tree_block(dir, 0)?;
        let (node, shape) =
            TreeNode::root(block, bytes, self.geometry.tree_levels_max).map_err(TreeError::Broken)?;
        Ok(Way { shape, steps: vec![Step { node, at: 0 }] })
    }

    /// Goes from the root to the leaf for a hash; to the first, where it has several.
    pub(super) fn descend(&self, dir: &mut Locked<'_>, way: &mut Way, hash: u32) -> Result<(), TreeError> {
        way.steps.truncate(1);
        way.steps[0].at = way.steps[0].node.search(hash);
        while way.steps.len() < way.shape.levels {
            let mut step = self.step_down(dir, way)?;
            step.at = step.node.search(hash);
            way.steps.push(step);
        }
        self.require_leaf(dir, way)
    }

    /// Goes on to the next leaf; the way is not at the last.
    pub(super) fn advance(&self, dir: &mut Locked<'_>, way: &mut Way) -> Result<(), TreeError> {
        while let Some(step) = way.steps.last_mut() {
            step.at += 1;
            if step.at < step.node.count() {
                break;
            }
            way.steps.pop();
        }
        if way.steps.is_empty() {
            return Err(TreeError::Broken("index of a directory ends too early"));
        }
        while way.steps.len() < way.shape.levels {
            let step = self.step_down(dir, way)?;
            way.steps.push(step);
        }
        self.require_leaf(dir, way)
    }

    /// Reads the node that a way comes to next. What it says must lie between what its neighbours say.
    fn step_down(&self, dir: &mut Locked<'_>, way: &Way) -> Result<Step, TreeError> {
        let index = self.require_inside(dir, way.leaf())?;
        let (block, bytes) = self.tree_block(dir, index)?;
        let node = TreeNode::node(index, block, bytes).map_err(TreeError::Broken)?;
        if node.count() > 1 {
            let is_in_order = way.lower() <= node.hash(1)
                && way.upper().is_none_or(|upper| node.hash(node.count() - 1) <= upper);
            if !is_in_order {
                return Err(TreeError::Broken("index of a directory is not in order"));
            }
        }
        Ok(Step { node, at: 0 })
    }

    fn require_leaf(&self, dir: &Locked<'_>, way: &Way) -> Result<(), TreeError> {
        self.require_inside(dir, way.leaf()).map(|_| ())
    }

    /// A block that the index points to is one of the directory, and not the root.
    fn require_inside(&self, dir: &Locked<'_>, index: u64) -> Result<u64, TreeError> {
        if (1..self.dir_blocks(dir)).contains(&index) {
            Ok(index)
        } else {
            Err(TreeError::Broken("index of a directory points out of it"))
        }
    }

    fn tree_block(&self, dir: &mut Locked<'_>, index: u64) -> Result<(u32, Vec<u8>), TreeError> {
        let run = match self.map(dir, index, 1) {
            Ok(Mapping::Data(run)) => run,
            Ok(Mapping::Hole(_)) => return Err(TreeError::Broken("index of a directory has a hole")),
            Err(Error::Corrupt(fault)) => return Err(TreeError::Broken(fault)),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; self.geometry.block_size()];
        self.io.read(self.geometry.offset(run.start), &mut bytes).map_err(Error::from)?;
        Ok((run.start, bytes))
    }

    /// Looks for a name by the index.
    pub(super) fn find_by_tree(
        &self,
        dir: &mut Locked<'_>,
        hashing: NameHashing,
        name: &[u8],
    ) -> Result<Option<Found>, TreeError> {
        let mut way = self.open_tree(dir)?;
        if name == b"." || name == b".." {
            return Ok(self.find_in(self.dir_block(dir, 0)?, name)?);
        }
        let hash = hashing.hash(way.shape.algorithm, name).major;
        self.descend(dir, &mut way, hash)?;
        // A broken index may come by the same leaves again and again.
        for _ in 0..self.dir_blocks(dir) {
            let found = self.find_in(self.dir_block(dir, way.leaf())?, name)?;
            if found.is_some() || way.upper() != Some(hash | 1) {
                return Ok(found);
            }
            self.advance(dir, &mut way)?;
        }
        Err(TreeError::Broken("index of a directory has more leaves than it has blocks"))
    }

    /// Looks for a name in one block.
    pub(super) fn find_in(&self, block: DirBlock, name: &[u8]) -> Result<Option<Found>, Error> {
        let Some(entry) = block.find(name) else { return Ok(None) };
        let (offset, ino) = (entry.offset, self.entry_ino(entry.inode)?);
        Ok(Some(Found { block, offset, ino }))
    }
}
