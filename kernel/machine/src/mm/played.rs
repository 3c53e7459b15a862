//! What tests need to play a device: its way to memory.
//!
//! # Soundness
//! A device reaches only what was given to a device: frames of [`Owner::Device`] and of programs and files, of whose bytes
//! there are copies but no references.

use super::{
    allocator::{self, Owner},
    copy, layout,
};
use crate::addr::{PAGE_SIZE, PhysAddr};

/// Where bytes are, if a device may use them: all in frames of one that it could have been given.
fn reachable(address: u64, length: usize) -> Option<*mut u8> {
    let end = address.checked_add(length as u64)?;
    let start = PhysAddr::try_new(address).ok()?;
    let mut frames = address / PAGE_SIZE as u64..end.div_ceil(PAGE_SIZE as u64);
    let is_reachable = |frame: u64| {
        allocator::is_owned_by(frame, Owner::Device) || allocator::is_owned_by(frame, Owner::Program)
    };
    frames.all(is_reachable).then(|| layout::direct(start))
}

/// Reads memory as a device does; `false` if what is there is nothing that a device may use.
pub fn read_as_device(address: u64, bytes: &mut [u8]) -> bool {
    let Some(source) = reachable(address, bytes.len()) else { return false };
    // SAFETY: RAM that is only ever copied; the destination is an exclusive slice elsewhere.
    unsafe { copy::copy_bytes(bytes.as_mut_ptr(), source, bytes.len()) };
    true
}

/// Writes memory as a device does; `false` if what is there is nothing that a device may use.
pub fn write_as_device(address: u64, bytes: &[u8]) -> bool {
    let Some(destination) = reachable(address, bytes.len()) else { return false };
    // SAFETY: RAM that is only ever copied, and of which nobody has a reference.
    unsafe { copy::copy_bytes(destination, bytes.as_ptr(), bytes.len()) };
    true
}
