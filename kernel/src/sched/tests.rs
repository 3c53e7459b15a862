//! In-kernel tests: waking, sleeping, switching, ending. Who gets how much of a CPU is in `tests/shares.rs`, and of which
//! one in `tests/placement.rs`.

mod placement;
mod shares;

use super::timer::Timer;
use super::wait::WaitQueue;
use super::{Thread, park, sleep_until, spawn, yield_now};
use crate::clock::monotonic_ns;
use crate::sync::{Condvar, Mutex, RwLock};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use test_macro::kernel_test;

const MILLISECOND_NS: u64 = 1_000_000;

/// Waits until all threads have ended.
fn join(threads: Vec<Arc<Thread>>) {
    for thread in threads {
        while thread.state() != super::State::Exited {
            sleep_until(monotonic_ns() + MILLISECOND_NS / 10);
        }
    }
}

fn start(count: usize, body: impl Fn(usize) + Clone + Send + 'static) -> Vec<Arc<Thread>> {
    (0..count)
        .map(|index| {
            let body = body.clone();
            spawn("test", move || body(index)).expect("there is memory for test threads")
        })
        .collect()
}

/// For many threads there is room in all queues, and it goes with them; who makes threads frees ended ones.
#[kernel_test]
fn room_for_many_threads_is_given_back() {
    const MANY: usize = 500;
    let may_end = Arc::new(AtomicBool::new(false));
    let go = may_end.clone();
    let threads = start(MANY, move |_| {
        while !go.load(Ordering::Acquire) {
            sleep_until(monotonic_ns() + 5 * MILLISECOND_NS);
        }
    });
    assert!(super::cpu::room() >= MANY);
    super::shrink();
    assert!(super::cpu::room() >= MANY, "they are still there");
    may_end.store(true, Ordering::Release);
    join(threads);
    // Until they are all freed: some that tests left behind may be about for ever, but not as many.
    while super::cpu::room() >= MANY {
        sleep_until(monotonic_ns() + MILLISECOND_NS);
        super::shrink();
    }
}

#[kernel_test]
fn sleeping_ends_never_early_and_hardly_late() {
    for length_ns in [0, 1, 1_000, MILLISECOND_NS, 7 * MILLISECOND_NS, 20 * MILLISECOND_NS] {
        let deadline = monotonic_ns() + length_ns;
        sleep_until(deadline);
        let now = monotonic_ns();
        assert!(now >= deadline, "{} ns early", deadline - now);
        assert!(now - deadline < 500 * MILLISECOND_NS, "{} ns late", now - deadline);
    }
}

#[kernel_test]
fn timers_of_a_cpu_go_off_in_order_of_their_deadlines() {
    const COUNT: u64 = 5;
    static ORDER: AtomicU64 = AtomicU64::new(0);
    static DONE: AtomicU64 = AtomicU64::new(0);
    ORDER.store(0, Ordering::Relaxed);
    DONE.store(0, Ordering::Relaxed);
    let timers: Vec<Timer> = (1..=COUNT)
        .map(|index| {
            Timer::new(Arc::new(move || {
                // Digits in the order of the calls, which one CPU makes.
                ORDER.store(ORDER.load(Ordering::Relaxed) * 10 + index, Ordering::Relaxed);
                DONE.fetch_add(1, Ordering::Release);
            }))
        })
        .collect();
    {
        let _guard = machine::cpu::disable_interrupts();
        let begin = monotonic_ns() + MILLISECOND_NS;
        for (timer, index) in timers.iter().zip(0..) {
            timer.set(begin + (COUNT - index) * MILLISECOND_NS);
        }
    }
    while DONE.load(Ordering::Acquire) < COUNT {
        sleep_until(monotonic_ns() + MILLISECOND_NS);
    }
    assert_eq!(ORDER.load(Ordering::Relaxed), 54321);
}

#[kernel_test]
fn waiters_survive_spurious_wake_ups() {
    static QUEUE: WaitQueue = WaitQueue::named("test");
    static TOKENS: AtomicUsize = AtomicUsize::new(0);
    const WAITERS: usize = 8;
    const ROUNDS: usize = 50;
    let take =
        || TOKENS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |tokens| tokens.checked_sub(1)).ok();
    let threads = start(WAITERS, move |_| {
        for _ in 0..ROUNDS {
            QUEUE.wait(take);
        }
    });
    let victims = threads.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let nuisance = start(1, move |_| {
        while !stopped.load(Ordering::Relaxed) {
            victims.iter().for_each(Thread::unpark);
            QUEUE.wake_one();
            yield_now();
        }
    });
    for _ in 0..WAITERS * ROUNDS {
        TOKENS.fetch_add(1, Ordering::AcqRel);
        QUEUE.wake_one();
    }
    join(threads);
    stop.store(true, Ordering::Relaxed);
    join(nuisance);
    assert_eq!(TOKENS.load(Ordering::Relaxed), 0);
}

