//! In-kernel tests: each diagnosis of locks is provoked, and what is read without a lock is read while it changes.

use super::{Mutex, MutexGuard, write_held};
use crate::clock::monotonic_ns;
use crate::sched::wait::WaitQueue;
use crate::sched::{self, State, Thread, sleep_until, spawn, watch};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use machine::sync::{Rcu, SequenceLock, SpinGuard, SpinLock, lock_both};
use test_macro::kernel_test;

const MILLISECOND_NS: u64 = 1_000_000;

fn start(count: usize, body: impl Fn(usize) + Clone + Send + 'static) -> Vec<Arc<Thread>> {
    let one = |index| {
        let body = body.clone();
        spawn("test", move || body(index)).expect("there is memory for test threads")
    };
    (0..count).map(one).collect()
}

fn join(threads: Vec<Arc<Thread>>) {
    for thread in threads {
        wait_until(|| thread.state() == State::Exited);
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep_until(monotonic_ns() + MILLISECOND_NS / 10);
    }
}

fn spin(class: &'static str) -> SpinLock<()> {
    SpinLock::new(class, ())
}

/// Guards stay where they were taken: none of them can be sent to another thread. (Would not compile otherwise: the
/// type would have two implementations to choose from.)
trait StaysHere<Ambiguity> {
    fn stays() {}
}
impl<T: ?Sized> StaysHere<()> for T {}
impl<T: ?Sized + Send> StaysHere<u8> for T {}
const _: () = {
    let _ = <MutexGuard<'static, ()> as StaysHere<_>>::stays;
    let _ = <super::rwlock::ReadGuard<'static, ()> as StaysHere<_>>::stays;
    let _ = <super::rwlock::WriteGuard<'static, ()> as StaysHere<_>>::stays;
    let _ = <SpinGuard<'static, (), machine::sync::Preemption> as StaysHere<_>>::stays;
    let _ = <SpinGuard<'static, (), machine::sync::Interrupts> as StaysHere<_>>::stays;
};

