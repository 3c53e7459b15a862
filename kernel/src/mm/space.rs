//! [`AddressSpace`]: the memory of a program, shared by its threads.
//!
//! The list of areas ([`vma::AreaMap`]) says what may be there, the page table what is there. Both are under
//! one sleeping lock, `state`: held for reading, pages can be added to the table; for writing, everything can be
//! changed. User memory is never touched with the lock held.

use super::{
    area::{Mapping, MappingFlags, STACK_GUARD_GAP},
    commit::Promise,
    layout::{Layout, USER_START},
    reclaim, reverse,
};
use crate::{
    error::{Error, Result},
    fs::{file::File, open::WriteDenial},
    sync::{ReadGuard, RwLock, WriteGuard},
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::{
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};
use machine::{
    addr::{PAGE_SIZE, USER_END, VirtAddr},
    mm::{PageTableRoot, Sharing, UserPageTable, WalkStep},
    sync::Once,
};
use vma::{Area, AreaMap, RangeError};

/// [`PAGE_SIZE`] for addresses.
pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// The most areas of one address space (vm.max_map_count).
pub(crate) static AREAS_MAX: AtomicU64 = AtomicU64::new(65_530);

/// The resource limits that memory heeds, in bytes; the process sets them when they change.
pub(crate) struct Limits {
    /// RLIMIT_AS.
    pub(crate) address_space: AtomicU64,
    /// RLIMIT_DATA.
    pub(crate) data: AtomicU64,
    /// RLIMIT_STACK.
    pub(crate) stack: AtomicU64,
    /// RLIMIT_MEMLOCK, which does not hold for who has CAP_IPC_LOCK.
    pub(crate) locked: AtomicU64,
}

impl Limits {
    /// The same limits for another address space.
    fn copy(&self) -> Self {
        let copy = |limit: &AtomicU64| AtomicU64::new(limit.load(Ordering::Relaxed));
        Self {
            address_space: copy(&self.address_space),
            data: copy(&self.data),
            stack: copy(&self.stack),
            locked: copy(&self.locked),
        }
    }
}

impl Default for Limits {
    /// No limits but Linux's usual 8 MiB of stack and locked memory.
    fn default() -> Self {
        Self {
            address_space: AtomicU64::new(u64::MAX),
            data: AtomicU64::new(u64::MAX),
            stack: AtomicU64::new(8 << 20),
            locked: AtomicU64::new(8 << 20),
        }
    }
}

/// The program that was loaded, as /proc tells of it.
pub(crate) struct ProgramRecord {
    /// The file.
    pub(crate) executable: Arc<File>,
    /// Keeps it from being written meanwhile.
    pub(crate) _denial: WriteDenial,
    /// Where the arguments stand: strings, each with its NUL.
    pub(crate) arguments: Range<u64>,
    /// Where the environment stood at the start.
    pub(crate) environment: Range<u64>,
    /// The auxiliary vector, as the program got it.
    pub(crate) auxiliary: Vec<u8>,
    /// The code.
    pub(crate) code: Range<u64>,
    /// The data.
    pub(crate) data: Range<u64>,
    /// The stack pointer at the start.
    pub(crate) stack: u64,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) table: UserPageTable,
    pub(super) areas: AreaMap<Mapping>,
    /// From the heap's start to the current break, in bytes.
    pub(super) heap: Range<u64>,
    /// Counts what files withdrew: pages that were cut off, permissions to store. A page on its way into the table must
    /// not arrive then.
    pub(super) withdrawals: u64,
    /// What new areas get besides (mlockall with MCL_FUTURE).
    pub(super) default_flags: MappingFlags,
    /// It gets no huge pages (PR_SET_THP_DISABLE).
    pub(super) forbids_huge: bool,
    /// What its private memory that may be written counts for.
    pub(super) promise: Promise,
    /// The highest number of resident pages so far (VmHWM).
    pub(super) resident_peak: usize,
    /// The greatest sum of areas so far (VmPeak).
    pub(super) mapped_peak: u64,
}

