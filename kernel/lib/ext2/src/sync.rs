//! Writing what is in memory, in an order that keeps the disk repairable.

use core::sync::atomic::Ordering;

use crate::attributes::FileKind;
use crate::error::Error;
use crate::geometry::Ino;
use crate::io::{BlockIo, Patience};
use crate::journal::InPlace;
use crate::mount::FileSystem;
use crate::node::Locked;
use crate::space::InodeUse;

impl FileSystem {
    /// Puts everything on stable storage, and makes freed blocks and inodes available again.
    ///
    /// First the inodes, which no longer point to what was freed; after a flush the bitmaps, in which it is free.
    pub fn sync(&self) -> Result<(), Error> {
        if self.is_detached() {
            return Ok(());
        }
        let _one_at_a_time = self.commit.lock();
        if self.io.is_running() {
            return self.commit_journal(InPlace::Now);
        }
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        let has_freed = self.space.lock().begin_commit();
        self.write_nodes()?;
        if has_freed {
            self.write_superblock()?;
            self.io.flush()?;
        }
        {
            let mut space = self.space.lock();
            if has_freed {
                space.finish_commit(&self.io, &self.geometry)?;
            }
            space.write(&self.io, &self.geometry)?;
        }
        self.write_superblock()?;
        self.io.flush()?;
        Ok(())
    }

    /// Has the journal make everything last that was changed. What was freed is free in the same transaction, and
    /// can be used again after it: no operation is under way meanwhile. The lock `commit` is held. What is begun cannot be
    /// taken back, and giving it up would cost the whole file system: without memory it waits.
    fn commit_journal(&self, in_place: InPlace) -> Result<(), Error> {
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        let _alone = self.operations.exclude();
        let number = self.commits_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let result = self.fill_journal().and_then(|has_freed| Ok(self.io.commit(has_freed, in_place)?));
        if result.is_ok() {
            self.commits_done.store(number, Ordering::Release);
        } else {
            // What is in memory and what is on the disk do not belong together any more.
            self.give_up("journal cannot be written");
        }
        result
    }

    /// Tells whether something was freed.
    fn fill_journal(&self) -> Result<bool, Error> {
        let has_freed = self.space.lock().begin_commit();
        self.write_nodes()?;
        {
            let mut space = self.space.lock();
            if has_freed {
                space.finish_commit(&self.io, &self.geometry)?;
            }
            space.write(&self.io, &self.geometry)?;
        }
        self.write_superblock()?;
        Ok(has_freed)
    }

    /// Puts an inode and its data on stable storage (`fsync`, `fdatasync`). All others that changed go along, since
    /// the directories that lead to this one may be among them. The bitmaps need not: `e2fsck` can rebuild them.
    pub fn sync_inode(&self, _ino: Ino) -> Result<(), Error> {
        if self.is_detached() {
            return Ok(());
        }
        if self.io.is_running() {
            let begun = self.commits_begun.load(Ordering::Acquire);
            let _one_at_a_time = self.commit.lock();
            // A commit that began since has taken everything along.
            if self.commits_done.load(Ordering::Acquire) > begun {
                return Ok(());
            }
            return self.commit_journal(InPlace::Later);
        }
        self.write_nodes()?;
        // A feature that an inode needs may be new.
        self.write_superblock()?;
        Ok(self.io.flush()?)
    }

    /// Nobody outside uses the inode any more: an inode without names is deleted, with all it holds; otherwise
    /// only memory is given back. To be called once after [`FileSystem::unlink`] and the like said that the last
    /// name went, as soon as the inode is not open; and whenever the caller drops an inode from its own cache.
    pub fn drop_inode(&self, ino: Ino) -> Result<(), Error> {
        self.space.lock().release_window(ino);
        let Some(node) = self.cached_node(ino) else { return Ok(()) };
        let is_nameless = self.lock(&node).inode.links() == 0;
        let result = if is_nameless && !self.is_read_only() {
            self.watch(|| {
                self.undivided(|| {
                    let mut locked = self.lock(&node);
                    // A link may have given it a name again.
                    if locked.inode.links() == 0 { self.delete_node(&mut locked) } else { Ok(()) }
                })
            })
        } else {
            Ok(())
        };
        self.forget_node(node);
        result
    }

    /// Deletes an inode without names: its blocks, its attributes, and its number. What cannot be freed because it
    /// is broken is left, and reported after the rest is done.
    pub(crate) fn delete_node(&self, locked: &mut Locked<'_>) -> Result<(), Error> {
        // Nobody would do it later.
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        let blocks = if locked.inode.has_block_map(&self.geometry) {
            self.free_blocks_from(locked, 0)
        } else {
            Ok(())
        };
        let attributes = self.release_xattr_block(locked);
        let used_for = match locked.inode.kind() {
            FileKind::Directory => InodeUse::Directory,
            _ => InodeUse::Other,
        };
        let inode = locked.inode_mut();
        inode.set_size(0);
        inode.set_sectors(0);
        let now = self.context.now().to_seconds_32().max(1);
        self.remove_orphan(locked.node);
        locked.node.next_orphan.store(now, Ordering::Release);
        self.write_node(locked)?;
        self.discard_node(locked);
        let freed = self.space.lock().free_inode(&self.io, &self.geometry, locked.ino(), used_for);
        blocks.and(attributes).and(freed)
    }
}
