//! Commits: how the running transaction becomes one that lasts. The steps are told in `mod.rs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use zerocopy::IntoBytes;

use super::layout::{
    COMMIT, DESCRIPTOR, Header, MAGIC, TAG_ESCAPED, TAG_LAST, TAG_SAME_UUID, Tag, UUID_BYTES,
};
use super::log::{Blocks, Log};
use super::{InPlace, Store};
use crate::io::IoError;

/// A transaction to be committed.
struct Transaction {
    blocks: Arc<Blocks>,
    forgotten: Vec<(u64, u64)>,
    sequence: u32,
}

impl Store {
    /// Makes the running transaction last, with all contents of files written before. No operation that changes
    /// something may be under way. `has_freed` tells that it frees blocks or inodes.
    pub(crate) fn commit(&self, has_freed: bool, in_place: InPlace) -> Result<(), IoError> {
        let mut guard = self.log.lock();
        let Some(log) = guard.as_mut().filter(|_| self.is_running()) else { return self.device.flush() };
        let Some(transaction) = self.begin_commit() else {
            if in_place == InPlace::Now {
                self.settle()?;
            }
            return self.device.flush();
        };
        let needed = log_blocks(log, transaction.blocks.len());
        if needed <= log.room() {
            self.log_transaction(log, &transaction, needed, has_freed)?;
        } else {
            self.write_unlogged(log, &transaction)?;
        }
        self.end_commit(transaction);
        if in_place == InPlace::Now { self.settle() } else { Ok(()) }
    }

    /// Takes the running transaction; `None` if it is empty.
    fn begin_commit(&self) -> Option<Transaction> {
        let mut state = self.state.lock();
        if state.running.is_empty() {
            return None;
        }
        let blocks = Arc::new(core::mem::take(&mut state.running));
        state.committing = blocks.clone();
        self.running_blocks.store(0, Ordering::Relaxed);
        let forgotten = core::mem::take(&mut state.forgotten);
        Some(Transaction { blocks, forgotten, sequence: state.sequence })
    }

    /// The transaction is on the disk, in the log or in place: its blocks wait for the latter with those of older ones.
    fn end_commit(&self, transaction: Transaction) {
        let Transaction { blocks, forgotten, sequence } = transaction;
        let mut state = self.state.lock();
        state.sequence = sequence.wrapping_add(1);
        state.committing = Arc::default();
        let blocks = Arc::into_inner(blocks).expect("nobody else keeps them without the lock of the state");
        state.committed.extend(blocks);
        drop(state);
        for (offset, length) in forgotten {
            self.device.forget(offset, length);
        }
    }

    /// Writes a transaction of `needed` blocks to the log.
    fn log_transaction(
        &self,
        log: &mut Log,
        transaction: &Transaction,
        needed: u32,
        has_freed: bool,
    ) -> Result<(), IoError> {
        let (mut head, mut kept) = {
            let state = self.state.lock();
            (state.head, state.kept)
        };
        let sequence = transaction.sequence;
        if needed + kept > log.room() {
            // Older transactions have to be in place before their copies are overwritten.
            self.settle()?;
            self.device.flush()?;
            log.write_superblock(&*self.device, sequence, None)?;
            self.device.flush()?;
            (head, kept) = (log.first, 0);
        }
        let begins_anew = has_freed || kept == 0 || needed + kept > log.room() / 2;
        if begins_anew {
            self.settle()?;
        }
        let start = head;
        head = self.write_copies(log, &transaction.blocks, head, sequence)?;
        self.device.flush()?;
        let commit = Header { magic: MAGIC.into(), kind: COMMIT.into(), sequence: sequence.into() };
        let mut bytes = vec![0; log.block_size()];
        bytes[..commit.as_bytes().len()].copy_from_slice(commit.as_bytes());
        self.device.write(log.offset(head), &bytes)?;
        head = log.next(head);
        if begins_anew {
            log.write_superblock(&*self.device, sequence, Some(start))?;
            kept = 0;
        }
        self.device.flush()?;
        let mut state = self.state.lock();
        (state.head, state.kept) = (head, kept + needed);
        Ok(())
    }

    /// Writes a transaction that cannot be logged as a whole: in place, between two flushes, as without a journal.
    fn write_unlogged(&self, log: &mut Log, transaction: &Transaction) -> Result<(), IoError> {
        self.settle()?;
        self.device.flush()?;
        log.write_superblock(&*self.device, transaction.sequence, None)?;
        self.device.flush()?;
        self.put_in_place(&transaction.blocks)?;
        self.device.flush()?;
        let mut state = self.state.lock();
        (state.head, state.kept) = (log.first, 0);
        Ok(())
    }

    /// Writes descriptors and copies to the log from `head` on; returns the position behind them.
    fn write_copies(&self, log: &Log, blocks: &Blocks, head: u32, sequence: u32) -> Result<u32, IoError> {
        let per_descriptor = tags_per_block(log);
        let all: Vec<(&u32, &Box<[u8]>)> = blocks.iter().collect();
        let mut head = head;
        for group in all.chunks(per_descriptor) {
            let mut descriptor = vec![0; log.block_size()];
            let header = Header { magic: MAGIC.into(), kind: DESCRIPTOR.into(), sequence: sequence.into() };
            descriptor[..size_of::<Header>()].copy_from_slice(header.as_bytes());
            let mut offset = size_of::<Header>();
            let descriptor_at = head;
            head = log.next(head);
            for (index, (block, bytes)) in group.iter().enumerate() {
                let is_escaped = bytes[..4] == MAGIC.to_be_bytes();
                let flag = |condition: bool, flag: u16| if condition { flag } else { 0 };
                let flags = flag(is_escaped, TAG_ESCAPED)
                    | flag(index > 0, TAG_SAME_UUID)
                    | flag(index + 1 == group.len(), TAG_LAST);
                let tag = Tag { block: (**block).into(), checksum: 0.into(), flags: flags.into() };
                descriptor[offset..offset + size_of::<Tag>()].copy_from_slice(tag.as_bytes());
                offset += size_of::<Tag>();
                if index == 0 {
                    descriptor[offset..offset + UUID_BYTES].copy_from_slice(&log.superblock.uuid);
                    offset += UUID_BYTES;
                }
                if is_escaped {
                    let mut copy = bytes.to_vec();
                    copy[..4].fill(0);
                    self.device.write(log.offset(head), &copy)?;
                } else {
                    self.device.write(log.offset(head), bytes)?;
                }
                head = log.next(head);
            }
            self.device.write(log.offset(descriptor_at), &descriptor)?;
        }
        Ok(head)
    }
}

/// How many blocks of the log a transaction takes.
fn log_blocks(log: &Log, blocks: usize) -> u32 {
    let all = blocks + blocks.div_ceil(tags_per_block(log)) + 1;
    u32::try_from(all).unwrap_or(u32::MAX)
}

fn tags_per_block(log: &Log) -> usize {
    (log.block_size() - size_of::<Header>() - UUID_BYTES) / size_of::<Tag>()
}
