//! Cursors over memory that data is moved to or from, so that who has the data need not know whether a
//! program's memory or the kernel's is on the other side.
//!
//! A [`Destination`] is what read(2) fills, a [`Source`] what write(2) empties. Both advance by what was
//! moved. Program memory is only a claim: it may turn out to be missing in the middle. Then a call moves
//! what it can, and the one that could not move a single byte fails with EFAULT; so a loop that keeps what
//! was moved before and stops at the error gives a program what Linux gives it.
//!
//! Program memory is touched with no lock held that a page fault may need: not the address space's, not a
//! page cache's, not a file system's.

use crate::error::{Error, Result};
use abi::errno::Errno;
use machine::mm::{Frame, user};

/// The most that one call moves, as on Linux.
pub(crate) const MAXIMUM_TRANSFER: usize = 0x7fff_f000;

/// One stretch of a program's memory (`struct iovec`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    /// Where it starts.
    pub(crate) address: u64,
    /// Its length in bytes.
    pub(crate) length: usize,
}

/// A position in a list of segments.
struct UserCursor<'a> {
    current: Segment,
    rest: &'a [Segment],
}

impl<'a> UserCursor<'a> {
    fn new(segments: &'a [Segment]) -> Self {
        let (current, rest) = match segments.split_first() {
            Some((first, rest)) => (*first, rest),
            None => (Segment::default(), segments),
        };
        Self { current, rest }
    }

    /// Whether all that is left begins at multiples of `address`, and is as long as multiples of `length`; powers of two.
    fn is_aligned(&self, address: u64, length: u64) -> bool {
        let is_whole = |segment: &Segment| {
            segment.address.is_multiple_of(address) && (segment.length as u64).is_multiple_of(length)
        };
        core::iter::once(&self.current).chain(self.rest).filter(|segment| segment.length > 0).all(is_whole)
    }

    /// Calls `copy` with an address, an offset into what is moved and a length, until `length` bytes are
    /// moved or one call moves less than asked. Tells how many were moved.
    fn advance(&mut self, length: usize, mut copy: impl FnMut(u64, usize, usize) -> usize) -> usize {
        let mut done = 0;
        while done < length {
            if self.current.length == 0 {
                let Some((next, rest)) = self.rest.split_first() else { break };
                (self.current, self.rest) = (*next, rest);
                continue;
            }
            let wanted = self.current.length.min(length - done);
            let moved = copy(self.current.address, done, wanted);
            done += moved;
            self.current.address = self.current.address.wrapping_add(moved as u64);
            self.current.length -= moved;
            if moved < wanted {
                break;
            }
        }
        done
    }
}

const FAULT: Error = Error::new(Errno::EFAULT, "bad user address");

fn moved(done: usize, wanted: usize) -> Result<usize> {
    if done == 0 && wanted > 0 { Err(FAULT) } else { Ok(done) }
}

enum Target<'a> {
    Kernel(&'a mut [u8]),
    User(UserCursor<'a>),
}

/// Where read(2) puts data.
pub(crate) struct Destination<'a> {
    target: Target<'a>,
    remaining: usize,
}

impl<'a> Destination<'a> {
    /// A kernel buffer.
    pub(crate) fn kernel(buffer: &'a mut [u8]) -> Self {
        let remaining = buffer.len();
        Self { target: Target::Kernel(buffer), remaining }
    }

    /// A stretch of the current program's memory.
    pub(crate) fn user(address: u64, length: usize) -> Self {
        let remaining = length.min(MAXIMUM_TRANSFER);
        let current = Segment { address, length: remaining };
        Self { target: Target::User(UserCursor { current, rest: &[] }), remaining }
    }

    /// Several stretches, one after the other.
    pub(crate) fn user_vector(segments: &'a [Segment]) -> Self {
        let total = segments.iter().fold(0usize, |sum, segment| sum.saturating_add(segment.length));
        let remaining = total.min(MAXIMUM_TRANSFER);
        Self { target: Target::User(UserCursor::new(segments)), remaining }
    }

    /// Space that is left, in bytes.
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether each stretch of a program's memory begins at a multiple of `address` and is as long as a multiple of `length`.
    pub(crate) fn is_aligned(&self, address: u64, length: u64) -> bool {
        match &self.target {
            Target::Kernel(_) => true,
            Target::User(cursor) => cursor.is_aligned(address, length),
        }
    }

