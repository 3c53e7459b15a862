//! Which CPU a thread runs on.

use super::shares::Hogs;
use super::{MILLISECOND_NS, join};
use crate::clock::monotonic_ns;
use crate::sched::{self, set_affinity, sleep_until, spawn};
use alloc::sync::Arc;
use alloc::{vec, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::cpu;
use runqueue::Policy;
use test_macro::kernel_test;

#[kernel_test]
fn threads_spread_over_all_cpus() {
    let count = cpu::count();
    // All on the first CPU; then they may go.
    let hogs = Hogs::new(&vec![Policy::default(); count], 1);
    hogs.run(10 * MILLISECOND_NS);
    assert!(hogs.threads.iter().all(|thread| thread.cpu() == 0));
    for thread in &hogs.threads {
        set_affinity(thread, u64::MAX);
    }
    hogs.run(30 * MILLISECOND_NS * count as u64);
    // This test's own thread and those of the kernel get in the way now and then. Looks are counted, not time: a host that
    // keeps a CPU from running does not make more of them.
    let are_apart = || {
        let taken = hogs.threads.iter().fold(0u64, |mask, thread| mask | 1 << thread.cpu());
        taken.count_ones() as usize == count
    };
    let looks = (0..100).filter(|_| {
        sleep_until(monotonic_ns() + 3 * MILLISECOND_NS);
        are_apart()
    });
    let apart = looks.count();
    assert!(apart >= 80, "each had a CPU for itself at {apart} of 100 looks only");
    // And each CPU runs its own.
    while hogs.run(10 * MILLISECOND_NS * count as u64).contains(&0) {}
}

#[kernel_test]
fn one_thread_too_many_is_shared_by_all() {
    let count = cpu::count();
    let hogs = Hogs::new(&vec![Policy::default(); count + 1], u64::MAX);
    hogs.run(10 * MILLISECOND_NS * count as u64);
    let waited = || hogs.threads.iter().map(|thread| thread.accounts.delay_ns()).collect::<Vec<_>>();
    let turns = || hogs.threads.iter().map(|thread| thread.accounts.turns()).sum::<u64>();
    // Two always share a CPU, and after a dozen turns or so it is somebody else's: in that time each has its share of
    // waiting. Turns are counted, which a host that is away for a while does not make more.
    let before = waited();
    let end = turns() + 100 * (count as u64 + 1);
    let since = || waited().iter().zip(&before).map(|(after, before)| after - before).collect::<Vec<_>>();
    while !since().iter().all(|waited_ns| *waited_ns >= 5 * MILLISECOND_NS) {
        assert!(turns() < end, "nanoseconds that each has waited for a CPU: {:?}", since());
        sleep_until(monotonic_ns() + 5 * MILLISECOND_NS);
    }
}

#[kernel_test]
fn affinity_moves_a_thread_at_once() {
    let hogs = Hogs::new(&[Policy::default(); 2], u64::MAX);
    hogs.run(10 * MILLISECOND_NS);
    for round in 0..4 * cpu::count() {
        let id = round % cpu::count();
        for thread in &hogs.threads {
            set_affinity(thread, 1 << id);
            // It is there, or in the queue there, when the call is over.
            assert_eq!(thread.cpu(), id, "round {round}");
        }
        hogs.run(4 * MILLISECOND_NS);
        assert!(hogs.threads.iter().all(|thread| thread.cpu() == id));
    }
}

#[kernel_test]
fn a_sleeping_thread_wakes_where_it_may_run() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let sleeper = spawn("sleeper", move || {
        while !stopped.load(Ordering::Relaxed) {
            sleep_until(monotonic_ns() + MILLISECOND_NS);
        }
    })
    .expect("memory");
    for id in (0..cpu::count()).cycle().take(40) {
        set_affinity(&sleeper, 1 << id);
        let turns = sleeper.accounts.turns();
        while sleeper.accounts.turns() == turns {
            sleep_until(monotonic_ns() + MILLISECOND_NS / 4);
        }
        assert_eq!(sleeper.cpu(), id);
    }
    stop.store(true, Ordering::Relaxed);
    join(vec![sleeper]);
}

#[kernel_test]
fn no_wakeup_is_lost_by_a_change_of_affinity() {
    let stop = Arc::new(AtomicBool::new(false));
    let woken = Arc::new(AtomicU64::new(0));
    let (stopped, count) = (stop.clone(), woken.clone());
    let sleeper = spawn("sleeper", move || {
        while !stopped.load(Ordering::Relaxed) {
            sched::park();
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
    .expect("memory");
    let (stopped, to_wake) = (stop.clone(), sleeper.clone());
    let waker = spawn("waker", move || {
        while !stopped.load(Ordering::Relaxed) {
            to_wake.unpark();
            sched::reschedule_if_due();
        }
    })
    .expect("memory");
    for round in 0..300 {
        let before = woken.load(Ordering::Relaxed);
        set_affinity(&sleeper, 1 << (round % cpu::count()));
        let deadline = monotonic_ns() + 10_000 * MILLISECOND_NS;
        while woken.load(Ordering::Relaxed) == before {
            assert!(monotonic_ns() < deadline, "round {round}: it sleeps though it is woken all the time");
            sched::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    join(vec![waker]);
    sleeper.unpark();
    join(vec![sleeper]);
}

#[kernel_test]
fn the_current_thread_moves_before_it_goes_on() {
    for id in (0..cpu::count()).rev() {
        set_affinity(&sched::current(), 1 << id);
        sched::reschedule_if_due();
        assert_eq!(cpu::current_id(), id);
    }
    set_affinity(&sched::current(), u64::MAX);
}
