//! Memory calls to their ends: advice, locking, remapping, populating, huge pages, other processes' memory.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::faults::{Deed, attempt};
use crate::sys::memory::{self, Mapping, PAGE, READ_WRITE, mprotect, munmap};
use crate::sys::process::{self, Status, fork};
use crate::sys::{Errno, files, probe, users};

tests! {
    children_get_what_advice_says,
    advice_for_children_is_checked,
    populating_brings_pages,
    populating_checks_permissions,
    freed_pages_are_old_or_zero_and_take_stores,
    growing_mapping_grows,
    locked_memory_is_counted,
    locking_heeds_its_limit,
    locking_on_fault_waits_for_the_fault,
    all_memory_can_be_locked,
    remap_can_keep_the_old_range,
    remap_moves_to_a_place,
    remap_duplicates_shared_memory,
    remap_flags_are_checked,
    data_limit_is_kept,
    huge_pages_save_faults,
    huge_pages_split_and_keep_content,
    huge_pages_are_copied_on_write,
    huge_pages_can_be_forbidden,
    huge_page_pool_is_empty,
    page_map_tells_what_is_there,
    memory_file_reads_and_writes,
    memory_of_another_process_is_read_and_written,
    memory_of_another_process_checks,
    barriers_answer,
    addresses_differ_between_programs,
    map_of_a_process_lists_its_areas,
}

const PRIVATE: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const HUGE: usize = 2 << 20;
const SEGV: Status = Status::Killed(libc::SIGSEGV);
const FINE: Status = Status::Exited(0);
/// A user without privileges.
const NOBODY: u32 = 65534;

/// Runs `body` in a child and wants it to answer true.
fn in_child(body: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(fork(|| i32::from(!body()))?.wait()? == FINE)
}

/// A figure of a line `name: NUMBER kB` in a text.
fn figure(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status_figure(name: &str) -> Outcome<u64> {
    let text = String::from_utf8_lossy(&files::get("/proc/self/status")?).into_owned();
    figure(&text, name).ok_or_else(|| Stop::fail(format!("no {name} in status")))
}

/// What smaps says of the area that starts at an address.
fn area_text(address: usize) -> Outcome<String> {
    let text = String::from_utf8_lossy(&files::get("/proc/self/smaps")?).into_owned();
    let head = format!("{address:08x}-");
    let start = text.find(&head).ok_or_else(|| Stop::fail(format!("no area at {address:#x} in {text}")))?;
    Ok(text[start..].to_owned())
}

fn advise(address: usize, length: usize, advice: i32) -> Result<usize, Errno> {
    probe(libc::SYS_madvise, &[address, length, advice as usize])
}

fn children_get_what_advice_says() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    for page in 0..4 {
        mapping.set(page * PAGE, 7);
    }
    let at = |page: usize| mapping.address() + page * PAGE;
    advise(at(1), PAGE, libc::MADV_DONTFORK)?;
    advise(at(2), PAGE, libc::MADV_WIPEONFORK)?;
    advise(at(3), PAGE, libc::MADV_WIPEONFORK)?;
    advise(at(3), PAGE, libc::MADV_KEEPONFORK)?;
    ensure!(in_child(|| {
        let is_wiped = [0, 2, 3].map(|page| mapping.get(page * PAGE)) == [7, 0, 7];
        is_wiped && attempt(Deed::Read(at(1))) == Ok(SEGV)
    })?);
    ensure_eq!(mapping.get(2 * PAGE), 7);
    advise(at(1), PAGE, libc::MADV_DOFORK)?;
    ensure!(in_child(|| mapping.get(PAGE) == 7)?);
    Ok(())
}

fn advice_for_children_is_checked() -> Outcome {
    let shared = Mapping::shared(PAGE)?;
    ensure_errno!(advise(shared.address(), PAGE, libc::MADV_WIPEONFORK), EINVAL);
    ensure_errno!(advise(shared.address() + 1, PAGE, libc::MADV_DONTFORK), EINVAL);
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    ensure_errno!(advise(mapping.address(), 2 * PAGE, libc::MADV_DONTFORK), ENOMEM);
    ensure_errno!(advise(mapping.address(), 2 * PAGE, libc::MADV_WILLNEED), ENOMEM);
    Ok(())
}

