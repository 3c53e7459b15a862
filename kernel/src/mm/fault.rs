//! Page faults: finding or making the page that a program touched.
//!
//! A fault on an address goes through these steps. Is there an area, or a stack that may grow there? Does it
//! allow the access? Then: private memory gets a page of zeros; a file's page comes from its
//! source, to look at as it is, to write on as a copy (private) or after a note that it is dirty (shared);
//! a page that is there and may be written, but was shared by fork, is copied unless nobody else has it.

use super::{
    AddressSpace, PageSource,
    area::{Mapping, page_flags},
    reclaim,
    space::{PAGE, State},
};
use crate::process::oom;
use abi::{errno::Errno, mman::Prot};
use alloc::sync::Arc;
use core::{ops::Range, sync::atomic::Ordering};
use machine::{
    addr::{USER_END, VirtAddr},
    mm::{self, Frame, PageFlags},
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

/// What a look at the state, with its lock, came to.
enum Step {
    Done,
    /// Private memory needs a frame of zeros.
    Zeros(Prot),
    /// The page must come from a source.
    Fetch(Arc<dyn PageSource>, u64, Sharing),
    /// A shared page may be written once its source knows.
    Allow(Arc<dyn PageSource>, u64),
    /// The page must be copied from this frame.
    Copy(Frame),
}

/// What came of mapping a page of a source.
enum Placing {
    Done,
    /// Something is mapped there by now.
    LookAgain,
    /// To be tried again with more memory, and without the lock meanwhile.
    NoMemory,
}

impl AddressSpace {
    /// Makes an access to `address` work. May sleep.
    pub(crate) fn handle_fault(&self, address: u64, access: Access) -> Result<(), FaultError> {
        if address >= USER_END {
            return Err(FaultError::NotMapped);
        }
        let page = address & !(PAGE - 1);
        loop {
            let mut state = self.lock();
            let step = self.examine(&mut state, address, access)?;
            let seen = state.changes;
            match step {
                Step::Done => return Ok(()),
                Step::Zeros(protection) => {
                    if self.fill(&mut state, page, Frame::allocate_zeroed(), page_flags(protection)) {
                        return Ok(());
                    }
                    drop(state);
                    // Make room without the lock, then look again.
                    drop(reclaim::allocate_zeroed()?);
                }
                Step::Copy(from) => {
                    if self.copy(&mut state, page, &from)? {
                        return Ok(());
                    }
                    drop(state);
                    drop(reclaim::allocate()?);
                }
                Step::Allow(source, index) => {
                    drop(state);
                    source.prepare_store(index).map_err(source_error)?;
                    let mut state = self.lock();
                    if state.changes == seen {
                        let protection = state.protection(page);
                        state.table.protect(one(page), page_flags(protection));
                        self.minor_faults.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                }
                Step::Fetch(source, index, sharing) => {
                    drop(state);
                    let cached = source.cached(index).filter(|_| index < source.size().div_ceil(PAGE));
                    let (frame, counter) = match cached {
                        Some(frame) => (frame, &self.minor_faults),
                        None => (fetch(&*source, index)?, &self.major_faults),
                    };
                    if access == Access::Write && sharing == Sharing::Shared {
                        source.prepare_store(index).map_err(source_error)?;
                    }
                    let mut state = self.lock();
                    if state.changes == seen {
                        match self.place(&mut state, page, frame, access)? {
                            Placing::Done => {
                                self.note_resident(&state);
                                counter.fetch_add(1, Ordering::Relaxed);
                                return Ok(());
                            }
                            Placing::LookAgain => {}
                            Placing::NoMemory => {
                                drop(state);
                                drop(reclaim::allocate()?);
                            }
                        }
                    }
                }
            }
        }
    }

    /// What an access needs.
    fn examine(&self, state: &mut State, address: u64, access: Access) -> Result<Step, FaultError> {
        if state.areas.find(address).is_none() && !state.grow_stack(address, self.stack_limit()) {
            return Err(FaultError::NotMapped);
        }
        let page = address & !(PAGE - 1);
        let (range, mapping) = state.areas.find(address).ok_or(FaultError::NotMapped)?;
        if !allows(mapping.protection, access) {
            return Err(FaultError::NotAllowed);
        }
        let offset = page - range.start;
        let Some(present) = state.table.query(VirtAddr::new(page)) else {
            return Ok(match mapping.source_page(offset) {
                None => Step::Zeros(mapping.protection),
                Some((source, index)) => {
                    let sharing = if mapping.is_shared() { Sharing::Shared } else { Sharing::Private };
                    Step::Fetch(source.clone(), index, sharing)
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
        match (access, mapping.source_page(offset)) {
            (Access::Write, Some((source, index))) if mapping.is_shared() => {
                Ok(Step::Allow(source.clone(), index))
            }
            (Access::Write, _) => Ok(Step::Copy(present.frame)),
            _ => {
                let flags = mapping.page_flags();
                state.table.protect(one(page), flags);
                Ok(Step::Done)
            }
        }
    }

    fn stack_limit(&self) -> u64 {
        self.limits.stack.load(Ordering::Relaxed)
    }

    /// Maps a fresh frame. `false`: there was no memory for it.
    fn fill(
        &self,
        state: &mut State,
        page: u64,
        frame: Result<Frame, mm::OutOfMemory>,
        flags: PageFlags,
    ) -> bool {
        let mapped = frame.and_then(|frame| state.table.map(VirtAddr::new(page), frame, flags));
        self.minor_faults.fetch_add(u64::from(mapped.is_ok()), Ordering::Relaxed);
        self.note_resident(state);
        mapped.is_ok()
    }

    /// Gives the area a page of its own in place of `from`, or lets it keep that one if nobody else has it.
    /// `Ok(false)`: there was no memory for it.
    fn copy(&self, state: &mut State, page: u64, from: &Frame) -> Result<bool, FaultError> {
        /// The table's reference and `from` itself.
        const OURS: u32 = 2;
        let flags = page_flags(state.protection(page));
        if from.reference_count() == OURS {
            state.table.protect(one(page), flags);
            self.minor_faults.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        let copied = Frame::allocate().inspect(|new| new.copy_from(from));
        Ok(self.fill(state, page, copied, flags))
    }

    /// Maps a page that came from a source, or a copy of it.
    fn place(
        &self,
        state: &mut State,
        page: u64,
        frame: Frame,
        access: Access,
    ) -> Result<Placing, FaultError> {
        let (area, mapping) = state.areas.find(page).ok_or(FaultError::NotMapped)?;
        let mapping = mapping.clone();
        if state.table.query(VirtAddr::new(page)).is_some() {
            // Somebody else was faster; another look will tell whether that is enough.
            return Ok(if access == Access::Read { Placing::Done } else { Placing::LookAgain });
        }
        let (new, flags) = self.prepare(&mapping, frame, access);
        let Ok(new) = new else { return Ok(Placing::NoMemory) };
        match state.table.map(VirtAddr::new(page), new, flags) {
            Ok(()) => {
                if access != Access::Write {
                    map_around(state, page, &area, &mapping);
                }
                Ok(Placing::Done)
            }
            Err(_) => Ok(Placing::NoMemory),
        }
    }

    /// The frame to map for a page of a source, and how.
    fn prepare(
        &self,
        mapping: &Mapping,
        frame: Frame,
        access: Access,
    ) -> (Result<Frame, mm::OutOfMemory>, PageFlags) {
        if access != Access::Write {
            return (Ok(frame), mapping.page_flags());
        }
        if mapping.is_shared() {
            return (Ok(frame), page_flags(mapping.protection));
        }
        (Frame::allocate().inspect(|new| new.copy_from(&frame)), page_flags(mapping.protection))
    }

    /// Has all pages of a range in memory that its areas allow to be used (mlock, MAP_POPULATE).
    pub(crate) fn populate(&self, range: Range<u64>) -> Result<(), FaultError> {
        let mut page = range.start;
        while page < range.end {
            let access = {
                let state = self.lock();
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
            page += PAGE;
        }
        Ok(())
    }
}

impl AddressSpace {
    /// Makes an access to each page of a range work (MADV_POPULATE_READ, MADV_POPULATE_WRITE).
    ///
    /// # Errors
    /// ENOMEM: something is not mapped. EINVAL: it does not allow the access. EFAULT: a file has no such page.
    pub(crate) fn populate_all(&self, range: Range<u64>, access: Access) -> crate::error::Result<()> {
        for page in range.step_by(PAGE as usize) {
            self.handle_fault(page, access).map_err(|error| match error {
                FaultError::NotMapped | FaultError::OutOfMemory => Errno::ENOMEM,
                FaultError::NotAllowed => Errno::EINVAL,
                FaultError::NoData => Errno::EFAULT,
            })?;
        }
        Ok(())
    }
}

impl State {
    /// The permissions of the area with a page.
    fn protection(&self, page: u64) -> Prot {
        self.areas.find(page).map_or(Prot::empty(), |(_, mapping)| mapping.protection)
    }
}

/// Maps what else of a file is in memory around a page that was just mapped, to save the faults on it.
fn map_around(state: &mut State, page: u64, area: &Range<u64>, mapping: &Mapping) {
    /// Linux's fault_around_bytes; one table holds them all.
    const WINDOW: u64 = 16 * PAGE;
    let start = (page & !(WINDOW - 1)).max(area.start);
    let end = ((page | (WINDOW - 1)) + 1).min(area.end);
    let Some(backing) = &mapping.backing else { return };
    let pages_end = backing.source.size().div_ceil(PAGE);
    for neighbour in (start..end).step_by(PAGE as usize) {
        let index = (backing.offset + (neighbour - area.start)) / PAGE;
        let address = VirtAddr::new(neighbour);
        if index >= pages_end || state.table.query(address).is_some() {
            continue;
        }
        let Some(frame) = backing.source.cached(index) else { continue };
        if state.table.map(address, frame, mapping.page_flags()).is_err() {
            return;
        }
    }
}

fn one(page: u64) -> Range<VirtAddr> {
    VirtAddr::new(page)..VirtAddr::new(page + PAGE)
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
