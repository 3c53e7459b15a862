//! What was freed, but may not be used again yet.
//!
//! Between the moment when a block is freed in memory and the moment when the disk knows, an inode on the disk
//! still points to it. Were it given away at once and the power failed, `e2fsck` would take the new owner's data
//! for the old owner's, or worse, for its indirect block, and "repair" it. So a freed block or inode stays in use
//! in its bitmap until a sync has written everything that was changed with it.

use alloc::collections::BTreeMap;

use crate::geometry::Run;

/// Blocks and inodes that wait for the next sync.
#[derive(Default)]
pub(super) struct Freed {
    /// Start and length of runs that neither overlap nor touch.
    runs: BTreeMap<u32, u32>,
    /// Numbers of inodes, and whether they were directories.
    inodes: BTreeMap<u32, InodeUse>,
    blocks: u32,
}

/// What an inode was used for, as far as the group descriptor counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InodeUse {
    Directory,
    Other,
}

impl Freed {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.inodes.is_empty()
    }

    /// How many blocks wait.
    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// How many inodes wait.
    pub(super) fn inodes(&self) -> u32 {
        self.inodes.len() as u32
    }

    /// How much memory this takes, in entries.
    pub(super) fn entries(&self) -> usize {
        self.runs.len() + self.inodes.len()
    }

    /// Whether any block of a run waits already.
    pub(super) fn overlaps(&self, run: Run) -> bool {
        self.runs.range(..run.end()).next_back().is_some_and(|(&start, &length)| start + length > run.start)
    }

    /// Adds a run that does not overlap.
    pub(super) fn add_run(&mut self, run: Run) {
        self.blocks += run.length;
        let (mut start, mut length) = (run.start, run.length);
        if let Some((&before, &before_length)) = self.runs.range(..start).next_back()
            && before + before_length == start
        {
            start = before;
            length += before_length;
        }
        if let Some(after_length) = self.runs.remove(&run.end()) {
            length += after_length;
        }
        self.runs.insert(start, length);
    }

    /// Adds an inode; false if it waits already.
    #[must_use]
    pub(super) fn add_inode(&mut self, number: u32, used_for: InodeUse) -> bool {
        self.inodes.insert(number, used_for).is_none()
    }

    /// Whether an inode waits.
    pub(super) fn has_inode(&self, number: u32) -> bool {
        self.inodes.contains_key(&number)
    }

    pub(super) fn into_parts(self) -> (impl Iterator<Item = Run>, impl Iterator<Item = (u32, InodeUse)>) {
        (self.runs.into_iter().map(|(start, length)| Run { start, length }), self.inodes.into_iter())
    }

    /// Takes up what another set holds; the two do not overlap.
    pub(super) fn absorb(&mut self, other: Self) {
        let (runs, inodes) = other.into_parts();
        runs.for_each(|run| self.add_run(run));
        self.inodes.extend(inodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_merge_and_overlaps_show() {
        let mut freed = Freed::default();
        for (start, length) in [(10, 5), (20, 5), (15, 5)] {
            let run = Run { start, length };
            assert!(!freed.overlaps(run));
            freed.add_run(run);
        }
        assert_eq!(freed.entries(), 1);
        assert_eq!(freed.blocks(), 15);
        for (start, length) in [(10, 1), (24, 1), (5, 6), (0, 100), (17, 2)] {
            assert!(freed.overlaps(Run { start, length }));
        }
        for (start, length) in [(9, 1), (25, 1), (0, 10)] {
            assert!(!freed.overlaps(Run { start, length }));
        }
    }
}
