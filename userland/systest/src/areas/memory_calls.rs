//! Memory calls to their ends: advice, locking, remapping, populating, limits, barriers.

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
    barriers_answer,
}

pub(super) const PRIVATE: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
pub(super) const SEGV: Status = Status::Killed(libc::SIGSEGV);
pub(super) const FINE: Status = Status::Exited(0);
/// A user without privileges.
pub(super) const NOBODY: u32 = 65534;

/// Runs `body` in a child and wants it to answer true.
pub(super) fn in_child(body: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(fork(|| i32::from(!body()))?.wait()? == FINE)
}

/// A figure of a line `name: NUMBER kB` in a text.
pub(super) fn figure(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status_figure(name: &str) -> Outcome<u64> {
    let text = String::from_utf8_lossy(&files::get("/proc/self/status")?).into_owned();
    figure(&text, name).ok_or_else(|| Stop::fail(format!("no {name} in status")))
}

/// What smaps says of the area that starts at an address.
pub(super) fn area_text(address: usize) -> Outcome<String> {
    let text = String::from_utf8_lossy(&files::get("/proc/self/smaps")?).into_owned();
    let head = format!("{address:08x}-");
    let start = text.find(&head).ok_or_else(|| Stop::fail(format!("no area at {address:#x} in {text}")))?;
    Ok(text[start..].to_owned())
}

pub(super) fn advise(address: usize, length: usize, advice: i32) -> Result<usize, Errno> {
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

pub(super) fn remap_call(
    old: usize,
    old_length: usize,
    length: usize,
    flags: i32,
    new: usize,
) -> Result<usize, Errno> {
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
