//! The journal: changes of structures reach their places on the disk only after the log holds them as a whole.
//!
//! `Store` stands between the file system and the disk. While the journal runs, what the file system writes stays
//! here, block by block: the running transaction. `Store::commit` makes it last:
//!
//! 1. descriptor blocks and copies go to the log, behind those of the last transaction; then a flush. Contents of
//!    files, which go straight to the disk, are safe with it (so a file never shows what was on its blocks before),
//!    and so is what the last transaction wrote in place.
//! 2. the commit block goes to the log; then a flush. Now the transaction is there, whole.
//! 3. the blocks are kept in memory, to be written in place later: at once if nobody waits for the commit, else when
//!    the log is to begin anew.
//!
//! The log *begins anew* with a transaction that frees blocks, and when it is half full: what older ones hold is written
//! in place before the flush of step 1, and with the commit block the log's superblock is told that it begins with this
//! transaction. So it never holds a copy of a block that has been freed and used again since: a freed block waits for the
//! end of a commit (`space/freed.rs`), and from then on the log begins behind its last copy. Therefore no revocations are
//! written; those of other writers are honoured.
//!
//! # Source
//! "Ext4 Disk Layout", "Journal (jbd2)", of which this writes the plain form that ext3 knows: `e2fsck` and Linux
//! recover it. Checksums and 64-bit block numbers are not implemented.

mod commit;
mod layout;
mod log;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::MountError;
use crate::geometry::Run;
use crate::io::{BlockIo, IoError, Patience};
use crate::locks::{Locks, Mutex};
use log::{Blocks, Log};

/// So many blocks may be written late before a sync is due.
const LATE_BLOCKS: usize = 256;
/// A running transaction of more than the log's length divided by this is committed.
const FULL: usize = 4;

/// A disk, and the journal in front of it.
pub(crate) struct Store {
    device: Box<dyn BlockIo>,
    block_bits: u32,
    /// Whether writes are kept back. Without, everything goes to the disk at once.
    is_running: AtomicBool,
    /// Whether there may be blocks here that are newer than the disk's.
    has_blocks: AtomicBool,
    /// How many blocks the running transaction has, and how many are many.
    running_blocks: AtomicUsize,
    many_blocks: AtomicUsize,
    state: Mutex<State>,
    /// Held by the one commit under way.
    log: Mutex<Option<Log>>,
}

/// Whether a log has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogUse {
    /// Its last user did not come to an end.
    Cut,
    /// Everything in it is in place.
    Ended,
}

/// What a log held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Nothing,
    Blocks,
}

/// When the blocks of a transaction are written in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InPlace {
    /// Right after the commit, with those of earlier ones.
    Now,
    /// When the log begins anew: the caller waits for the commit only.
    Later,
}

/// What the lock of a store protects.
#[derive(Default)]
struct State {
    /// The running transaction, and before that what the log held at the mount. Without a journal, what is to be written
    /// late.
    running: Blocks,
    /// The transaction that is being committed, or what is about to be written late.
    committing: Arc<Blocks>,
    /// What older transactions hold that is not in place.
    committed: Blocks,
    /// Bytes that mean nothing any more once the running transaction is there: offset and length.
    forgotten: Vec<(u64, u64)>,
    /// Where in the log the next transaction begins.
    head: u32,
    /// The number of the running transaction.
    sequence: u32,
    /// How many blocks the log must keep, before `head`: those of all transactions since it began anew.
    kept: u32,
}

impl State {
    /// A block as it was last written, if that is not on the disk yet.
    fn newest(&self, block: u32) -> Option<&[u8]> {
        let found = self.running.get(&block).or_else(|| self.committing.get(&block));
        found.or_else(|| self.committed.get(&block)).map(|bytes| &**bytes)
    }
}

/// See [`Store::wait_for_memory`].
pub(crate) struct Waiting<'a> {
    device: &'a dyn BlockIo,
    before: Patience,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.device.set_patience(self.before);
    }
}

impl Store {
    /// A disk without a journal.
    pub(crate) fn new(device: Box<dyn BlockIo>, locks: &dyn Locks, block_bits: u32) -> Self {
        Self {
            device,
            block_bits,
            is_running: AtomicBool::new(false),
            has_blocks: AtomicBool::new(false),
            running_blocks: AtomicUsize::new(0),
            many_blocks: AtomicUsize::new(LATE_BLOCKS),
            state: Mutex::new(locks, "ext2 journal", State::default()),
            log: Mutex::new(locks, "ext2 log", None),
        }
    }

