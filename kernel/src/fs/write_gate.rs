//! Who keeps a mount or a file system from becoming read-only.

use crate::error::{Error, Result};
use abi::errno::Errno;
use core::sync::atomic::{AtomicU32, Ordering};

/// Set while nobody may enter.
const SHUT: u32 = 1 << 31;

/// Counts those who write, and lets nobody in once it is shut.
pub(crate) struct WriteGate(AtomicU32);

impl WriteGate {
    /// A gate that nobody has passed.
    pub(crate) const fn new(is_shut: bool) -> Self {
        Self(AtomicU32::new(if is_shut { SHUT } else { 0 }))
    }

    /// Whether it is shut.
    pub(crate) fn is_shut(&self) -> bool {
        self.0.load(Ordering::Acquire) & SHUT != 0
    }

    /// Passes; EROFS if it is shut. Each success is to be matched by [`leave`](Self::leave).
    pub(crate) fn enter(&self) -> Result<()> {
        let pass = |state: u32| (state & SHUT == 0).then_some(state + 1);
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, pass) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(Errno::EROFS, "mounted read-only")),
        }
    }

    /// Goes back out.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Shuts it; EBUSY while somebody is inside.
    pub(crate) fn shut(&self) -> Result<()> {
        let shut = |state: u32| (state & !SHUT == 0).then_some(SHUT);
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, shut) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(Errno::EBUSY, "a file is open for writing")),
        }
    }

    /// Shuts it, whoever is inside.
    pub(crate) fn shut_anyway(&self) {
        self.0.fetch_or(SHUT, Ordering::AcqRel);
    }

    /// Opens it.
    pub(crate) fn open(&self) {
        self.0.fetch_and(!SHUT, Ordering::AcqRel);
    }
}
