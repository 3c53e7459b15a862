//! The memory of a process: maps, smaps, statm, cmdline, environ, auxv. Source: proc_pid_maps(5).

use super::process::Target;
use crate::{
    error::Result,
    mm::{AddressSpace, AreaReport, Detail, MappingFlags, PageFigures},
};
use abi::mman::Prot;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{fmt::Write, ops::Range};
use machine::addr::PAGE_SIZE;

/// The most bytes of arguments or environment that are shown.
const TEXT_LIMIT: u64 = 4 << 20;

fn space(target: &Target) -> Option<Arc<AddressSpace>> {
    target.process.try_address_space()
}

/// Copies a range of a process's memory, as far as it is there.
fn read_range(space: &AddressSpace, range: &Range<u64>) -> Vec<u8> {
    let length = range.end.saturating_sub(range.start).min(TEXT_LIMIT) as usize;
    let mut text = Vec::new();
    if text.try_reserve_exact(length).is_err() {
        return text;
    }
    text.resize(length, 0);
    let read = space.read_remote(range.start, &mut text);
    text.truncate(read);
    text
}

/// cmdline: the arguments, each with its NUL; empty for what has ended.
///
/// A program that has written over the last NUL shows one text of its own (setproctitle), which ends at
/// the first NUL and may reach into the environment.
pub(super) fn command_line(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    let Some(program) = space.program() else { return Ok(Vec::new()) };
    let mut text = read_range(&space, &program.arguments);
    if text.last().is_some_and(|&last| last != 0) {
        if !text.contains(&0) {
            text.extend(read_range(&space, &program.environment));
        }
        let end = text.iter().position(|&byte| byte == 0).map_or(text.len(), |nul| nul + 1);
        text.truncate(end);
    }
    Ok(text)
}

/// environ.
pub(super) fn environment(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    Ok(space.program().map_or(Vec::new(), |program| read_range(&space, &program.environment)))
}

/// auxv.
pub(super) fn auxiliary(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    Ok(space.program().map_or(Vec::new(), |program| program.auxiliary.clone()))
}

/// statm: sizes in pages.
pub(super) fn statm(target: &Target) -> Result<Vec<u8>> {
    let usage = space(target).map(|space| space.usage()).unwrap_or_default();
    let pages = |bytes: u64| bytes / PAGE_SIZE as u64;
    let data = pages(usage.data + usage.stack);
    let (size, resident, shared, code) =
        (pages(usage.mapped), pages(usage.resident), pages(usage.shared), pages(usage.executable));
    Ok(format!("{size} {resident} {shared} {code} 0 {data} 0\n").into_bytes())
}

/// The memory rows of status; none for what has ended.
pub(super) fn status_rows(target: &Target, text: &mut String) {
    let Some(space) = space(target) else { return };
    let usage = space.usage();
    let rows = [
        ("VmPeak", usage.mapped_peak),
        ("VmSize", usage.mapped),
        ("VmLck", usage.locked),
        ("VmPin", 0),
        ("VmHWM", usage.resident_peak),
        ("VmRSS", usage.resident),
        ("RssAnon", usage.resident.saturating_sub(usage.shared)),
        ("RssFile", usage.shared),
        ("RssShmem", 0),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmExe", usage.executable),
        ("VmLib", 0),
        ("VmPTE", usage.page_tables),
        ("VmSwap", 0),
    ];
    for (name, bytes) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}:\t{:>8} kB", bytes / 1024);
    }
}

/// The first line of an area.
fn area_line(area: &AreaReport) -> Vec<u8> {
    let flag = |is_set: bool, letter: char| if is_set { letter } else { '-' };
    let shared = if area.flags.contains(MappingFlags::SHARED) { 's' } else { 'p' };
    let (device, inode) = area.source.as_ref().map_or((0, 0), |source| source.device_and_inode());
    let device = abi::stat::DeviceNumber::from_raw(device);
    let head = format!(
        "{:08x}-{:08x} {}{}{}{shared} {:08x} {:02x}:{:02x} {inode} ",
        area.range.start,
        area.range.end,
        flag(area.protection.contains(Prot::PROT_READ), 'r'),
        flag(area.protection.contains(Prot::PROT_WRITE), 'w'),
        flag(area.protection.contains(Prot::PROT_EXEC), 'x'),
        area.offset,
        device.major,
        device.minor,
    );
    let name = area.source.as_ref().map_or_else(|| area.role.as_bytes().to_vec(), |source| source.name());
    let mut line = head.into_bytes();
    if !name.is_empty() {
        // The names stand below each other.
        line.resize(line.len().max(73), b' ');
        line.extend_from_slice(&name);
    }
    line.push(b'\n');
    line
}

