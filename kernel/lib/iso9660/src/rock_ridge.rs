//! System Use fields (SUSP 5): each has two letters, its length and its version; Rock Ridge (RRIP 4) gives them meaning.
//! They may go on elsewhere on the disk (`CE`).

use crate::record::{Kind, Record};
use crate::{Disk, Error, time, u32_at};
use alloc::{vec, vec::Vec};

/// Continuations of one record: more are a circle.
const CONTINUATIONS: usize = 32;
/// Bytes of a continuation: it lies in one block.
const CONTINUATION_BYTES: u32 = 2048;
/// The longest name, and the longest text of a link.
const NAME_BYTES: usize = 255;
const TARGET_BYTES: usize = 4095;

/// The fields of a record, with what they need.
pub(crate) struct Reader<'a> {
    disk: &'a dyn Disk,
    block_bytes: u64,
    /// Bytes before the fields (`SP`).
    skip: usize,
}

/// What has been gathered.
#[derive(Default)]
struct State {
    name: Vec<u8>,
    has_name: bool,
    target: Vec<u8>,
    /// The last piece of the target ends with a whole part, so that a slash comes next.
    needs_slash: bool,
    /// Where the fields go on: block, offset, length.
    continuation: Option<(u32, u32, u32)>,
    has_ended: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, block_bytes: u64, skip: usize) -> Self {
        Self { disk, block_bytes, skip }
    }

    pub(crate) fn skip(&self) -> usize {
        self.skip
    }

    /// Reads all fields into a record.
    pub(crate) fn apply(&mut self, area: &[u8], record: &mut Record) -> Result<(), Error> {
        let mut state = State::default();
        read_area(area, record, &mut state);
        for _ in 0..CONTINUATIONS {
            let Some((block, offset, length)) = state.continuation.take() else { break };
            if length > CONTINUATION_BYTES || offset >= CONTINUATION_BYTES {
                return Err(Error::Corrupt("fields that go on outside of a block"));
            }
            let mut bytes = vec![0; length as usize];
            if !self.disk.read(u64::from(block) * self.block_bytes + u64::from(offset), &mut bytes) {
                return Err(Error::Read);
            }
            state.has_ended = false;
            read_area(&bytes, record, &mut state);
        }
        if state.continuation.is_some() {
            return Err(Error::Corrupt("fields that go on in a circle"));
        }
        if state.has_name {
            record.name = state.name;
        }
        if record.node.kind == Kind::Link {
            record.node.size = state.target.len() as u64;
            record.node.target = state.target;
        }
        Ok(())
    }
}

fn read_area(area: &[u8], record: &mut Record, state: &mut State) {
    let mut rest = area;
    while rest.len() >= 4 && !state.has_ended {
        let length = usize::from(rest[2]);
        let Some(field) = rest.get(..length).filter(|field| field.len() >= 4) else { return };
        read_field([field[0], field[1]], &field[4..], record, state);
        rest = &rest[length..];
    }
}

fn read_field(name: [u8; 2], data: &[u8], record: &mut Record, state: &mut State) {
    match (&name, data.len()) {
        (b"PX", 32..) => attributes(data, record),
        (b"PN", 16..) => record.node.device = device(u32_at(data, 0), u32_at(data, 8)),
        (b"NM", 1..) => add_name(data[0], &data[1..], state),
        (b"SL", 1..) => add_target(&data[1..], state),
        (b"TF", 1..) => times(data[0], &data[1..], record),
        (b"CL", 8..) => record.child = Some(u32_at(data, 0)),
        (b"RE", _) => record.is_shown = false,
        (b"CE", 24..) => state.continuation = Some((u32_at(data, 0), u32_at(data, 8), u32_at(data, 16))),
        (b"ST", _) => state.has_ended = true,
        _ => {}
    }
}

/// RRIP 4.1.1.
fn attributes(data: &[u8], record: &mut Record) {
    let mode = u32_at(data, 0);
    let kind = match mode & 0o170_000 {
        0o140_000 => Kind::Socket,
        0o120_000 => Kind::Link,
        0o100_000 => Kind::Regular,
        0o060_000 => Kind::Block,
        0o020_000 => Kind::Character,
        0o040_000 => Kind::Directory,
        0o010_000 => Kind::Fifo,
        _ => record.node.kind,
    };
    // What has the contents of a directory is one, and nothing else is.
    let is_directory = record.node.kind == Kind::Directory;
    if is_directory == (kind == Kind::Directory) || record.child.is_some() {
        record.node.kind = kind;
    }
    if !matches!(record.node.kind, Kind::Regular | Kind::Directory) {
        record.node.extents.clear();
        record.node.size = 0;
    }
    record.node.mode = Some(mode & 0o7777);
    record.node.links = u32_at(data, 8);
    record.node.owner = Some((u32_at(data, 16), u32_at(data, 24)));
}

/// RRIP 4.1.2: the two halves of a device's number; some writers put all of it into the second.
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 && low > 0xff {
        (low >> 8 & 0xfff, low & 0xff | low >> 12 & 0xfff00)
    } else {
        (high, low & 0x000f_ffff)
    }
}

/// RRIP 4.1.4: a piece of the name. Flags: it goes on (1), it is "." (2) or ".." (4).
fn add_name(flags: u8, piece: &[u8], state: &mut State) {
    if flags & 6 != 0 {
        return;
    }
    let room = NAME_BYTES.saturating_sub(state.name.len()).min(piece.len());
    state.name.extend_from_slice(&piece[..room]);
    state.has_name = true;
}

/// RRIP 4.1.3: parts of a path, each with flags and length. Flags: it goes on (1), it is "." (2), ".." (4) or "/" (8).
fn add_target(mut parts: &[u8], state: &mut State) {
    while let [flags, length, rest @ ..] = parts {
        let Some((text, behind)) = rest.split_at_checked(usize::from(*length)) else { return };
        if state.needs_slash {
            state.target.push(b'/');
        }
        state.needs_slash = flags & 1 == 0;
        match flags & 0xe {
            2 => state.target.push(b'.'),
            4 => state.target.extend_from_slice(b".."),
            8 => {
                state.target.push(b'/');
                state.needs_slash = false;
            }
            _ => state.target.extend_from_slice(text),
        }
        state.target.truncate(TARGET_BYTES);
        parts = behind;
    }
}

/// RRIP 4.1.6: which times there are, one bit each (creation, contents, read, attributes, ...), 0x80: in digits.
fn times(flags: u8, mut stamps: &[u8], record: &mut Record) {
    for bit in 0..7 {
        if flags & 1 << bit == 0 {
            continue;
        }
        let seconds = if flags & 0x80 != 0 {
            let Some((stamp, rest)) = stamps.split_first_chunk() else { return };
            stamps = rest;
            time::long(stamp)
        } else {
            let Some((stamp, rest)) = stamps.split_first_chunk() else { return };
            stamps = rest;
            time::short(stamp)
        };
        match bit {
            1 => record.node.modified = seconds,
            2 => record.node.accessed = seconds,
            3 => record.node.changed = seconds,
            _ => {}
        }
    }
}

/// The bytes before the fields, if the "." record of the root directory says that there are fields (`SP`, SUSP 5.3).
pub(crate) fn find_skip(record: &[u8]) -> Option<usize> {
    let area = record.get(crate::record::HEADER + 1..)?;
    // CD-ROM XA puts 14 bytes before.
    [area, area.get(14..).unwrap_or_default()].iter().find_map(|area| match area {
        [b'S', b'P', _, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        _ => None,
    })
}
