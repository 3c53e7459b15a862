//! A port with a disk: commands in 32 slots, their completion, and recovery after an error.
//!
//! When a command fails, the port stops and all its commands end. The interrupt handler notes what failed if that can be
//! told (one command was under way), closes the port, and asks for a reset, which happens in a thread: the link is reset,
//! so that nothing touches memory of earlier commands any more, and the port works again. The block layer then
//! repeats what was under way one by one, which finds the one that fails.

use super::command::{self, Queuing};
use super::identify::{self, Description};
use super::{Abilities, LINK_LIMIT_NS, registers, wait_for, wait_until};
use crate::block::hardware::{Command, Hardware, Outcome, Shape};
use crate::block::{Access, Features, Identity, Limits, Operation, RequestQueue};
use crate::error::{Error, Result};
use crate::sched;
use abi::errno::Errno;
use alloc::{sync::Arc, sync::Weak};
use machine::addr::PAGE_SIZE;
use machine::mm::{DmaBuffer, Mmio};
use machine::sync::{IrqSpinLock, Once};
use machine::time;

registers! {
    /// The registers of a port (section 3.3).
    struct Registers (0x80) {
        0x00 => command_list: u32, ReadWrite;
        0x04 => command_list_high: u32, ReadWrite;
        0x08 => received: u32, ReadWrite;
        0x0c => received_high: u32, ReadWrite;
        0x10 => interrupt_status: u32, ReadWrite;
        0x14 => interrupt_enable: u32, ReadWrite;
        0x18 => control: u32, ReadWrite;
        0x20 => task: u32, ReadOnly;
        0x24 => signature: u32, ReadOnly;
        0x28 => link_status: u32, ReadOnly;
        0x2c => link_control: u32, ReadWrite;
        0x30 => link_error: u32, ReadWrite;
        0x34 => active: u32, ReadWrite;
        0x38 => issued: u32, ReadWrite;
    }
}

/// Where ports' registers begin, and the distance from one to the next.
const FIRST: usize = 0x100;
const STRIDE: usize = 0x80;

/// Bits of `control`.
mod control {
    pub(super) const START: u32 = 1 << 0;
    pub(super) const SPIN_UP: u32 = 1 << 1;
    pub(super) const POWER: u32 = 1 << 2;
    pub(super) const RECEIVE: u32 = 1 << 4;
    pub(super) const RECEIVING: u32 = 1 << 14;
    pub(super) const RUNNING: u32 = 1 << 15;
}

/// Bits of `interrupt_status` and `interrupt_enable`.
mod interrupt {
    /// A frame came that ends commands: device to host, PIO, set device bits.
    pub(super) const PROGRESS: u32 = 0b1011;
    /// The link came or went.
    pub(super) const LINK: u32 = 1 << 6 | 1 << 22;
    /// Errors of the link and of memory.
    pub(super) const TRANSPORT: u32 = 1 << 4 | 1 << 24 | 1 << 27 | 1 << 28 | 1 << 29;
    /// The disk says that a command failed.
    pub(super) const TASK: u32 = 1 << 30;
    pub(super) const ERRORS: u32 = TRANSPORT | TASK | LINK;
    pub(super) const ALL: u32 = PROGRESS | ERRORS;
}

/// Bits of `task`: status, and above it the error.
mod task {
    pub(super) const BUSY: u32 = 0x88;
    pub(super) const ERROR_SHIFT: u32 = 8;
    /// The link garbled the data.
    pub(super) const ERROR_TRANSFER: u32 = 0x80;
    /// The command is not known, or was given up.
    pub(super) const ERROR_ABORT: u32 = 0x04;
}

const SIGNATURE_DISK: u32 = 0x0000_0101;
/// In `link_status`: a device is there and the link works.
const LINK_MASK: u32 = 0xf;
const LINK_WORKS: u32 = 3;
/// In `link_control`: reset the link; any speed, no power saving.
const LINK_RESET: u32 = 0x301;
const LINK_NORMAL: u32 = 0x300;

/// How long a disk may take to spin up, and a port to stop.
const READY_LIMIT_NS: u64 = 10_000_000_000;
const STOP_LIMIT_NS: u64 = 1_000_000_000;
/// The protocol wants even addresses; Linux wants these, which programs see.
const MEMORY_ALIGNMENT: u32 = 4;
/// A command that takes longer is lost.
const TIME_LIMIT_NS: u64 = 30_000_000_000;