    /// Puts bytes, as many as there is space for, and advances. EFAULT if there is space but none could be put.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let wanted = bytes.len().min(self.remaining);
        let done = match &mut self.target {
            Target::Kernel(buffer) => {
                let (now, later) = core::mem::take(buffer).split_at_mut(wanted);
                now.copy_from_slice(&bytes[..wanted]);
                *buffer = later;
                wanted
            }
            Target::User(cursor) => cursor.advance(wanted, |address, at, length| {
                user::copy_to_partial(address, &bytes[at..at + length])
            }),
        };
        self.remaining -= done;
        moved(done, wanted)
    }

    /// Like [`write`](Self::write), from a part of a frame.
    pub(crate) fn write_frame(&mut self, frame: &Frame, offset: usize, length: usize) -> Result<usize> {
        let wanted = length.min(self.remaining);
        let done = match &mut self.target {
            Target::Kernel(buffer) => {
                let (now, later) = core::mem::take(buffer).split_at_mut(wanted);
                frame.read(offset, now);
                *buffer = later;
                wanted
            }
            Target::User(cursor) => cursor.advance(wanted, |address, at, length| {
                user::copy_frame_to_partial(address, frame, offset + at, length)
            }),
        };
        self.remaining -= done;
        moved(done, wanted)
    }

    /// Puts `length` zeros, or as many as there is space for.
    pub(crate) fn write_zeros(&mut self, length: usize) -> Result<usize> {
        let wanted = length.min(self.remaining);
        let done = match &mut self.target {
            Target::Kernel(buffer) => {
                let (now, later) = core::mem::take(buffer).split_at_mut(wanted);
                now.fill(0);
                *buffer = later;
                wanted
            }
            Target::User(cursor) => cursor.advance(wanted, |address, _, length| {
                let zeros = [0; 256];
                let mut done = 0;
                while done < length {
                    let step = zeros.len().min(length - done);
                    let cleared = user::copy_to_partial(address + done as u64, &zeros[..step]);
                    done += cleared;
                    if cleared < step {
                        break;
                    }
                }
                done
            }),
        };
        self.remaining -= done;
        moved(done, wanted)
    }
}

enum Origin<'a> {
    Kernel(&'a [u8]),
    User(UserCursor<'a>),
}

/// Where write(2) takes data from.
pub(crate) struct Source<'a> {
    origin: Origin<'a>,
    remaining: usize,
}

impl<'a> Source<'a> {
    /// A kernel buffer.
    pub(crate) fn kernel(buffer: &'a [u8]) -> Self {
        Self { origin: Origin::Kernel(buffer), remaining: buffer.len() }
    }

    /// A stretch of the current program's memory.
    pub(crate) fn user(address: u64, length: usize) -> Self {
        let remaining = length.min(MAXIMUM_TRANSFER);
        let current = Segment { address, length: remaining };
        Self { origin: Origin::User(UserCursor { current, rest: &[] }), remaining }
    }

    /// Several stretches, one after the other.
    pub(crate) fn user_vector(segments: &'a [Segment]) -> Self {
        let total = segments.iter().fold(0usize, |sum, segment| sum.saturating_add(segment.length));
        let remaining = total.min(MAXIMUM_TRANSFER);
        Self { origin: Origin::User(UserCursor::new(segments)), remaining }
    }

    /// Bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether each stretch of a program's memory begins at a multiple of `address` and is as long as a multiple of `length`.
    pub(crate) fn is_aligned(&self, address: u64, length: u64) -> bool {
        match &self.origin {
            Origin::Kernel(_) => true,
            Origin::User(cursor) => cursor.is_aligned(address, length),
        }
    }

    /// Gives no more than `length` bytes from here on.
    pub(crate) fn limit(&mut self, length: usize) {
        self.remaining = self.remaining.min(length);
    }

    /// Takes bytes, as many as there are, and advances. EFAULT if there are some but none could be taken.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = buffer.len().min(self.remaining);
        let done = match &mut self.origin {
            Origin::Kernel(bytes) => {
                let (now, later) = bytes.split_at(wanted);
                buffer[..wanted].copy_from_slice(now);
                *bytes = later;
                wanted
            }
            Origin::User(cursor) => cursor.advance(wanted, |address, at, length| {
                user::copy_from_partial(&mut buffer[at..at + length], address)
            }),
        };
        self.remaining -= done;
        moved(done, wanted)
    }

    /// Like [`read`](Self::read), into a part of a frame.
    pub(crate) fn read_frame(&mut self, frame: &Frame, offset: usize, length: usize) -> Result<usize> {
        let wanted = length.min(self.remaining);
        let done = match &mut self.origin {
            Origin::Kernel(bytes) => {
                let (now, later) = bytes.split_at(wanted);
                frame.write(offset, now);
                *bytes = later;
                wanted
            }
            Origin::User(cursor) => cursor.advance(wanted, |address, at, length| {
                user::copy_frame_from_partial(frame, offset + at, address, length)
            }),
        };
        self.remaining -= done;
        moved(done, wanted)
    }
}
