//! Mounting, unmounting, and the frame in which every operation runs.
//!
//! A mount for writing takes the "clean" mark off the superblock and deletes old orphans; unmounting writes
//! everything and puts the mark back, if it was there and nothing broken was found. What is found broken is marked
//! in the superblock, and ends writing if the error policy says so.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::attributes::FileKind;
use crate::dir::Listings;
use crate::error::{Error, MountError};
use crate::features::{Incompatible, ReadOnlyCompatible};
use crate::geometry::{Geometry, Ino, read_superblock};
use crate::io::{BlockIo, Patience};
use crate::journal::{Contents, LogUse, Store};
use crate::locks::{Locks, Mutex, Shared};
use crate::node::{DirtyNodes, NodeTable};
use crate::space::{BlockFinder, NearGoal, Space};
use crate::superblock::{Protection, Superblock};
use crate::time::Context;
use crate::xattr::KnownBlocks;

/// What happens when something on the disk turns out to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// The operation fails, others go on.
    Continue,
    /// Nothing is changed any more (`errors=remount-ro`; also what `errors=panic` in a superblock is taken for: what
    /// a disk says does not stop the system).
    ReadOnly,
}

impl ErrorPolicy {
    fn from_superblock(errors: u16) -> Self {
        match errors {
            2 | 3 => Self::ReadOnly,
            _ => Self::Continue,
        }
    }
}

/// After how many operations the journal gets what they changed in inodes. Each changes a handful of blocks.
const OPERATIONS_UNCOUNTED: u32 = 32;

/// How to mount.
#[derive(Default)]
pub struct MountOptions {
    /// Change nothing on the disk, not even the superblock.
    pub read_only: bool,
    /// Refuse a file system without a journal.
    pub needs_journal: bool,
    /// Overrides the superblock's policy.
    pub errors: Option<ErrorPolicy>,
    /// Overrides [`NearGoal`].
    pub finder: Option<Box<dyn BlockFinder>>,
}

/// What `statfs` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// In bytes.
    pub block_size: u32,
    /// Blocks that can hold data.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free blocks less those reserved for root.
    pub available_blocks: u64,
    /// All inodes.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
    /// The volume's identity.
    pub uuid: [u8; 16],
    /// The volume's label, padded with zeros.
    pub label: [u8; 16],
}

/// A mounted file system.
pub struct FileSystem {
    pub(crate) io: Store,
    pub(crate) context: Box<dyn Context>,
    pub(crate) geometry: Geometry,
    pub(crate) space: Mutex<Space>,
    pub(crate) superblock: Mutex<Superblock>,
    pub(crate) nodes: Mutex<NodeTable>,
    pub(crate) dirty_nodes: Arc<DirtyNodes>,
    /// Of directories that are being read.
    pub(crate) listings: Mutex<Listings>,
    /// Held while a directory may move to another directory: the tree above any directory stands still.
    pub(crate) rename: Mutex<()>,
    /// Held while the user count of an attribute block changes.
    pub(crate) xattr: Mutex<KnownBlocks>,
    /// Held by the one sync under way.
    pub(crate) commit: Mutex<()>,
    /// Held with others by operations that change something, alone while the journal commits.
    pub(crate) operations: Shared,
    /// Operations since the nodes were written to the journal last.
    operations_done: AtomicU32,
    /// How many commits of the journal have begun, and how many of them are done.
    pub(crate) commits_begun: AtomicU64,
    pub(crate) commits_done: AtomicU64,
    /// The first broken thing found.
    fault: Mutex<Option<&'static str>>,
    policy: ErrorPolicy,
    /// Operations must not change anything.
    is_read_only: AtomicBool,
    /// Nothing is written, not even what was changed before.
    is_detached: AtomicBool,
    /// Makes the locks of nodes.
    pub(crate) locks: Box<dyn Locks>,
}

impl FileSystem {
    /// Mounts the file system on a disk. With features that allow only reading it is mounted read-only, which
    /// [`FileSystem::is_read_only`] tells.
    pub fn mount(
        io: impl BlockIo,
        locks: impl Locks,
        context: Box<dyn Context>,
        options: MountOptions,
    ) -> Result<Self, MountError> {
        Self::mount_on(Box::new(io), Box::new(locks), context, options)
    }

