//! Files about the system as a whole: cpuinfo, meminfo, interrupts, version and the like.

use super::super::page_cache;
use crate::{
    block, clock, cmdline,
    device::{character, display, input, virtio::balloon},
    error::Result,
    fs::dentry_cache,
    mm::{commit, reclaim_counts, reclaimable_frames},
    process::oom,
    utsname,
};
use abi::time::USER_HZ;
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;
use machine::{
    addr::PAGE_SIZE,
    cpu,
    mm::{self, HugeFrame},
};

/// Kilobytes in a page.
const PAGE_KIB: usize = PAGE_SIZE / 1024;
/// Nanoseconds of a tick of [`USER_HZ`].
pub(super) const TICK_NS: u64 = clock::SECOND_NS / USER_HZ;

pub(super) fn done(text: String) -> Result<Vec<u8>> {
    Ok(text.into_bytes())
}

/// cmdline.
pub(super) fn command_line((): &()) -> Result<Vec<u8>> {
    done(format!("{}\n", cmdline::parameters().line))
}

/// cpuinfo.
pub(super) fn cpuinfo((): &()) -> Result<Vec<u8>> {
    let described = cpu::description();
    let mut text = String::new();
    for id in 0..cpu::count() {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "processor\t: {id}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n\
             cpu MHz\t\t: {}.{:03}\nphysical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {id}\ncpu cores\t: {count}\n\
             fpu\t\t: yes\nfpu_exception\t: yes\nwp\t\t: yes\nflags\t\t: {}\nbogomips\t: {}.{:02}\n\
             address sizes\t: {} bits physical, {} bits virtual\n\n",
            described.vendor,
            described.family,
            described.model,
            described.brand,
            described.stepping,
            described.tsc_khz / 1000,
            described.tsc_khz % 1000,
            described.flags.join(" "),
            described.tsc_khz / 500,
            described.tsc_khz / 5 % 100,
            described.physical_bits,
            described.virtual_bits,
            count = cpu::count(),
        );
    }
    done(text)
}

/// meminfo. Values in KiB.
pub(super) fn meminfo((): &()) -> Result<Vec<u8>> {
    let memory = mm::statistics();
    let cache = page_cache::usage();
    let blocks = block::cache_usage();
    let (cached, dirty) = (cache.cached + blocks.cached, cache.dirty + blocks.dirty);
    // Pages in no cache: programs' memory, and what the kernel keeps for them in whole pages (pipes' contents, RAM disks).
    let anonymous = memory.program.saturating_sub(cached + cache.in_memory);
    let rows = [
        ("MemTotal", memory.total),
        ("MemFree", memory.free),
        ("MemAvailable", memory.free + reclaimable_frames()),
        ("Buffers", blocks.cached),
        ("Cached", cache.cached + cache.in_memory),
        ("SwapCached", 0),
        ("Active", cached),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", dirty),
        ("Writeback", 0),
        ("AnonPages", anonymous),
        ("Shmem", cache.in_memory),
        ("Slab", memory.kernel_heap),
        ("SReclaimable", 0),
        ("SUnreclaim", memory.kernel_heap),
        ("KernelStack", memory.kernel_stacks),
        ("PageTables", memory.page_tables),
        ("CommitLimit", commit::limit_pages() as usize),
        ("Committed_AS", commit::promised_pages() as usize),
        ("AnonHugePages", machine::mm::huge_pages() * (HugeFrame::SIZE / PAGE_SIZE as u64) as usize),
        ("VmallocTotal", mm::VIRTUAL_AREA_FRAMES),
        ("VmallocUsed", memory.kernel_virtual),
        ("VmallocChunk", 0),
    ];
    let mut text = String::new();
    for (name, pages) in rows {
        let _ = writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), pages * PAGE_KIB);
    }
    done(text)
}

/// version.
pub(super) fn version((): &()) -> Result<Vec<u8>> {
    done(format!("{} version {} {}\n", utsname::SYSTEM, utsname::RELEASE, utsname::VERSION))
}

/// devices: the drivers' major numbers.
pub(super) fn devices((): &()) -> Result<Vec<u8>> {
    let mut text = String::from("Character devices:\n");
    let mut seen = Vec::new();
    for device in character::all() {
        if !seen.contains(&device.number.major) {
            seen.push(device.number.major);
            let name = match device.number.major {
                1 => "mem",
                4 => "ttyS",
                13 => "input",
                29 => "fb",
                5 => "/dev/tty",
                136 => "pts",
                229 => "hvc",
                _ => &device.name,
            };
            let _ = writeln!(text, "{:3} {name}", device.number.major);
        }
    }
    text.push_str("\nBlock devices:\n");
    seen.clear();
    for disk in block::registry::all() {
        if !seen.contains(&disk.number().major) {
            seen.push(disk.number().major);
            let name = if disk.number().major == 1 { "ramdisk" } else { "virtblk" };
            let _ = writeln!(text, "{:3} {name}", disk.number().major);
        }
    }
    done(text)
}

/// partitions: sizes in KiB.
pub(super) fn partitions((): &()) -> Result<Vec<u8>> {
    let mut text = String::from("major minor  #blocks  name\n\n");
    for disk in block::registry::all() {
        let number = disk.number();
        let _ = writeln!(
            text,
            "{:4} {:8} {:10} {}",
            number.major,
            number.minor,
            disk.size_bytes() / 1024,
            disk.name()
        );
    }
    done(text)
}

/// diskstats: what was done, as in the files stat in /sys/block.
pub(super) fn diskstats((): &()) -> Result<Vec<u8>> {
    let mut text = String::new();
    for disk in block::registry::all() {
        let number = disk.number();
        let _ = writeln!(text, "{:4} {:7} {} {}", number.major, number.minor, disk.name(), disk.counts());
    }
    done(text)
}

/// fb: the framebuffers.
pub(super) fn framebuffers((): &()) -> Result<Vec<u8>> {
    let canvas = display::current().filter(|canvas| canvas.has_display());
    done(canvas.map_or_else(String::new, |canvas| format!("0 {}\n", canvas.display().name())))
}

/// bus/input/devices.
pub(super) fn input_devices((): &()) -> Result<Vec<u8>> {
    done(input::report())
}

/// swaps: there are none.
pub(super) fn swaps((): &()) -> Result<Vec<u8>> {
    Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())
}

/// vmstat: what is known of it.
pub(super) fn vmstat((): &()) -> Result<Vec<u8>> {
    let memory = mm::statistics();
    let cache = page_cache::usage();
    let (reclaimed, stalls) = reclaim_counts();
    let (inflated, deflated) = balloon::counts();
    done(format!(
        "nr_free_pages {}\nnr_file_pages {}\nnr_dirty {}\nnr_shmem {}\nnr_page_table_pages {}\n\
         nr_device_pages {}\nnr_dentries {}\n\
         pgsteal_direct {reclaimed}\nallocstall {stalls}\noom_kill {}\n\
         balloon_inflate {inflated}\nballoon_deflate {deflated}\nballoon_migrate 0\n",
        memory.free,
        cache.cached + cache.in_memory,
        cache.dirty,
        cache.in_memory,
        memory.page_tables,
        memory.device,
        dentry_cache::size(),
        oom::kills(),
    ))
}
