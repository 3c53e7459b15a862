//! A namespace: requests of the block layer as commands in its pairs of queues, one pair a lane.

use super::controller::Controller;
use super::pair::Pair;
use super::wire::{self, NamespaceDescription, Words, io};
use crate::block::hardware::{Command, Hardware, Shape};
use crate::block::{Access, Durability, Features, Identity, Limits, Operation, RequestQueue};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use machine::addr::PAGE_SIZE;
use machine::mm::DmaBuffer;
use machine::sync::{IrqSpinLock, Once};

/// Commands of a pair that are under way at a time.
pub(super) const MAX_DEPTH: usize = 64;
/// Pages of a command: its first one stands in the command, the others in a list.
const MAX_PAGES: usize = 64;
/// A command's list of pages, or its range to be deallocated.
const LIST_LENGTH: usize = 8 * MAX_PAGES;
/// Blocks that a command counts at most, in 16 bits.
const MAX_BLOCKS: u64 = 1 << 16;
/// Blocks that are deallocated by a command: its range counts in 32 bits.
const MAX_DEALLOCATED: u64 = u32::MAX as u64;
/// Addresses are of whole double words (section 4.3).
const MEMORY_ALIGNMENT: u32 = 4;
/// A command that takes longer is lost.
const TIME_LIMIT_NS: u64 = 30_000_000_000;

/// See the module.
pub(super) struct Namespace {
    number: u32,
    description: NamespaceDescription,
    controller: Weak<Controller>,
    lanes: Vec<Lane>,
    queue: Once<Weak<RequestQueue>>,
}

struct Lane {
    state: IrqSpinLock<LaneState>,
    lists: DmaBuffer,
}

struct LaneState {
    pair: Pair,
    /// The controller was reset and does not know the queues yet.
    is_closed: bool,
}

