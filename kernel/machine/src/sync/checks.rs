//! The checks of debug builds: `lib/lockdep` is asked at every taking of a lock.
//!
//! A task's sleeping locks are noted in the task, a CPU's spin locks in the CPU, those of an interrupt handler apart:
//! what the interrupted code holds is no reason for what the handler takes (`lockdep` knows about
//! interrupts). Everything here runs with interrupts disabled, on spin locks that are not watched themselves; it takes no
//! other lock and allocates nothing. The graph is locked only for what has not been seen before.

use super::{ClassReport, Kind, LockReport, Nesting, Statistics, Taking, Watch};
use crate::cpu::{self, MAX_CPUS, local};
use crate::io::serial;
use crate::task;
use ::lockdep::{CLASSES, Class, ClassSet, Context, Graph, Held, HeldLock, Known, Violation};
use ::spin::mutex::SpinMutex;
use alloc::string::String;
use core::fmt::{self, Write};
use core::panic::Location;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};

static GRAPH: SpinMutex<Graph> = SpinMutex::new(Graph::new());
static KNOWN: Known = Known::new();
static CPUS: [CpuLocks; MAX_CPUS] = [const { CpuLocks::new() }; MAX_CPUS];
/// The sleeping locks of the flow that boots, before there are tasks.
static BOOT: TaskLocks = TaskLocks::new();
static COUNTS: [Counts; CLASSES] =
    [const { Counts { taken: AtomicU64::new(0), contended: AtomicU64::new(0) } }; CLASSES];
static DEEPEST: AtomicUsize = AtomicUsize::new(0);
static VIOLATIONS: SpinMutex<Violations> = SpinMutex::new(Violations { all: 0, new: 0, text: Text::new() });

struct Counts {
    taken: AtomicU64,
    contended: AtomicU64,
}

/// The spin locks of a CPU: those of its task, and those of the handler that interrupted it.
struct CpuLocks {
    task: SpinMutex<Held>,
    handler: SpinMutex<Held>,
}

impl CpuLocks {
    const fn new() -> CpuLocks {
        CpuLocks { task: SpinMutex::new(Held::new()), handler: SpinMutex::new(Held::new()) }
    }
}

/// The sleeping locks that a task holds.
pub(crate) struct TaskLocks(SpinMutex<Held>);

impl TaskLocks {
    pub(crate) const fn new() -> TaskLocks {
        TaskLocks(SpinMutex::new(Held::new()))
    }

    /// Visits them, the first taken first. Waits for nothing.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(LockReport)) {
        let held = without_interrupts(|| self.0.try_lock().map(|held| held.clone()));
        for lock in held.iter().flat_map(Held::iter) {
            visit(report_of(lock));
        }
    }
}

/// The class of a lock, once it is known.
pub(super) struct ClassCell(AtomicU16);

const UNKNOWN: u16 = 0;
/// There are too many classes for this one.
const UNTOLD: u16 = u16::MAX;

impl ClassCell {
    pub(super) const fn new() -> ClassCell {
        ClassCell(AtomicU16::new(UNKNOWN))
    }
}

fn class_of(watch: &Watch) -> Option<Class> {
    match watch.class.0.load(Ordering::Relaxed) {
        UNKNOWN => {
            let class = GRAPH.lock().class(watch.name).ok();
            let cell = class.map_or(UNTOLD, |class| class.index() as u16 + 1);
            watch.class.0.store(cell, Ordering::Relaxed);
            class
        }
        UNTOLD => None,
        number => Class::from_index(usize::from(number - 1)),
    }
}

/// Calls a function with interrupts off, without a look at what was missed: this runs in the middle of locks.
fn without_interrupts<R>(action: impl FnOnce() -> R) -> R {
    let were_enabled = cpu::interrupts_enabled();
    cpu::disable_interrupts_for_good();
    let result = action();
    if were_enabled {
        cpu::enable_interrupts();
    }
    result
}

fn in_handler() -> bool {
    local::get().handlers.load(Ordering::Relaxed) != 0
}

