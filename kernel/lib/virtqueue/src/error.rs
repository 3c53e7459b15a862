//! What can go wrong, by whose fault.

use core::fmt;

/// The queue cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The size is not a power of two from 1 to 32,768.
    BadSize(u16),
    /// The memory is shorter than the layout, or not aligned to 16 bytes.
    BadMemory,
}

/// A chain was not added; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// Not enough descriptors are free: wait for a completion.
    Full,
    /// It has no buffers, or an empty one.
    Empty,
    /// It has more buffers than the queue can ever take, or more than 4 GiB.
    TooLong,
    /// A buffer for the device to read stands behind one for it to write.
    BadOrder,
    /// The device lied before.
    Broken,
}

/// The device broke the protocol. The queue stays broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// The used index is ahead of all that was offered.
    BadIndex {
        /// What the device says.
        index: u16,
        /// Where the driver is.
        expected_from: u16,
    },
    /// It returned a descriptor that it did not have.
    BadToken(u32),
    /// It claims to have written more bytes than the chain has room for.
    BadLength {
        /// What the device says.
        written: u32,
        /// The room.
        room: u32,
    },
    /// It lied before.
    Broken,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::BadSize(size) => {
                write!(f, "queue size {size}, expected a power of two from 1 to 32768")
            }
            LayoutError::BadMemory => f.write_str("queue memory is too short or not aligned"),
        }
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddError::Full => "queue is full",
            AddError::Empty => "chain or buffer is empty",
            AddError::TooLong => "chain is too long",
            AddError::BadOrder => "readable buffer behind a writable one",
            AddError::Broken => "queue is broken",
        })
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::BadIndex { index, expected_from } => {
                write!(
                    f,
                    "device's used index is {index}, the driver is at {expected_from} with less in flight"
                )
            }
            DeviceError::BadToken(token) => {
                write!(f, "device returned descriptor {token}, which it did not have")
            }
            DeviceError::BadLength { written, room } => {
                write!(f, "device claims {written} bytes written, room was for {room}")
            }
            DeviceError::Broken => f.write_str("queue is broken"),
        }
    }
}

impl core::error::Error for LayoutError {}
impl core::error::Error for AddError {}
impl core::error::Error for DeviceError {}
