//! System calls of memory: mmap and its relatives.

use super::Call;
use crate::{
    error::{Error, Result},
    fs::file::File,
    mm::{
        AddressSpace, Discard, Filling, Invalidating, MapRequest, MappingFlags, Moving, OldRange,
        PERMISSIONS, PageSource, Place, Reservation, SharedMemory, Waiting, commit, page_range,
        touched_pages, user::UserSlice,
    },
};
use abi::{
    errno::Errno,
    fcntl::Access,
    mman::{self, MapFlags, Prot},
};
use alloc::sync::Arc;
use core::ops::Range;

const PAGE: u64 = machine::addr::PAGE_SIZE as u64;

fn space(call: &Call<'_>) -> Arc<AddressSpace> {
    call.process().address_space()
}

fn invalid(why: &'static str) -> Error {
    Error::new(Errno::EINVAL, why)
}

/// brk(2): answers where the break is then, whatever happens.
pub(crate) fn brk(call: &mut Call<'_>) -> Result<u64> {
    Ok(space(call).set_break(call.arg(0)))
}

/// mmap(2).
pub(crate) fn mmap(call: &mut Call<'_>) -> Result<u64> {
    let (address, length, offset) = (call.arg(0), call.arg(1), call.arg(5));
    let protection = Prot::from_bits_truncate(call.uint(2));
    let flags = MapFlags::from_bits_retain(call.uint(3));
    if !offset.is_multiple_of(PAGE) {
        return Err(invalid("the offset is not page-aligned"));
    }
    if flags.contains(MapFlags::MAP_HUGETLB) {
        return Err(Error::new(Errno::ENOMEM, "there are no huge pages"));
    }
    let file = if flags.contains(MapFlags::MAP_ANONYMOUS) {
        None
    } else {
        Some(call.process().files().get(call.fd(4))?)
    };
    let sharing = sharing(flags)?;
    if length == 0 {
        return Err(invalid("a length of 0"));
    }
    let mut request = MapRequest::anonymous(place(flags, address), length, protection);
    request.flags = sharing | mapping_flags(flags);
    match &file {
        Some(file) => map_file(&mut request, file, offset)?,
        None if sharing.contains(MappingFlags::SHARED) => {
            let length =
                length.checked_next_multiple_of(PAGE).ok_or(Error::new(Errno::ENOMEM, "too long"))?;
            let is_promised = !request.flags.contains(MappingFlags::NO_RESERVE)
                || commit::overcommit() == commit::Overcommit::Strict;
            let reservation = if is_promised { Reservation::Promised } else { Reservation::None };
            request.source = Some((SharedMemory::new(length, reservation)?, 0));
        }
        None => {}
    }
    let space = space(call);
    let may_store = sharing.contains(MappingFlags::SHARED) && request.allowed.contains(Prot::PROT_WRITE);
    let start = space.map(request)?;
    let seals = file.as_ref().and_then(|file| file.inode().seals()).filter(|_| may_store);
    if seals.is_some_and(|seals| seals.check_store().is_err()) {
        // Sealed meanwhile; see the module `seals`.
        space.unmap(start, length)?;
        return Err(Error::new(Errno::EPERM, "the file is sealed against stores"));
    }
    let is_populated = flags.contains(MapFlags::MAP_POPULATE) && !flags.contains(MapFlags::MAP_NONBLOCK);
    if is_populated {
        // As on Linux, the mapping stands even if it cannot be filled.
        let _ = space.populate(start..start + length.next_multiple_of(PAGE));
    }
    Ok(start)
}

/// Shared or private; EINVAL for neither, EOPNOTSUPP for flags that MAP_SHARED_VALIDATE does not know.
fn sharing(flags: MapFlags) -> Result<MappingFlags> {
    const PRIVATE: u32 = MapFlags::MAP_PRIVATE.bits();
    const SHARED: u32 = MapFlags::MAP_SHARED.bits();
    match flags.sharing() {
        PRIVATE => Ok(MappingFlags::empty()),
        SHARED => Ok(MappingFlags::SHARED),
        MapFlags::MAP_SHARED_VALIDATE => {
            let known = MapFlags::all().bits() | MapFlags::MAP_TYPE;
            let is_known = flags.bits() & !known == 0 && !flags.contains(MapFlags::MAP_SYNC);
            if is_known { Ok(MappingFlags::SHARED) } else { Err(Errno::EOPNOTSUPP.into()) }
        }
        _ => Err(invalid("neither shared nor private")),
    }
}

fn mapping_flags(flags: MapFlags) -> MappingFlags {
    let mut own = MappingFlags::empty();
    own.set(MappingFlags::GROWS_DOWN, flags.contains(MapFlags::MAP_GROWSDOWN));
    own.set(MappingFlags::LOCKED, flags.contains(MapFlags::MAP_LOCKED));
    own.set(MappingFlags::NO_RESERVE, flags.contains(MapFlags::MAP_NORESERVE));
    own
}