fn populating_brings_pages() -> Outcome {
    let mapping = Mapping::new(0, 8 * PAGE, READ_WRITE, PRIVATE | libc::MAP_POPULATE, -1, 0)?;
    ensure_eq!(mapping.resident()?, vec![true; 8]);
    let mapping = Mapping::private(8 * PAGE)?;
    or_skip!(advise(mapping.address() + PAGE, 2 * PAGE, libc::MADV_POPULATE_WRITE), EINVAL);
    ensure_eq!(mapping.resident()?[..4], [false, true, true, false]);
    advise(mapping.address() + 5 * PAGE, PAGE, libc::MADV_POPULATE_READ)?;
    ensure!(mapping.is_zero());
    Ok(())
}

fn populating_checks_permissions() -> Outcome {
    let mapping = Mapping::new(0, 3 * PAGE, libc::PROT_READ, PRIVATE, -1, 0)?;
    or_skip!(advise(mapping.address(), PAGE, libc::MADV_POPULATE_READ), EINVAL);
    ensure_errno!(advise(mapping.address(), PAGE, libc::MADV_POPULATE_WRITE), EINVAL);
    mapping.protect(PAGE, PAGE, libc::PROT_NONE)?;
    ensure_errno!(advise(mapping.address(), 2 * PAGE, libc::MADV_POPULATE_READ), EINVAL);
    mapping.unmap_part(2 * PAGE, PAGE)?;
    ensure_errno!(advise(mapping.address() + 2 * PAGE, PAGE, libc::MADV_POPULATE_READ), ENOMEM);
    Ok(())
}

fn freed_pages_are_old_or_zero_and_take_stores() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.put(0, b"old");
    mapping.put(PAGE, b"old");
    mapping.advise(libc::MADV_FREE)?;
    mapping.put(PAGE, b"new");
    ensure!(matches!(mapping.copy(0, 3).as_slice(), b"old" | b"\0\0\0"));
    ensure_eq!(mapping.copy(PAGE, 3), b"new");
    let shared = Mapping::shared(PAGE)?;
    ensure_errno!(shared.advise(libc::MADV_FREE), EINVAL);
    Ok(())
}

fn growing_mapping_grows() -> Outcome {
    const ROOM: usize = 1024 * PAGE;
    let room = Mapping::new(0, ROOM, libc::PROT_NONE, PRIVATE, -1, 0)?;
    let top = room.address() + ROOM;
    munmap(room.address(), ROOM)?;
    let flags = PRIVATE | libc::MAP_FIXED | libc::MAP_GROWSDOWN;
    let stack = Mapping::new(top - 2 * PAGE, 2 * PAGE, READ_WRITE, flags, -1, 0)?;
    ensure_eq!(attempt(Deed::Write(stack.address() - 1))?, FINE);
    ensure_eq!(attempt(Deed::Write(stack.address() - 64 * PAGE))?, FINE);
    // Whatever is placed below keeps its distance, so that growth does not run into it.
    let flags = PRIVATE | libc::MAP_FIXED;
    let below = Mapping::new(top - 100 * PAGE, PAGE, READ_WRITE, flags, -1, 0)?;
    ensure_eq!(attempt(Deed::Write(below.address() + 2 * PAGE))?, SEGV);
    Ok(())
}

fn locked_memory_is_counted() -> Outcome {
    let before = status_figure("VmLck")?;
    let mapping = Mapping::private(4 * PAGE)?;
    // From the middle of a page to the middle of another.
    or_skip!(probe(libc::SYS_mlock, &[mapping.address() + 100, PAGE]), EPERM);
    ensure_eq!(status_figure("VmLck")? - before, 8);
    ensure_eq!(mapping.resident()?, vec![true, true, false, false]);
    ensure_errno!(mapping.advise(libc::MADV_DONTNEED), EINVAL);
    probe(libc::SYS_munlock, &[mapping.address(), PAGE])?;
    ensure_eq!(status_figure("VmLck")? - before, 4);
    let locked = Mapping::new(0, 2 * PAGE, READ_WRITE, PRIVATE | libc::MAP_LOCKED, -1, 0)?;
    ensure_eq!(locked.resident()?, vec![true; 2]);
    ensure_eq!(status_figure("VmLck")? - before, 12);
    drop(locked);
    drop(mapping);
    ensure_eq!(status_figure("VmLck")?, before);
    ensure_errno!(probe(libc::SYS_mlock, &[0x1000, PAGE]), ENOMEM);
    Ok(())
}

