//! /dev/hwrng: the random bytes of the hardware source themselves (virtio-rng), for whoever wants to test it.

use super::CharacterDevice;
use crate::device::virtio::entropy;
use crate::error::Result;
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::Destination;
use abi::stat::DeviceNumber;
use alloc::{sync::Arc, vec};

/// Bytes that one read gives at most.
const MAX_READ: usize = 4096;

struct Source;

/// Adds the device.
pub(super) fn register() {
    super::register(DeviceNumber::new(10, 183), "hwrng", 0o600, Arc::new(Source));
}

impl CharacterDevice for Source {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(Arc::new(Source))
    }
}

impl FileOperations for Source {
    fn read(&self, _file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let mut bytes = vec![0; to.remaining().min(MAX_READ)];
        entropy::read(&mut bytes)?;
        to.write(&bytes)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Nowhere
    }
}