fn place(flags: MapFlags, address: u64) -> Place {
    if flags.contains(MapFlags::MAP_FIXED_NOREPLACE) {
        Place::FixedNew(address)
    } else if flags.contains(MapFlags::MAP_FIXED) {
        Place::Fixed(address)
    } else if flags.contains(MapFlags::MAP_32BIT) {
        Place::Low
    } else {
        Place::Anywhere((address != 0).then_some(address))
    }
}

/// What the file's access mode allows, and where its pages are. EACCES, ENODEV, EPERM.
fn map_file(request: &mut MapRequest, file: &Arc<File>, offset: u64) -> Result<()> {
    let access = file.flags().access();
    let is_shared = request.flags.contains(MappingFlags::SHARED);
    let is_read = matches!(access, Access::Read | Access::ReadWrite);
    let is_written = matches!(access, Access::Write | Access::ReadWrite);
    if !is_read || (is_shared && request.protection.contains(Prot::PROT_WRITE) && !is_written) {
        return Err(Error::new(Errno::EACCES, "the file was not opened for that"));
    }
    if is_shared && !is_written {
        request.allowed -= Prot::PROT_WRITE;
    }
    if file.path().mount.flags().contains(crate::fs::mount::MountFlags::NO_EXEC) {
        if request.protection.contains(Prot::PROT_EXEC) {
            return Err(Error::new(Errno::EPERM, "mounted without execution"));
        }
        request.allowed -= Prot::PROT_EXEC;
    }
    if is_shared && file.inode().seals().is_some_and(|seals| seals.check_store().is_err()) {
        if request.protection.contains(Prot::PROT_WRITE) {
            return Err(Error::new(Errno::EPERM, "the file is sealed against stores"));
        }
        request.allowed -= Prot::PROT_WRITE;
    }
    let source: Arc<dyn PageSource> = file.operations().map(file)?;
    request.source = Some((source, offset));
    Ok(())
}

/// munmap(2).
pub(crate) fn munmap(call: &mut Call<'_>) -> Result<u64> {
    space(call).unmap(call.arg(0), call.arg(1))?;
    Ok(0)
}

/// mprotect(2).
pub(crate) fn mprotect(call: &mut Call<'_>) -> Result<u64> {
    let directions = Prot::PROT_GROWSDOWN | Prot::PROT_GROWSUP;
    let given = Prot::from_bits(call.uint(2)).ok_or(invalid("unknown permissions"))?;
    if given.contains(directions) || given.contains(Prot::PROT_GROWSUP) {
        return Err(invalid("no area grows up"));
    }
    let Some(mut range) = page_range(call.arg(0), call.arg(1))? else { return Ok(0) };
    let space = space(call);
    if given.contains(Prot::PROT_GROWSDOWN) {
        range.start = space.growing_start(range.start)?;
    }
    space.protect(range, given & PERMISSIONS)?;
    Ok(0)
}

/// mremap(2).
pub(crate) fn mremap(call: &mut Call<'_>) -> Result<u64> {
    let (address, old, new, flags) = (call.arg(0), call.arg(1), call.arg(2), call.uint(3));
    let has = |flag: u32| flags & flag != 0;
    let known = mman::MREMAP_MAYMOVE | mman::MREMAP_FIXED | mman::MREMAP_DONTUNMAP;
    let (may_move, is_kept) = (has(mman::MREMAP_MAYMOVE), has(mman::MREMAP_DONTUNMAP));
    let needs_move = has(mman::MREMAP_FIXED) || is_kept;
    if flags & !known != 0 || (needs_move && !may_move) || (is_kept && old != new) {
        return Err(invalid("flags that make no sense"));
    }
    let moving = match () {
        () if has(mman::MREMAP_FIXED) => Moving::To(call.arg(4)),
        () if may_move => Moving::Anywhere,
        () => Moving::No,
    };
    let kept = if is_kept { OldRange::Kept } else { OldRange::Unmapped };
    space(call).remap(address, old, new, moving, kept)
}

/// remap_file_pages(2): address, length, 0, first page, flags.
pub(crate) fn remap_file_pages(call: &mut Call<'_>) -> Result<u64> {
    let (address, length) = (call.arg(0) & !(PAGE - 1), call.arg(1) & !(PAGE - 1));
    if call.arg(2) != 0 || length == 0 {
        return Err(invalid("permissions cannot be given, and an empty range is none"));
    }
    space(call).show_other_pages(address, length, call.arg(3))?;
    Ok(0)
}

