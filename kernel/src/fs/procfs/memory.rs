//! The memory of a process: maps, smaps, statm, cmdline, environ, auxv. Source: proc_pid_maps(5).

use super::process::Target;
use crate::{
    error::Result,
    mm::{AddressSpace, AreaReport, MappingFlags},
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
    Ok(space.areas()?.iter().flat_map(area_line).collect())
}

/// smaps.
pub(super) fn smaps(target: &Target) -> Result<Vec<u8>> {
    let Some(space) = space(target) else { return Ok(Vec::new()) };
    let mut text = Vec::new();
    for area in space.areas()? {
        text.extend_from_slice(&area_line(&area));
        let size = (area.range.end - area.range.start) / 1024;
        let resident = area.resident * PAGE_SIZE / 1024;
        let rows = format!(
            "Size:           {size:>8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n\
             Rss:            {resident:>8} kB\nPss:            {resident:>8} kB\n"
        );
        text.extend_from_slice(rows.as_bytes());
    }
    Ok(text)
}
