//! The areas of an address space, as /proc/PID/maps tells of them.

use super::{
    AddressSpace, PageSource,
    advise::visit_pages,
    area::{Mapping, MappingFlags},
    layout::USER_START,
    space::PAGE,
};
use crate::error::Result;
use abi::mman::Prot;
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::Ordering;
use machine::{
    addr::{PhysAddr, USER_END, VirtAddr},
    mm::OutOfMemory,
};

/// One line of /proc/PID/maps.
pub(crate) struct AreaReport {
    /// The addresses.
    pub(crate) range: Range<u64>,
    /// Permissions.
    pub(crate) protection: Prot,
    /// The most that mprotect gives it.
    pub(crate) allowed: Prot,
    /// How it behaves.
    pub(crate) flags: MappingFlags,
    /// Where it starts in its source.
    pub(crate) offset: u64,
    /// The source, which knows device, inode and name.
    pub(crate) source: Option<Arc<dyn PageSource>>,
    /// `[heap]` or `[stack]`; empty otherwise.
    pub(crate) role: &'static str,
    /// What is in memory of it, if that was asked for.
    pub(crate) pages: PageFigures,
    /// It may have huge pages.
    pub(crate) is_huge_allowed: bool,
}

/// How much a report is to tell of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What it is.
    Areas,
    /// Its pages too.
    Pages,
}

/// What is in memory of an area, in pages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageFigures {
    /// All.
    pub(crate) resident: usize,
    /// Those that are the process's own.
    pub(crate) anonymous: usize,
    /// Those in huge pages.
    pub(crate) huge: usize,
    /// Those that were used.
    pub(crate) referenced: usize,
    /// Others refer to them too; the CPU has not written them.
    pub(crate) shared_clean: usize,
    /// Others refer to them too; the CPU has written them.
    pub(crate) shared_dirty: usize,
    /// Nobody else refers to them; the CPU has not written them.
    pub(crate) private_clean: usize,
    /// Nobody else refers to them; the CPU has written them.
    pub(crate) private_dirty: usize,
    /// Each page divided by the number of those who refer to it, in bytes.
    pub(crate) proportional: u64,
}

impl core::ops::AddAssign for PageFigures {
    fn add_assign(&mut self, more: Self) {
        self.resident += more.resident;
        self.anonymous += more.anonymous;
        self.huge += more.huge;
        self.referenced += more.referenced;
        self.shared_clean += more.shared_clean;
        self.shared_dirty += more.shared_dirty;
        self.private_clean += more.private_clean;
        self.private_dirty += more.private_dirty;
        self.proportional += more.proportional;
    }
}

impl PageFigures {
    fn add(&mut self, mapping: &Mapping, page: &machine::mm::Mapping, cached: bool) {
        // Nobody's.
        if page.frame.is_zeros() {
            return;
        }
        // The one of this very look, and the one of the page cache.
        let users = page.frame.reference_count().saturating_sub(1 + u32::from(cached)).max(1);
        let one = |condition: bool| usize::from(condition);
        let (is_shared, is_dirty) = (users > 1, page.state.dirty);
        self.resident += 1;
        self.anonymous += one(!cached && !mapping.is_shared());
        self.huge += one(page.state.pages > 1);
        self.referenced += one(page.state.accessed);
        self.shared_clean += one(is_shared && !is_dirty);
        self.shared_dirty += one(is_shared && is_dirty);
        self.private_clean += one(!is_shared && !is_dirty);
        self.private_dirty += one(!is_shared && is_dirty);
        self.proportional += PAGE / u64::from(users);
    }
}

/// What /proc/PID/pagemap tells of a page that is in memory.
pub(crate) struct PageMapping {
    /// Where it lies.
    pub(crate) address: PhysAddr,
    /// It is a file's, or shared memory.
    pub(crate) is_shared: bool,
    /// Nobody else refers to it.
    pub(crate) is_exclusive: bool,
}

impl AddressSpace {
    /// What is mapped at each page of a range of page numbers.
    pub(crate) fn page_map(&self, pages: Range<u64>) -> Result<Vec<Option<PageMapping>>> {
        let mut words = Vec::new();
        words.try_reserve_exact((pages.end - pages.start) as usize).map_err(|_| OutOfMemory)?;
        let state = self.read();
        for page in pages {
            let address = page * PAGE;
            let mapping = state.areas.find(address).map(|(_, mapping)| mapping);
            let present = mapping.and_then(|_| state.table.query(VirtAddr::new(address)));
            words.push(present.map(|present| PageMapping {
                address: present.frame.address(),
                is_shared: mapping.is_some_and(|mapping| mapping.backing.is_some()),
                // The entry's reference, and the one of this very look.
                is_exclusive: present.frame.reference_count() == 2,
            }));
        }
        Ok(words)
    }

    /// What an address is, for the line in the log about an access that failed.
    pub(crate) fn explain(&self, address: u64) -> &'static str {
        if address < USER_START {
            return "a null pointer";
        }
        if address >= USER_END {
            return "not a program's address";
        }
        let state = self.read();
        let Some((area, mapping)) = state.areas.find_at_or_above(address) else { return "above all areas" };
        let grows = mapping.flags.contains(MappingFlags::GROWS_DOWN);
        match () {
            () if area.contains(&address) && mapping.protection.is_empty() => "a guard area (PROT_NONE)",
            () if area.contains(&address) && grows => "the stack, which does not allow that",
            () if area.contains(&address) => "an area that does not allow that",
            () if grows && area.end - address > self.limits.stack.load(Ordering::Relaxed) => {
                "below the stack, which is at its limit"
            }
            () if grows => "below a stack that cannot grow",
            () => "nothing is mapped there",
        }
    }

    /// All areas in order.
    pub(crate) fn areas(&self, detail: Detail) -> Result<Vec<AreaReport>> {
        let stack = self.program().map_or(0, |program| program.stack);
        let state = self.read();
        let mut reports = Vec::new();
        reports.try_reserve_exact(state.areas.len()).map_err(|_| OutOfMemory)?;
        for (range, mapping) in state.areas.iter() {
            let is_heap =
                mapping.backing.is_none() && range.start < state.heap.end && state.heap.start < range.end;
            let role = match () {
                () if is_heap => "[heap]",
                () if range.contains(&stack) => "[stack]",
                () => "",
            };
            let mut pages = PageFigures::default();
            if detail == Detail::Pages {
                visit_pages(&state.table, &range, &mut |page| {
                    let Some(present) = state.table.query(VirtAddr::new(page)) else { return };
                    let source = mapping.source_page(page - range.start);
                    let cached = source.and_then(|(source, index)| source.cached(index));
                    pages.add(mapping, &present, cached.is_some_and(|frame| frame == present.frame));
                });
            }
            reports.push(AreaReport {
                protection: mapping.protection,
                allowed: mapping.allowed,
                flags: mapping.flags,
                offset: mapping.backing.as_ref().map_or(0, |backing| backing.offset),
                source: mapping.backing.as_ref().map(|backing| backing.source.clone()),
                role,
                pages,
                is_huge_allowed: mapping.is_huge_allowed(),
                range,
            });
        }
        Ok(reports)
    }
}
