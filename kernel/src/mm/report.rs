//! The areas of an address space, as /proc/PID/maps tells of them.

use super::{AddressSpace, PageSource, area::MappingFlags, space::addresses};
use crate::error::Result;
use abi::mman::Prot;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use machine::mm::OutOfMemory;

/// One line of /proc/PID/maps.
pub(crate) struct AreaReport {
    /// The addresses.
    pub(crate) range: Range<u64>,
    /// Permissions.
    pub(crate) protection: Prot,
    /// How it behaves.
    pub(crate) flags: MappingFlags,
    /// Where it starts in its source.
    pub(crate) offset: u64,
    /// The source, which knows device, inode and name.
    pub(crate) source: Option<Arc<dyn PageSource>>,
    /// `[heap]` or `[stack]`; empty otherwise.
    pub(crate) role: &'static str,
    /// Pages in memory.
    pub(crate) resident: usize,
}

impl AddressSpace {
    /// All areas in order.
    pub(crate) fn areas(&self) -> Result<Vec<AreaReport>> {
        let stack = self.program().map_or(0, |program| program.stack);
        let state = self.lock();
        let mut reports = Vec::new();
        reports.try_reserve_exact(state.areas.len()).map_err(|_| OutOfMemory)?;
        for (range, mapping) in state.areas.iter() {
            let is_heap =
                mapping.backing.is_none() && range.start < state.heap.end && state.heap.start < range.end;
            let role = match () {
                () if is_heap => "[heap]",
                () if range.contains(&stack) => "[stack]",
                () => "",
            };
            let mut resident = 0;
            state.table.visit(addresses(&range), &mut |_, _| resident += 1);
            reports.push(AreaReport {
                protection: mapping.protection,
                flags: mapping.flags,
                offset: mapping.backing.as_ref().map_or(0, |backing| backing.offset),
                source: mapping.backing.as_ref().map(|backing| backing.source.clone()),
                role,
                resident,
                range,
            });
        }
        Ok(reports)
    }
}
