//! Adding chains, telling the device, taking back what it has done.

use crate::layout::DESCRIPTOR_LEN;
use crate::{AddError, Addresses, Buffer, DeviceError, Direction, DmaMemory, Features, Layout, LayoutError};
use alloc::vec::Vec;

const DESCRIPTOR_NEXT: u16 = 1;
const DESCRIPTOR_WRITE: u16 = 2;
const DESCRIPTOR_INDIRECT: u16 = 4;
/// In the available ring's flags: no interrupts, please.
const NO_INTERRUPT: u16 = 1;
/// In the used ring's flags: no notifications, please.
const NO_NOTIFY: u16 = 1;

/// Names a chain that the device has: an index below the queue's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u16);

impl Token {
    /// The index, for a table of requests.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A chain that the device has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Which one.
    pub token: Token,
    /// Bytes that the device wrote; at most the room that the chain has.
    pub written: u32,
}

/// What the driver knows about a descriptor without looking into shared memory.
#[derive(Clone, Copy, Debug)]
struct Shadow {
    /// The next descriptor of the chain, or of the free list.
    next: u16,
    /// Descriptors of the chain that begins here; 0 if none does.
    chain_len: u16,
    /// Bytes that the device may write into the chain.
    room: u32,
}

/// A split virtqueue.
#[derive(Debug)]
pub struct VirtQueue<D> {
    memory: D,
    layout: Layout,
    features: Features,
    shadows: Vec<Shadow>,
    /// First descriptor of the free list, valid while any is free.
    free_head: u16,
    free: u16,
    /// Chains that the device has.
    in_flight: u16,
    /// The available index that was published last.
    available_index: u16,
    /// The available index at which the device was told last.
    notified_index: u16,
    /// The used index up to which completions were taken.
    used_index: u16,
    wants_interrupts: bool,
    is_broken: bool,
    /// See [`VirtQueue::cut_lengths`].
    cuts_lengths: bool,
}

impl<D: DmaMemory> VirtQueue<D> {
    /// An empty queue in memory that the device does not use yet; needs [`Layout::len`] bytes.
    pub fn new(memory: D, size: u16, features: Features) -> Result<VirtQueue<D>, LayoutError> {
        let layout = Layout::new(size, features)?;
        if memory.len() < layout.len || !memory.address().is_multiple_of(DESCRIPTOR_LEN as u64) {
            return Err(LayoutError::BadMemory);
        }
        let mut queue = VirtQueue {
            memory,
            layout,
            features,
            shadows: Vec::with_capacity(size.into()),
            free_head: 0,
            free: size,
            in_flight: 0,
            available_index: 0,
            notified_index: 0,
            used_index: 0,
            wants_interrupts: true,
            is_broken: false,
            cuts_lengths: false,
        };
        queue.restart();
        Ok(queue)
    }

    /// Makes the queue as new, for a device that was reset and does not use the memory now. What it had is forgotten.
    pub fn restart(&mut self) {
        for offset in (0..self.layout.indirect).step_by(2) {
            self.memory.store_u16(offset, 0);
        }
        let size = self.layout.size;
        self.shadows.clear();
        self.shadows.extend((0..size).map(|index| Shadow {
            next: index.wrapping_add(1),
            chain_len: 0,
            room: 0,
        }));
        (self.free_head, self.free, self.in_flight) = (0, size, 0);
        (self.available_index, self.notified_index, self.used_index) = (0, 0, 0);
        (self.wants_interrupts, self.is_broken) = (true, false);
    }

    /// A device that claims to have written more than there is room for is believed to have filled the room; without this it has
    /// broken the rules. For kinds of devices of which some count what they have read as well (QEMU's virtio-scsi).
    pub fn cut_lengths(&mut self) {
        self.cuts_lengths = true;
    }

    /// Where the device finds the tables.
    pub fn addresses(&self) -> Addresses {
        let base = self.memory.address();
        Addresses {
            descriptors: base,
            driver: base + self.layout.available as u64,
            device: base + self.layout.used as u64,
        }
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.layout.size
    }