fn locking_heeds_its_limit() -> Outcome {
    if users::geteuid()? != 0 {
        return Err(Stop::Skip("only root can become nobody".to_owned()));
    }
    let mapping = Mapping::private(8 * PAGE)?;
    let lock = |length: usize| probe(libc::SYS_mlock, &[mapping.address(), length]).map_err(|errno| errno.0);
    let limit = |bytes: usize| process::setrlimit(libc::RLIMIT_MEMLOCK as u32, (bytes as u64, bytes as u64));
    ensure!(in_child(|| {
        let is_ready = limit(4 * PAGE).is_ok() && users::setresuid(NOBODY, NOBODY, NOBODY).is_ok();
        let is_kept = lock(4 * PAGE) == Ok(0) && lock(5 * PAGE) == Err(libc::ENOMEM);
        let flags = PRIVATE | libc::MAP_LOCKED;
        let more = Mapping::new(0, PAGE, READ_WRITE, flags, -1, 0);
        is_ready && is_kept && more.is_err_and(|errno| errno.0 == libc::EAGAIN)
    })?);
    ensure!(in_child(|| {
        let is_ready = limit(0).is_ok() && users::setresuid(NOBODY, NOBODY, NOBODY).is_ok();
        is_ready && lock(PAGE) == Err(libc::EPERM)
    })?);
    ensure!(in_child(|| limit(PAGE).is_ok() && lock(8 * PAGE) == Ok(0))?, "root has no limit");
    Ok(())
}

fn locking_on_fault_waits_for_the_fault() -> Outcome {
    const MLOCK_ONFAULT: usize = 1;
    let mapping = Mapping::private(3 * PAGE)?;
    let lock = |flags: usize| probe(libc::SYS_mlock2, &[mapping.address(), 3 * PAGE, flags]);
    or_skip!(lock(MLOCK_ONFAULT), ENOSYS);
    ensure_eq!(mapping.resident()?, vec![false; 3]);
    mapping.set(PAGE, 1);
    ensure_eq!(mapping.resident()?, vec![false, true, false]);
    lock(0)?;
    ensure_eq!(mapping.resident()?, vec![true; 3]);
    ensure_errno!(lock(2), EINVAL);
    Ok(())
}

fn all_memory_can_be_locked() -> Outcome {
    const MCL_CURRENT: usize = 1;
    const MCL_FUTURE: usize = 2;
    const MCL_ONFAULT: usize = 4;
    ensure!(in_child(|| {
        let mapping = Mapping::private(4 * PAGE);
        let locked = probe(libc::SYS_mlockall, &[MCL_CURRENT | MCL_FUTURE]);
        if locked.is_err_and(|errno| errno.0 == libc::ENOMEM || errno.0 == libc::EPERM) {
            // Without privilege the limit may be too low: nothing to see.
            return true;
        }
        let Ok(later) = Mapping::private(2 * PAGE) else { return false };
        let is_there = mapping.is_ok_and(|mapping| mapping.resident() == Ok(vec![true; 4]))
            && later.resident() == Ok(vec![true; 2]);
        let is_counted = status_figure("VmLck").is_ok_and(|kib| kib > 0);
        let is_freed =
            probe(libc::SYS_munlockall, &[]).is_ok() && status_figure("VmLck").is_ok_and(|kib| kib == 0);
        is_there && is_counted && is_freed
    })?);
    ensure_errno!(probe(libc::SYS_mlockall, &[0]), EINVAL);
    ensure_errno!(probe(libc::SYS_mlockall, &[MCL_ONFAULT]), EINVAL);
    ensure_errno!(probe(libc::SYS_mlockall, &[8]), EINVAL);
    Ok(())
}