    /// Opens the log that lies in `runs`. Of one that is in use, what a cut left in it is read from here on as if
    /// it were in place; the disk stays as it is until [`Self::recover`].
    pub(crate) fn open_log(&self, runs: Vec<Run>, use_of_log: LogUse) -> Result<Contents, MountError> {
        let mut log = Log::open(&*self.device, self.block_bits, runs)?;
        if use_of_log == LogUse::Ended {
            log.superblock.start.set(0);
        }
        let recovered = log.recover(&*self.device)?;
        let blocks = self.device.size_bytes() >> self.block_bits;
        if recovered.blocks.last_key_value().is_some_and(|(&block, _)| u64::from(block) >= blocks) {
            return Err(MountError::Corrupt("journal has a block outside the disk"));
        }
        let contents = if recovered.blocks.is_empty() { Contents::Nothing } else { Contents::Blocks };
        let mut state = self.state.lock();
        self.has_blocks.store(contents == Contents::Blocks, Ordering::Release);
        state.running = recovered.blocks;
        state.sequence = recovered.next_sequence;
        state.head = log.first;
        drop(state);
        *self.log.lock() = Some(log);
        Ok(contents)
    }

    /// Puts in place what the log held, and empties it.
    pub(crate) fn recover(&self) -> Result<(), IoError> {
        let mut guard = self.log.lock();
        let Some(log) = guard.as_mut() else { return Ok(()) };
        let mut state = self.state.lock();
        self.put_in_place(&state.running)?;
        self.device.flush()?;
        state.running.clear();
        self.has_blocks.store(false, Ordering::Release);
        (state.head, state.kept) = (log.first, 0);
        log.write_superblock(&*self.device, state.sequence, None)?;
        self.device.flush()
    }

    /// Keeps writes back from now on. The log is empty, and the file system says on the disk that it is in use.
    pub(crate) fn run(&self) {
        if let Some(log) = self.log.lock().as_ref() {
            self.many_blocks.store(log.length as usize / FULL, Ordering::Relaxed);
            self.is_running.store(true, Ordering::Release);
        }
    }

    /// Ends the journal's work, after a commit: the log is empty, and writes go to the disk at once.
    pub(crate) fn stop(&self) -> Result<(), IoError> {
        let mut guard = self.log.lock();
        let Some(log) = guard.as_mut() else { return Ok(()) };
        self.settle()?;
        self.device.flush()?;
        let mut state = self.state.lock();
        log.write_superblock(&*self.device, state.sequence, None)?;
        self.device.flush()?;
        (state.head, state.kept) = (log.first, 0);
        self.is_running.store(false, Ordering::Release);
        Ok(())
    }

