//! Page faults: finding or making the page that a program touched.
//!
//! A fault on an address goes through these steps. Is there an area, or a stack that may grow there? Does it
//! allow the access? Then: private memory gets a page of zeros, which to look at is one for all; a file's page comes from its
//! source, to look at as it is, to write on as a copy (private) or after a note that it is dirty (shared);
//! a page that is there and may be written, but was shared by fork (or is the zeros of all), is copied unless nobody else has it.
//!
//! Threads of one process fault side by side: the areas are read-locked, and pages are added to the table by
//! compare-and-exchange, so clearing, copying and reading pages in never wait for each other. Only growing a stack and
//! putting a copy in a page's place are exclusive. What was looked up is looked at again after anything that was
//! done without the lock.

use super::{
    AddressSpace, PageSource,
    area::{Mapping, page_flags},
    reclaim,
    space::{PAGE, State},
};
use crate::{fault_injection, process::oom};
use abi::{errno::Errno, mman::Prot};
use alloc::sync::Arc;
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};
use machine::{
    addr::{USER_END, VirtAddr},
    mm::{self, Frame, HugeFrame, MapError, PageFlags},
    upcalls::Access,
};

/// Why an access cannot be made to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultError {
    /// Nothing is mapped there: SIGSEGV with SEGV_MAPERR.
    NotMapped,
    /// The area does not allow it: SIGSEGV with SEGV_ACCERR.
    NotAllowed,
    /// Behind the end of the file, or it cannot be read: SIGBUS with BUS_ADRERR.
    NoData,
    /// No memory is left: the process is killed.
    OutOfMemory,
}

impl From<mm::OutOfMemory> for FaultError {
    fn from(_: mm::OutOfMemory) -> Self {
        FaultError::OutOfMemory
    }
}

impl From<FaultError> for crate::error::Error {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::OutOfMemory => Self::new(Errno::ENOMEM, "out of memory"),
            FaultError::NoData => Self::new(Errno::EIO, "the page cannot be read"),
            FaultError::NotMapped | FaultError::NotAllowed => Self::new(Errno::EFAULT, "bad user address"),
        }
    }
}

/// Whether stores go to the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Shared,
    Private,
}

/// What a look at the state came to.
enum Step {
    Done,
    /// A stack must grow to the address first.
    Grow,
    /// Private memory needs zeros.
    Zeros(PageFlags),
    /// The page must come from a source.
    Fetch(SourcePage, Sharing),
    /// A shared page may be written once its source knows.
    Allow(SourcePage),
    /// The page must be copied from this frame.
    Copy(Frame),
}

/// A page of a source.
#[derive(Clone)]
struct SourcePage {
    source: Arc<dyn PageSource>,
    index: u64,
}

impl SourcePage {
    fn is_same(&self, other: &SourcePage) -> bool {
        self.index == other.index && Arc::ptr_eq(&self.source, &other.source)
    }
}

/// What to do after a step.
enum Outcome {
    /// The access works now.
    Done,
    /// Another look is needed: something was changed meanwhile.
    Again,
    /// There was no memory for it.
    NoMemory,
}

impl From<MapError> for Outcome {
    fn from(error: MapError) -> Self {
        match error {
            // Another thread was faster.
            MapError::Occupied => Outcome::Again,
            MapError::OutOfMemory => Outcome::NoMemory,
        }
    }
}

impl AddressSpace {
    /// Makes an access to `address` work. May sleep.
    pub(crate) fn handle_fault(&self, address: u64, access: Access) -> Result<(), FaultError> {
        if address >= USER_END {
            return Err(FaultError::NotMapped);
        }
        let _shield = fault_injection::shield();
        loop {
            match self.step(address, access)? {
                Outcome::Done => return Ok(()),
                Outcome::Again => {}
                // Room is made without the lock.
                Outcome::NoMemory => drop(reclaim::allocate()?),
            }
        }
    }