fn remap_call(old: usize, old_length: usize, length: usize, flags: i32, new: usize) -> Result<usize, Errno> {
    probe(libc::SYS_mremap, &[old, old_length, length, flags as usize, new])
}

fn remap_can_keep_the_old_range() -> Outcome {
    const MREMAP_DONTUNMAP: i32 = 4;
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.put(PAGE, b"moved");
    let flags = libc::MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
    let new = or_skip!(remap_call(mapping.address(), 3 * PAGE, 3 * PAGE, flags, 0), EINVAL);
    ensure!(new != mapping.address());
    ensure!(mapping.is_zero(), "the old range is empty");
    let placed = Mapping::adopt(new, 3 * PAGE);
    ensure_eq!(placed.copy(PAGE, 5), b"moved");
    ensure_errno!(remap_call(new, 3 * PAGE, 4 * PAGE, flags, 0), EINVAL);
    Ok(())
}

fn remap_moves_to_a_place() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.put(0, b"here");
    let target = Mapping::private(4 * PAGE)?;
    target.put(0, b"kept");
    target.put(PAGE, b"gone");
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let place = target.address() + PAGE;
    ensure_eq!(remap_call(mapping.address(), 2 * PAGE, 3 * PAGE, flags, place)?, place);
    ensure_eq!(
        (target.copy(0, 4), target.copy(PAGE, 4), target.get(3 * PAGE)),
        (b"kept".to_vec(), b"here".to_vec(), 0)
    );
    ensure_eq!(attempt(Deed::Read(mapping.address()))?, SEGV);
    let overlapping = remap_call(place, 2 * PAGE, 2 * PAGE, flags, place + PAGE);
    ensure_errno!(overlapping, EINVAL);
    ensure_errno!(remap_call(place, 2 * PAGE, 2 * PAGE, flags, place + 1), EINVAL);
    Ok(())
}

fn remap_duplicates_shared_memory() -> Outcome {
    let mapping = Mapping::shared(2 * PAGE)?;
    mapping.put(PAGE, b"both");
    let new = remap_call(mapping.address(), 0, 2 * PAGE, libc::MREMAP_MAYMOVE, 0)?;
    let twin = Mapping::adopt(new, 2 * PAGE);
    ensure_eq!(twin.copy(PAGE, 4), b"both");
    twin.put(0, b"back");
    ensure_eq!(mapping.copy(0, 4), b"back");
    let private = Mapping::private(PAGE)?;
    ensure_errno!(remap_call(private.address(), 0, PAGE, libc::MREMAP_MAYMOVE, 0), EINVAL);
    Ok(())
}

fn remap_flags_are_checked() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    let at = mapping.address();
    ensure_errno!(remap_call(at, PAGE, PAGE, libc::MREMAP_FIXED, at + 64 * PAGE), EINVAL);
    ensure_errno!(remap_call(at, PAGE, PAGE, 0x40, 0), EINVAL);
    ensure_errno!(remap_call(at + 1, PAGE, PAGE, 0, 0), EINVAL);
    ensure_errno!(remap_call(at, PAGE, 0, libc::MREMAP_MAYMOVE, 0), EINVAL);
    mprotect(at, PAGE, libc::PROT_READ)?;
    ensure_errno!(remap_call(at, 2 * PAGE, 3 * PAGE, libc::MREMAP_MAYMOVE, 0), EFAULT);
    Ok(())
}

fn data_limit_is_kept() -> Outcome {
    let used = (status_figure("VmData")? << 10) as usize;
    let limit = (used + (1 << 20)) as u64;
    ensure!(in_child(|| {
        let is_set = process::setrlimit(libc::RLIMIT_DATA as u32, (limit, limit)).is_ok();
        let refused = Mapping::private(2 << 20).is_err_and(|errno| errno.0 == libc::ENOMEM);
        // What cannot be written does not count, until it can.
        let readable = Mapping::new(0, 2 << 20, libc::PROT_READ, PRIVATE, -1, 0);
        let counted = readable.as_ref().is_ok_and(|mapping| {
            mapping.protect(0, 2 << 20, READ_WRITE).is_err_and(|errno| errno.0 == libc::ENOMEM)
        });
        let heap = memory::brk(0);
        is_set && refused && counted && memory::brk(heap + (2 << 20)) == heap
    })?);
    Ok(())
}

