//! What CPUs have cached of page tables: who has which root loaded, and the flushes.
//!
//! The rule: a frame or a table is released only after every CPU that may have cached a way to it
//! has been told to forget. The functions here are the only place that knows how.
//!
//! Every change that takes something away gives the address space a new generation, and each CPU knows up to which one
//! it has forgotten. So one request may stand for several, a CPU that comes late flushes everything once, and one
//! that runs a kernel thread on somebody's address space ("lazy") is left alone: it looks at the generation when it goes
//! back. Only where a table itself is released a lazy CPU must be told as well, since a CPU reads ahead in the tables
//! that it has loaded; it leaves the address space then, and is never asked again.
//!
//! Order: a change is visible before the generation is raised, and that before anybody is asked whether it is lazy;
//! a CPU says that it uses (or is no longer lazy about) an address space before it reads the generation. So either the
//! one is asked, or the other sees the new generation.

use super::entry::Table;
use crate::{
    addr::PAGE_SIZE,
    cpu::{self, CacheLine, MAX_CPUS, StaticPerCpu},
};
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering, fence},
};
use x86_64::{
    VirtAddr,
    instructions::tlb,
    registers::control::{Cr4, Cr4Flags},
};

/// Above so many pages, everything is flushed.
const SINGLE_PAGES_MAX: u64 = 32;

/// Who has an address space loaded, and how often something was taken from it.
pub(super) struct Users {
    /// Changed by each CPU for itself.
    loaded: AtomicU64,
    generation: AtomicU64,
}

impl Users {
    pub(super) const fn new() -> Self {
        const { assert!(MAX_CPUS <= 64) };
        Self { loaded: AtomicU64::new(0), generation: AtomicU64::new(1) }
    }
}

/// What a CPU has loaded. Changed by that CPU only, with interrupts disabled.
struct Loaded {
    /// The address of the root table; 0: the kernel's own.
    root: AtomicU64,
    /// Up to which generation of it the CPU has forgotten what it must.
    generation: AtomicU64,
    /// It runs nothing that uses the address space.
    is_lazy: AtomicBool,
}

static LOADED: StaticPerCpu<Loaded> = StaticPerCpu::new([const { CacheLine::new(Loaded::NONE) }; MAX_CPUS]);

impl Loaded {
    #[expect(clippy::declare_interior_mutable_const, reason = "it is what each CPU's own begins with")]
    const NONE: Self =
        Self { root: AtomicU64::new(0), generation: AtomicU64::new(0), is_lazy: AtomicBool::new(false) };
}

/// Requests that went to other CPUs, and how many CPUs they were sent to: for tests.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// How many requests to forget something went to other CPUs since boot, and to how many CPUs, added up.
pub fn shootdowns() -> (u64, u64) {
    (REQUESTS.load(Ordering::Relaxed), ASKED.load(Ordering::Relaxed))
}

/// Whose entries are to be forgotten.
enum Whose<'a> {
    Kernel,
    Program { root: Table, users: &'a Users, generation: u64 },
}

/// What a CPU asks another one to forget.
pub(crate) struct FlushRequest<'a> {
    whose: Whose<'a>,
    range: Range<u64>,
}

/// What a change of an address space has taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Pages, or permissions.
    Pages,
    /// Tables too.
    Tables,
}

/// Flushes a range of user addresses on the CPUs that use `users`' address space; when it returns, none of them uses
/// what the tables said before.
pub(super) fn flush_user(root: Table, users: &Users, range: Range<u64>, taken: Taken) {
    let generation = users.generation.fetch_add(1, Ordering::SeqCst) + 1;
    let _here = cpu::disable_preemption();
    let this = 1 << cpu::current_id();
    let mut cpus = users.loaded.load(Ordering::SeqCst);
    let request = FlushRequest { whose: Whose::Program { root, users, generation }, range };
    if cpus & this != 0 {
        let _quiet = cpu::disable_interrupts();
        answer(&request, Asked::ByItself);
    }
    if taken == Taken::Pages {
        let is_lazy = |cpu: &usize| LOADED.of(*cpu).is_lazy.load(Ordering::SeqCst);
        let lazy = (0..cpu::count()).filter(|cpu| cpus & 1 << cpu != 0).filter(is_lazy);
        cpus &= !lazy.fold(0, |mask, cpu| mask | 1 << cpu);
    }
    ask(cpus & !this, &request);
}

/// Flushes a range of kernel addresses on all CPUs.
pub(super) fn flush_kernel(range: Range<u64>) {
    let _here = cpu::disable_preemption();
    flush_local_global(&range);
    ask(cpu::running() & !(1 << cpu::current_id()), &FlushRequest { whose: Whose::Kernel, range });
}

fn ask(cpus: u64, request: &FlushRequest<'_>) {
    if cpus != 0 {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        ASKED.fetch_add(u64::from(cpus.count_ones()), Ordering::Relaxed);
        cpu::shootdown::request(cpus, request);
    }
}