impl Namespace {
    /// A namespace whose pairs the controller does not know yet.
    pub(super) fn new(
        number: u32,
        description: NamespaceDescription,
        controller: Weak<Controller>,
        pairs: Vec<Pair>,
    ) -> Result<Arc<Self>> {
        let lanes = pairs.into_iter().map(|pair| {
            let lists = DmaBuffer::allocate(MAX_DEPTH * LIST_LENGTH)?;
            let state = IrqSpinLock::new("nvme lane", LaneState { pair, is_closed: true });
            Ok(Lane { state, lists })
        });
        let lanes = lanes.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self { number, description, controller, lanes, queue: Once::new() }))
    }

    /// Its number, from 1.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// How many lanes it has.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The request queue of the disk, whose hardware the namespace is.
    pub(super) fn serve(this: &Arc<Self>, controller: &Controller) -> Arc<RequestQueue> {
        let about = controller.description();
        let block_size = this.description.block_size;
        let max_segments = MAX_PAGES.min(about.max_pages);
        let depth = this.lanes.iter().map(|lane| usize::from(lane.state.lock().pair.places()) - 1).min();
        let shape = Shape {
            size_bytes: this.description.blocks * u64::from(block_size),
            block_size,
            access: Access::ReadWrite,
            features: Features {
                has_cache: about.has_cache,
                has_safe_writes: true,
                max_discard: if about.can_manage { MAX_DEALLOCATED * u64::from(block_size) } else { 0 },
                max_zeroes: if about.can_zero { MAX_BLOCKS * u64::from(block_size) } else { 0 },
                is_rotational: false,
            },
            limits: Limits {
                // Memory that begins within a page takes one page more.
                max_length: (max_segments.max(2) - 1).max(1) as u64 * PAGE_SIZE as u64,
                max_segments,
                depth: depth.unwrap_or(1).clamp(1, MAX_DEPTH),
                needs_whole_pages: true,
            },
            lanes: this.lanes.len(),
            are_others_alone: false,
            time_limit_ns: TIME_LIMIT_NS,
            memory_alignment: MEMORY_ALIGNMENT,
        };
        let queue = RequestQueue::new(this.clone(), shape);
        this.queue.call_once(|| Arc::downgrade(&queue));
        queue
    }

    /// Nothing is started from now on, until [`open`](Self::open).
    pub(super) fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.state.lock().is_closed = true);
    }

    /// The controller knows the queues.
    pub(super) fn open(&self) {
        self.lanes.iter().for_each(|lane| lane.state.lock().is_closed = false);
    }

    /// Makes each pair as new and calls `action` with its lane, the addresses of its rings, and their places.
    pub(super) fn restart_pairs(
        &self,
        action: &mut dyn FnMut(usize, (u64, u64), u16) -> Result<()>,
    ) -> Result<()> {
        for (index, lane) in self.lanes.iter().enumerate() {
            let (addresses, places) = {
                let mut state = lane.state.lock();
                state.pair.restart();
                (state.pair.addresses(), state.pair.places())
            };
            action(index, addresses, places)?;
        }
        Ok(())
    }

    /// Its request queue.
    pub(super) fn request_queue(&self) -> Option<Arc<RequestQueue>> {
        self.queue.get().and_then(Weak::upgrade)
    }

    /// Takes what has ended in a lane. In interrupt context. Whether there was something.
    pub(super) fn complete(&self, lane: usize) -> bool {
        let Some(queue) = self.request_queue() else { return false };
        let mut was_any = false;
        loop {
            let mut state = self.lanes[lane].state.lock();
            if state.is_closed {
                break;
            }
            let Some(completion) = state.pair.pop() else {
                if was_any {
                    state.pair.acknowledge();
                }
                break;
            };
            drop(state);
            was_any = true;
            if usize::from(completion.number) < MAX_DEPTH {
                queue.complete(lane, completion.number, completion.status.outcome());
            } else {
                log::error!("nvme: a command ended that there is not: {}", completion.number);
                queue.request_reset();
                break;
            }
        }
        queue.resume(lane);
        was_any
    }

    /// The command of a request. Its list of pages, if it needs one, is at `list` in the lane's memory.
    fn command_of(&self, lists: &DmaBuffer, tag: u16, command: &Command<'_>) -> Result<Words> {
        let block_size = u64::from(self.description.block_size);
        let (block, count) = (command.offset / block_size, command.length / block_size);
        let operation = match command.operation {
            Operation::Read => io::READ,
            Operation::Write(_) => io::WRITE,
            Operation::Flush => io::FLUSH,
            Operation::Discard => io::MANAGE,
            Operation::WriteZeroes => io::WRITE_ZEROES,
        };
        let mut words = wire::command(operation, tag, self.number);
        let list = usize::from(tag) * LIST_LENGTH;
        match command.operation {
            Operation::Flush => return Ok(words),
            Operation::Discard => {
                lists.store(list, 0_u32);
                lists.store(list + 4, count as u32);
                lists.store(list + 8, block);
                wire::set_wide(&mut words, wire::FIRST_POINTER, lists.address().as_u64() + list as u64);
                words[11] = io::DEALLOCATE;
                return Ok(words);
            }
            _ => {}
        }
        wire::set_wide(&mut words, 10, block);
        words[12] = (count - 1) as u32;
        if command.operation == Operation::Write(Durability::Safe) {
            words[12] |= io::FORCE_UNIT_ACCESS;
        }
        self.point(&mut words, lists, list, command)?;
        Ok(words)
    }

    /// Tells a command where its memory is: pages that lie against one another at their borders.
    fn point(&self, words: &mut Words, lists: &DmaBuffer, list: usize, command: &Command<'_>) -> Result<()> {
        let (mut pages, mut second, mut was_whole) = (0, 0, true);
        for segment in command.segments() {
            if pages > 0 && (segment.offset != 0 || !was_whole) || pages == MAX_PAGES {
                return Err(Error::new(Errno::EINVAL, "memory of a request is not of whole pages"));
            }
            was_whole = segment.offset + segment.length == PAGE_SIZE as u32;
            match pages {
                0 => wire::set_wide(words, wire::FIRST_POINTER, segment.address()),
                _ => lists.store(list + 8 * (pages - 1), segment.address()),
            }
            if pages == 1 {
                second = segment.address();
            }
            pages += 1;
        }
        // Two pages need no list.
        let list = lists.address().as_u64() + list as u64;
        wire::set_wide(words, wire::SECOND_POINTER, if pages > 2 { list } else { second });
        Ok(())
    }
}

impl Hardware for Namespace {
    fn start(&self, lane: usize, tag: u16, command: &Command<'_>) -> Result<()> {
        let lane = &self.lanes[lane];
        let words = self.command_of(&lane.lists, tag, command)?;
        let mut state = lane.state.lock();
        if state.is_closed {
            return Err(Error::new(Errno::EBUSY, "the controller is being reset"));
        }
        state.pair.push(&words);
        Ok(())
    }

    fn kick(&self, lane: usize) {
        let mut state = self.lanes[lane].state.lock();
        if !state.is_closed {
            state.pair.ring();
        }
    }

    fn reset(&self) -> Result<()> {
        let controller = self.controller.upgrade();
        controller.ok_or(Error::new(Errno::EIO, "the controller is gone"))?.reset(self.number)
    }

    fn stop(&self) {
        self.close();
        if let Some(controller) = self.controller.upgrade() {
            controller.stop();
        }
    }

    fn identify(&self) -> Identity {
        let Some(controller) = self.controller.upgrade() else { return Identity::default() };
        let about = controller.description().clone();
        Identity { serial: about.serial, model: about.model, firmware: about.firmware }
    }
}