/// Private memory of `count` huge pages that starts at one, in a larger mapping.
fn huge_area(count: usize, advice: i32) -> Outcome<(Mapping, usize)> {
    let mapping = Mapping::private((count + 1) * HUGE)?;
    let offset = mapping.address().next_multiple_of(HUGE) - mapping.address();
    or_skip!(advise(mapping.address(), (count + 1) * HUGE, advice), EINVAL);
    Ok((mapping, offset))
}

fn huge_pages_are_on() -> bool {
    let policy = files::get("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    !policy.is_empty() && !String::from_utf8_lossy(&policy).contains("[never]")
}

fn skip_without_huge_pages() -> Outcome {
    if huge_pages_are_on() { Ok(()) } else { Err(Stop::Skip("huge pages are off".to_owned())) }
}

fn minor_faults() -> Result<i64, Errno> {
    Ok(process::getrusage(libc::RUSAGE_SELF)?.ru_minflt)
}

fn huge_pages_save_faults() -> Outcome {
    const COUNT: usize = 8;
    skip_without_huge_pages()?;
    let sweep = |advice: i32| -> Outcome<(i64, u64)> {
        let (mapping, offset) = huge_area(COUNT, advice)?;
        let before = minor_faults()?;
        for page in (0..COUNT * HUGE).step_by(PAGE) {
            mapping.set(offset + page, 1);
        }
        let faults = minor_faults()? - before;
        let huge = figure(&area_text(mapping.address())?, "AnonHugePages").unwrap_or(0);
        Ok((faults, huge << 10))
    };
    let (small_faults, small) = sweep(libc::MADV_NOHUGEPAGE)?;
    ensure_eq!(small, 0);
    ensure!(small_faults >= (COUNT * HUGE / PAGE) as i64);
    let (huge_faults, huge) = sweep(libc::MADV_HUGEPAGE)?;
    if huge == 0 {
        return Err(Stop::Skip("memory is in pieces".to_owned()));
    }
    ensure!(huge_faults * 4 < small_faults, "{huge_faults} faults with huge pages, {small_faults} without");
    Ok(())
}

fn huge_pages_split_and_keep_content() -> Outcome {
    skip_without_huge_pages()?;
    let (mapping, offset) = huge_area(2, libc::MADV_HUGEPAGE)?;
    for page in (0..2 * HUGE).step_by(PAGE) {
        mapping.set(offset + page, (page / PAGE % 251) as u8 + 1);
    }
    let value = |page: usize| (page % 251) as u8 + 1;
    mapping.protect(offset + 7 * PAGE, PAGE, libc::PROT_NONE)?;
    ensure_eq!(attempt(Deed::Read(mapping.address() + offset + 7 * PAGE))?, SEGV);
    mapping.protect(offset + 7 * PAGE, PAGE, READ_WRITE)?;
    mapping.unmap_part(offset + 9 * PAGE, PAGE)?;
    ensure_eq!(attempt(Deed::Read(mapping.address() + offset + 9 * PAGE))?, SEGV);
    advise(mapping.address() + offset + 11 * PAGE, PAGE, libc::MADV_DONTNEED)?;
    ensure_eq!(mapping.get(offset + 11 * PAGE), 0);
    for page in (0..2 * HUGE / PAGE).filter(|page| ![9, 11].contains(page)) {
        ensure_eq!(mapping.get(offset + page * PAGE), value(page), "page {page}");
    }
    // A move by a distance that is no multiple of a huge page.
    let target = Mapping::private(2 * HUGE)?;
    let place = target.address().next_multiple_of(HUGE) + PAGE;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let from = mapping.address() + offset + HUGE;
    ensure_eq!(remap_call(from, HUGE / 2, HUGE / 2, flags, place)?, place);
    let shift = place - target.address();
    for page in 0..HUGE / 2 / PAGE {
        ensure_eq!(target.get(shift + page * PAGE), value(page + HUGE / PAGE), "moved page {page}");
    }
    Ok(())
}

fn huge_pages_are_copied_on_write() -> Outcome {
    skip_without_huge_pages()?;
    let (mapping, offset) = huge_area(1, libc::MADV_HUGEPAGE)?;
    mapping.set(offset, 1);
    mapping.set(offset + HUGE - 1, 2);
    ensure!(in_child(|| {
        let is_seen = (mapping.get(offset), mapping.get(offset + HUGE - 1)) == (1, 2);
        mapping.set(offset, 3);
        is_seen && (mapping.get(offset), mapping.get(offset + HUGE - 1)) == (3, 2)
    })?);
    ensure_eq!((mapping.get(offset), mapping.get(offset + HUGE - 1)), (1, 2));
    mapping.set(offset + HUGE - 1, 4);
    ensure_eq!((mapping.get(offset), mapping.get(offset + HUGE - 1)), (1, 4));
    Ok(())
}

fn huge_pages_can_be_forbidden() -> Outcome {
    const PR_SET_THP_DISABLE: usize = 41;
    const PR_GET_THP_DISABLE: usize = 42;
    let prctl = |option: usize, value: usize| probe(libc::SYS_prctl, &[option, value, 0, 0, 0]);
    ensure!(in_child(|| {
        let is_set = prctl(PR_SET_THP_DISABLE, 1) == Ok(0) && prctl(PR_GET_THP_DISABLE, 0) == Ok(1);
        let is_inherited = in_child(|| prctl(PR_GET_THP_DISABLE, 0) == Ok(1)) == Ok(true);
        let has_none = huge_area(1, libc::MADV_HUGEPAGE).is_ok_and(|(mapping, offset)| {
            mapping.set(offset, 1);
            let text = area_text(mapping.address()).unwrap_or_default();
            figure(&text, "AnonHugePages") == Some(0)
        });
        is_set && is_inherited && has_none
    })?);
    ensure_errno!(probe(libc::SYS_prctl, &[PR_GET_THP_DISABLE, 1, 0, 0, 0]), EINVAL);
    Ok(())
}

fn page_map_tells_what_is_there() -> Outcome {
    const PRESENT: u64 = 1 << 63;
    const FILE_OR_SHARED: u64 = 1 << 61;
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.set(PAGE, 1);
    let shared = Mapping::shared(PAGE)?;
    shared.set(0, 1);
    let file = or_skip!(files::open("/proc/self/pagemap", libc::O_RDONLY, 0), EPERM);
    let word = |address: usize| -> Outcome<u64> {
        let mut bytes = [0; 8];
        ensure_eq!(files::pread(*file, &mut bytes, (address / PAGE * 8) as i64)?, 8);
        Ok(u64::from_le_bytes(bytes))
    };
    let is_there = |address: usize| -> Outcome<bool> { Ok(word(address)? & PRESENT != 0) };
    ensure_eq!([is_there(mapping.address())?, is_there(mapping.address() + PAGE)?], [false, true]);
    ensure_eq!(word(mapping.address() + PAGE)? & FILE_OR_SHARED, 0);
    ensure_eq!(word(shared.address())? & (PRESENT | FILE_OR_SHARED), PRESENT | FILE_OR_SHARED);
    ensure_errno!(files::pread(*file, &mut [0; 8], 4), EINVAL);
    Ok(())
}

fn memory_file_reads_and_writes() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.put(PAGE - 2, b"across");
    let file = files::open("/proc/self/mem", libc::O_RDWR, 0)?;
    let mut bytes = [0; 6];
    let place = (mapping.address() + PAGE - 2) as i64;
    ensure_eq!(files::pread(*file, &mut bytes, place)?, 6);
    ensure_eq!(&bytes, b"across");
    ensure_eq!(files::pwrite(*file, b"ACR", place)?, 3);
    ensure_eq!(mapping.copy(PAGE - 2, 6), b"ACRoss");
    mapping.unmap_part(PAGE, PAGE)?;
    ensure_eq!(files::pread(*file, &mut bytes, place)?, 2);
    ensure_errno!(files::pread(*file, &mut bytes, place + 2), EIO);
    Ok(())
}