/// Nothing is checked once the system has panicked, lest the report wait for something.
fn is_off() -> bool {
    crate::panic::stop_requested()
}

/// The CPU is in the middle of a check.
static IS_CHECKING: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Does a check, with interrupts disabled. None is done in a non-maskable interrupt that came in the middle of another:
/// what it takes there (it only tries) is given back before that one goes on.
fn watched<R>(check: impl FnOnce() -> R) -> Option<R> {
    if is_off() {
        return None;
    }
    without_interrupts(|| {
        let is_checking = &IS_CHECKING[cpu::current_id()];
        if is_checking.swap(true, Ordering::Relaxed) {
            return None;
        }
        let result = check();
        is_checking.store(false, Ordering::Relaxed);
        Some(result)
    })
}

/// The list that a lock of a kind goes into. Interrupts are disabled.
fn with_list<R>(kind: Kind, action: impl FnOnce(&SpinMutex<Held>) -> R) -> R {
    match kind {
        Kind::Sleeping => with_task_locks(|locks| action(&locks.0)),
        Kind::Spin | Kind::IrqSpin => {
            let cpu = &CPUS[cpu::current_id()];
            action(if in_handler() { &cpu.handler } else { &cpu.task })
        }
    }
}

fn with_task_locks<R>(action: impl FnOnce(&TaskLocks) -> R) -> R {
    match task::current_locks() {
        Some(locks) => action(locks),
        None => action(&BOOT),
    }
}

/// Calls a function with all that the caller holds. Interrupts are disabled.
fn with_held<R>(action: impl FnOnce(&[&Held]) -> R) -> R {
    let cpu = &CPUS[cpu::current_id()];
    if in_handler() {
        return action(&[&cpu.handler.lock()]);
    }
    with_task_locks(|locks| action(&[&locks.0.lock(), &cpu.task.lock()]))
}

fn context(had_interrupts: bool) -> Context {
    match (in_handler(), had_interrupts) {
        (true, _) => Context::Interrupt,
        (false, true) => Context::InterruptsEnabled,
        (false, false) => Context::InterruptsDisabled,
    }
}

fn lock_of(watch: &Watch, taking: Taking) -> Option<HeldLock> {
    let Taking { depth, place, .. } = taking;
    Some(HeldLock { class: class_of(watch)?, address: core::ptr::from_ref(watch).addr(), depth, place })
}

pub(super) fn will_lock(watch: &Watch, taking: Taking) {
    let had_interrupts = cpu::interrupts_enabled();
    let recursion = watched(|| {
        let wanted = lock_of(watch, taking)?;
        let context = context(had_interrupts);
        with_held(|held| {
            check_kind(held, wanted, taking.kind);
            if KNOWN.covers(held, wanted.class, context) {
                return None;
            }
            let mut graph = GRAPH.lock();
            let outcome = graph.acquire(held, wanted, context);
            KNOWN.learn(held, wanted.class, context);
            match outcome {
                // It would wait for itself: the caller is told, and panics with the names.
                Err(Violation::Recursion { held }) => Some(held.place),
                Err(violation) => {
                    violated(|out| graph.report(out, &violation, held, wanted));
                    None
                }
                Ok(()) => None,
            }
        })
    });
    if let Some(since) = recursion.flatten() {
        panic!(
            "lockdep: `{}` wanted at {} is held by the same task or CPU, since {since}",
            watch.name, taking.place
        );
    }
}

/// Classes of the wrong kind for handlers that have been reported.
static WRONG_KIND: SpinMutex<ClassSet> = SpinMutex::new(ClassSet::EMPTY);

/// A handler must not take a lock that does not keep interrupts away, whether or not it was seen elsewhere. Reported once
/// for a class.
fn check_kind(held: &[&Held], wanted: HeldLock, kind: Kind) {
    if kind != Kind::IrqSpin && in_handler() && WRONG_KIND.lock().insert(wanted.class) {
        let name = GRAPH.lock().name(wanted.class);
        violated(|out| {
            writeln!(
                out,
                "lockdep: `{name}` taken at {} by an interrupt handler, but it does not disable interrupts \
                 ({} other locks held)",
                wanted.place,
                held.iter().map(|held| held.len()).sum::<usize>()
            )
        });
    }
}