/// The memory of a program. See the module.
pub(crate) struct AddressSpace {
    root: PageTableRoot,
    state: RwLock<State>,
    layout: Layout,
    pub(crate) limits: Limits,
    program: Once<Arc<ProgramRecord>>,
    /// Commands of membarrier(2) that its threads have registered for.
    barriers: AtomicU32,
    pub(super) minor_faults: AtomicU64,
    pub(super) major_faults: AtomicU64,
    /// For [`footprint`](Self::footprint), in pages.
    mapped: AtomicU64,
    shared: AtomicU64,
}

/// What an address space takes, in pages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Footprint {
    /// The sum of its areas.
    pub(crate) mapped: usize,
    /// Pages that are in memory.
    pub(crate) resident: usize,
    /// Those of them that may be a file's, at most.
    pub(crate) shared: usize,
    /// Tables.
    pub(crate) page_tables: usize,
}

/// Figures for /proc/PID/status and statm, in bytes; the names are those of proc(5), written out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) mapped: u64,
    pub(crate) mapped_peak: u64,
    pub(crate) resident: u64,
    pub(crate) resident_peak: u64,
    pub(crate) locked: u64,
    pub(crate) data: u64,
    pub(crate) stack: u64,
    pub(crate) executable: u64,
    pub(crate) shared: u64,
    pub(crate) page_tables: u64,
}

impl AddressSpace {
    /// An empty one.
    pub(crate) fn new(layout: Layout, limits: Limits) -> Result<Arc<Self>> {
        let table = reclaim::retry(UserPageTable::new)?;
        let areas = AreaMap::new(USER_START..USER_END);
        Ok(Self::with_table(table, areas, Promise::default(), layout, limits))
    }

    fn with_table(
        table: UserPageTable,
        areas: AreaMap<Mapping>,
        promise: Promise,
        layout: Layout,
        limits: Limits,
    ) -> Arc<Self> {
        let root = table.root();
        let state = State {
            table,
            areas,
            heap: 0..0,
            withdrawals: 0,
            default_flags: MappingFlags::empty(),
            forbids_huge: false,
            promise,
            resident_peak: 0,
            mapped_peak: 0,
        };
        let space = Arc::new(Self {
            root,
            state: RwLock::new("address space", state),
            layout,
            limits,
            program: Once::new(),
            barriers: AtomicU32::new(0),
            minor_faults: AtomicU64::new(0),
            major_faults: AtomicU64::new(0),
            mapped: AtomicU64::new(0),
            shared: AtomicU64::new(0),
        });
        reverse::register(&space);
        space
    }