/// The port's memory: the list of commands, frames that come, data of commands that the driver gives itself, a table for
/// each command.
mod memory {
    pub(super) const RECEIVED: usize = 1024;
    pub(super) const IDENTITY: usize = 2048;
    pub(super) const RANGES: usize = 3072;
    pub(super) const TABLES: usize = 4096;
    pub(super) const TABLE: usize = 1024;
    pub(super) const HEADER: usize = 32;
    /// In a table: where the pieces of memory are told, and how long an entry is.
    pub(super) const PIECES: usize = 0x80;
    pub(super) const PIECE: usize = 16;
    pub(super) const SLOTS: usize = 32;
    pub(super) const LENGTH: usize = TABLES + SLOTS * TABLE;
}

/// Pieces of memory of a command.
const MAX_PIECES: usize = (memory::TABLE - memory::PIECES) / memory::PIECE;

/// In a command's header: length of its frame in double words, the disk gets data, number of pieces.
const HEADER_FRAME_WORDS: u32 = command::LENGTH as u32 / 4;
const HEADER_WRITE: u32 = 1 << 6;
const HEADER_PIECES_SHIFT: u32 = 16;

/// A port. See the module.
pub(super) struct Port {
    number: u32,
    registers: Registers,
    memory: DmaBuffer,
    abilities: Abilities,
    state: IrqSpinLock<State>,
    disk: Once<Description>,
    queue: Once<Weak<RequestQueue>>,
}

struct State {
    /// Slots with a command under way.
    under_way: u32,
    /// Nothing is started until the port was reset.
    is_closed: bool,
    /// The command that failed, if that is known.
    failed: Option<(u16, Outcome)>,
}

impl Port {
    /// Gives the port its memory and resets the link.
    pub(super) fn begin(controller: &Mmio, number: u32, abilities: Abilities) -> Result<Self> {
        let registers = Registers::new(controller, FIRST + STRIDE * number as usize);
        let registers = registers.ok_or(Error::new(Errno::ENODEV, "the port has no registers"))?;
        let state = State { under_way: 0, is_closed: true, failed: None };
        let port = Self {
            number,
            registers,
            memory: DmaBuffer::allocate(memory::LENGTH)?,
            abilities,
            state: IrqSpinLock::new("ahci port", state),
            disk: Once::new(),
            queue: Once::new(),
        };
        port.halt()?;
        let base = port.memory.address().as_u64();
        for (low, high, at) in [
            (port.registers.command_list(), port.registers.command_list_high(), base),
            (port.registers.received(), port.registers.received_high(), base + memory::RECEIVED as u64),
        ] {
            low.write(at as u32);
            high.write((at >> 32) as u32);
        }
        port.registers.control().write(control::SPIN_UP | control::POWER | control::RECEIVE);
        port.registers.link_control().write(LINK_RESET);
        Ok(port)
    }