    /// Looks what an access needs, and does it. What only adds a page is done with the lock held for reading.
    fn step(&self, address: u64, access: Access) -> Result<Outcome, FaultError> {
        let page = address & !(PAGE - 1);
        let state = self.read();
        let seen = state.withdrawals;
        match state.examine(address, access)? {
            Step::Done => Ok(Outcome::Done),
            Step::Grow => {
                drop(state);
                let grown = self.write().grow_stack(address, &self.limits);
                if grown { Ok(Outcome::Again) } else { Err(FaultError::NotMapped) }
            }
            Step::Zeros(flags) => Ok(self.counted(state.fill(page, access, flags), &self.minor_faults)),
            Step::Copy(from) => {
                let copied = Frame::allocate().inspect(|new| new.copy_from(&from));
                drop(state);
                let Ok(new) = copied else { return Ok(Outcome::NoMemory) };
                Ok(self.counted(self.write().put_copy(address, &from, new)?, &self.minor_faults))
            }
            Step::Allow(wanted) => {
                drop(state);
                wanted.source.prepare_store(wanted.index).map_err(source_error)?;
                let allowed = self.read().allow_store(address, &wanted, seen)?;
                Ok(self.counted(allowed, &self.minor_faults))
            }
            Step::Fetch(wanted, sharing) => {
                drop(state);
                let SourcePage { source, index } = &wanted;
                let cached = source.cached(*index).filter(|_| *index < source.size().div_ceil(PAGE));
                let (frame, counter) = match cached {
                    Some(frame) => (frame, &self.minor_faults),
                    None => (fetch(&**source, *index)?, &self.major_faults),
                };
                if access == Access::Write && sharing == Sharing::Shared {
                    source.prepare_store(*index).map_err(source_error)?;
                }
                let placed = self.read().place(address, access, &wanted, frame, seen)?;
                Ok(self.counted(placed, counter))
            }
        }
    }

    fn counted(&self, outcome: Outcome, counter: &AtomicU64) -> Outcome {
        counter.fetch_add(u64::from(matches!(outcome, Outcome::Done)), Ordering::Relaxed);
        outcome
    }
}

impl State {
    /// What an access needs.
    fn examine(&self, address: u64, access: Access) -> Result<Step, FaultError> {
        let Some((range, mapping)) = self.areas.find(address) else { return Ok(Step::Grow) };
        if !allows(mapping.protection, access) {
            return Err(FaultError::NotAllowed);
        }
        let page = address & !(PAGE - 1);
        let at = VirtAddr::new(page);
        let source_page = mapping
            .source_page(page - range.start)
            .map(|(source, index)| SourcePage { source: source.clone(), index });
        let Some(present) = self.table.state(at) else {
            return Ok(match source_page {
                None => Step::Zeros(page_flags(mapping.protection)),
                Some(wanted) => {
                    let sharing = if mapping.is_shared() { Sharing::Shared } else { Sharing::Private };
                    Step::Fetch(wanted, sharing)
                }
            });
        };
        let needed = match access {
            Access::Read => PageFlags::READ,
            Access::Write => PageFlags::WRITE,
            Access::Execute => PageFlags::EXECUTE,
        };
        if present.flags.contains(needed) {
            return Ok(Step::Done);
        }
        if access != Access::Write {
            self.table.allow(at, mapping.page_flags());
            return Ok(Step::Done);
        }
        if let Some(wanted) = source_page.filter(|_| mapping.is_shared()) {
            return Ok(Step::Allow(wanted));
        }
        // The last one to refer to a page keeps it.
        if self.table.allow_exclusive(at, page_flags(mapping.protection)) {
            return Ok(Step::Done);
        }
        Ok(self.table.query(at).map_or(Step::Done, |present| Step::Copy(present.frame)))
    }

