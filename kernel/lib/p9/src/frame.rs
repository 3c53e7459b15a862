//! What stands around each message: its length, its type, and the tag by which an answer finds its request.

use crate::{Error, wire::Reader};

/// Bytes before the body of a message.
pub const HEADER_LENGTH: usize = 7;
/// The type of an answer that says that a request failed (Rlerror).
pub const FAILURE: u8 = 7;
/// The whole length of such an answer.
pub const FAILURE_LENGTH: usize = HEADER_LENGTH + 4;
/// What stands before the data in the answer to a read: as much as a failure has.
pub const READ_HEADER: usize = HEADER_LENGTH + 4;
/// What stands before the data in a request to write.
pub const WRITE_HEADER: usize = HEADER_LENGTH + 16;
/// The tag of the request that begins a session.
pub const NO_TAG: u16 = 0xffff;

const TAG: usize = 5;
const TYPE: usize = 4;
const TYPE_VERSION: u8 = 100;

/// Gives an encoded request its tag, and its length with `data_length` bytes of data that follow it; tells the tag, which
/// is [`NO_TAG`] where the protocol wants that.
pub fn seal(request: &mut [u8], data_length: usize, tag: u16) -> Result<u16, Error> {
    let length = request.len().checked_add(data_length).and_then(|length| u32::try_from(length).ok());
    let length = length.filter(|_| request.len() >= HEADER_LENGTH).ok_or(Error::TooLong)?;
    let tag = if request[TYPE] == TYPE_VERSION { NO_TAG } else { tag };
    request[..TYPE].copy_from_slice(&length.to_le_bytes());
    request[TAG..HEADER_LENGTH].copy_from_slice(&tag.to_le_bytes());
    Ok(tag)
}

/// The beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its length, this header included.
    pub length: usize,
    /// Its type.
    pub kind: u8,
    /// Its tag.
    pub tag: u16,
}

impl Header {
    /// Reads it from the first bytes of an answer of which `received` bytes have come. An answer may be shorter
    /// than what has come, not longer.
    pub fn read(bytes: &[u8], received: usize) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let (length, kind, tag) = (reader.u32()?, reader.u8()?, reader.u16()?);
        let length = usize::try_from(length).map_err(|_| Error::Broken("an answer without bounds"))?;
        if !(HEADER_LENGTH..=received).contains(&length) {
            return Err(Error::Broken("an answer that is not as long as it says"));
        }
        Ok(Self { length, kind, tag })
    }
}
