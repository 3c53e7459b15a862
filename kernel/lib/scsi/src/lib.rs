//! SCSI's commands and answers, for disks and CD drives.
//!
//! | file | what |
//! |---|---|
//! | `command.rs` | descriptor blocks of commands |
//! | `inquiry.rs` | what a device says of itself: INQUIRY and its pages, REPORT LUNS |
//! | `medium.rs` | capacity, caches, write protection |
//! | `sense.rs` | why a command failed |
//!
//! How a command reaches a device and its answer comes back is a transport's business (virtio-scsi, in the kernel). Answers
//! come from devices and are not trusted: whatever they contain and however short they are, nothing here panics, and what
//! is not there is `None` or a default that promises nothing.
//!
//! Source: SCSI Primary Commands 4 (SPC-4), SCSI Block Commands 3 (SBC-3), Multi-Media Commands 6 (MMC-6).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod command;
mod inquiry;
mod medium;
mod sense;

pub use command::{Command, Durability};
pub use inquiry::{
    Device, Inquiry, Limits, Lun, Provisioning, is_rotational, luns, page, pages, serial_number,
};
pub use medium::{Cache, Capacity};
pub use sense::{Sense, Status, Verdict};

/// A number of up to eight bytes, the highest first; `None` if they are not all there.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