#[kernel_test]
fn values_read_in_sequence_are_of_one_time() {
    static WORDS: SequenceLock<5> = SequenceLock::new("test sequence", [0; 5]);
    let done = Arc::new(AtomicBool::new(false));
    let (reads, end) = (Arc::new(AtomicU64::new(0)), done.clone());
    let count = reads.clone();
    let readers = start(3, move |_| {
        let mut last = 0;
        while !end.load(Ordering::Relaxed) {
            let words = WORDS.read();
            assert!(
                words.iter().zip(0..).all(|(word, index)| *word == words[0] + index * words[0]),
                "{words:?}"
            );
            assert!(words[0] >= last, "{} after {last}", words[0]);
            last = words[0];
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let writers = start(2, |_| {
        for _ in 0..2_000 {
            WORDS.update(|[first, ..]| core::array::from_fn(|index| (first + 1) * (index as u64 + 1)));
        }
    });
    join(writers);
    let before = reads.load(Ordering::Relaxed);
    wait_until(|| reads.load(Ordering::Relaxed) > before);
    done.store(true, Ordering::Relaxed);
    join(readers);
    assert_eq!(WORDS.read(), [4_000, 8_000, 12_000, 16_000, 20_000]);
}

/// A value that is poisoned when it is freed.
struct Watched {
    number: AtomicU64,
    mirror: AtomicU64,
    freed: Arc<AtomicUsize>,
}

impl Watched {
    fn new(number: u64, freed: &Arc<AtomicUsize>) -> Arc<Watched> {
        let (number, mirror) = (AtomicU64::new(number), AtomicU64::new(!number));
        Arc::new(Watched { number, mirror, freed: freed.clone() })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.number.store(0xdead, Ordering::Relaxed);
        self.mirror.store(0xdead, Ordering::Relaxed);
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

#[kernel_test]
fn values_live_as_long_as_they_are_read_and_no_longer() {
    const ROUNDS: usize = 300;
    static VALUE: Rcu<Watched> = Rcu::empty();
    assert!(VALUE.read().is_none());
    let freed = Arc::new(AtomicUsize::new(0));
    VALUE.replace(Some(Watched::new(0, &freed)));
    let done = Arc::new(AtomicBool::new(false));
    let (end, reads) = (done.clone(), Arc::new(AtomicU64::new(0)));
    let count = reads.clone();
    let readers = start(3, move |index| {
        let mut last = 0;
        while !end.load(Ordering::Relaxed) {
            let outer = VALUE.read().expect("there is always a value");
            let number = outer.number.load(Ordering::Relaxed);
            assert!(number >= last, "{number} after {last}");
            // A nested read may be of a newer value; both stay while they are looked at.
            let inner = VALUE.read().expect("there is always a value");
            for _ in 0..index * 20 {
                core::hint::spin_loop();
            }
            assert!(inner.number.load(Ordering::Relaxed) >= number);
            // The guards need not go in the order in which they came.
            drop(outer);
            assert_eq!(inner.mirror.load(Ordering::Relaxed), !inner.number.load(Ordering::Relaxed));
            last = number;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    for round in 1..=ROUNDS {
        let old = VALUE.replace(Some(Watched::new(round as u64, &freed))).expect("the one before");
        assert_eq!(freed.load(Ordering::Relaxed), round - 1, "only the caller has the old one now");
        drop(old);
        if round % 16 == 0 {
            sched::yield_now();
        }
    }
    let before = reads.load(Ordering::Relaxed);
    wait_until(|| reads.load(Ordering::Relaxed) > before + 4);
    done.store(true, Ordering::Relaxed);
    join(readers);
    drop(VALUE.replace(None));
    assert_eq!(freed.load(Ordering::Relaxed), ROUNDS + 1);
    assert!(VALUE.read().is_none());
}

#[kernel_test(should_panic = "in the middle of reading")]
fn replacing_what_one_reads_is_reported() {
    let value = Rcu::empty();
    value.replace(Some(Arc::new(1)));
    let _reading = value.read();
    value.replace(None);
}

#[kernel_test]
fn pairs_of_locks_are_taken_in_one_order() {
    machine::sync::declare_nesting("test pair", machine::sync::Nesting::ByAddress);
    let locks: Arc<[SpinLock<u64>; 4]> = Arc::new(core::array::from_fn(|_| SpinLock::new("test pair", 0)));
    let shared = locks.clone();
    join(start(4, move |thread| {
        for round in 0..2_000 {
            let from = (round + thread) % 4;
            let to = (from + 1 + round % 3) % 4;
            let (mut source, mut target) = lock_both(&shared[from], &shared[to]);
            *source = source.wrapping_sub(1);
            *target = target.wrapping_add(1);
        }
    }));
    let sum = locks.iter().fold(0u64, |sum, lock| sum.wrapping_add(*lock.lock()));
    assert_eq!(sum, 0);
}

#[kernel_test(should_panic = "two locks that are one")]
fn a_pair_of_one_lock_is_refused() {
    let lock = spin("test pair");
    let _both = lock_both(&lock, &lock);
}

/// Without the checks of debug builds as well.
#[kernel_test(should_panic = "`test twice`")]
fn taking_a_mutex_twice_names_it() {
    let mutex = Mutex::new("test twice", ());
    let _first = mutex.lock();
    let _second = mutex.lock();
}

#[kernel_test(should_panic = "`test spin twice`")]
fn taking_a_spin_lock_twice_names_it() {
    let lock = spin("test spin twice");
    let _first = lock.lock();
    let _second = lock.lock();
}

#[kernel_test(should_panic = "`test too long` wanted at kernel/src/sync/tests.rs")]
fn a_spin_lock_held_too_long_is_reported() {
    const LIMIT_NS: u64 = 30 * MILLISECOND_NS;
    static LOCK: SpinLock<()> = SpinLock::new("test too long", ());
    static IS_HELD: AtomicBool = AtomicBool::new(false);
    if machine::cpu::count() == 1 {
        panic!("one CPU never waits for itself: no `test too long` wanted at kernel/src/sync/tests.rs");
    }
    let old = machine::sync::set_spin_limit_ns(LIMIT_NS);
    let waiter = Arc::clone(&sched::current());
    start(1, move |_| {
        let held = LOCK.lock();
        IS_HELD.store(true, Ordering::Release);
        let begun = monotonic_ns();
        while waiter.state() != State::Exited && monotonic_ns() - begun < 1_000 * LIMIT_NS {
            core::hint::spin_loop();
        }
        machine::sync::set_spin_limit_ns(old);
        drop(held);
    });
    wait_until(|| IS_HELD.load(Ordering::Acquire));
    let _never = LOCK.lock();
}

/// A thread that waits for a mutex which the caller holds.
fn waiter(mutex: &Arc<Mutex<()>>) -> Arc<Thread> {
    let wanted = mutex.clone();
    let thread = start(1, move |_| drop(wanted.lock())).remove(0);
    wait_until(|| thread.state() == State::Waiting && thread.waiting().is_some());
    thread
}

#[kernel_test]
fn a_thread_that_waits_for_too_long_is_reported() {
    let mutex = Arc::new(Mutex::new("test hang", ()));
    let held = mutex.lock();
    let thread = waiter(&mutex);
    let is_hung = |limit_ns| watch::hung(limit_ns).iter().any(|(hung, _)| Arc::ptr_eq(hung, &thread));
    assert!(!is_hung(3_600_000 * MILLISECOND_NS));
    wait_until(|| is_hung(MILLISECOND_NS));
    let text = watch::describe_chain(&thread);
    let holder = alloc::format!("held by thread {} since kernel/src/sync/tests.rs", sched::current_id());
    for part in ["Waiting", "waits for test hang since", &holder, "test (", "task_start"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    drop(held);
    join(alloc::vec![thread.clone()]);
    assert!(!is_hung(0));
}

#[kernel_test]
fn threads_that_wait_for_each_other_are_told() {
    let (one, other) = (Arc::new(Mutex::new("test circle 1", ())), Arc::new(Mutex::new("test circle 2", ())));
    static QUEUE: WaitQueue = WaitQueue::named("test circle");
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let held = one.lock();
    let (first, second) = (one.clone(), other.clone());
    let thread = start(1, move |_| {
        let inner = second.lock();
        drop(first.lock());
        drop(inner);
    });
    wait_until(|| thread[0].waiting().is_some());
    // This thread says that it waits for the other, without doing so: that one would never come.
    let holder = sched::wait::Holder { thread: thread[0].id(), since: None };
    let mut rounds = 0;
    let text = QUEUE.wait_for_holder(holder, || {
        rounds += 1;
        (rounds > 1).then(|| watch::describe_chain(&thread[0]))
    });
    IS_OVER.store(true, Ordering::Relaxed);
    assert!(text.contains("wait for each other for ever"), "{text}");
    drop(held);
    join(thread);
}

#[kernel_test]
fn locks_held_and_waited_for_can_be_listed() {
    let mutex = Arc::new(Mutex::new("test listed", ()));
    let held = mutex.lock();
    let thread = waiter(&mutex);
    let spin_lock = spin("test listed spin");
    let mut text = String::new();
    let guard = spin_lock.lock();
    // A string may grow under a spin lock.
    write_held(&mut text).expect("a string takes all");
    drop(guard);
    let waits = alloc::format!("waits for `test listed`, held by thread {}", sched::current_id());
    assert!(text.contains(&waits), "{text}");
    if cfg!(debug_assertions) {
        for part in ["holds `test listed` since kernel/src/sync/tests.rs", "holds `test listed spin` since"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
    drop(held);
    join(alloc::vec![thread]);
}

/// Release builds have no checks, and pay for none.
#[cfg(not(debug_assertions))]
#[kernel_test]
fn release_builds_keep_names_and_places_only() {
    assert_eq!(size_of::<machine::sync::Watch>(), size_of::<&str>());
    assert!(machine::sync::statistics().is_none());
}

#[cfg(debug_assertions)]
mod checked {
    //! What only debug builds report.

    use super::*;
    use crate::sched::timer::Timer;
    use machine::sync::{IrqSpinLock, take_violations};

    /// The one violation that the test has provoked so far.
    #[track_caller]
    fn expect_violation(parts: &[&str]) {
        let (count, text) = take_violations();
        assert_eq!(count, 1, "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }

    /// Calls a function in the timer's interrupt handler.
    fn in_interrupt(action: impl Fn() + Send + Sync + 'static) {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = done.clone();
        let timer = Timer::new(Arc::new(move || {
            action();
            done.store(true, Ordering::Release);
        }));
        timer.set(monotonic_ns());
        wait_until(|| is_done.load(Ordering::Acquire));
    }

    #[kernel_test]
    fn two_orders_are_reported_with_both_chains() {
        let (outer, inner) = (Mutex::new("test outer", ()), Mutex::new("test inner", ()));
        let spin_lock = spin("test innermost");
        {
            let _outer = outer.lock();
            let _inner = inner.lock();
            let _spin = spin_lock.lock();
        }
        assert_eq!(take_violations().0, 0);
        let _inner = inner.lock();
        let _outer = outer.lock();
        expect_violation(&[
            "`test outer` wanted at kernel/src/sync/tests.rs",
            "in the wrong order",
            "`test inner` held since kernel/src/sync/tests.rs",
            "`test outer` held since kernel/src/sync/tests.rs",
            "`test inner` taken at kernel/src/sync/tests.rs",
        ]);
    }

    #[kernel_test]
    fn the_written_order_is_kept() {
        machine::sync::declare_order(&[&["test row 1"], &["test row 2a", "test row 2b"], &["test row 3"]]);
        let (first, last) = (spin("test row 1"), spin("test row 3"));
        drop((first.lock(), last.lock()));
        assert_eq!(take_violations().0, 0);
        let _last = last.lock();
        let _first = first.lock();
        expect_violation(&["`test row 1` wanted", "`test row 3` held since"]);
    }

    #[kernel_test]
    fn two_locks_of_a_class_are_reported() {
        let [one, other] = [(); 2].map(|()| spin("test class"));
        let _one = one.lock();
        let _other = other.lock();
        expect_violation(&["`test class` wanted", "another one of the class is held", "does not nest"]);
    }

    #[kernel_test]
    fn classes_that_nest_by_address_keep_to_it() {
        machine::sync::declare_nesting("test nest", machine::sync::Nesting::ByAddress);
        let locks = [(); 2].map(|()| spin("test nest"));
        drop((locks[0].lock(), locks[1].lock()));
        assert_eq!(take_violations().0, 0);
        let _second = locks[1].lock();
        let _first = locks[0].lock();
        expect_violation(&["`test nest` wanted", "does not nest so"]);
    }

    #[kernel_test]
    fn depths_of_a_mutex_nest_upwards_only() {
        let [one, other] = [(); 2].map(|()| Mutex::new("test depth", ()));
        {
            let _one = one.lock();
            let _other = other.lock_nested(1);
        }
        assert_eq!(take_violations().0, 0);
        let _other = other.lock_nested(1);
        let _one = one.lock();
        expect_violation(&["`test depth` wanted"]);
    }

    #[kernel_test]
    fn handlers_take_only_locks_that_disable_interrupts() {
        static LOCK: SpinLock<()> = SpinLock::new("test plain", ());
        in_interrupt(|| drop(LOCK.lock()));
        expect_violation(&["`test plain` taken at", "by an interrupt handler"]);
        // And from now on nobody may take it with interrupts enabled.
        drop(LOCK.lock());
        expect_violation(&["`test plain` is taken by interrupt handlers and with interrupts enabled"]);
    }

    #[kernel_test]
    fn a_handlers_lock_must_not_lead_to_one_that_others_take_with_interrupts_enabled() {
        static HANDLED: IrqSpinLock<()> = IrqSpinLock::new("test handled", ());
        static OPEN: SpinLock<()> = SpinLock::new("test open", ());
        in_interrupt(|| drop(HANDLED.lock()));
        drop(OPEN.lock());
        assert_eq!(take_violations().0, 0);
        let _handled = HANDLED.lock();
        let _open = OPEN.lock();
        expect_violation(&["`test handled`, which interrupt handlers take, leads to `test open`"]);
    }

    #[kernel_test(should_panic = "sleeping while atomic: test sleeper at")]
    fn a_mutex_under_a_spin_lock_is_reported() {
        let (spin_lock, mutex) = (spin("test atomic"), Mutex::new("test sleeper", ()));
        let _spin = spin_lock.lock();
        let _mutex = mutex.lock();
    }

    #[kernel_test(should_panic = "parking")]
    fn waiting_under_a_spin_lock_is_reported_with_its_name() {
        let spin_lock = spin("test atomic");
        let _spin = spin_lock.lock();
        sched::park();
    }

    #[kernel_test(should_panic = "with interrupts disabled")]
    fn a_mutex_with_interrupts_disabled_is_reported() {
        let mutex = Mutex::new("test sleeper", ());
        let _off = machine::cpu::disable_interrupts();
        let _mutex = mutex.lock();
    }

    #[kernel_test(should_panic = "user memory")]
    fn user_memory_under_a_spin_lock_is_reported() {
        let spin_lock = spin("test atomic");
        let _spin = spin_lock.lock();
        // Page 0 is never mapped; the report comes before the access.
        let _ = machine::mm::user::copy_to(0, &[0]);
    }

    #[kernel_test(should_panic = "a thread ends with a lock held: `test kept`")]
    fn a_thread_that_keeps_a_lock_is_reported() {
        static LOCK: Mutex<()> = Mutex::new("test kept", ());
        core::mem::forget(LOCK.lock());
        machine::sync::assert_none_held("a thread ends");
    }

    #[kernel_test]
    fn what_the_cpu_does_is_known() {
        use machine::sync::{Situation, situation};
        static SEEN: AtomicBool = AtomicBool::new(false);
        assert_eq!(situation(), Situation::Task);
        in_interrupt(|| SEEN.store(situation() == Situation::Interrupt, Ordering::Relaxed));
        assert!(SEEN.load(Ordering::Relaxed));
        let spin_lock = spin("test situation");
        let guard = spin_lock.lock();
        assert_eq!(situation(), Situation::Atomic);
        drop(guard);
        let _off = machine::cpu::disable_interrupts();
        assert_eq!(situation(), Situation::InterruptsOff);
    }
}