#[kernel_test]
fn every_wake_up_of_one_is_used_by_somebody() {
    static QUEUE: WaitQueue = WaitQueue::named("test");
    static TOKENS: AtomicUsize = AtomicUsize::new(0);
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    const COUNT: usize = 200;
    let take =
        || TOKENS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |tokens| tokens.checked_sub(1)).ok();
    // Half of the waiters give up again and again; they must pass on what was meant for others.
    let threads = start(8, move |index| {
        while TAKEN.load(Ordering::Acquire) < COUNT {
            let deadline = monotonic_ns() + MILLISECOND_NS * (1 + index as u64 % 4);
            if QUEUE.wait_until(deadline, take).is_ok() {
                TAKEN.fetch_add(1, Ordering::AcqRel);
            }
        }
    });
    for round in 0..COUNT {
        TOKENS.fetch_add(1, Ordering::AcqRel);
        QUEUE.wake_one();
        if round % 16 == 0 {
            sleep_until(monotonic_ns() + MILLISECOND_NS);
        }
    }
    join(threads);
    assert_eq!(TAKEN.load(Ordering::Relaxed), COUNT);
}

#[kernel_test]
fn a_wait_with_a_deadline_ends() {
    let queue = WaitQueue::named("test");
    let deadline = monotonic_ns() + 5 * MILLISECOND_NS;
    let result = queue.wait_until(deadline, || None::<()>);
    assert_eq!(result.expect_err("nothing comes").errno, abi::errno::Errno::ETIMEDOUT);
    assert!(monotonic_ns() >= deadline);
}

#[kernel_test]
fn a_mutex_lets_one_in_at_a_time() {
    let counter = Arc::new(Mutex::new("test counter", 0u64));
    let shared = counter.clone();
    join(start(6, move |_| {
        for _ in 0..100 {
            let mut guard = shared.lock();
            let seen = *guard;
            yield_now();
            *guard = seen + 1;
        }
    }));
    assert_eq!(*counter.lock(), 600);
    assert_eq!(counter.holder(), 0);
}

#[kernel_test(should_panic)]
fn taking_a_mutex_twice_is_reported() {
    let mutex = Mutex::new("test twice", ());
    let _first = mutex.lock();
    let _second = mutex.lock();
}

#[kernel_test]
fn readers_share_and_writers_do_not() {
    let lock = Arc::new(RwLock::new("test lock", (0u64, 0u64)));
    let shared = lock.clone();
    join(start(6, move |index| {
        for _ in 0..50 {
            if index < 2 {
                let mut pair = shared.write();
                pair.0 += 1;
                yield_now();
                pair.1 += 1;
            } else {
                let pair = shared.read();
                yield_now();
                assert_eq!(pair.0, pair.1, "a reader saw a writer's middle");
            }
        }
    }));
    assert_eq!(*lock.read(), (100, 100));
}

#[kernel_test]
fn a_condition_variable_wakes_its_waiters() {
    static CONDITION: Condvar = Condvar::new("test condition");
    let ready = Arc::new(Mutex::new("test ready", false));
    let shared = ready.clone();
    let threads = start(4, move |_| {
        let mut guard = shared.lock();
        while !*guard {
            guard = CONDITION.wait(guard);
        }
    });
    sleep_until(monotonic_ns() + 2 * MILLISECOND_NS);
    *ready.lock() = true;
    CONDITION.notify_all();
    join(threads);
}

#[kernel_test]
fn a_busy_thread_is_preempted() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let busy = start(3, move |_| {
        while !stopped.load(Ordering::Relaxed) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    });
    // This thread gets its turns although the others never wait.
    for _ in 0..3 {
        sleep_until(monotonic_ns() + 5 * MILLISECOND_NS);
    }
    stop.store(true, Ordering::Relaxed);
    join(busy);
    assert!(COUNT.load(Ordering::Relaxed) > 0);
}

#[kernel_test]
fn a_thread_that_ends_gives_everything_back() {
    // Threads of tests that panicked are never freed.
    let leaked = super::unburied_threads();
    let settle = || {
        let deadline = monotonic_ns() + 2_000 * MILLISECOND_NS;
        while super::unburied_threads() > leaked && monotonic_ns() < deadline {
            sleep_until(monotonic_ns() + MILLISECOND_NS);
        }
        sleep_until(monotonic_ns() + 20 * MILLISECOND_NS);
    };
    let round = || {
        join(start(20, |_| yield_now()));
        settle();
    };
    round();
    // Frames of kernel stacks; free frames and those of the heap, which may keep a slab more or less.
    let figures = || {
        let figures = machine::mm::statistics();
        (figures.kernel_stacks, figures.free + figures.kernel_heap)
    };
    // What others take and give back meanwhile differs from try to try; what these threads keep is missing in each.
    let mut tries = Vec::new();
    for _ in 0..20 {
        let before = figures();
        (0..5).for_each(|_| round());
        let after = figures();
        if before == after {
            return;
        }
        tries.push((before, after));
    }
    panic!("frames before and after: {tries:?}");
}

#[kernel_test]
fn parking_takes_a_token_that_came_before() {
    super::current().unpark();
    park();
}

#[kernel_test]
fn the_threads_that_cpus_start_with_are_in_the_list() {
    let listed = |name: &str| super::watch::all().into_iter().filter(|thread| thread.name() == name).count();
    for id in 0..machine::cpu::count() {
        assert_eq!(listed(&alloc::format!("idle/{id}")), 1, "of CPU {id}");
    }
    // It runs the tests.
    assert_eq!(listed("boot"), 1);
}