fn huge_page_pool_is_empty() -> Outcome {
    let pool = files::get("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    if !pool.is_empty() && pool.trim_ascii() != b"0" {
        return Err(Stop::Skip("there is a pool of huge pages".to_owned()));
    }
    let mapped = Mapping::new(0, HUGE, READ_WRITE, PRIVATE | libc::MAP_HUGETLB, -1, 0);
    ensure_errno!(mapped, ENOMEM);
    Ok(())
}

/// `process_vm_readv` (or its counterpart) with one vector of one part on each side.
fn transfer(
    number: i64,
    pid: i32,
    local: (usize, usize),
    remote: &[(usize, usize)],
    flags: usize,
) -> Result<usize, Errno> {
    let local = [[local.0, local.1]];
    let remote: Vec<[usize; 2]> = remote.iter().map(|(address, length)| [*address, *length]).collect();
    let (local_at, remote_at) = (local.as_ptr() as usize, remote.as_ptr() as usize);
    probe(number, &[pid as usize, local_at, 1, remote_at, remote.len(), flags])
}

fn memory_of_another_process_is_read_and_written() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.put(0, b"before");
    let (ready_reader, ready) = files::pipe(0)?;
    let (go, go_writer) = files::pipe(0)?;
    let child = fork(|| {
        mapping.put(0, b"theirs");
        mapping.put(2 * PAGE, b"more");
        let told = files::write(*ready, b"!").is_ok() && files::read(*go, &mut [0]).is_ok();
        i32::from(!(told && mapping.copy(PAGE, 4) == b"mine"))
    })?;
    files::read(*ready_reader, &mut [0])?;
    let buffer = Mapping::private(PAGE)?;
    let parts = [(mapping.address(), 6), (mapping.address() + 2 * PAGE, 4)];
    let read = transfer(libc::SYS_process_vm_readv, child.pid(), (buffer.address(), 100), &parts, 0);
    ensure_eq!(or_skip!(read, ENOSYS), 10);
    ensure_eq!((buffer.copy(0, 10), mapping.copy(0, 6)), (b"theirsmore".to_vec(), b"before".to_vec()));
    buffer.put(0, b"mine");
    let parts = [(mapping.address() + PAGE, 4)];
    ensure_eq!(transfer(libc::SYS_process_vm_writev, child.pid(), (buffer.address(), 4), &parts, 0)?, 4);
    files::write(*go_writer, b"!")?;
    ensure_eq!(child.wait()?, FINE);
    Ok(())
}