    /// To look at the areas and add pages to the table. Not to be taken twice by a thread.
    pub(super) fn read(&self) -> ReadGuard<'_, State> {
        self.state.read()
    }

    /// To change anything.
    pub(super) fn write(&self) -> WriteGuard<'_, State> {
        self.state.write()
    }

    pub(super) fn try_write(&self) -> Option<WriteGuard<'_, State>> {
        self.state.try_write()
    }

    /// What it takes, without waiting for its lock: while somebody else has that, what was true a while ago.
    pub(crate) fn footprint(&self) -> Footprint {
        if let Some(state) = self.state.try_read() {
            let shared = state.areas.iter().filter(|(_, mapping)| mapping.backing.is_some());
            let shared: u64 = shared.map(|(range, _)| (range.end - range.start) / PAGE).sum();
            self.shared.store(shared, Ordering::Relaxed);
            self.mapped.store(state.areas.mapped_bytes() / PAGE, Ordering::Relaxed);
        }
        let resident = self.root.resident_pages();
        Footprint {
            mapped: resident.max(self.mapped.load(Ordering::Relaxed) as usize),
            resident,
            shared: resident.min(self.shared.load(Ordering::Relaxed) as usize),
            page_tables: self.root.table_count(),
        }
    }

    /// Visits the page table's entries on the way to an address.
    pub(crate) fn visit_walk(&self, address: VirtAddr, visit: &mut dyn FnMut(WalkStep)) {
        self.read().table.visit_walk(address, visit);
    }

    /// Makes it the address space of this CPU. Callable with interrupts disabled.
    pub(crate) fn activate(&self) {
        self.root.activate();
    }

    /// Where things go.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Notes a command of membarrier(2) that registers.
    pub(crate) fn register_barrier(&self, command: u32) {
        self.barriers.fetch_or(command, Ordering::Relaxed);
    }

    /// Whether a thread has registered with this command.
    pub(crate) fn has_registered_barrier(&self, command: u32) -> bool {
        self.barriers.load(Ordering::Relaxed) & command != 0
    }

    /// The program that was loaded into it.
    pub(crate) fn program(&self) -> Option<&Arc<ProgramRecord>> {
        self.program.get()
    }

    /// Notes the program; once.
    pub(crate) fn set_program(&self, program: ProgramRecord) {
        self.program.call_once(|| Arc::new(program));
    }

    /// A copy for a child: private pages are copied when one side writes, shared ones stay shared.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn fork(&self) -> Result<Arc<Self>> {
        let mut table = reclaim::retry(UserPageTable::new)?;
        let mut state = self.write();
        let mut areas = AreaMap::new(state.areas.bounds());
        let mut promise = Promise::default();
        let State { table: parent, areas: parent_areas, heap, .. } = &mut *state;
        // Other CPUs that run this program hear once of all the pages that it must not write any more.
        parent.batch(|parent| -> Result<()> {
            for (range, mapping) in parent_areas.iter() {
                if mapping.flags.contains(MappingFlags::NO_FORK) {
                    continue;
                }
                let mut mapping = mapping.clone();
                // Locks are not inherited; shared pages come from their source again.
                mapping.flags -= MappingFlags::LOCKED;
                let is_copied = !mapping.is_shared() && !mapping.flags.contains(MappingFlags::WIPE_ON_FORK);
                if mapping.flags.contains(MappingFlags::ACCOUNTED) {
                    promise.grow((range.end - range.start) / PAGE, areas.mapped_bytes() / PAGE)?;
                }
                areas.insert(range.clone(), mapping)?;
                if is_copied {
                    let pages = addresses(&range);
                    reclaim::retry(|| parent.share_with(&mut table, pages.clone(), Sharing::CopyOnWrite))?;
                }
            }
            Ok(())
        })?;
        let (heap, forbids_huge) = (heap.clone(), state.forbids_huge);
        drop(state);
        let child = Self::with_table(table, areas, promise, self.layout, self.limits.copy());
        {
            let mut state = child.write();
            (state.heap, state.forbids_huge) = (heap, forbids_huge);
        }
        child.barriers.store(self.barriers.load(Ordering::Relaxed), Ordering::Relaxed);
        if let Some(program) = self.program.get() {
            child.program.call_once(|| program.clone());
        }
        Ok(child)
    }

    /// Minor and major page faults so far.
    pub(crate) fn fault_counts(&self) -> (u64, u64) {
        (self.minor_faults.load(Ordering::Relaxed), self.major_faults.load(Ordering::Relaxed))
    }

    /// How much memory it has and uses.
    pub(crate) fn usage(&self) -> Usage {
        let mut state = self.write();
        state.note_peaks();
        let mut usage = Usage {
            mapped: state.areas.mapped_bytes(),
            mapped_peak: state.mapped_peak,
            resident: state.table.resident_pages() as u64 * PAGE,
            resident_peak: state.resident_peak as u64 * PAGE,
            page_tables: state.table.table_count() as u64 * PAGE,
            ..Usage::default()
        };
        for (range, mapping) in state.areas.iter() {
            let length = range.end - range.start;
            let mut add = |figure: fn(&mut Usage) -> &mut u64, condition: bool| {
                *figure(&mut usage) += if condition { length } else { 0 };
            };
            add(|usage| &mut usage.locked, mapping.flags.contains(MappingFlags::LOCKED));
            add(|usage| &mut usage.data, mapping.is_data());
            add(|usage| &mut usage.stack, mapping.flags.contains(MappingFlags::GROWS_DOWN));
            add(|usage| &mut usage.shared, mapping.is_shared());
            let is_code =
                mapping.protection.contains(abi::mman::Prot::PROT_EXEC) && mapping.backing.is_some();
            add(|usage| &mut usage.executable, is_code);
        }
        usage
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // What was written through shared mappings is told to their sources.
        let mut state = self.write();
        let bounds = state.areas.bounds();
        let pieces = state.areas.remove(bounds).unwrap_or_default();
        state.release(&pieces);
        drop(state);
        // Files may be closed by this.
        drop(pieces);
    }
}