/// maps.
pub(super) fn maps(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    Ok(space.areas(Detail::Areas)?.iter().flat_map(area_line).collect())
}

/// smaps.
pub(super) fn smaps(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    let mut text = String::new();
    let mut bytes = Vec::new();
    for area in space.areas(Detail::Pages)? {
        bytes.extend_from_slice(&area_line(&area));
        let size = area.range.end - area.range.start;
        text.clear();
        row(&mut text, "Size", size);
        row(&mut text, "KernelPageSize", PAGE_SIZE as u64);
        row(&mut text, "MMUPageSize", PAGE_SIZE as u64);
        let locked = if area.flags.contains(MappingFlags::LOCKED) { area.pages.proportional } else { 0 };
        page_rows(&mut text, &area.pages, locked);
        let _ = writeln!(text, "THPeligible:    {:8}", u8::from(area.is_huge_allowed));
        let _ = writeln!(text, "VmFlags:{}", flag_words(&area));
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(bytes)
}

/// smaps_rollup: the sum of all areas.
pub(super) fn smaps_rollup(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    let areas = space.areas(Detail::Pages)?;
    let (Some(first), Some(last)) = (areas.first(), areas.last()) else { return Ok(Vec::new()) };
    let (mut sum, mut locked) = (PageFigures::default(), 0);
    for area in &areas {
        sum += area.pages;
        locked += if area.flags.contains(MappingFlags::LOCKED) { area.pages.proportional } else { 0 };
    }
    let (start, end) = (first.range.start, last.range.end);
    let mut text = format!("{start:08x}-{end:08x} ---p 00000000 00:00 0 ");
    while text.len() < 73 {
        text.push(' ');
    }
    text.push_str("[rollup]\n");
    page_rows(&mut text, &sum, locked);
    Ok(text.into_bytes())
}

fn row(text: &mut String, name: &str, bytes: u64) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:<16}{:>8} kB", format!("{name}:"), bytes / 1024);
}

/// What smaps and smaps_rollup have in common.
fn page_rows(text: &mut String, pages: &PageFigures, locked: u64) {
    let bytes = |count: usize| (count * PAGE_SIZE) as u64;
    let dirty = bytes(pages.shared_dirty + pages.private_dirty);
    let rows = [
        ("Rss", bytes(pages.resident)),
        ("Pss", pages.proportional),
        ("Pss_Dirty", dirty.min(pages.proportional)),
        ("Shared_Clean", bytes(pages.shared_clean)),
        ("Shared_Dirty", bytes(pages.shared_dirty)),
        ("Private_Clean", bytes(pages.private_clean)),
        ("Private_Dirty", bytes(pages.private_dirty)),
        ("Referenced", bytes(pages.referenced)),
        ("Anonymous", bytes(pages.anonymous)),
        ("KSM", 0),
        ("LazyFree", 0),
        ("AnonHugePages", bytes(pages.huge)),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", locked),
    ];
    for (name, bytes) in rows {
        row(text, name, bytes);
    }
}

/// The two-letter words of VmFlags.
fn flag_words(area: &AreaReport) -> String {
    let may = |permission: Prot, word: &'static str| (area.allowed.contains(permission), word);
    let can = |permission: Prot, word: &'static str| (area.protection.contains(permission), word);
    let has = |flag: MappingFlags, word: &'static str| (area.flags.contains(flag), word);
    let words = [
        can(Prot::PROT_READ, "rd"),
        can(Prot::PROT_WRITE, "wr"),
        can(Prot::PROT_EXEC, "ex"),
        has(MappingFlags::SHARED, "sh"),
        may(Prot::PROT_READ, "mr"),
        may(Prot::PROT_WRITE, "mw"),
        may(Prot::PROT_EXEC, "me"),
        has(MappingFlags::SHARED, "ms"),
        has(MappingFlags::GROWS_DOWN, "gd"),
        has(MappingFlags::LOCKED, "lo"),
        has(MappingFlags::NO_FORK, "dc"),
        has(MappingFlags::ACCOUNTED, "ac"),
        has(MappingFlags::NO_RESERVE, "nr"),
        has(MappingFlags::WIPE_ON_FORK, "wf"),
        has(MappingFlags::NO_DUMP, "dd"),
        has(MappingFlags::HUGE, "hg"),
        has(MappingFlags::NO_HUGE, "nh"),
    ];
    words.iter().filter(|(is_set, _)| *is_set).flat_map(|(_, word)| [" ", *word]).collect()
}
