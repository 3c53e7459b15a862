//! A unit: requests of the block layer as commands.
//!
//! Each request that is under way has a slot in memory, by lane and tag: for the command, the parameters of an UNMAP, and the answer.

use super::host::Host;
use super::wire::{self, ANSWER, Address, Answer, REQUEST};
use crate::block::hardware::{Command, Hardware, Outcome, Shape};
use crate::block::{self, Identity, Operation, RequestQueue, Segment};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::mm::DmaBuffer;
use machine::sync::Once;
use scsi::{Durability, Verdict};
use virtqueue::Buffer;

/// A slot: command, parameters, answer.
const SLOT: usize = 256;
const PARAMETERS: usize = 64;
const ANSWER_AT: usize = 128;

/// How blocks are read: drives of CDs know no long commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Short,
    Long,
}

/// What was found out of a unit.
pub(super) struct Facts {
    pub(super) address: Address,
    pub(super) reading: Reading,
    pub(super) identity: Identity,
    pub(super) shape: Shape,
}

/// See the module.
pub(super) struct Unit {
    facts: Facts,
    host: Weak<Host>,
    this: Weak<Unit>,
    lanes: Vec<UnitLane>,
    /// A block of zeros, for WRITE SAME.
    zeros: DmaBuffer,
    pub(super) requests: Once<Weak<RequestQueue>>,
    /// It is being reset: what ends meanwhile was ended by that.
    is_resetting: AtomicBool,
}

struct UnitLane {
    slots: DmaBuffer,
    /// Something ended, or found no room: there may be something to start.
    is_to_go_on: AtomicBool,
}

impl Unit {
    /// A unit of the adapter.
    pub(super) fn new(facts: Facts, host: &Arc<Host>) -> Result<Arc<Self>> {
        let lane = |_| {
            let slots = DmaBuffer::allocate(facts.shape.limits.depth * SLOT)?;
            Ok(UnitLane { slots, is_to_go_on: AtomicBool::new(false) })
        };
        let lanes = (0..facts.shape.lanes).map(lane).collect::<Result<Vec<_>>>()?;
        let zeros = DmaBuffer::allocate(facts.shape.block_size as usize)?;
        let host = Arc::downgrade(host);
        Ok(Arc::new_cyclic(|this| Self {
            facts,
            host,
            this: this.clone(),
            lanes,
            zeros,
            requests: Once::new(),
            is_resetting: AtomicBool::new(false),
        }))
    }

    /// Where it is.
    pub(super) fn address(&self) -> Address {
        self.facts.address
    }

    /// Whether there may be something to start in a lane; says it once.
    pub(super) fn takes_up(&self, lane: usize) -> bool {
        self.lanes[lane].is_to_go_on.swap(false, Ordering::AcqRel)
    }

    fn at(&self, lane: usize, tag: u16, offset: usize) -> usize {
        debug_assert!(lane < self.lanes.len());
        usize::from(tag) * SLOT + offset
    }

    fn physical(&self, lane: usize, tag: u16, offset: usize) -> u64 {
        self.lanes[lane].slots.address().as_u64() + self.at(lane, tag, offset) as u64
    }

    /// The device says that a command is done, and that it wrote so many bytes. In interrupt context; whoever calls this sees
    /// to it that the lane goes on.
    pub(super) fn complete(&self, host: &Host, lane: usize, tag: u16, written: u32, expected: u32) {
        let Some(requests) = self.requests.get().and_then(Weak::upgrade) else { return };
        let mut bytes = [0; ANSWER];
        self.lanes[lane].slots.read(self.at(lane, tag, ANSWER_AT), &mut bytes);
        let answer = Answer::read(&bytes, written as usize);
        if answer.and_then(|answer| answer.sense).is_some_and(scsi::Sense::says_other_units) {
            host.is_to_look.store(true, Ordering::Release);
            host.news.wake_all();
        }
        let outcome = match answer.map(|answer| (answer.verdict(), answer.residue)) {
            // What was not moved must not pass old memory off as the disk's.
            Some((Verdict::Done, 0)) if written as usize >= ANSWER + expected as usize => Outcome::Done,
            Some((Verdict::Retry, _)) if self.is_resetting.load(Ordering::Acquire) => Outcome::Aborted,
            Some((Verdict::Retry, _)) => Outcome::Retry,
            Some((Verdict::Unsupported, _)) => Outcome::Unsupported,
            _ => Outcome::Failed,
        };
        if outcome == Outcome::Done && host.resets.load(Ordering::Relaxed) != 0 {
            host.resets.store(0, Ordering::Relaxed);
        }
        self.lanes[lane].is_to_go_on.store(true, Ordering::Release);
        requests.complete(lane, tag, outcome);
    }