    /// Maps zeros: a huge page of them where that may be, for a store.
    fn fill(&self, page: u64, access: Access, flags: PageFlags) -> Outcome {
        if access == Access::Write
            && let Some(start) = self.huge_start(page)
            && let Ok(huge) = HugeFrame::allocate_zeroed()
            && self.table.map_huge(VirtAddr::new(start), huge, flags).is_ok()
        {
            return Outcome::Done;
        }
        // Who only reads shares the zeros of all.
        let (frame, flags) = match access {
            Access::Write => (Frame::allocate_zeroed(), flags),
            Access::Read | Access::Execute => (Frame::zeros(), flags - PageFlags::WRITE),
        };
        let Ok(frame) = frame else { return Outcome::NoMemory };
        self.table.map(VirtAddr::new(page), frame, flags).map_or_else(Outcome::from, |()| Outcome::Done)
    }

    /// Puts a copy in the place of `from`, if that is what is still wanted.
    fn put_copy(&mut self, address: u64, from: &Frame, new: Frame) -> Result<Outcome, FaultError> {
        match self.examine(address, Access::Write)? {
            Step::Copy(frame) if frame == *from => {}
            _ => return Ok(Outcome::Again),
        }
        let page = address & !(PAGE - 1);
        let flags = page_flags(self.protection(page));
        let replaced = self.table.replace(VirtAddr::new(page), new, flags);
        Ok(if replaced.is_ok() { Outcome::Done } else { Outcome::NoMemory })
    }

    /// Allows stores to a shared page whose source knows of them, if nothing has been withdrawn since.
    fn allow_store(&self, address: u64, known: &SourcePage, seen: u64) -> Result<Outcome, FaultError> {
        match self.examine(address, Access::Write)? {
            Step::Allow(wanted) if wanted.is_same(known) && self.withdrawals == seen => {}
            _ => return Ok(Outcome::Again),
        }
        let page = address & !(PAGE - 1);
        self.table.allow(VirtAddr::new(page), page_flags(self.protection(page)));
        Ok(Outcome::Done)
    }

    /// Maps a page that came from a source, or a copy of it, if that is still wanted and nothing has been
    /// withdrawn since.
    fn place(
        &self,
        address: u64,
        access: Access,
        from: &SourcePage,
        frame: Frame,
        seen: u64,
    ) -> Result<Outcome, FaultError> {
        match self.examine(address, access)? {
            Step::Fetch(wanted, _) if wanted.is_same(from) && self.withdrawals == seen => {}
            _ => return Ok(Outcome::Again),
        }
        let page = address & !(PAGE - 1);
        let (area, mapping) = self.areas.find(page).ok_or(FaultError::NotMapped)?;
        let (new, flags) = prepare(mapping, frame, access);
        let Ok(new) = new else { return Ok(Outcome::NoMemory) };
        if let Err(error) = self.table.map(VirtAddr::new(page), new, flags) {
            return Ok(error.into());
        }
        if access != Access::Write {
            self.map_around(page, &area, mapping);
        }
        Ok(Outcome::Done)
    }

    /// Maps what else of a file is in memory around a page that was just mapped, to save the faults on it.
    fn map_around(&self, page: u64, area: &Range<u64>, mapping: &Mapping) {
        /// Linux's fault_around_bytes; one table holds them all.
        const WINDOW: u64 = 16 * PAGE;
        let start = (page & !(WINDOW - 1)).max(area.start);
        let end = ((page | (WINDOW - 1)) + 1).min(area.end);
        let Some(backing) = &mapping.backing else { return };
        let pages_end = backing.source.size().div_ceil(PAGE);
        for neighbour in (start..end).step_by(PAGE as usize) {
            let index = (backing.offset + (neighbour - area.start)) / PAGE;
            let address = VirtAddr::new(neighbour);
            if index >= pages_end || self.table.state(address).is_some() {
                continue;
            }
            let Some(frame) = backing.source.cached(index) else { continue };
            if self.table.map(address, frame, mapping.page_flags()) == Err(MapError::OutOfMemory) {
                return;
            }
        }
    }

