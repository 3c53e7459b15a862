//! Where the kernel's memory is: buddyinfo, zoneinfo, slabinfo. Source: proc_buddyinfo(5), proc_zoneinfo(5), slabinfo(5).

use crate::error::Result;
use alloc::{string::String, vec::Vec};
use core::fmt::Write;
use machine::mm;

/// buddyinfo: free blocks of 1, 2, 4, ... 1024 frames.
pub(super) fn buddyinfo((): &()) -> Result<Vec<u8>> {
    let mut text = String::new();
    for zone in mm::zones() {
        // Writing to a string does not fail.
        let _ = write!(text, "Node 0, zone {:>8}", zone.name);
        for count in zone.free_blocks {
            let _ = write!(text, " {count:>6}");
        }
        text.push_str(" \n");
    }
    Ok(text.into_bytes())
}

/// zoneinfo: what is known of it, in frames. The watermarks are those of all zones together, shared out by size.
pub(super) fn zoneinfo((): &()) -> Result<Vec<u8>> {
    let total = mm::statistics().total.max(1);
    let limits = mm::watermarks();
    let mut text = String::new();
    for zone in mm::zones() {
        let free: usize = zone.free_blocks.iter().enumerate().map(|(order, count)| count << order).sum();
        let share = |frames: usize| frames * zone.managed / total;
        let _ = writeln!(
            text,
            "Node 0, zone {:>8}\n  pages free     {free}\n        min      {}\n        low      {}\n        high     {}\n\
             \x20       present  {managed}\n        managed  {managed}\n  start_pfn:           {}",
            zone.name,
            share(limits.min),
            share(limits.low),
            share(limits.high),
            zone.start,
            managed = zone.managed,
        );
    }
    Ok(text.into_bytes())
}

/// slabinfo, version 2.1: the size classes of the kernel heap. Objects that a CPU has at hand count as free.
pub(super) fn slabinfo((): &()) -> Result<Vec<u8>> {
    let mut text = String::from(
        "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> \
         : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n",
    );
    for class in mm::slab_statistics() {
        let _ = writeln!(
            text,
            "{:<17} {:>6} {:>6} {:>6} {:>4} {:>4} : tunables {:>4} {:>4} {:>4} : slabdata {:>6} {:>6} {:>6}",
            class.name,
            class.in_use,
            class.slabs * class.objects_per_slab,
            class.object_size,
            class.objects_per_slab,
            1,
            class.magazine_size,
            class.magazine_size / 2,
            0,
            class.slabs,
            class.slabs,
            class.at_hand,
        );
    }
    Ok(text.into_bytes())
}