    /// Has the calling thread's transfers wait for memory so, unless they do already, until the guard is dropped.
    pub(crate) fn wait_for_memory(&self, patience: Patience) -> Waiting<'_> {
        let before = self.device.patience();
        if before != Patience::Always {
            self.device.set_patience(patience);
        }
        Waiting { device: &*self.device, before }
    }

    /// Whether writes are kept back until a commit.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    /// Whether the running transaction is so large that it should be committed.
    pub(crate) fn is_full(&self) -> bool {
        self.running_blocks.load(Ordering::Relaxed) > self.many_blocks.load(Ordering::Relaxed)
    }

    /// Writes in place what committed transactions hold, to be safe with the next flush. The log keeps its copies.
    fn settle(&self) -> Result<(), IoError> {
        let mut state = self.state.lock();
        self.put_in_place(&state.committed)?;
        state.committed.clear();
        let has_blocks = !state.running.is_empty() || !state.committing.is_empty();
        self.has_blocks.store(has_blocks, Ordering::Release);
        Ok(())
    }

    fn put_in_place(&self, blocks: &Blocks) -> Result<(), IoError> {
        blocks
            .iter()
            .try_for_each(|(&block, bytes)| self.device.write(u64::from(block) << self.block_bits, bytes))
    }

    /// Writes to the disk, or keeps it for the running transaction, or for later.
    fn write_or_keep(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        if self.is_running() || self.waits(offset, data.len()) {
            self.keep(offset, data)
        } else {
            self.device.write(offset, data)
        }
    }

    /// Writes blocks that say less than before, since others, written already, say it now. Without a journal they reach
    /// the disk only after those.
    pub(crate) fn write_late(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.keep(offset, data)?;
        self.note_change();
        Ok(())
    }

    /// A change has begun: it is not given up for want of memory.
    fn note_change(&self) {
        if self.device.patience() == Patience::OnceChanged {
            self.device.set_patience(Patience::Always);
        }
    }

    /// Whether a block of a range is to be written late.
    fn waits(&self, offset: u64, length: usize) -> bool {
        self.has_blocks.load(Ordering::Acquire) && {
            let state = self.state.lock();
            self.pieces(offset, length).any(|(block, ..)| state.newest(block).is_some())
        }
    }

    /// Flushes, writes what waited for that, and flushes that too.
    fn flush_in_order(&self) -> Result<(), IoError> {
        let _one_at_a_time = self.log.lock();
        {
            let mut state = self.state.lock();
            state.committing = Arc::new(core::mem::take(&mut state.running));
            self.running_blocks.store(0, Ordering::Relaxed);
        }
        let mut result = self.device.flush();
        {
            let mut state = self.state.lock();
            let late = core::mem::take(&mut state.committing);
            result = result.and_then(|()| self.put_in_place(&late));
            if result.is_err() {
                for (&block, bytes) in late.iter() {
                    state.running.entry(block).or_insert_with(|| bytes.clone());
                }
            }
            self.running_blocks.store(state.running.len(), Ordering::Relaxed);
            self.has_blocks.store(!state.running.is_empty(), Ordering::Release);
        }
        result.and_then(|()| self.device.flush())
    }

    fn keep(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let size = 1usize << self.block_bits;
        let mut state = self.state.lock();
        self.has_blocks.store(true, Ordering::Release);
        for (block, within, part) in self.pieces(offset, data.len()) {
            if !state.running.contains_key(&block) {
                let bytes = match state.newest(block) {
                    Some(bytes) => bytes.into(),
                    None => {
                        let mut bytes = vec![0; size].into_boxed_slice();
                        if within.len() < size {
                            self.device.read(u64::from(block) << self.block_bits, &mut bytes)?;
                        }
                        bytes
                    }
                };
                state.running.insert(block, bytes);
            }
            if let Some(bytes) = state.running.get_mut(&block) {
                bytes[within].copy_from_slice(&data[part]);
            }
        }
        self.running_blocks.store(state.running.len(), Ordering::Relaxed);
        Ok(())
    }

    /// The blocks that a range touches, each with its part of the range: in the block, and in the range.
    fn pieces(
        &self,
        offset: u64,
        length: usize,
    ) -> impl Iterator<Item = (u32, core::ops::Range<usize>, core::ops::Range<usize>)> {
        let size = 1usize << self.block_bits;
        let mut done = 0;
        core::iter::from_fn(move || {
            if done >= length {
                return None;
            }
            let position = offset + done as u64;
            let within = position as usize % size;
            let part = (size - within).min(length - done);
            done += part;
            // Block numbers have 32 bits.
            Some(((position / size as u64) as u32, within..within + part, done - part..done))
        })
    }
}

impl BlockIo for Store {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        if !self.has_blocks.load(Ordering::Acquire) {
            return self.device.read(offset, buffer);
        }
        let state = self.state.lock();
        if self.pieces(offset, buffer.len()).any(|(block, ..)| state.newest(block).is_none()) {
            self.device.read(offset, buffer)?;
        }
        for (block, within, part) in self.pieces(offset, buffer.len()) {
            if let Some(bytes) = state.newest(block) {
                buffer[part].copy_from_slice(&bytes[within]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.write_or_keep(offset, data)?;
        self.note_change();
        Ok(())
    }

    fn flush(&self) -> Result<(), IoError> {
        let has_late = !self.is_running() && self.has_blocks.load(Ordering::Acquire);
        if has_late { self.flush_in_order() } else { self.device.flush() }
    }

    fn size_bytes(&self) -> u64 {
        self.device.size_bytes()
    }

    fn read_data(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        // Other writers may log contents of files too; here they never wait.
        if self.is_running() { self.device.read_data(offset, buffer) } else { self.read(offset, buffer) }
    }

    fn write_data(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.device.write_data(offset, data)
    }

    fn zero_data(&self, offset: u64, length: u64) -> Result<(), IoError> {
        self.device.zero_data(offset, length)
    }

    /// What was written to these blocks in the running transaction is dropped; the disk keeps what an earlier one
    /// wrote until this one is there.
    fn forget(&self, offset: u64, length: u64) {
        let blocks = (offset >> self.block_bits) as u32..((offset + length) >> self.block_bits) as u32;
        if !self.is_running() {
            if self.has_blocks.load(Ordering::Acquire) {
                let mut state = self.state.lock();
                state.running.retain(|block, _| !blocks.contains(block));
                if let Some(committing) = Arc::get_mut(&mut state.committing) {
                    committing.retain(|block, _| !blocks.contains(block));
                }
            }
            return self.device.forget(offset, length);
        }
        let mut state = self.state.lock();
        let dropped: Vec<u32> = state.running.range(blocks).map(|(&block, _)| block).collect();
        for block in dropped {
            state.running.remove(&block);
        }
        state.forgotten.push((offset, length));
    }
}