pub(super) fn locked(watch: &Watch, taking: Taking) {
    watched(|| {
        let Some(lock) = lock_of(watch, taking) else { return };
        COUNTS[lock.class.index()].taken.fetch_add(1, Ordering::Relaxed);
        let depth = with_list(taking.kind, |list| {
            let mut held = list.lock();
            held.push(lock);
            held.len()
        });
        DEEPEST.fetch_max(depth, Ordering::Relaxed);
    });
}

pub(super) fn locked_at_once(watch: &Watch, taking: Taking) {
    let had_interrupts = cpu::interrupts_enabled();
    watched(|| {
        let Some(lock) = lock_of(watch, taking) else { return };
        let context = context(had_interrupts);
        if context != Context::Interrupt && !KNOWN.covers(&[], lock.class, context) {
            let mut graph = GRAPH.lock();
            let outcome = graph.try_acquire(lock.class, context, lock.place);
            KNOWN.learn(&[], lock.class, context);
            if let Err(violation) = outcome {
                violated(|out| graph.report(out, &violation, &[], lock));
            }
        }
    });
    locked(watch, taking);
}

pub(super) fn contended(watch: &Watch) {
    watched(|| {
        if let Some(class) = class_of(watch) {
            COUNTS[class.index()].contended.fetch_add(1, Ordering::Relaxed);
        }
    });
}

pub(super) fn unlocked(watch: &Watch, kind: Kind) {
    watched(|| {
        if class_of(watch).is_none() {
            return;
        }
        let address = core::ptr::from_ref(watch).addr();
        if !with_list(kind, |list| list.lock().release(address)) {
            violated(|out| {
                writeln!(out, "lockdep: `{}` is given back by somebody who does not hold it", watch.name)
            });
        }
    });
}

fn report_of(lock: &HeldLock) -> LockReport {
    // The graph may be locked by whoever panics.
    let name = GRAPH.try_lock().map_or("?", |graph| graph.name(lock.class));
    LockReport { name, place: lock.place }
}

/// The spin lock that the caller's CPU took last and still holds.
pub(super) fn innermost_spin_lock() -> Option<LockReport> {
    without_interrupts(|| {
        let last = with_list(Kind::Spin, |list| list.try_lock()?.iter().next_back().copied());
        last.as_ref().map(report_of)
    })
}

/// Writes the spin locks that a CPU holds. Waits for nothing.
pub(super) fn write_held_by_cpu(out: &mut dyn Write, number: usize) -> fmt::Result {
    let locks = &CPUS[number];
    for (list, whose) in [(&locks.task, ""), (&locks.handler, " (handler)")] {
        let Some(held) = without_interrupts(|| list.try_lock().map(|held| held.clone())) else {
            writeln!(out, "CPU {number}{whose} is just changing what it holds")?;
            continue;
        };
        for lock in held.iter() {
            let LockReport { name, place } = report_of(lock);
            writeln!(out, "CPU {number}{whose} holds `{name}` since {place}")?;
        }
    }
    Ok(())
}

/// The CPU's task gives up its spin locks for good (a test that panicked).
pub(super) fn abandon() {
    without_interrupts(|| *CPUS[cpu::current_id()].task.lock() = Held::new());
}

/// In debug builds: panics if the running task holds a lock. `what` says what is going to happen.
pub fn assert_none_held(what: &str) {
    let first =
        without_interrupts(|| with_held(|held| held.iter().flat_map(|held| held.iter()).next().copied()));
    if let Some(lock) = first.as_ref().map(report_of).filter(|_| !is_off()) {
        panic!("{what} with a lock held: `{}` since {}", lock.name, lock.place);
    }
}

/// Says how locks of a class nest; debug builds check it.
pub fn declare_nesting(name: &'static str, nesting: Nesting) {
    without_interrupts(|| {
        let mut graph = GRAPH.lock();
        if let Ok(class) = graph.class(name) {
            graph.set_nesting(class, nesting);
        }
    });
}