    /// The command for a request.
    fn command(&self, command: &Command<'_>) -> Result<scsi::Command> {
        let block_size = u64::from(self.facts.shape.block_size);
        let (block, count) = (command.offset / block_size, command.length / block_size);
        let too_much = Error::new(Errno::EINVAL, "more blocks than a command can be about");
        let count = u32::try_from(count).map_err(|_| too_much)?;
        Ok(match command.operation {
            Operation::Read if self.facts.reading == Reading::Short => {
                let (block, count) = (u32::try_from(block), u16::try_from(count));
                scsi::Command::read_10(block.map_err(|_| too_much)?, count.map_err(|_| too_much)?)
            }
            Operation::Read => scsi::Command::read(block, count),
            Operation::Write(durability) => {
                let is_safe =
                    durability == block::Durability::Safe && self.facts.shape.features.has_safe_writes;
                let durability = if is_safe { Durability::Medium } else { Durability::Cached };
                scsi::Command::write(block, count, durability)
            }
            Operation::Flush => scsi::Command::synchronize(),
            Operation::Discard => scsi::Command::unmap(),
            Operation::WriteZeroes => scsi::Command::write_zeroes(block, count),
        })
    }

    fn host(&self) -> Result<Arc<Host>> {
        self.host.upgrade().ok_or(Error::new(Errno::EIO, "the SCSI adapter is gone"))
    }
}

impl Hardware for Unit {
    fn start(&self, lane: usize, tag: u16, command: &Command<'_>) -> Result<()> {
        let (host, this) = (self.host()?, self.this.upgrade());
        let this = this.ok_or(Error::new(Errno::EIO, "the unit is gone"))?;
        if host.is_gone() {
            return Err(Error::new(Errno::EIO, "the SCSI adapter is gone"));
        }
        let slots = &self.lanes[lane].slots;
        let words = self.command(command)?;
        let number = (lane as u64) << 16 | u64::from(tag);
        slots.write(self.at(lane, tag, 0), &wire::request(self.facts.address, number, &words));
        slots.write(self.at(lane, tag, ANSWER_AT), &[0; ANSWER]);
        if command.operation == Operation::Discard {
            let block_size = u64::from(self.facts.shape.block_size);
            let (block, count) = (command.offset / block_size, (command.length / block_size) as u32);
            slots.write(self.at(lane, tag, PARAMETERS), &scsi::Command::unmap_range(block, count));
        }
        let mut fill = |chain: &mut Vec<Buffer>| {
            chain.push(Buffer::to_device(self.physical(lane, tag, 0), REQUEST as u32));
            let answer = Buffer::from_device(self.physical(lane, tag, ANSWER_AT), ANSWER as u32);
            match command.operation {
                Operation::Read => {
                    chain.push(answer);
                    let buffer = |segment: &Segment| Buffer::from_device(segment.address(), segment.length);
                    return chain.extend(command.segments().map(buffer));
                }
                Operation::Write(_) => {
                    let buffer = |segment: &Segment| Buffer::to_device(segment.address(), segment.length);
                    chain.extend(command.segments().map(buffer));
                }
                Operation::Discard => {
                    let length = scsi::Command::UNMAP_LENGTH as u32;
                    chain.push(Buffer::to_device(self.physical(lane, tag, PARAMETERS), length));
                }
                Operation::WriteZeroes => {
                    let address = self.zeros.address().as_u64();
                    chain.push(Buffer::to_device(address, self.facts.shape.block_size));
                }
                Operation::Flush => {}
            }
            chain.push(answer);
        };
        // Before it is tried: room may come at once, and be told to whoever says so.
        self.lanes[lane].is_to_go_on.store(true, Ordering::Release);
        let expected = if command.operation == Operation::Read { command.length as u32 } else { 0 };
        host.start_request(lane, &this, (tag, expected), &mut fill)
    }

    fn kick(&self, lane: usize) {
        if let Ok(host) = self.host() {
            host.kick(lane);
        }
    }

    fn reset(&self) -> Result<()> {
        self.is_resetting.store(true, Ordering::Release);
        let outcome = self.host().and_then(|host| host.reset_unit(self));
        self.is_resetting.store(false, Ordering::Release);
        outcome
    }

    fn stop(&self) {
        // An adapter that is gone or of no use was stopped itself.
        if let Ok(host) = self.host()
            && !host.is_gone()
            && host.reset_unit(self).is_err()
        {
            log::error!("virtio: a SCSI adapter is of no use any more");
        }
    }

    fn identify(&self) -> Identity {
        self.facts.identity.clone()
    }
}
