//! How much memory has been promised to programs, and whether more may be: vm.overcommit_memory.
//!
//! Private memory that may be written counts as a whole when it is mapped, and so does memory that processes share,
//! whether it is touched or not. A [`Promise`] is a part of the sum; it ends with its owner.
//! Source: Linux, Documentation/mm/overcommit-accounting.rst; proc_sys_vm(5).

use crate::{
    error::{Error, Result},
    process::{credentials::capability, try_current},
};
use abi::errno::Errno;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use machine::addr::PAGE_SIZE;

/// When a promise is refused (the numbers are those in the file).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Overcommit {
    /// If it alone is more than all memory.
    Heuristic = 0,
    /// Never.
    Always = 1,
    /// If the sum would be above [`limit_pages`].
    Strict = 2,
}

static MODE: AtomicU8 = AtomicU8::new(Overcommit::Heuristic as u8);
/// Pages that are promised.
static PROMISED: AtomicU64 = AtomicU64::new(0);

/// vm.overcommit_ratio: the limit in percent of all memory.
pub(crate) static RATIO: AtomicU64 = AtomicU64::new(50);
/// vm.overcommit_kbytes: the limit in KiB; 0: the ratio counts.
pub(crate) static LIMIT_KIB: AtomicU64 = AtomicU64::new(0);
/// vm.admin_reserve_kbytes: what only those with CAP_SYS_ADMIN may use of the limit.
pub(crate) static ADMIN_RESERVE_KIB: AtomicU64 = AtomicU64::new(8 << 10);
/// vm.user_reserve_kbytes: what one process leaves to others, at most (it is a 32nd of what it has).
pub(crate) static USER_RESERVE_KIB: AtomicU64 = AtomicU64::new(128 << 10);

const PAGE_KIB: u64 = PAGE_SIZE as u64 / 1024;

/// The rule.
pub(crate) fn overcommit() -> Overcommit {
    match MODE.load(Ordering::Relaxed) {
        0 => Overcommit::Heuristic,
        1 => Overcommit::Always,
        _ => Overcommit::Strict,
    }
}

/// Changes the rule, for promises from now on.
pub(crate) fn set_overcommit(mode: Overcommit) {
    MODE.store(mode as u8, Ordering::Relaxed);
}

fn total_pages() -> u64 {
    machine::mm::statistics().total as u64
}

/// The most that [`Overcommit::Strict`] promises (CommitLimit).
pub(crate) fn limit_pages() -> u64 {
    match LIMIT_KIB.load(Ordering::Relaxed) {
        0 => (u128::from(total_pages()) * u128::from(RATIO.load(Ordering::Relaxed)) / 100) as u64,
        kib => kib / PAGE_KIB,
    }
}

/// What is promised (Committed_AS).
pub(crate) fn promised_pages() -> u64 {
    PROMISED.load(Ordering::Relaxed)
}

/// Pages that are promised to somebody.
#[derive(Debug, Default)]
pub(super) struct Promise(u64);

impl Promise {
    /// Promises more, to an owner who has `mapped` pages in all. ENOMEM if that may not be.
    pub(super) fn grow(&mut self, pages: u64, mapped: u64) -> Result<()> {
        let refused = Err(Error::new(Errno::ENOMEM, "more memory than may be promised"));
        let sum = PROMISED.fetch_add(pages, Ordering::Relaxed).saturating_add(pages);
        let is_refused = match overcommit() {
            Overcommit::Always => false,
            Overcommit::Heuristic => pages > total_pages(),
            Overcommit::Strict => sum > allowed(mapped),
        };
        if is_refused {
            PROMISED.fetch_sub(pages, Ordering::Relaxed);
            return refused;
        }
        self.0 += pages;
        Ok(())
    }

    /// Promises for a moment what will be given back at once, whatever the rule.
    pub(super) fn grow_for_move(&mut self, pages: u64) {
        PROMISED.fetch_add(pages, Ordering::Relaxed);
        self.0 += pages;
    }

    /// Takes a part back.
    pub(super) fn shrink(&mut self, pages: u64) {
        let pages = pages.min(self.0);
        PROMISED.fetch_sub(pages, Ordering::Relaxed);
        self.0 -= pages;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.shrink(self.0);
    }
}

/// What of the limit is for a process with `mapped` pages.
fn allowed(mapped: u64) -> u64 {
    let reserve = |kib: &AtomicU64| kib.load(Ordering::Relaxed) / PAGE_KIB;
    let is_admin = try_current().is_none_or(|process| process.credentials().has(capability::SYS_ADMIN));
    let for_admins = if is_admin { 0 } else { reserve(&ADMIN_RESERVE_KIB) };
    limit_pages().saturating_sub(for_admins).saturating_sub((mapped / 32).min(reserve(&USER_RESERVE_KIB)))
}
