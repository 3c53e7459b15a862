//! What an area of an address space is: permissions, flags, and what is behind it.

use super::PageSource;
use abi::mman::Prot;
use alloc::sync::Arc;
use machine::{addr::PAGE_SIZE, mm::PageFlags};

/// Reading, writing and executing: the permissions proper.
pub(crate) const PERMISSIONS: Prot = Prot::PROT_READ.union(Prot::PROT_WRITE).union(Prot::PROT_EXEC);

/// Below a growing stack, so many bytes stay free (Linux's stack_guard_gap).
pub(super) const STACK_GUARD_GAP: u64 = 256 * PAGE_SIZE as u64;

bitflags::bitflags! {
    /// How an area behaves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct MappingFlags: u16 {
        /// Stores are seen by all who map it (MAP_SHARED); otherwise copied on write.
        const SHARED = 1;
        /// It grows downwards when touched below its start (MAP_GROWSDOWN).
        const GROWS_DOWN = 1 << 1;
        /// Its pages stay in memory (mlock).
        const LOCKED = 1 << 2;
        /// fork does not copy it (MADV_DONTFORK).
        const NO_FORK = 1 << 3;
        /// fork leaves zeros in the child (MADV_WIPEONFORK).
        const WIPE_ON_FORK = 1 << 4;
        /// Not in a core file (MADV_DONTDUMP).
        const NO_DUMP = 1 << 5;
        /// No promise of memory (MAP_NORESERVE).
        const NO_RESERVE = 1 << 6;
        /// It should have huge pages (MADV_HUGEPAGE).
        const HUGE = 1 << 7;
        /// It must not have huge pages (MADV_NOHUGEPAGE).
        const NO_HUGE = 1 << 8;
        /// Its memory is promised: it counts for vm.overcommit_memory.
        const ACCOUNTED = 1 << 9;
    }
}

/// Pages that come from somewhere.
#[derive(Clone)]
pub(super) struct Backing {
    pub(super) source: Arc<dyn PageSource>,
    /// Where the area starts in the source, in bytes; a multiple of the page size.
    pub(super) offset: u64,
}

/// What an area is.
#[derive(Clone)]
pub(super) struct Mapping {
    pub(super) protection: Prot,
    /// The most that mprotect gives it.
    pub(super) allowed: Prot,
    pub(super) flags: MappingFlags,
    /// `None`: private memory that starts as zeros.
    pub(super) backing: Option<Backing>,
}

impl Mapping {
    pub(super) fn is_shared(&self) -> bool {
        self.flags.contains(MappingFlags::SHARED)
    }

    /// Private and writable: what RLIMIT_DATA counts.
    pub(super) fn is_data(&self) -> bool {
        !self.is_shared()
            && self.protection.contains(Prot::PROT_WRITE)
            && !self.flags.contains(MappingFlags::GROWS_DOWN)
    }

    /// Whether its memory must be promised: it is private and may be written.
    pub(super) fn is_accountable(&self) -> bool {
        !self.flags.intersects(MappingFlags::SHARED | MappingFlags::NO_RESERVE)
            && self.protection.contains(Prot::PROT_WRITE)
    }

    /// The page of the source that lies `offset` bytes behind the start of the area.
    pub(super) fn source_page(&self, offset: u64) -> Option<(&Arc<dyn PageSource>, u64)> {
        let backing = self.backing.as_ref()?;
        Some((&backing.source, (backing.offset + offset) / PAGE_SIZE as u64))
    }

    /// The permissions of a page, writing left out: that comes with the first store, which has to
    /// copy or to be noted.
    pub(super) fn page_flags(&self) -> PageFlags {
        page_flags(self.protection) - PageFlags::WRITE
    }
}

/// Any permission brings reading, as the CPU cannot do without.
pub(super) fn page_flags(protection: Prot) -> PageFlags {
    let mut flags = PageFlags::empty();
    flags.set(PageFlags::READ, protection.intersects(PERMISSIONS));
    flags.set(PageFlags::WRITE, protection.contains(Prot::PROT_WRITE));
    flags.set(PageFlags::EXECUTE, protection.contains(Prot::PROT_EXEC));
    flags
}

impl vma::Payload for Mapping {
    fn split_at(&self, offset: u64) -> Self {
        let moved = |backing: &Backing| Backing { offset: backing.offset + offset, ..backing.clone() };
        Self { backing: self.backing.as_ref().map(moved), ..self.clone() }
    }

    fn can_merge(&self, len: u64, next: &Self) -> bool {
        let is_alike =
            self.protection == next.protection && self.allowed == next.allowed && self.flags == next.flags;
        let continues = match (&self.backing, &next.backing) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.source, &b.source) && a.offset + len == b.offset,
            _ => false,
        };
        is_alike && continues
    }

    fn gap_below(&self) -> u64 {
        if self.flags.contains(MappingFlags::GROWS_DOWN) { STACK_GUARD_GAP } else { 0 }
    }
}