    /// Number of free descriptors.
    pub fn free_descriptors(&self) -> u16 {
        self.free
    }

    /// Number of chains that the device has.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The chains that the device has: to be given up when it was reset.
    pub fn in_flight_tokens(&self) -> impl Iterator<Item = Token> {
        (0..self.layout.size).filter(|&index| self.shadows[index as usize].chain_len != 0).map(Token)
    }

    /// Offers a chain to the device: first the buffers that it reads, then those that it writes. The buffers must stay
    /// until [`VirtQueue::pop_used`] returns the token.
    pub fn add(&mut self, chain: &[Buffer]) -> Result<Token, AddError> {
        let room = self.check(chain)?;
        let is_indirect = chain.len() > 1 && chain.len() <= self.layout.indirect_len as usize;
        let needed = if is_indirect { 1 } else { chain.len() };
        if needed > self.layout.size as usize {
            return Err(AddError::TooLong);
        }
        if needed > self.free as usize {
            return Err(AddError::Full);
        }
        let head = self.free_head;
        let after =
            if is_indirect { self.write_indirect(head, chain) } else { self.write_chain(head, chain) };
        self.free_head = after;
        self.free -= needed as u16;
        self.in_flight += 1;
        let shadow = &mut self.shadows[head as usize];
        (shadow.chain_len, shadow.room) = (needed as u16, room);

        self.memory.store_u16(self.layout.available_element(self.available_index), head);
        // The element is there before the index says so.
        self.memory.barrier();
        self.available_index = self.available_index.wrapping_add(1);
        self.memory.store_u16(self.layout.available_index(), self.available_index);
        Ok(Token(head))
    }

    /// Whether the device is to be notified of what was added since the last call. Call it once after a batch.
    pub fn should_notify(&mut self) -> bool {
        // The index is there before the device's wish is read.
        self.memory.barrier();
        let old = core::mem::replace(&mut self.notified_index, self.available_index);
        if old == self.available_index {
            return false;
        }
        if self.features.event_index {
            let event = self.memory.load_u16(self.layout.available_event());
            is_event_due(event, self.available_index, old)
        } else {
            self.memory.load_u16(self.layout.used_flags()) & NO_NOTIFY == 0
        }
    }

    /// Whether the device has done something that was not taken yet.
    pub fn has_used(&self) -> bool {
        !self.is_broken && self.memory.load_u16(self.layout.used_index()) != self.used_index
    }

    /// Takes the next completion, in the device's order. Its descriptors are free again.
    pub fn pop_used(&mut self) -> Result<Option<Used>, DeviceError> {
        if self.is_broken {
            return Err(DeviceError::Broken);
        }
        let result = self.take_used();
        self.is_broken = result.is_err();
        result
    }

    fn take_used(&mut self) -> Result<Option<Used>, DeviceError> {
        let index = self.memory.load_u16(self.layout.used_index());
        let done = index.wrapping_sub(self.used_index);
        if done == 0 {
            return Ok(None);
        }
        if done > self.in_flight {
            return Err(DeviceError::BadIndex { index, expected_from: self.used_index });
        }
        // The index is read before the element.
        self.memory.barrier();
        let element = self.layout.used_element(self.used_index);
        let (id, written) = (self.memory.load_u32(element), self.memory.load_u32(element + 4));
        let head = u16::try_from(id).map_err(|_| DeviceError::BadToken(id))?;
        let shadow = self.shadows.get(head as usize).filter(|shadow| shadow.chain_len != 0);
        let room = shadow.ok_or(DeviceError::BadToken(id))?.room;
        if written > room && !self.cuts_lengths {
            return Err(DeviceError::BadLength { written, room });
        }
        self.release(head);
        self.used_index = self.used_index.wrapping_add(1);
        if self.features.event_index && self.wants_interrupts {
            self.memory.store_u16(self.layout.used_event(), self.used_index);
            self.memory.barrier();
        }
        Ok(Some(Used { token: Token(head), written: written.min(room) }))
    }

