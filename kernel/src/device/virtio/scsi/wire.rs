//! Shapes of what goes through the queues (virtio 1.2, sections 5.6.4 and 5.6.6).

use scsi::{Sense, Status, Verdict};

/// Features.
pub(super) mod feature {
    /// The device tells of units that come and go.
    const HOT_PLUG: u64 = 1 << 1;
    /// It tells of units that change.
    const CHANGE: u64 = 1 << 2;
    pub(in super::super) const ALL: u64 = HOT_PLUG | CHANGE;
}

/// Offsets in the configuration.
pub(super) mod config {
    pub(in super::super) const QUEUES: usize = 0;
    pub(in super::super) const SEGMENTS: usize = 4;
    pub(in super::super) const SECTORS: usize = 8;
    pub(in super::super) const DEPTH: usize = 12;
    pub(in super::super) const SENSE_SIZE: usize = 20;
    pub(in super::super) const COMMAND_SIZE: usize = 24;
    pub(in super::super) const LAST_TARGET: usize = 30;
}

/// Queues; those from [`FIRST_LANE`](queue::FIRST_LANE) on are for commands.
pub(super) mod queue {
    pub(in super::super) const CONTROL: u16 = 0;
    pub(in super::super) const EVENTS: u16 = 1;
    pub(in super::super) const FIRST_LANE: u16 = 2;
}

/// Bytes of a command, of which the header takes the first.
pub(super) const REQUEST: usize = HEADER + COMMAND;
const HEADER: usize = 19;
/// Bytes of a descriptor block, and of sense data.
pub(super) const COMMAND: usize = 32;
pub(super) const SENSE: usize = 96;
/// Bytes of an answer: the fixed part, and sense data.
pub(super) const ANSWER: usize = 12 + SENSE;
/// Bytes of an event.
pub(super) const EVENT: usize = 16;
/// Bytes of a wish for control, and of the answer.
pub(super) const CONTROL: usize = 24;
pub(super) const CONTROL_ANSWER: usize = 1;

/// A unit of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) target: u8,
    /// Below 2^14.
    pub(super) unit: u16,
}

impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "0:0:{}:{}", self.target, self.unit)
    }
}

impl Address {
    /// As eight bytes.
    fn bytes(self) -> [u8; 8] {
        let [high, low] = self.unit.to_be_bytes();
        [1, self.target, high | 0x40, low, 0, 0, 0, 0]
    }

    /// From eight bytes of an event.
    fn read(bytes: [u8; 8]) -> Option<Address> {
        let [1, target, high, low, ..] = bytes else { return None };
        Some(Address { target, unit: u16::from_be_bytes([high & 0x3f, low]) })
    }
}

/// The bytes of a command to a unit. `tag` names it while it is under way.
pub(super) fn request(address: Address, tag: u64, command: &scsi::Command) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..8].copy_from_slice(&address.bytes());
    bytes[8..16].copy_from_slice(&tag.to_le_bytes());
    bytes[HEADER..].copy_from_slice(command.bytes());
    bytes
}

/// The bytes of a wish that a unit is reset: all that it has under way ends.
pub(super) fn reset(address: Address) -> [u8; CONTROL] {
    const MANAGE_TASKS: u32 = 0;
    const RESET_UNIT: u32 = 5;
    let mut bytes = [0; CONTROL];
    bytes[..4].copy_from_slice(&MANAGE_TASKS.to_le_bytes());
    bytes[4..8].copy_from_slice(&RESET_UNIT.to_le_bytes());
    bytes[8..16].copy_from_slice(&address.bytes());
    bytes
}

/// How the adapter itself says that a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    /// The unit has answered.
    Answered,
    /// It was ended by a reset, or it may work later.
    Again,
    /// There is no such target.
    NoTarget,
    /// It failed.
    Failed,
}

/// An answer to a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    response: Response,
    status: Status,
    pub(super) sense: Option<Sense>,
    /// Bytes of the data that were not moved.
    pub(super) residue: u32,
}

impl Answer {
    /// Reads an answer, of which the device says to have written so much.
    pub(super) fn read(bytes: &[u8; ANSWER], written: usize) -> Option<Answer> {
        if written < 12 {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let response = match bytes[11] {
            0 => Response::Answered,
            // Aborted, reset, busy, a failure of the way to the target.
            2 | 4 | 5 | 6 => Response::Again,
            3 => Response::NoTarget,
            _ => Response::Failed,
        };
        let sense_length = (word(0) as usize).min(SENSE).min(written - 12);
        let sense = Sense::read(&bytes[12..12 + sense_length]);
        Some(Answer { response, status: Status::of(bytes[10]), sense, residue: word(4) })
    }

    /// Whether there is a target at all.
    pub(super) fn has_target(&self) -> bool {
        self.response != Response::NoTarget
    }

    /// What it means for the command.
    pub(super) fn verdict(&self) -> Verdict {
        match (self.response, self.status) {
            (Response::Again, _) | (Response::Answered, Status::Busy | Status::Aborted) => Verdict::Retry,
            (Response::Answered, Status::Good) => Verdict::Done,
            (Response::Answered, Status::CheckCondition) => {
                self.sense.map_or(Verdict::Failed, scsi::Sense::verdict)
            }
            _ => Verdict::Failed,
        }
    }
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A unit may have come.
    Come(Address),
    /// A unit has gone.
    Gone(Address),
    /// Nobody knows: all are to be looked at.
    All,
    /// Nothing that is of use here.
    Other,
}

impl Event {
    /// Reads an event.
    pub(super) fn read(bytes: [u8; EVENT]) -> Event {
        const MISSED: u32 = 1 << 31;
        const TRANSPORT_RESET: u32 = 1;
        const RESCAN: u32 = 1;
        const REMOVED: u32 = 2;
        let [e0, e1, e2, e3, a, b, c, d, e, f, g, h, r0, r1, r2, r3] = bytes;
        let (event, reason) = (u32::from_le_bytes([e0, e1, e2, e3]), u32::from_le_bytes([r0, r1, r2, r3]));
        if event & MISSED != 0 {
            return Event::All;
        }
        match (event, reason, Address::read([a, b, c, d, e, f, g, h])) {
            (TRANSPORT_RESET, RESCAN, Some(address)) => Event::Come(address),
            (TRANSPORT_RESET, REMOVED, Some(address)) => Event::Gone(address),
            (TRANSPORT_RESET, RESCAN | REMOVED, None) => Event::All,
            _ => Event::Other,
        }
    }
}
