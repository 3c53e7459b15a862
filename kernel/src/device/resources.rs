//! Who has which range of physical addresses: each belongs to one owner at a time, and comes back when the owner drops its
//! claim. What is in it is the business of `machine::mm::Mmio`; this is the list, for /proc/iomem too.
//!
//! (Ports are claimed in the same way, by `machine::io::IoPorts`; interrupts by `machine::irq::IrqLine`.)

use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::vec::Vec;
use machine::sync::SpinLock;

/// A range that somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    /// First byte.
    pub(crate) start: u64,
    /// Last byte.
    pub(crate) last: u64,
    /// The driver.
    pub(crate) owner: &'static str,
}

static OWNED: SpinLock<Vec<Owned>> = SpinLock::new("resources", Vec::new());

/// A range that belongs to whoever holds this.
#[derive(Debug)]
pub(crate) struct Claim {
    start: u64,
}

/// Takes a range of addresses.
///
/// # Errors
/// EBUSY if a part of it belongs to somebody, EINVAL if there is no such range.
pub(crate) fn claim(start: u64, length: u64, owner: &'static str) -> Result<Claim> {
    let last = length.checked_sub(1).and_then(|length| start.checked_add(length));
    let last = last.ok_or(Error::new(Errno::EINVAL, "no range of addresses"))?;
    let mut owned = OWNED.lock();
    if owned.iter().any(|other| start <= other.last && other.start <= last) {
        return Err(Error::new(Errno::EBUSY, "the addresses belong to somebody"));
    }
    owned.push(Owned { start, last, owner });
    Ok(Claim { start })
}

impl Drop for Claim {
    fn drop(&mut self) {
        // No two begin at the same place.
        OWNED.lock().retain(|owned| owned.start != self.start);
    }
}

/// All ranges that somebody has, at this moment.
pub(crate) fn owned() -> Vec<Owned> {
    OWNED.lock().clone()
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    /// Nothing is there: above what processors have lines for.
    const PLACE: u64 = 1 << 53;

    #[kernel_test]
    fn a_range_has_one_owner_and_comes_back() {
        let claim_at =
            |start: u64, length: u64| claim(PLACE + start, length, "test").map_err(|error| error.errno);
        let range = claim_at(0x1000, 0x1000).expect("nobody has it");
        for (start, length) in [(0x1000, 0x1000), (0x1fff, 1), (0xfff, 2), (0, 0x10000)] {
            assert_eq!(claim_at(start, length).err(), Some(Errno::EBUSY), "{start:#x}");
        }
        let neighbour = claim_at(0x2000, 1).expect("it ends there");
        assert!(owned().iter().any(|owned| owned.start == PLACE + 0x1000 && owned.owner == "test"));
        drop(range);
        let whole = claim_at(0, 0x2000).expect("it came back");
        assert_eq!(claim_at(0x2000, 1).err(), Some(Errno::EBUSY));
        drop((neighbour, whole));
        assert!(owned().iter().all(|owned| owned.owner != "test"));
        assert_eq!(claim(PLACE, 0, "test").err().map(|error| error.errno), Some(Errno::EINVAL));
        assert_eq!(claim(u64::MAX, 2, "test").err().map(|error| error.errno), Some(Errno::EINVAL));
    }
}