    /// The permissions of the area with a page.
    fn protection(&self, page: u64) -> Prot {
        self.areas.find(page).map_or(Prot::empty(), |(_, mapping)| mapping.protection)
    }
}

/// The frame to map for a page of a source, and how.
fn prepare(mapping: &Mapping, frame: Frame, access: Access) -> (Result<Frame, mm::OutOfMemory>, PageFlags) {
    if access != Access::Write {
        return (Ok(frame), mapping.page_flags());
    }
    if mapping.is_shared() {
        return (Ok(frame), page_flags(mapping.protection));
    }
    (Frame::allocate().inspect(|new| new.copy_from(&frame)), page_flags(mapping.protection))
}

impl AddressSpace {
    /// Has all pages of a range in memory that its areas allow to be used (mlock, MAP_POPULATE).
    pub(crate) fn populate(&self, range: Range<u64>) -> Result<(), FaultError> {
        let mut page = range.start;
        while page < range.end {
            let access = {
                let state = self.read();
                let Some((area, mapping)) = state.areas.find_at_or_above(page) else { return Ok(()) };
                page = page.max(area.start);
                if page >= range.end {
                    return Ok(());
                }
                let protection = mapping.protection;
                if !protection.intersects(super::area::PERMISSIONS) {
                    page = area.end;
                    continue;
                }
                if protection.contains(Prot::PROT_WRITE) && !mapping.is_shared() {
                    Access::Write
                } else {
                    Access::Read
                }
            };
            self.handle_fault(page, access)?;
            page = self.behind(page);
        }
        Ok(())
    }

    /// The first address behind what is mapped at a page, which may be huge.
    fn behind(&self, page: u64) -> u64 {
        let state = self.read().table.state(VirtAddr::new(page));
        let size = state.map_or(PAGE, |present| present.pages as u64 * PAGE);
        (page & !(size - 1)) + size
    }

    /// Makes an access to each page of a range work (MADV_POPULATE_READ, MADV_POPULATE_WRITE).
    ///
    /// # Errors
    /// ENOMEM: something is not mapped. EINVAL: it does not allow the access. EFAULT: a file has no such page.
    pub(crate) fn populate_all(&self, range: Range<u64>, access: Access) -> crate::error::Result<()> {
        let mut page = range.start;
        while page < range.end {
            self.handle_fault(page, access).map_err(|error| match error {
                FaultError::NotMapped | FaultError::OutOfMemory => Errno::ENOMEM,
                FaultError::NotAllowed => Errno::EINVAL,
                FaultError::NoData => Errno::EFAULT,
            })?;
            page = self.behind(page);
        }
        Ok(())
    }
}

/// As on Linux on this CPU, whatever can be written or executed can be read.
fn allows(protection: Prot, access: Access) -> bool {
    match access {
        Access::Read => protection.intersects(super::area::PERMISSIONS),
        Access::Write => protection.contains(Prot::PROT_WRITE),
        Access::Execute => protection.contains(Prot::PROT_EXEC),
    }
}

fn fetch(source: &dyn PageSource, index: u64) -> Result<Frame, FaultError> {
    if index >= source.size().div_ceil(PAGE) {
        return Err(FaultError::NoData);
    }
    source.page(index).map_err(source_error)
}

fn source_error(error: crate::error::Error) -> FaultError {
    match error.errno {
        Errno::ENOMEM => FaultError::OutOfMemory,
        _ => FaultError::NoData,
    }
}

/// For the upcall: the kernel touched an address of the current process, and no page answers.
/// `false`: the access fails.
pub(crate) fn kernel_access(space: &AddressSpace, address: u64, access: Access) -> bool {
    // With interrupts or preemption off nothing may sleep, so nothing can be done.
    if !machine::cpu::interrupts_enabled() || machine::cpu::preemption_count() != 0 {
        return false;
    }
    loop {
        match space.handle_fault(address, access) {
            Err(FaultError::OutOfMemory) if oom::relieve_copy() => {}
            outcome => return outcome.is_ok(),
        }
    }
}