    fn mount_on(
        io: Box<dyn BlockIo>,
        locks_of_user: Box<dyn Locks>,
        context: Box<dyn Context>,
        options: MountOptions,
    ) -> Result<Self, MountError> {
        let locks = &*locks_of_user;
        let record = read_superblock(&*io)?;
        let mut geometry = Geometry::new(&record, io.size_bytes())?;
        if options.needs_journal && geometry.journal.is_none() {
            return Err(MountError::Unsupported("no journal"));
        }
        let io = Store::new(io, locks, geometry.block_bits);
        let descriptors = geometry.read_groups(&io)?;
        let finder = options.finder.unwrap_or_else(|| Box::new(NearGoal));
        let space = Space::new(&geometry, descriptors, finder)?;
        let policy = options.errors.unwrap_or(ErrorPolicy::from_superblock(record.errors.get()));
        let file_system = Self {
            io,
            context,
            geometry,
            space: Mutex::new(locks, "ext2 space", space),
            superblock: Mutex::new(locks, "ext2 superblock", Superblock::new(record)),
            nodes: Mutex::new(locks, "ext2 node table", NodeTable::new()),
            dirty_nodes: DirtyNodes::new(locks),
            listings: Mutex::new(locks, "ext2 listings", Listings::default()),
            rename: Mutex::new(locks, "ext2 rename", ()),
            xattr: Mutex::new(locks, "ext2 attribute blocks", KnownBlocks::new()),
            commit: Mutex::new(locks, "ext2 commit", ()),
            operations: Shared::new(locks, "ext2 operations"),
            operations_done: AtomicU32::new(0),
            commits_begun: AtomicU64::new(0),
            commits_done: AtomicU64::new(0),
            fault: Mutex::new(locks, "ext2 fault", None),
            policy,
            is_read_only: AtomicBool::new(true),
            is_detached: AtomicBool::new(true),
            locks: locks_of_user,
        };
        file_system.open_journal()?;
        if file_system.read_inode(Ino::ROOT)?.kind != FileKind::Directory {
            return Err(MountError::Corrupt("root is not a directory"));
        }
        if !options.read_only && file_system.has_only_known_features() {
            file_system.begin_writing()?;
        }
        Ok(file_system)
    }

    /// Whether all features are known that a writer must know.
    pub fn has_only_known_features(&self) -> bool {
        let superblock = self.superblock.lock();
        let features = ReadOnlyCompatible::from_bits_retain(superblock.record.read_only_compatible.get());
        self.geometry.revision == 0 || ReadOnlyCompatible::KNOWN.contains(features)
    }

    /// Whether there is a journal.
    pub fn has_journal(&self) -> bool {
        self.geometry.journal.is_some()
    }

    /// Opens the journal, and takes what it holds for what lies on the disk.
    fn open_journal(&self) -> Result<(), MountError> {
        let Some(ino) = self.geometry.journal else { return Ok(()) };
        let features = Incompatible::from_bits_retain(self.superblock.lock().record.incompatible.get());
        let use_of_log = if features.contains(Incompatible::RECOVER) { LogUse::Cut } else { LogUse::Ended };
        if self.io.open_log(self.whole_map(ino)?, use_of_log)? == Contents::Nothing {
            return Ok(());
        }
        let record = read_superblock(&self.io)?;
        let mut geometry = Geometry::new(&record, self.io.size_bytes())?;
        let descriptors = geometry.read_groups(&self.io)?;
        if geometry != self.geometry {
            return Err(MountError::Unsupported("journal holds another size of the file system"));
        }
        self.space.lock().set_descriptors(&geometry, descriptors)?;
        *self.superblock.lock() = Superblock::new(record);
        Ok(())
    }

    /// Whether the file system was unmounted properly before this mount. If not, `e2fsck` should see it.
    pub fn was_clean(&self) -> bool {
        self.superblock.lock().was_clean()
    }

