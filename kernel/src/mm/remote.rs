//! The memory of a program from outside: for building its first stack, /proc/PID/mem, process_vm_readv, ptrace.

use super::{AddressSpace, FaultError, space::PAGE};
use machine::{
    addr::{USER_END, VirtAddr},
    mm::{Frame, PageFlags},
    upcalls::Access,
};

impl AddressSpace {
    /// Copies from a program's memory; tells how many bytes could be copied.
    pub(crate) fn read_remote(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        each_part(address, buffer.len(), |address, length| {
            let part = &mut buffer[done..done + length];
            let copied = self.with_frame(address, Access::Read, |frame, offset| frame.read(offset, part));
            done += if copied.is_ok() { length } else { 0 };
            copied.is_ok()
        });
        done
    }

    /// Copies to a program's memory, where it may write itself; tells how many bytes could be copied.
    pub(crate) fn write_remote(&self, address: u64, bytes: &[u8]) -> usize {
        let mut done = 0;
        each_part(address, bytes.len(), |address, length| {
            let part = &bytes[done..done + length];
            let copied = self.with_frame(address, Access::Write, |frame, offset| frame.write(offset, part));
            done += if copied.is_ok() { length } else { 0 };
            copied.is_ok()
        });
        done
    }

    /// Calls `action` with the frame behind an address, of which the access is allowed, and the offset in it.
    fn with_frame(
        &self,
        address: u64,
        access: Access,
        action: impl FnOnce(&Frame, usize),
    ) -> Result<(), FaultError> {
        let page = VirtAddr::new(address & !(PAGE - 1));
        let needed = if access == Access::Write { PageFlags::WRITE } else { PageFlags::READ };
        loop {
            {
                // With the lock held nobody can make it read-only to copy it meanwhile.
                let state = self.read();
                if let Some(present) = state.table.query(page)
                    && present.state.flags.contains(needed)
                {
                    action(&present.frame, (address % PAGE) as usize);
                    return Ok(());
                }
            }
            self.handle_fault(address, access)?;
        }
    }

    /// The frame behind an address that can be read, for keys that are the same for all who share it.
    pub(crate) fn frame_at(&self, address: u64, access: Access) -> Result<Frame, FaultError> {
        let mut found = None;
        if address == 0 || address >= USER_END {
            return Err(FaultError::NotMapped);
        }
        self.with_frame(address, access, |frame, _| found = Some(frame.clone()))?;
        found.ok_or(FaultError::NotMapped)
    }

    /// Whether stores to an address are seen by others who map it.
    pub(crate) fn is_shared_at(&self, address: u64) -> bool {
        self.read().areas.find(address).is_some_and(|(_, mapping)| mapping.is_shared())
    }
}

/// Calls `visit` for the parts of a range that lie in one page each, until it says `false`.
fn each_part(mut address: u64, mut length: usize, mut visit: impl FnMut(u64, usize) -> bool) {
    while length > 0 {
        if !(PAGE..USER_END).contains(&address) {
            return;
        }
        let part = length.min((PAGE - address % PAGE) as usize);
        if !visit(address, part) {
            return;
        }
        address += part as u64;
        length -= part;
    }
}