fn memory_of_another_process_checks() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    let own = process::getpid()?;
    let here = (mapping.address(), 10);
    let read = |pid: i32, remote: &[(usize, usize)], flags: usize| {
        transfer(libc::SYS_process_vm_readv, pid, here, remote, flags)
    };
    or_skip!(read(own, &[here], 0), ENOSYS);
    ensure_errno!(read(own, &[here], 1), EINVAL);
    ensure_errno!(read(i32::MAX, &[here], 0), ESRCH);
    ensure_errno!(read(own, &[(mapping.address() + PAGE, 10)], 0), EFAULT);
    ensure_errno!(read(own, &[(usize::MAX - 100, 10)], 0), EFAULT);
    ensure_eq!(read(own, &[here, (0, 0)], 0)?, 10);
    ensure_eq!(read(own, &[(mapping.address(), 4), (mapping.address() + PAGE, 4)], 0)?, 4);
    if users::geteuid()? == 0 {
        let parent = process::getpid()?;
        ensure!(in_child(|| {
            users::setresuid(NOBODY, NOBODY, NOBODY).is_ok()
                && read(parent, &[here], 0).is_err_and(|errno| errno.0 == libc::EPERM)
        })?);
    }
    Ok(())
}

fn barriers_answer() -> Outcome {
    const QUERY: usize = 0;
    const GLOBAL: usize = 1;
    const PRIVATE_EXPEDITED: usize = 8;
    const REGISTER_PRIVATE_EXPEDITED: usize = 16;
    let barrier = |command: usize| probe(libc::SYS_membarrier, &[command, 0, 0]);
    let known = or_skip!(barrier(QUERY), ENOSYS);
    ensure_eq!(known & GLOBAL, GLOBAL);
    ensure_eq!(barrier(GLOBAL)?, 0);
    if known & PRIVATE_EXPEDITED != 0 {
        ensure!(in_child(|| {
            barrier(PRIVATE_EXPEDITED).is_err_and(|errno| errno.0 == libc::EPERM)
                && barrier(REGISTER_PRIVATE_EXPEDITED) == Ok(0)
                && barrier(PRIVATE_EXPEDITED) == Ok(0)
        })?);
    }
    ensure_errno!(barrier(1 << 30), EINVAL);
    ensure_errno!(probe(libc::SYS_membarrier, &[QUERY, 0x100, 0]), EINVAL);
    Ok(())
}