impl State {
    /// Unmaps the pages of areas that were removed.
    pub(super) fn release(&mut self, pieces: &[Area<Mapping>]) {
        self.note_peaks();
        for Area { range, payload } in pieces {
            if payload.flags.contains(MappingFlags::ACCOUNTED) {
                self.promise.shrink((range.end - range.start) / PAGE);
            }
            self.table.unmap(addresses(range), &mut |page, mapping| {
                note_dirty(payload, page.as_u64(), range.start, mapping.dirty);
            });
        }
    }

    /// Removes whatever is in a range.
    pub(super) fn remove(&mut self, range: Range<u64>) -> Result<Vec<Area<Mapping>>> {
        self.check_count(1)?;
        let pieces = self.areas.remove(range)?;
        self.release(&pieces);
        Ok(pieces)
    }

    /// ENOMEM if `more` areas would be too many.
    pub(super) fn check_count(&self, more: usize) -> Result<()> {
        if (self.areas.len() + more) as u64 > AREAS_MAX.load(Ordering::Relaxed) {
            return Err(Error::new(Errno::ENOMEM, "too many areas"));
        }
        Ok(())
    }

    pub(super) fn note_peaks(&mut self) {
        self.resident_peak = self.resident_peak.max(self.table.resident_pages());
        self.mapped_peak = self.mapped_peak.max(self.areas.mapped_bytes());
    }

    /// Grows the area above an address down to it, if it is a stack that may; tells whether an area is there then.
    pub(super) fn grow_stack(&mut self, address: u64, limits: &Limits) -> bool {
        let page = address & !(PAGE - 1);
        let Some((range, mapping)) = self.areas.find_at_or_above(address) else { return false };
        if range.contains(&address) {
            // Another thread was faster.
            return true;
        }
        let grows = mapping.flags.contains(MappingFlags::GROWS_DOWN);
        let stack_limit = limits.stack.load(Ordering::Relaxed);
        let space_limit = limits.address_space.load(Ordering::Relaxed);
        let mapped = self.areas.mapped_bytes().saturating_add(range.start - page);
        if !grows
            || range.end - page > stack_limit
            || mapped > space_limit
            || page < USER_START + STACK_GUARD_GAP
        {
            return false;
        }
        let (start, more) = (range.start, (range.start - page) / PAGE);
        let is_promised = mapping.flags.contains(MappingFlags::ACCOUNTED);
        if is_promised && self.promise.grow(more, self.areas.mapped_bytes() / PAGE).is_err() {
            return false;
        }
        let has_grown = self.areas.grow_down(start, page).is_ok();
        if is_promised && !has_grown {
            self.promise.shrink(more);
        }
        has_grown
    }
}

/// Tells the source of a shared mapping, whose area starts at `start`, that a page was written.
pub(super) fn note_dirty(mapping: &Mapping, page: u64, start: u64, is_dirty: bool) {
    if is_dirty
        && mapping.is_shared()
        && let Some((source, index)) = mapping.source_page(page - start)
    {
        source.mark_dirty(index);
    }
}

/// A range of user addresses in the page table's terms.
pub(super) fn addresses(range: &Range<u64>) -> Range<VirtAddr> {
    VirtAddr::new(range.start)..VirtAddr::new(range.end)
}

impl From<RangeError> for Error {
    fn from(error: RangeError) -> Self {
        match error {
            RangeError::Invalid => Error::new(Errno::EINVAL, "range is empty or not page-aligned"),
            RangeError::OutOfRange => Error::new(Errno::ENOMEM, "range leaves the address space"),
            RangeError::Occupied => Error::new(Errno::EEXIST, "range is mapped already"),
            RangeError::NotMapped => Error::new(Errno::ENOMEM, "range is not mapped"),
        }
    }
}
