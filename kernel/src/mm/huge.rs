//! Huge pages for private memory: when a store finds 2 MiB of an area with nothing in them, it gets them at once.
//!
//! As on Linux, `/sys/kernel/mm/transparent_hugepage/enabled` says for which areas: all, those that madvise named, or
//! none. A huge page is split as soon as a part of it is unmapped, protected or copied.

use super::{
    AddressSpace,
    area::{Mapping, MappingFlags},
    space::State,
};
use core::sync::atomic::{AtomicU8, Ordering};
use machine::{addr::VirtAddr, mm::HugeFrame};

/// Which areas get huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum HugePolicy {
    /// All but those that madvise excepted.
    Always,
    /// Those that madvise named.
    Madvise,
    /// None.
    Never,
}

impl HugePolicy {
    pub(crate) const ALL: [HugePolicy; 3] = [HugePolicy::Always, HugePolicy::Madvise, HugePolicy::Never];

    /// The word in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            HugePolicy::Always => "always",
            HugePolicy::Madvise => "madvise",
            HugePolicy::Never => "never",
        }
    }
}

/// Small pages of a huge one.
const HUGE_PAGES: usize = HugeFrame::SIZE as usize / machine::addr::PAGE_SIZE;
const UNDECIDED: u8 = u8::MAX;
static POLICY: AtomicU8 = AtomicU8::new(UNDECIDED);

/// The policy. Until somebody sets it: [`HugePolicy::Always`] with 512 MiB of memory or more (below which Linux turns
/// huge pages off), else [`HugePolicy::Madvise`].
pub(crate) fn huge_policy() -> HugePolicy {
    /// Frames.
    const PLENTY: usize = (512 << 20) / machine::addr::PAGE_SIZE * 15 / 16;
    let number = POLICY.load(Ordering::Relaxed);
    if let Some(policy) = HugePolicy::ALL.into_iter().find(|policy| *policy as u8 == number) {
        return policy;
    }
    let is_plenty = machine::mm::statistics().total >= PLENTY;
    let policy = if is_plenty { HugePolicy::Always } else { HugePolicy::Madvise };
    set_huge_policy(policy);
    policy
}

/// Sets the policy, for pages that come from now on.
pub(crate) fn set_huge_policy(policy: HugePolicy) {
    POLICY.store(policy as u8, Ordering::Relaxed);
}

impl Mapping {
    /// Whether the area may have huge pages.
    pub(super) fn is_huge_allowed(&self) -> bool {
        let is_plain = self.backing.is_none() && !self.flags.contains(MappingFlags::GROWS_DOWN);
        is_plain
            && !self.flags.contains(MappingFlags::NO_HUGE)
            && match huge_policy() {
                HugePolicy::Always => true,
                HugePolicy::Madvise => self.flags.contains(MappingFlags::HUGE),
                HugePolicy::Never => false,
            }
    }
}

impl AddressSpace {
    /// Whether huge pages are forbidden to it (PR_GET_THP_DISABLE).
    pub(crate) fn forbids_huge_pages(&self) -> bool {
        self.read().forbids_huge
    }

    /// Forbids them, or not, for pages that come from now on.
    pub(crate) fn set_huge_pages_forbidden(&self, forbidden: bool) {
        self.write().forbids_huge = forbidden;
    }
}

impl State {
    /// Where a huge page for a page would start, if it may have one.
    pub(super) fn huge_start(&self, page: u64) -> Option<u64> {
        // Small pages serve while memory is short.
        let is_plenty = machine::mm::free_frames() > machine::mm::watermarks().high + HUGE_PAGES;
        let start = page & !(HugeFrame::SIZE - 1);
        let (area, mapping) = self.areas.find(page)?;
        let is_inside = area.start <= start && start + HugeFrame::SIZE <= area.end;
        (is_plenty
            && is_inside
            && !self.forbids_huge
            && mapping.is_huge_allowed()
            && self.table.is_huge_free(VirtAddr::new(start)))
        .then_some(start)
    }
}