/// Runs this program again and tells where its stack and its last mapping were.
fn places_of_a_program(personality: u32) -> Outcome<[String; 2]> {
    let (reader, writer) = files::pipe(0)?;
    let child = fork(|| {
        let is_set = personality == 0 || probe(libc::SYS_personality, &[personality as usize]).is_ok();
        if !is_set || files::dup2(*writer, 1).is_err() {
            return 97;
        }
        let errno = process::execve("/proc/self/exe", &["systest", crate::role::WORD, "maps"], &[]);
        errno.0
    })?;
    drop(writer);
    let text = String::from_utf8_lossy(&files::read_to_end(*reader)?).into_owned();
    ensure_eq!(child.wait()?, FINE);
    let line = |word: &str| text.lines().find(|line| line.ends_with(word)).map(str::to_owned);
    let stack = line("[stack]").ok_or_else(|| Stop::fail("no stack"))?;
    let mapped = line("[mapped]").ok_or_else(|| Stop::fail("no mapping"))?;
    Ok([stack, mapped])
}

fn addresses_differ_between_programs() -> Outcome {
    const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;
    if files::get("/proc/sys/kernel/randomize_va_space").unwrap_or_default().trim_ascii() == b"0" {
        return Err(Stop::Skip("addresses are not left to chance".to_owned()));
    }
    let personality = files::get("/proc/self/personality").unwrap_or_default();
    let personality = u32::from_str_radix(String::from_utf8_lossy(&personality).trim(), 16).unwrap_or(0);
    if personality & ADDR_NO_RANDOMIZE != 0 {
        return Err(Stop::Skip("this process and its children have asked for fixed addresses".to_owned()));
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(places_of_a_program(0)?);
    }
    for (index, places) in seen.iter().enumerate() {
        for other in &seen[..index] {
            ensure!(places[0] != other[0] && places[1] != other[1], "twice at {places:?}");
        }
    }
    let fixed = places_of_a_program(ADDR_NO_RANDOMIZE)?;
    ensure_eq!(places_of_a_program(ADDR_NO_RANDOMIZE)?, fixed);
    Ok(())
}

fn map_of_a_process_lists_its_areas() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    mapping.set(0, 1);
    mapping.protect(2 * PAGE, PAGE, libc::PROT_NONE)?;
    let text = area_text(mapping.address() + 2 * PAGE)?;
    ensure!(text.lines().next().is_some_and(|line| line.contains(" ---p ")), "{text}");
    let own = Mapping::new(0, 4 * PAGE, READ_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)?;
    own.set(PAGE, 1);
    let text = area_text(own.address())?;
    ensure_eq!((figure(&text, "Size"), figure(&text, "Rss")), (Some(16), Some(4)));
    let flags = text.lines().find(|line| line.starts_with("VmFlags:")).unwrap_or_default();
    ensure!(flags.contains(" sh") && flags.contains(" rd"), "{flags}");
    Ok(())
}