    /// Waits for the disk, whose link has to come up before `deadline`, and asks it what it is. Whether there is one.
    pub(super) fn finish_start(&self, deadline: u64) -> Result<bool> {
        if !self.finish_link_reset(deadline)? {
            return Ok(false);
        }
        let signature = self.registers.signature().read();
        if signature != SIGNATURE_DISK {
            log::info!("ahci: port {}: no disk, but a device of kind {signature:08x}", self.number);
            return Ok(false);
        }
        let mut answer = [0; identify::LENGTH];
        self.identify_disk(&mut answer)?;
        let disk = Description::read(&answer);
        let disk = disk.ok_or(Error::new(Errno::ENODEV, "the disk has no blocks that can be used"))?;
        self.disk.call_once(|| disk);
        Ok(true)
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The request queue of the disk, if there is one.
    pub(super) fn request_queue(&self) -> Option<Arc<RequestQueue>> {
        self.queue.get().and_then(Weak::upgrade)
    }

    /// Makes the request queue of the disk, whose hardware the port is.
    pub(super) fn queue(port: &Arc<Self>) -> Result<Arc<RequestQueue>> {
        let disk = port.disk.get().ok_or(Error::new(Errno::ENODEV, "there is no disk"))?;
        let depth = if port.abilities.has_queuing { disk.depth.min(port.abilities.slots) } else { 1 };
        let trim_blocks = command::MAX_TRIM_BLOCKS * command::TRIM_RANGES as u64;
        let shape = Shape {
            size_bytes: disk.blocks * u64::from(disk.block_size),
            block_size: disk.block_size,
            access: Access::ReadWrite,
            features: Features {
                has_cache: disk.has_cache,
                // Too many disks take no notice of the bit that asks for it.
                has_safe_writes: false,
                max_discard: if disk.can_trim { trim_blocks * u64::from(disk.block_size) } else { 0 },
                max_zeroes: 0,
                is_rotational: disk.is_rotational,
            },
            limits: Limits {
                max_length: (MAX_PIECES * PAGE_SIZE) as u64,
                max_segments: MAX_PIECES,
                depth,
                needs_whole_pages: false,
            },
            lanes: 1,
            are_others_alone: true,
            time_limit_ns: TIME_LIMIT_NS,
            memory_alignment: MEMORY_ALIGNMENT,
        };
        let queue = RequestQueue::new(port.clone(), shape);
        port.queue.call_once(|| Arc::downgrade(&queue));
        port.open();
        Ok(queue)
    }

    /// Lets commands be started, and interrupts come.
    fn open(&self) {
        let registers = &self.registers;
        registers.interrupt_status().write(u32::MAX);
        registers.interrupt_enable().write(interrupt::ALL);
        let mut state = self.state.lock();
        *state = State { under_way: 0, is_closed: false, failed: None };
    }

    /// Stops commands and what comes from the disk (section 10.3.2).
    fn halt(&self) -> Result<()> {
        let registers = &self.registers;
        registers.interrupt_enable().write(0);
        registers.control().change(|value| value & !control::START);
        let is_idle = |bit| wait_for(STOP_LIMIT_NS, || registers.control().read() & bit == 0);
        let has_stopped = is_idle(control::RUNNING);
        registers.control().change(|value| value & !control::RECEIVE);
        match has_stopped && is_idle(control::RECEIVING) {
            true => Ok(()),
            false => Err(Error::new(Errno::EIO, "the port does not stop")),
        }
    }

    /// Ends the reset of the link (section 10.4.2), at least a millisecond after it began.
    pub(super) fn release_link(&self) {
        self.registers.link_control().write(LINK_NORMAL);
    }

    /// Waits after a reset of the link. Whether there is a disk, which is ready then.
    fn finish_link_reset(&self, deadline: u64) -> Result<bool> {
        let registers = &self.registers;
        let is_linked = || registers.link_status().read() & LINK_MASK == LINK_WORKS;
        if !wait_until(deadline, is_linked) {
            return Ok(false);
        }
        registers.link_error().write(u32::MAX);
        if !wait_for(READY_LIMIT_NS, || registers.task().read() & task::BUSY == 0) {
            return Err(Error::new(Errno::EIO, "the disk does not get ready"));
        }
        registers.interrupt_status().write(u32::MAX);
        registers.control().change(|value| value | control::START);
        Ok(true)
    }

    /// Has the disk tell what it is, without interrupts.
    fn identify_disk(&self, answer: &mut [u8; identify::LENGTH]) -> Result<()> {
        let at = self.memory.address().as_u64() + memory::IDENTITY as u64;
        self.write_piece(0, 0, at, identify::LENGTH as u32);
        self.write_command(0, &command::identify(), 1, 0);
        self.registers.issued().write(1);
        let is_over = || {
            let has_failed = self.registers.interrupt_status().read() & interrupt::ERRORS != 0;
            has_failed || self.registers.issued().read() & 1 == 0
        };
        let is_done = wait_for(READY_LIMIT_NS, is_over) && self.registers.issued().read() & 1 == 0;
        if !is_done {
            self.halt()?;
            return Err(Error::new(Errno::EIO, "the disk does not tell what it is"));
        }
        self.memory.read(memory::IDENTITY, answer);
        Ok(())
    }

    /// Tells a command of a piece of memory.
    fn write_piece(&self, slot: usize, index: usize, address: u64, length: u32) {
        let at = memory::TABLES + slot * memory::TABLE + memory::PIECES + index * memory::PIECE;
        self.memory.store(at, address);
        self.memory.store(at + 8, 0_u32);
        self.memory.store(at + 12, length - 1);
    }

    fn write_command(&self, slot: usize, frame: &[u8; command::LENGTH], pieces: usize, flags: u32) {
        let table = memory::TABLES + slot * memory::TABLE;
        self.memory.write(table, frame);
        let header = slot * memory::HEADER;
        let words = HEADER_FRAME_WORDS | flags | (pieces as u32) << HEADER_PIECES_SHIFT;
        self.memory.store(header, words);
        self.memory.store(header + 4, 0_u32);
        self.memory.store(header + 8, self.memory.address().as_u64() + table as u64);
    }

    /// Ends what the disk has done; closes the port after an error. In interrupt context.
    pub(super) fn interrupt(&self) {
        let Some(queue) = self.queue.get().and_then(Weak::upgrade) else { return };
        let registers = &self.registers;
        let mut state = self.state.lock();
        let status = registers.interrupt_status().read();
        registers.interrupt_status().write(status);
        let done = state.under_way & !(registers.active().read() | registers.issued().read());
        state.under_way &= !done;
        let has_failed = status & interrupt::ERRORS != 0 && !state.is_closed;
        if has_failed {
            self.close(&mut state, status);
        }
        drop(state);
        for tag in (0..u32::BITS as u16).filter(|tag| done & 1 << tag != 0) {
            queue.complete(0, tag, Outcome::Done);
        }
        if has_failed {
            queue.request_reset();
        } else {
            queue.resume(0);
        }
    }

    /// Nothing is started any more; notes what failed if there is only one that can have.
    fn close(&self, state: &mut State, status: u32) {
        self.registers.interrupt_enable().write(0);
        state.is_closed = true;
        if state.under_way.count_ones() != 1 || status & interrupt::TASK == 0 {
            return;
        }
        let error = self.registers.task().read() >> task::ERROR_SHIFT;
        let is_garbled = error & task::ERROR_TRANSFER != 0 && error & task::ERROR_ABORT != 0;
        let outcome = if is_garbled { Outcome::Retry } else { Outcome::Failed };
        state.failed = Some((state.under_way.trailing_zeros() as u16, outcome));
    }
}

impl Hardware for Port {
    fn start(&self, _lane: usize, tag: u16, command: &Command<'_>) -> Result<()> {
        let disk = self.disk.get().ok_or(Error::new(Errno::ENODEV, "there is no disk"))?;
        let block_size = u64::from(disk.block_size);
        let (block, count) = (command.offset / block_size, command.length / block_size);
        let slot = usize::from(tag);
        let is_plain = matches!(command.operation, Operation::Read | Operation::Write(_));
        let is_queued = is_plain && disk.depth > 1 && self.abilities.has_queuing;
        let queuing = if is_queued { Queuing::Queued(tag as u8) } else { Queuing::Single };
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::new(Errno::EBUSY, "the port is to be reset"));
        }
        let mut pieces = 0;
        if command.operation == Operation::Discard {
            // Such commands are alone, so there is one place for the ranges.
            for (index, range) in command::trim_ranges(block, count).into_iter().enumerate() {
                self.memory.store(memory::RANGES + 8 * index, range);
            }
            let at = self.memory.address().as_u64() + memory::RANGES as u64;
            self.write_piece(slot, 0, at, 8 * command::TRIM_RANGES as u32);
            pieces = 1;
        }
        for segment in command.segments() {
            self.write_piece(slot, pieces, segment.address(), segment.length);
            pieces += 1;
        }
        let is_to_disk = matches!(command.operation, Operation::Write(_) | Operation::Discard);
        let frame = command::request(command.operation, block, count as u16, queuing);
        self.write_command(slot, &frame, pieces, if is_to_disk { HEADER_WRITE } else { 0 });
        state.under_way |= 1 << tag;
        machine::mm::device_barrier();
        if is_queued {
            self.registers.active().write(1 << tag);
        }
        self.registers.issued().write(1 << tag);
        Ok(())
    }

    fn reset(&self) -> Result<()> {
        let failed = {
            let mut state = self.state.lock();
            state.is_closed = true;
            state.failed.take()
        };
        let outcome = self.halt().and_then(|()| {
            // The disk tells that it is ready by a frame.
            self.registers.control().change(|value| value | control::RECEIVE);
            self.registers.link_control().write(LINK_RESET);
            sched::sleep_until(time::monotonic_ns() + 1_000_000);
            self.release_link();
            self.finish_link_reset(time::monotonic_ns() + LINK_LIMIT_NS)
        });
        match outcome {
            Ok(true) => {}
            // Without a link, and stopped, it does not touch memory.
            Ok(false) => return Err(Error::new(Errno::EIO, "the disk is not there any more")),
            Err(error) => {
                self.registers.link_control().write(LINK_RESET);
                return Err(error);
            }
        }
        if let Some((tag, outcome)) = failed
            && let Some(queue) = self.queue.get().and_then(Weak::upgrade)
        {
            queue.complete(0, tag, outcome);
        }
        self.open();
        Ok(())
    }

    fn stop(&self) {
        self.state.lock().is_closed = true;
        if self.halt().is_err() {
            // Without a link it does not touch memory either.
            self.registers.link_control().write(LINK_RESET);
        }
    }

    fn identify(&self) -> Identity {
        self.disk.get().map(|disk| disk.identity.clone()).unwrap_or_default()
    }
}
