//! The superblock's changing part: the mount state, and the head of the orphan list.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::dir::{FLAG_SIGNED_HASH, FLAG_UNSIGNED_HASH};
use crate::error::Error;
use crate::features::{Compatible, Incompatible, ReadOnlyCompatible};
use crate::io::BlockIo;
use crate::layout::{STATE_CLEAN, STATE_FAULTY, SUPERBLOCK_OFFSET, SuperblockRecord};
use crate::node::Node;
use crate::space::Counts;
use crate::time::Timestamp;

/// What the `superblock` lock protects.
pub(crate) struct Superblock {
    pub(crate) record: Box<SuperblockRecord>,
    /// Inodes without a name that someone may have open, the head of the list on disk last.
    pub(crate) orphans: Vec<Arc<Node>>,
    /// Whether the file system was clean before this use.
    was_clean: bool,
    is_dirty: bool,
}

/// What helps after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// `e2fsck`.
    Check,
    /// The journal.
    Journal,
}

impl Superblock {
    pub(crate) fn new(record: Box<SuperblockRecord>) -> Self {
        let was_clean = record.state.get() & (STATE_CLEAN | STATE_FAULTY) == STATE_CLEAN;
        Self { record, orphans: Vec::new(), was_clean, is_dirty: false }
    }

    /// Whether the last user unmounted properly and found nothing broken.
    pub(crate) fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Notes that the file system is in use: if that does not end with [`Self::end_use`], it must be checked, or its
    /// journal recovered.
    pub(crate) fn begin_use(&mut self, now: Timestamp, protection: Protection) {
        let state = self.record.state.get();
        self.was_clean = state & (STATE_CLEAN | STATE_FAULTY) == STATE_CLEAN;
        match protection {
            Protection::Check => self.record.state.set(state & !STATE_CLEAN),
            Protection::Journal => {
                let features = self.record.incompatible.get();
                self.record.incompatible.set(features | Incompatible::RECOVER.bits());
            }
        }
        // So that other machines hash names as this one does.
        if self.record.flags.get() & (FLAG_SIGNED_HASH | FLAG_UNSIGNED_HASH) == 0 {
            self.record.flags.set(self.record.flags.get() | FLAG_SIGNED_HASH);
        }
        self.record.mount_count.set(self.record.mount_count.get().saturating_add(1));
        self.record.mount_time.set(now.to_seconds_32());
        self.is_dirty = true;
    }

    /// Notes that everything is on disk: it is as clean as it was before, if nothing broken was found.
    pub(crate) fn end_use(&mut self) {
        let features = self.record.incompatible.get();
        if features & Incompatible::RECOVER.bits() != 0 {
            self.record.incompatible.set(features & !Incompatible::RECOVER.bits());
            self.is_dirty = true;
        }
        if self.was_clean && self.record.state.get() & STATE_FAULTY == 0 {
            self.record.state.set(self.record.state.get() | STATE_CLEAN);
            self.is_dirty = true;
        }
    }

    /// Notes where the file system is mounted; the field ends in a zero.
    pub(crate) fn set_last_mounted(&mut self, path: &[u8]) {
        let field = &mut self.record.last_mounted;
        field.fill(0);
        let length = path.len().min(field.len() - 1);
        field[..length].copy_from_slice(&path[..length]);
        self.is_dirty = true;
    }

    /// Notes that something on the disk is broken.
    pub(crate) fn mark_faulty(&mut self) {
        let state = self.record.state.get();
        self.record.state.set(state & !STATE_CLEAN | STATE_FAULTY);
        self.is_dirty |= state != self.record.state.get();
    }

    /// Notes that a file is larger than 2 GiB.
    pub(crate) fn mark_large_file(&mut self) {
        let flag = ReadOnlyCompatible::LARGE_FILE.bits();
        let features = self.record.read_only_compatible.get();
        if features & flag == 0 {
            self.record.read_only_compatible.set(features | flag);
            self.is_dirty = true;
        }
    }

    /// Notes that an inode has attributes.
    pub(crate) fn mark_attributes(&mut self) {
        let flag = Compatible::ATTRIBUTES.bits();
        let features = self.record.compatible.get();
        if features & flag == 0 {
            self.record.compatible.set(features | flag);
            self.is_dirty = true;
        }
    }

    /// Whether inodes may have attributes: revision 0 has no features.
    pub(crate) fn can_have_attributes(&self) -> bool {
        self.record.revision.get() > 0
    }

    /// Notes that the orphan list has another head.
    pub(crate) fn set_last_orphan(&mut self, number: u32) {
        self.record.last_orphan.set(number);
        self.is_dirty = true;
    }

    /// Writes the superblock if it changed.
    pub(crate) fn write(&mut self, io: &dyn BlockIo, counts: Counts, now: Timestamp) -> Result<(), Error> {
        let (blocks, inodes) = (self.record.free_blocks_count.get(), self.record.free_inodes_count.get());
        if !self.is_dirty && (blocks, inodes) == (counts.blocks, counts.inodes) {
            return Ok(());
        }
        self.record.free_blocks_count.set(counts.blocks);
        self.record.free_inodes_count.set(counts.inodes);
        self.record.write_time.set(now.to_seconds_32());
        io.write(SUPERBLOCK_OFFSET, self.record.as_bytes())?;
        self.is_dirty = false;
        Ok(())
    }
}
