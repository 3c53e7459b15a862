//! Address spaces of programs, page faults, user memory.

use crate::error::Result;
use alloc::sync::Arc;
use core::sync::atomic::AtomicU64;
use machine::upcalls::Access;

/// The limits that memory heeds.
pub(crate) struct Limits {
    pub(crate) address_space: AtomicU64,
    pub(crate) data: AtomicU64,
    pub(crate) stack: AtomicU64,
    pub(crate) locked: AtomicU64,
}

/// The memory of a program.
pub(crate) struct AddressSpace {
    pub(crate) limits: Limits,
}

/// Why an access cannot be made to work.
pub(crate) enum FaultError {
    NotMapped,
    NotAllowed,
    NoData,
    OutOfMemory,
}

pub(crate) struct Usage {
    pub(crate) resident_peak: u64,
}

impl AddressSpace {
    pub(crate) fn fork(&self) -> Result<Arc<Self>> {
        Err(abi::errno::Errno::ENOMEM.into())
    }
    pub(crate) fn activate(&self) {}
    pub(crate) fn usage(&self) -> Usage {
        Usage { resident_peak: 0 }
    }
    pub(crate) fn handle_fault(
        &self,
        _address: u64,
        _access: Access,
    ) -> core::result::Result<(), FaultError> {
        Err(FaultError::NotMapped)
    }
    pub(crate) fn fault_counts(&self) -> (u64, u64) {
        (0, 0)
    }
}
