//! Orphans: inodes without a name, deleted when their last user is gone.
//!
//! The superblock holds the number of the first orphan, and each orphan's deletion time the number of the next, so
//! that after a crash the next mount (or `e2fsck`) can delete them. A list in memory mirrors the one on disk.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::error::Error;
use crate::geometry::Ino;
use crate::mount::FileSystem;
use crate::node::{Locked, Node};

impl FileSystem {
    /// Adds an inode, whose last name just went, at the head of the list.
    pub(crate) fn add_orphan(&self, locked: &mut Locked<'_>) {
        let mut superblock = self.superblock.lock();
        let next = superblock.orphans.last().map_or(0, |node| node.ino.0);
        locked.node.next_orphan.store(next, Ordering::Release);
        locked.node.mark_dirty();
        superblock.orphans.push(locked.node.clone());
        superblock.set_last_orphan(locked.ino().0);
    }

    /// Takes an inode out of the list, wherever it stands.
    pub(crate) fn remove_orphan(&self, node: &Arc<Node>) {
        let mut superblock = self.superblock.lock();
        let Some(position) = superblock.orphans.iter().rposition(|orphan| orphan.ino == node.ino) else {
            return;
        };
        superblock.orphans.remove(position);
        let next = position.checked_sub(1).map_or(0, |before| superblock.orphans[before].ino.0);
        match superblock.orphans.get(position) {
            Some(newer) => {
                newer.next_orphan.store(next, Ordering::Release);
                newer.mark_dirty();
            }
            None => superblock.set_last_orphan(next),
        }
    }

    /// Deletes the orphans that the last mount left behind. The list may be anything.
    pub(crate) fn delete_old_orphans(&self) -> Result<(), Error> {
        let mut number = self.superblock.lock().record.last_orphan.get();
        let mut seen = BTreeSet::new();
        while number != 0 {
            let ino = self.geometry.inode(number)?;
            if ino == Ino::ROOT || !seen.insert(ino) {
                return Err(Error::Corrupt("orphan list contains the root or itself"));
            }
            let inode = match self.load_inode(ino) {
                Err(Error::NotFound) => return Err(Error::Corrupt("orphan list contains a free inode")),
                inode => inode?,
            };
            number = inode.delete_time();
            if inode.links() > 0 {
                self.finish_truncation(ino)?;
            } else {
                let node = self.add_orphan_node(ino, inode);
                self.delete_node(&mut self.lock(&node))?;
                self.forget_node(node);
            }
            self.superblock.lock().set_last_orphan(number);
        }
        Ok(())
    }

    /// An orphan with names (other systems note a truncation so) loses what lies behind its end.
    fn finish_truncation(&self, ino: Ino) -> Result<(), Error> {
        let node = self.node(ino)?;
        let mut locked = self.lock(&node);
        if locked.inode.has_block_map(&self.geometry) {
            let keep = self.geometry.blocks_for(locked.inode.size());
            self.free_blocks_from(&mut locked, keep)?;
        }
        locked.inode_mut();
        Ok(())
    }

    /// Deletes all orphans; nobody can have them open any more.
    pub(crate) fn delete_all_orphans(&self) -> Result<(), Error> {
        loop {
            let Some(node) = self.superblock.lock().orphans.last().cloned() else { return Ok(()) };
            self.delete_node(&mut self.lock(&node))?;
            self.forget_node(node);
        }
    }
}
