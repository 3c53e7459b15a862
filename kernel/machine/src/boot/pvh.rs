//! PVH, as `qemu -kernel` speaks it.

use super::{Bytes, Early, refuse};
use bootinfo::pvh::{self, MEMORY_BYTES, MODULE_BYTES, START_INFO_BYTES, StartInfo};

/// Reads the start info at a physical address.
pub(super) fn collect(early: &mut Early, info: u64) {
    early.protocol = "pvh";
    let Some(start) = StartInfo::parse(early.bytes(info, START_INFO_BYTES as u64)) else {
        refuse("pvh: no start info");
    };
    let map = early.bytes(start.memory_map, u64::from(start.memory_map_entries) * MEMORY_BYTES as u64);
    for ram in [true, false] {
        for (start, length, kind) in map.chunks_exact(MEMORY_BYTES).filter_map(pvh::memory) {
            if (kind == bootinfo::e820::RAM) == ram {
                early.add_memory(start, length, kind);
            }
        }
    }
    if start.memory_map_entries == 0 {
        refuse("pvh: no memory map (start info of version 0)");
    }
    early.command_line = early.string(start.command_line);
    early.rsdp = (start.rsdp != 0).then_some(start.rsdp);
    let modules = early.bytes(start.module_list, u64::from(start.modules) * MODULE_BYTES as u64);
    for (start, length, name) in modules.chunks_exact(MODULE_BYTES).filter_map(pvh::module) {
        let name = early.string(name);
        early.add_module(Bytes { start, length }, name);
    }
}