    /// Asks for an interrupt at the next completion. `true`: there is one already, look before you sleep.
    pub fn enable_interrupts(&mut self) -> bool {
        self.wants_interrupts = true;
        if self.features.event_index {
            self.memory.store_u16(self.layout.used_event(), self.used_index);
        } else {
            self.memory.store_u16(self.layout.available_flags(), 0);
        }
        self.memory.barrier();
        self.has_used()
    }

    /// Asks for no interrupts; some may come all the same.
    pub fn disable_interrupts(&mut self) {
        self.wants_interrupts = false;
        if self.features.event_index {
            // As far away as possible.
            self.memory.store_u16(self.layout.used_event(), self.used_index.wrapping_sub(1));
        } else {
            self.memory.store_u16(self.layout.available_flags(), NO_INTERRUPT);
        }
    }

    /// The memory that holds the tables.
    pub fn memory(&self) -> &D {
        &self.memory
    }

    /// Checks a chain; returns how many bytes the device may write.
    fn check(&self, chain: &[Buffer]) -> Result<u32, AddError> {
        if self.is_broken {
            return Err(AddError::Broken);
        }
        if chain.is_empty() || chain.iter().any(|buffer| buffer.len == 0) {
            return Err(AddError::Empty);
        }
        let is_write = |buffer: &Buffer| buffer.direction == Direction::FromDevice;
        if !chain.is_sorted_by_key(is_write) {
            return Err(AddError::BadOrder);
        }
        // A chain has at most 2^32 bytes (section 2.7.5).
        let total = chain.iter().try_fold(0u32, |total, buffer| total.checked_add(buffer.len));
        total.ok_or(AddError::TooLong)?;
        Ok(chain.iter().filter(|buffer| is_write(buffer)).map(|buffer| buffer.len).sum())
    }

    /// Writes a chain into free descriptors, beginning with `head`; returns the descriptor after it.
    fn write_chain(&mut self, head: u16, chain: &[Buffer]) -> u16 {
        let mut index = head;
        for (position, buffer) in chain.iter().enumerate() {
            let next = self.shadows[index as usize].next;
            let link = if position + 1 < chain.len() { Some(next) } else { None };
            self.write_descriptor(self.layout.descriptor(index), buffer, link);
            index = next;
        }
        index
    }

    /// Writes a chain into the indirect table of `head`; returns the descriptor after `head`.
    fn write_indirect(&mut self, head: u16, chain: &[Buffer]) -> u16 {
        let table = self.layout.indirect_table(head);
        for (position, buffer) in chain.iter().enumerate() {
            let link = if position + 1 < chain.len() { Some(position as u16 + 1) } else { None };
            self.write_descriptor(table + position * DESCRIPTOR_LEN, buffer, link);
        }
        let offset = self.layout.descriptor(head);
        self.memory.store_u64(offset, self.memory.address() + table as u64);
        self.memory.store_u32(offset + 8, (chain.len() * DESCRIPTOR_LEN) as u32);
        self.memory.store_u16(offset + 12, DESCRIPTOR_INDIRECT);
        self.memory.store_u16(offset + 14, 0);
        self.shadows[head as usize].next
    }

    fn write_descriptor(&self, offset: usize, buffer: &Buffer, next: Option<u16>) {
        let write = if buffer.direction == Direction::FromDevice { DESCRIPTOR_WRITE } else { 0 };
        let link = if next.is_some() { DESCRIPTOR_NEXT } else { 0 };
        self.memory.store_u64(offset, buffer.address);
        self.memory.store_u32(offset + 8, buffer.len);
        self.memory.store_u16(offset + 12, write | link);
        self.memory.store_u16(offset + 14, next.unwrap_or(0));
    }

    /// Puts a chain's descriptors back on the free list.
    fn release(&mut self, head: u16) {
        let count = core::mem::take(&mut self.shadows[head as usize].chain_len);
        let mut last = head;
        for _ in 1..count {
            last = self.shadows[last as usize].next;
        }
        self.shadows[last as usize].next = self.free_head;
        self.free_head = head;
        self.free += count;
        self.in_flight -= 1;
    }
}

/// Whether an index has passed the one at which the other side wants to be told, on the way from `old` to `new`
/// (section 2.7.7.2).
fn is_event_due(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}