/// Does what another CPU asks of this one. Interrupts are disabled.
pub(crate) fn answer_flush(request: &FlushRequest<'_>) {
    answer(request, Asked::ByAnother);
}

#[derive(PartialEq, Eq)]
enum Asked {
    ByItself,
    ByAnother,
}

fn answer(request: &FlushRequest<'_>, asked: Asked) {
    let (root, users, generation) = match request.whose {
        Whose::Kernel => return flush_local_global(&request.range),
        Whose::Program { root, users, generation } => (root, users, generation),
    };
    let this = cpu::current_id();
    let loaded = LOADED.of(this);
    if loaded.root.load(Ordering::Relaxed) != root.0.as_u64() {
        // It has left the address space meanwhile, and with it what it had cached.
        return;
    }
    if asked == Asked::ByAnother && loaded.is_lazy.load(Ordering::Relaxed) {
        load_kernel(users, this);
        return;
    }
    let known = loaded.generation.load(Ordering::Relaxed);
    if generation <= known {
        return;
    }
    if generation == known + 1 {
        flush_local(&request.range);
        loaded.generation.store(generation, Ordering::Relaxed);
    } else {
        flush_all(loaded, users);
    }
}

/// Leaves an address space for the kernel's own. The CPU's reference to it stays, until it takes another one.
fn load_kernel(users: &Users, this: usize) {
    // SAFETY: the kernel's own tables live for ever.
    unsafe { super::load_root(super::kernel_table::root()) };
    LOADED.of(this).root.store(0, Ordering::Relaxed);
    users.loaded.fetch_and(!(1 << this), Ordering::SeqCst);
}

/// Loads a root on this CPU, `None`: the kernel's own. `left` is what [`ACTIVE`](super::user_table) had.
/// Interrupts are disabled.
///
/// # Safety
/// The root's upper half must be the kernel's, and it must stay alive until this CPU has loaded another one.
pub(super) unsafe fn load(next: Option<(Table, &Users)>, left: Option<&Users>) {
    let this = cpu::current_id();
    let loaded = LOADED.of(this);
    let address = next.map_or(0, |(root, _)| root.0.as_u64());
    if loaded.root.load(Ordering::Relaxed) == address {
        if let Some((_, users)) = next
            && loaded.is_lazy.load(Ordering::Relaxed)
        {
            loaded.is_lazy.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if users.generation.load(Ordering::SeqCst) != loaded.generation.load(Ordering::Relaxed) {
                flush_all(loaded, users);
            }
        }
        return;
    }
    // The set says so before the CPU can cache anything, and until it has forgotten everything.
    let generation = next.map_or(0, |(_, users)| {
        users.loaded.fetch_or(1 << this, Ordering::SeqCst);
        users.generation.load(Ordering::SeqCst)
    });
    let root = next.map_or(super::kernel_table::root(), |(root, _)| root);
    // SAFETY: the caller vouches for the root.
    unsafe { super::load_root(root) };
    loaded.root.store(address, Ordering::Relaxed);
    loaded.generation.store(generation, Ordering::Relaxed);
    loaded.is_lazy.store(false, Ordering::SeqCst);
    if let Some(users) = left {
        users.loaded.fetch_and(!(1 << this), Ordering::SeqCst);
    }
}

/// What runs on this CPU from now on does not use the address space that is loaded; until it is loaded again.
pub fn be_lazy() {
    let _here = cpu::disable_interrupts();
    let loaded = LOADED.of(cpu::current_id());
    if loaded.root.load(Ordering::Relaxed) != 0 {
        loaded.is_lazy.store(true, Ordering::SeqCst);
    }
}

/// Forgets all of an address space up to what is known now.
fn flush_all(loaded: &Loaded, users: &Users) {
    // Read first: what is taken away from here on is flushed once more.
    let generation = users.generation.load(Ordering::SeqCst);
    tlb::flush_all();
    loaded.generation.store(generation, Ordering::Relaxed);
}

fn pages(range: &Range<u64>) -> u64 {
    (range.end - range.start) / PAGE_SIZE as u64
}

/// Flushes user entries of this CPU.
fn flush_local(range: &Range<u64>) {
    if pages(range) <= SINGLE_PAGES_MAX {
        for page in range.clone().step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new(page));
        }
    } else {
        tlb::flush_all();
    }
}

/// Flushes kernel entries of this CPU, which are global.
fn flush_local_global(range: &Range<u64>) {
    if pages(range) <= SINGLE_PAGES_MAX {
        for page in range.clone().step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new(page));
        }
        return;
    }
    let flags = Cr4::read();
    // SAFETY: clearing PGE for a moment flushes all entries and changes nothing else.
    unsafe { Cr4::write(flags - Cr4Flags::PAGE_GLOBAL) };
    // SAFETY: the value that was there.
    unsafe { Cr4::write(flags) };
}