    /// Whether changes are refused.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::Acquire)
    }

    /// The first broken thing found since the mount.
    pub fn fault(&self) -> Option<&'static str> {
        *self.fault.lock()
    }

    /// Remounts for writing.
    pub fn make_writable(&self) -> Result<(), Error> {
        if !self.is_read_only() {
            return Ok(());
        }
        if self.fault().is_some() || !self.has_only_known_features() {
            return Err(Error::ReadOnly);
        }
        self.begin_writing()
    }

    fn begin_writing(&self) -> Result<(), Error> {
        self.io.recover()?;
        let protection = if self.has_journal() { Protection::Journal } else { Protection::Check };
        self.superblock.lock().begin_use(self.context.now(), protection);
        self.is_detached.store(false, Ordering::Release);
        self.write_superblock()?;
        self.io.flush()?;
        self.io.run();
        // After a spell of reading only, the orphans on disk are those in memory, and in use.
        let has_orphans_in_use = !self.superblock.lock().orphans.is_empty();
        match if has_orphans_in_use { Ok(()) } else { self.delete_old_orphans() } {
            Err(Error::Corrupt(reason)) => {
                // The list is worth less than the file system: what it held is leaked until the next check.
                self.superblock.lock().set_last_orphan(0);
                self.note_fault(reason);
                if self.policy == ErrorPolicy::ReadOnly {
                    return Ok(());
                }
            }
            result => result?,
        }
        self.is_read_only.store(false, Ordering::Release);
        Ok(())
    }

    /// Unmounts: deletes the orphans, writes everything and marks the file system clean. No operation may be under
    /// way; later ones may read. If this fails, the file system stays as it is and needs a check.
    pub fn unmount(&self) -> Result<(), Error> {
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        if !self.is_read_only() {
            self.delete_all_orphans()?;
        }
        self.make_read_only()
    }

    /// Remounts read-only: writes everything and marks the file system clean. No changing operation may be under
    /// way. Orphans stay, and are deleted by the next mount.
    pub fn make_read_only(&self) -> Result<(), Error> {
        let _to_the_end = self.io.wait_for_memory(Patience::Always);
        self.is_read_only.store(true, Ordering::Release);
        if self.is_detached.load(Ordering::Acquire) {
            return Ok(());
        }
        self.sync()?;
        self.io.stop()?;
        self.superblock.lock().end_use();
        self.write_superblock()?;
        self.io.flush()?;
        self.is_detached.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether nothing may be written, not even what is in memory.
    pub(crate) fn is_detached(&self) -> bool {
        self.is_detached.load(Ordering::Acquire)
    }

    /// Sizes and free space.
    pub fn statistics(&self) -> Statistics {
        let counts = self.space.lock().counts();
        let superblock = self.superblock.lock();
        let free =
            u64::from(counts.blocks.saturating_sub(counts.promised)) + u64::from(counts.waiting_blocks);
        let overhead = self.geometry.overhead_blocks();
        Statistics {
            block_size: self.geometry.block_size() as u32,
            blocks: u64::from(self.geometry.blocks_count.saturating_sub(overhead)),
            free_blocks: free,
            available_blocks: free.saturating_sub(u64::from(self.geometry.reserved_blocks)),
            inodes: u64::from(self.geometry.inodes_count),
            free_inodes: u64::from(counts.inodes) + u64::from(counts.waiting_inodes),
            uuid: superblock.record.uuid,
            label: superblock.record.volume_name,
        }
    }

    /// Runs an operation that only reads. No lock is held around it.
    pub(crate) fn watch<T>(&self, operation: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let result = operation();
        if let Err(Error::Corrupt(reason)) = result {
            self.note_fault(reason);
        }
        result
    }

    /// Runs an operation that changes something. No lock is held around it. One that finds no space, and so left
    /// everything as it was, is tried again after a sync if that frees some.
    pub(crate) fn change<T>(&self, mut operation: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        self.relieve()?;
        self.watch(|| match self.undivided(&mut operation) {
            Err(Error::NoSpace) if self.space.lock().has_freed() => {
                self.sync()?;
                self.undivided(&mut operation)
            }
            result => result,
        })
    }

    /// Runs what the journal must hold as a whole, or not at all. It may find no memory as long as it has changed nothing.
    pub(crate) fn undivided<T>(&self, operation: impl FnOnce() -> T) -> T {
        let _no_commit = self.operations.share();
        let _goes_on = self.io.wait_for_memory(Patience::OnceChanged);
        operation()
    }

    /// Writes what waits in memory when that has become much.
    fn relieve(&self) -> Result<(), Error> {
        if self.space.lock().has_freed_too_much() || self.io.is_full() {
            self.sync()?;
        } else if self.has_too_many_nodes() {
            self.write_nodes()?;
        } else if self.io.is_running()
            && self.operations_done.fetch_add(1, Ordering::Relaxed).is_multiple_of(OPERATIONS_UNCOUNTED)
        {
            // So that the journal knows how large its transaction is.
            self.write_nodes()?;
        }
        Ok(())
    }

    pub(crate) fn note_fault(&self, reason: &'static str) {
        let is_first = {
            let mut fault = self.fault.lock();
            let is_first = fault.is_none();
            fault.get_or_insert(reason);
            is_first
        };
        if self.policy == ErrorPolicy::ReadOnly {
            self.is_read_only.store(true, Ordering::Release);
        }
        if !self.is_detached() {
            self.superblock.lock().mark_faulty();
            // The mark is a service to the next mount; that it cannot be written changes nothing for the caller.
            let _ = self.write_superblock();
        }
        if is_first {
            self.context.note_fault(reason, self.policy);
        }
    }

    /// Nothing is written any more.
    pub(crate) fn give_up(&self, reason: &'static str) {
        self.is_detached.store(true, Ordering::Release);
        self.is_read_only.store(true, Ordering::Release);
        self.note_fault(reason);
    }

    /// Notes in the superblock where the file system is mounted ("s_last_mounted"); `dumpe2fs` shows it.
    pub fn note_place(&self, path: &[u8]) {
        if !self.is_read_only() {
            self.superblock.lock().set_last_mounted(path);
        }
    }

    pub(crate) fn write_superblock(&self) -> Result<(), Error> {
        let counts = self.space.lock().counts();
        self.superblock.lock().write(&self.io, counts, self.context.now())
    }
}