/// Says that the classes of each row are taken before those of the next; debug builds check it.
#[track_caller]
pub fn declare_order(rows: &[&[&'static str]]) {
    let place = Location::caller();
    without_interrupts(|| {
        let mut graph = GRAPH.lock();
        for pair in rows.windows(2) {
            for (outer, inner) in
                pair[0].iter().flat_map(|outer| pair[1].iter().map(move |inner| (*outer, *inner)))
            {
                let (Ok(from), Ok(to)) = (graph.class(outer), graph.class(inner)) else { continue };
                if graph.declare(from, to, place).is_err() {
                    violated(|out| {
                        writeln!(out, "lockdep: `{outer}` before `{inner}` contradicts the order so far")
                    });
                }
            }
        }
    });
}

/// What was seen of locks; `None` in release builds.
pub fn statistics() -> Option<Statistics> {
    let violations = without_interrupts(|| VIOLATIONS.lock().all);
    Some(without_interrupts(|| {
        let graph = GRAPH.lock();
        let (handled, open) = graph.usage();
        Statistics {
            classes: graph.classes().count(),
            most_classes: CLASSES,
            dependencies: graph.edges(),
            in_handlers: handled.len(),
            with_interrupts: open.len(),
            deepest: DEEPEST.load(Ordering::Relaxed),
            violations,
        }
    }))
}

/// Visits all classes; there are none in release builds.
pub fn visit_classes(visit: &mut dyn FnMut(&ClassReport)) {
    for (index, counts) in COUNTS.iter().enumerate() {
        let report = without_interrupts(|| {
            let graph = GRAPH.lock();
            let (class, name) = graph.classes().nth(index)?;
            let (handled, open) = graph.usage();
            Some(ClassReport {
                name,
                taken: counts.taken.load(Ordering::Relaxed),
                contended: counts.contended.load(Ordering::Relaxed),
                taken_under: *graph.taken_under(class),
                held_over: *graph.held_over(class),
                in_handlers: handled.contains(class),
                with_interrupts: open.contains(class),
            })
        });
        match report {
            Some(report) => visit(&report),
            None => return,
        }
    }
}

/// The name of a class that [`visit_classes`] told about.
pub fn class_name(class: Class) -> &'static str {
    without_interrupts(|| GRAPH.lock().name(class))
}

/// The longest report that is kept.
const TEXT_BYTES: usize = 2048;

struct Violations {
    all: usize,
    /// Since [`take_violations`] was called last.
    new: usize,
    text: Text,
}

struct Text {
    bytes: [u8; TEXT_BYTES],
    length: usize,
}

impl Text {
    const fn new() -> Text {
        Text { bytes: [0; TEXT_BYTES], length: 0 }
    }
}

impl Write for Text {
    /// Keeps what fits, and prints all.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = &mut self.bytes[self.length..];
        let kept = text.len().min(rest.len());
        rest[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        self.length += kept;
        for line in text.split_inclusive('\n') {
            serial::emergency_write(line.trim_end_matches('\n').as_bytes());
            if line.ends_with('\n') {
                serial::emergency_write(b"\r\n");
            }
        }
        Ok(())
    }
}

/// Prints, counts and keeps a report. Not through the log, whose locks may be the ones in question.
fn violated(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    let mut violations = VIOLATIONS.lock();
    violations.all += 1;
    violations.new += 1;
    violations.text.length = 0;
    // Neither keeping nor printing fails.
    let _ = write(&mut violations.text);
    crate::backtrace::print_here(&mut violations.text);
}

/// The number of violations since the last call, and what the last one said. None in release builds.
pub fn take_violations() -> (usize, String) {
    let mut bytes = [0; TEXT_BYTES];
    let (count, length) = without_interrupts(|| {
        let mut violations = VIOLATIONS.lock();
        bytes = violations.text.bytes;
        (core::mem::take(&mut violations.new), core::mem::take(&mut violations.text.length))
    });
    (count, String::from_utf8_lossy(&bytes[..length]).into_owned())
}
