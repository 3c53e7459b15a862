//! Which fids are free.

use crate::NO_FID;
use alloc::vec::Vec;

/// The numbers that name files at the server: low ones first, each given to one user at a time.
#[derive(Debug, Default)]
pub struct Fids {
    /// Given back, to be given out again.
    free: Vec<u32>,
    /// From here on none was ever given out.
    next: u32,
}

impl Fids {
    /// All are free.
    pub const fn new() -> Self {
        Self { free: Vec::new(), next: 0 }
    }

    /// A number that nobody has; `None` if all are given out.
    pub fn take(&mut self) -> Option<u32> {
        if let Some(fid) = self.free.pop() {
            return Some(fid);
        }
        let fid = self.next;
        self.next = fid.checked_add(1).filter(|_| fid != NO_FID)?;
        Some(fid)
    }

    /// The server knows nothing of the number any more.
    pub fn give_back(&mut self, fid: u32) {
        debug_assert!(fid < self.next && !self.free.contains(&fid), "fid {fid} is free");
        self.free.push(fid);
    }

    /// How many are given out.
    pub fn in_use(&self) -> usize {
        self.next as usize - self.free.len()
    }
}