/// madvise(2). Advice that would change nothing is accepted.
pub(crate) fn madvise(call: &mut Call<'_>) -> Result<u64> {
    let advice = call.uint(2);
    let space = space(call);
    let action: fn(&AddressSpace, Range<u64>) -> Result<()> = match advice {
        mman::MADV_NORMAL
        | mman::MADV_RANDOM
        | mman::MADV_SEQUENTIAL
        | mman::MADV_COLD
        | mman::MADV_PAGEOUT => {
            |space, range| space.change_flags(range, MappingFlags::empty(), MappingFlags::empty())
        }
        mman::MADV_WILLNEED => AddressSpace::read_ahead,
        mman::MADV_HUGEPAGE => {
            |space, range| space.change_flags(range, MappingFlags::HUGE, MappingFlags::NO_HUGE)
        }
        mman::MADV_NOHUGEPAGE => {
            |space, range| space.change_flags(range, MappingFlags::NO_HUGE, MappingFlags::HUGE)
        }
        mman::MADV_DONTNEED => |space, range| space.discard(range, Discard::Unlocked),
        mman::MADV_DONTNEED_LOCKED => |space, range| space.discard(range, Discard::Any),
        mman::MADV_FREE => |space, range| space.discard(range, Discard::PrivateOnly),
        mman::MADV_DONTFORK => {
            |space, range| space.change_flags(range, MappingFlags::NO_FORK, MappingFlags::empty())
        }
        mman::MADV_DOFORK => {
            |space, range| space.change_flags(range, MappingFlags::empty(), MappingFlags::NO_FORK)
        }
        mman::MADV_WIPEONFORK => |space, range| space.wipe_on_fork(range),
        mman::MADV_KEEPONFORK => {
            |space, range| space.change_flags(range, MappingFlags::empty(), MappingFlags::WIPE_ON_FORK)
        }
        mman::MADV_DONTDUMP => {
            |space, range| space.change_flags(range, MappingFlags::NO_DUMP, MappingFlags::empty())
        }
        mman::MADV_DODUMP => {
            |space, range| space.change_flags(range, MappingFlags::empty(), MappingFlags::NO_DUMP)
        }
        mman::MADV_POPULATE_READ => |space, range| space.populate_all(range, machine::upcalls::Access::Read),
        mman::MADV_POPULATE_WRITE => {
            |space, range| space.populate_all(range, machine::upcalls::Access::Write)
        }
        _ => return Err(invalid("unknown advice")),
    };
    let Some(range) = page_range(call.arg(0), call.arg(1))? else { return Ok(0) };
    action(&space, range)?;
    Ok(0)
}

/// msync(2).
pub(crate) fn msync(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.uint(2);
    let both = mman::MS_ASYNC | mman::MS_SYNC;
    if flags & !(both | mman::MS_INVALIDATE) != 0 || flags & both == both {
        return Err(invalid("flags that make no sense"));
    }
    let Some(range) = page_range(call.arg(0), call.arg(1))? else { return Ok(0) };
    let waiting = if flags & mman::MS_SYNC != 0 { Waiting::UntilWritten } else { Waiting::No };
    let invalidating = if flags & mman::MS_INVALIDATE != 0 { Invalidating::Yes } else { Invalidating::No };
    space(call).sync(range, waiting, invalidating)?;
    Ok(0)
}

/// mincore(2).
pub(crate) fn mincore(call: &mut Call<'_>) -> Result<u64> {
    /// Pages that are looked at in one go.
    const STEP: u64 = 4096;
    let Some(range) = page_range(call.arg(0), call.arg(1))? else { return Ok(0) };
    let space = space(call);
    let mut page = range.start;
    while page < range.end {
        let end = (page + STEP * PAGE).min(range.end);
        let present = space.residency(page..end)?;
        let place = call.arg(2).saturating_add((page - range.start) / PAGE);
        UserSlice::<u8>::new(place, present.len()).write(&present)?;
        page = end;
    }
    Ok(0)
}

/// mlock(2).
pub(crate) fn mlock(call: &mut Call<'_>) -> Result<u64> {
    lock(call, Filling::Now)
}

/// mlock2(2).
pub(crate) fn mlock2(call: &mut Call<'_>) -> Result<u64> {
    const MLOCK_ONFAULT: u32 = 1;
    match call.uint(2) {
        0 => lock(call, Filling::Now),
        MLOCK_ONFAULT => lock(call, Filling::OnFault),
        _ => Err(invalid("unknown flags")),
    }
}

fn lock(call: &Call<'_>, filling: Filling) -> Result<u64> {
    if let Some(range) = touched_pages(call.arg(0), call.arg(1))? {
        space(call).lock_pages(range, filling)?;
    }
    Ok(0)
}

/// munlock(2).
pub(crate) fn munlock(call: &mut Call<'_>) -> Result<u64> {
    if let Some(range) = touched_pages(call.arg(0), call.arg(1))? {
        space(call).change_flags(range, MappingFlags::empty(), MappingFlags::LOCKED)?;
    }
    Ok(0)
}

/// mlockall(2).
pub(crate) fn mlockall(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.uint(0);
    let has = |flag: u32| flags & flag != 0;
    let known = mman::MCL_CURRENT | mman::MCL_FUTURE | mman::MCL_ONFAULT;
    if flags == 0 || flags & !known != 0 || flags == mman::MCL_ONFAULT {
        return Err(invalid("flags that make no sense"));
    }
    let filling = if has(mman::MCL_ONFAULT) { Filling::OnFault } else { Filling::Now };
    let now = has(mman::MCL_CURRENT).then_some(filling);
    space(call).lock_all(now, has(mman::MCL_FUTURE))?;
    Ok(0)
}

/// munlockall(2).
pub(crate) fn munlockall(call: &mut Call<'_>) -> Result<u64> {
    space(call).lock_all(None, false)?;
    Ok(0)
}
