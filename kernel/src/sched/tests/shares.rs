//! Who gets how much of a CPU, and how often a CPU is disturbed: as shares of time that was used and counts, so that a
//! slow machine makes these tests longer and not fail.

use super::{MILLISECOND_NS, join};
use crate::clock::monotonic_ns;
use crate::sched::accounts::Accounts;
use crate::sched::{self, Thread, cpu_usage, set_affinity, set_policy, sleep_until, spawn};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::cpu::{self, CpuEvent};
use machine::sync::IrqSpinLock;
use runqueue::{Nice, Policy, RealTimeLimit, RealTimePriority};
use test_macro::kernel_test;

/// Threads that never wait, until this is dropped.
pub(super) struct Hogs {
    pub(super) threads: Vec<Arc<Thread>>,
    stop: Arc<AtomicBool>,
}

/// The switches of those that there are, and which thread made them: a test that fails leaves its own behind.
static SWITCHES: IrqSpinLock<Vec<(u64, Arc<AtomicBool>)>> = IrqSpinLock::new("test hogs", Vec::new());

/// Ends what other tests left behind.
fn stop_leftovers() {
    let own = sched::current_id();
    for (_, stop) in SWITCHES.lock().iter().filter(|(owner, _)| *owner != own) {
        stop.store(true, Ordering::Relaxed);
    }
}

impl Hogs {
    /// One for each policy, all on the CPUs of a mask.
    pub(super) fn new(policies: &[Policy], affinity: u64) -> Hogs {
        stop_leftovers();
        let stop = Arc::new(AtomicBool::new(false));
        // Not grown under the lock.
        let mut switches = Vec::from([(sched::current_id(), stop.clone())]);
        let old = core::mem::take(&mut *SWITCHES.lock());
        switches.extend(old.into_iter().filter(|(_, stop)| !stop.load(Ordering::Relaxed)));
        *SWITCHES.lock() = switches;
        let go = Arc::new(AtomicBool::new(false));
        let spawn_one = |_| {
            let (stop, go) = (stop.clone(), go.clone());
            spawn("hog", move || {
                while !go.load(Ordering::Acquire) {
                    sleep_until(monotonic_ns() + MILLISECOND_NS / 4);
                }
                while !stop.load(Ordering::Relaxed) {
                    core::hint::spin_loop();
                }
            })
            .expect("there is memory for test threads")
        };
        let threads: Vec<_> = policies.iter().map(spawn_one).collect();
        for (thread, &policy) in threads.iter().zip(policies) {
            set_affinity(thread, affinity);
            set_policy(thread, policy);
        }
        go.store(true, Ordering::Release);
        Hogs { threads, stop }
    }

    /// What each has used, in nanoseconds.
    pub(super) fn used(&self) -> Vec<u64> {
        let now = monotonic_ns();
        self.threads.iter().map(|thread| thread.times_at(now).1).collect()
    }

    /// Waits until all of them together have used so much more; returns how much each has used of that.
    pub(super) fn run(&self, together_ns: u64) -> Vec<u64> {
        let before = self.used();
        loop {
            sleep_until(monotonic_ns() + 5 * MILLISECOND_NS);
            let since = |(after, before): (&u64, &u64)| after - before;
            let used: Vec<_> = self.used().iter().zip(&before).map(since).collect();
            if used.iter().sum::<u64>() >= together_ns {
                return used;
            }
        }
    }
}

/// Lets threads run on until what each has used is as it should be; how much they used until then. What is fair comes as
/// close as one likes, since an error (a CPU of the host that was away for a while) is made up for; what is not
/// fair never does.
fn until(hogs: &Hogs, is_right: impl Fn(&[u64]) -> bool) -> Result<(), Vec<u64>> {
    let most_ns = 6_000 * MILLISECOND_NS * hogs.threads.len() as u64;
    let mut used = hogs.run(300 * MILLISECOND_NS);
    while !is_right(&used) {
        if used.iter().sum::<u64>() > most_ns {
            return Err(used);
        }
        for (sum, more) in used.iter_mut().zip(hogs.run(100 * MILLISECOND_NS)) {
            *sum += more;
        }
    }
    Ok(())
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        join(core::mem::take(&mut self.threads));
    }
}

fn nice(value: i32) -> Policy {
    Policy::Fair(Nice::clamped(value))
}

fn fifo(value: u32) -> Policy {
    Policy::Fifo(RealTimePriority::new(value).expect("a priority"))
}

/// The last CPU, alone.
fn last_cpu() -> (usize, u64) {
    let id = cpu::count() - 1;
    (id, 1 << id)
}

/// Keeps the test's own thread away from the last CPU, if there is another one.
pub(super) fn stay_away() {
    let count = cpu::count();
    if count > 1 {
        set_affinity(&sched::current(), (1 << (count - 1)) - 1);
    }
}

#[kernel_test]
fn nice_values_divide_a_cpu() {
    stay_away();
    for (values, expected) in [([0, 0], 1.0), ([0, 5], 1024.0 / 335.0), ([-5, 5], 3121.0 / 335.0)] {
        let hogs = Hogs::new(&values.map(nice), last_cpu().1);
        hogs.run(20 * MILLISECOND_NS);
        let ratio = |used: &[u64]| used[0] as f64 / used[1] as f64;
        let outcome = until(&hogs, |used| (0.93..1.07).contains(&(ratio(used) / expected)));
        assert_eq!(outcome, Ok(()), "{values:?}: {expected} to 1 is due");
    }
}

#[kernel_test]
fn background_work_gets_what_is_left() {
    stay_away();
    let hogs = Hogs::new(&[nice(0), Policy::Idle], last_cpu().1);
    assert_eq!(until(&hogs, |used| used[1] * 50 < used[0]), Ok(()));
    drop(hogs);
    let alone = Hogs::new(&[Policy::Idle], last_cpu().1);
    let used = alone.run(20 * MILLISECOND_NS);
    assert!(used[0] >= 20 * MILLISECOND_NS);
}

#[kernel_test]
fn who_sleeps_most_of_the_time_runs_soon() {
    stay_away();
    // A CPU of the host that is away for a while makes one attempt fail; a scheduler that is late makes all fail.
    let mut outcome = sleep_beside_a_hog();
    for _ in 0..10 {
        if outcome.is_ok() {
            break;
        }
        outcome = sleep_beside_a_hog();
    }
    assert_eq!(outcome, Ok(()));
}

/// In turns of the hog that the sleeper waits, not in time: each of its wake-ups costs the hog at most one.
fn sleep_beside_a_hog() -> Result<(), String> {
    let hogs = Hogs::new(&[nice(0)], last_cpu().1);
    hogs.run(10 * MILLISECOND_NS);
    let done = Arc::new(AtomicU64::new(0));
    let counter = done.clone();
    const ROUNDS: u64 = 50;
    let sleeper = spawn("sleeper", move || {
        for _ in 0..ROUNDS {
            sleep_until(monotonic_ns() + 2 * MILLISECOND_NS);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
    .expect("memory");
    set_affinity(&sleeper, last_cpu().1);
    let used = hogs.used()[0];
    join(alloc::vec![sleeper.clone()]);
    let mean = (hogs.used()[0] - used) / ROUNDS;
    assert_eq!(done.load(Ordering::Relaxed), ROUNDS);
    if mean > 8 * MILLISECOND_NS {
        return Err(format!("the hog used {mean} ns for each 2 ms that the other slept"));
    }
    let delay = sleeper.accounts.delay_ns() / sleeper.accounts.turns();
    if delay > 3 * MILLISECOND_NS {
        return Err(format!("{delay} ns from each wake-up to its turn"));
    }
    Ok(())
}

#[kernel_test]
fn real_time_runs_before_all_others() {
    stay_away();
    let (own, usual) = (sched::current(), sched::real_time_limit());
    let policy = own.policy();
    // Without a limit others get not little but nothing, however slow the machine is. On one CPU the test itself too, so it
    // goes first.
    set_policy(&own, fifo(2));
    sched::set_real_time_limit(RealTimeLimit { runtime_ns: None, ..usual });
    let fair = Hogs::new(&[nice(-20)], last_cpu().1);
    fair.run(10 * MILLISECOND_NS);
    let urgent = Hogs::new(&[fifo(1)], last_cpu().1);
    urgent.run(5 * MILLISECOND_NS);
    let before = fair.used()[0];
    let used = urgent.run(300 * MILLISECOND_NS)[0];
    let got = fair.used()[0] - before;
    sched::set_real_time_limit(usual);
    set_policy(&own, policy);
    assert_eq!(got, 0, "ns that the fair thread got while the real-time one used {used}");
}

#[kernel_test]
fn a_real_time_loop_leaves_the_share_that_the_limit_says() {
    stay_away();
    let usual = sched::real_time_limit();
    let period_ns = 100 * MILLISECOND_NS;
    sched::set_real_time_limit(RealTimeLimit { runtime_ns: Some(70 * MILLISECOND_NS), period_ns });
    let hogs = Hogs::new(&[fifo(99), nice(0)], last_cpu().1);
    hogs.run(30 * MILLISECOND_NS);
    let share = |used: &[u64]| used[1] as f64 / (used[0] + used[1]) as f64;
    let outcome = until(&hogs, |used| (0.27..0.33).contains(&share(used)));
    sched::set_real_time_limit(usual);
    assert_eq!(outcome, Ok(()), "three tenths are due");
}

/// How many interrupts a CPU may have that is left alone for so long: timers that were set there before. The slowest
/// periodic tick, of 100 Hz, would be more than twice as many.
fn few(ns: u64) -> u64 {
    8 + ns / (25 * MILLISECOND_NS)
}

#[kernel_test]
fn a_thread_alone_on_its_cpu_is_not_disturbed() {
    if cpu::count() == 1 {
        // The test's own thread shares the CPU.
        return;
    }
    stay_away();
    let (id, mask) = last_cpu();
    let interrupts = || CpuEvent::Timer.count(id) + CpuEvent::Reschedule.count(id);
    let alone = Hogs::new(&[nice(0)], mask);
    alone.run(20 * MILLISECOND_NS);
    let before = interrupts();
    let used = alone.run(500 * MILLISECOND_NS)[0];
    let of_one = interrupts() - before;
    assert!(of_one <= few(used), "{of_one} interrupts in {used} ns of one thread's work");
    // The counter counts: with two there is one at least for each turn.
    let second = Hogs::new(&[nice(0)], mask);
    second.run(20 * MILLISECOND_NS);
    let before = interrupts();
    second.run(250 * MILLISECOND_NS);
    let of_two = interrupts() - before;
    assert!(of_two >= 10 && of_two > of_one, "{of_two} interrupts in half a second of two threads' work");
}

#[kernel_test]
fn an_idle_cpu_sleeps_and_shows_it() {
    if cpu::count() == 1 {
        return;
    }
    stay_away();
    stop_leftovers();
    let (id, _) = last_cpu();
    sleep_until(monotonic_ns() + 20 * MILLISECOND_NS);
    let interrupts = CpuEvent::Timer.count(id);
    let (before, begun) = (cpu_usage(id), monotonic_ns());
    sleep_until(begun + 400 * MILLISECOND_NS);
    // Nothing wakes it for being asked: the stretch that it is in the middle of counts.
    let (after, ended) = (cpu_usage(id), monotonic_ns());
    let idle = after.idle_ns - before.idle_ns;
    assert!(idle * 10 >= (ended - begun) * 9, "{idle} ns of {}", ended - begun);
    let interrupts = CpuEvent::Timer.count(id) - interrupts;
    assert!(interrupts <= few(ended - begun), "{interrupts} timer interrupts in {} ns", ended - begun);
    let sum = |usage: &sched::CpuUsage| usage.user_ns + usage.nice_ns + usage.system_ns + usage.idle_ns;
    let error = (sum(&after) - sum(&before)).abs_diff(ended - begun);
    assert!(error <= 5 * MILLISECOND_NS, "the modes' times miss {error} ns");
}

#[kernel_test]
fn a_time_that_was_told_is_never_taken_back() {
    let accounts = Accounts::new();
    assert_eq!(accounts.at(50), (0, 0));
    accounts.switch_in(100);
    assert_eq!(accounts.at(110), (0, 10));
    // The switch began before that was asked.
    accounts.switch_out(105);
    assert_eq!(accounts.at(108), (0, 10));
    assert_eq!(accounts.at(1_000), (0, 10));
    // Nor is it counted twice: five nanoseconds of this stretch have been told already.
    accounts.switch_in(2_000);
    assert_eq!(accounts.at(2_003), (0, 10));
    assert_eq!(accounts.at(2_020), (0, 25));
    accounts.enter_user(2_015);
    assert_eq!(accounts.at(2_020), (5, 25));
    assert!(accounts.leave_user(2_018));
    assert_eq!(accounts.at(2_030), (5, 32));
}

#[kernel_test]
fn the_time_a_thread_has_used_never_goes_back() {
    const TURNS: u64 = 3_000;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    // It ends a stretch at once when one has begun.
    let thread = spawn("parking", move || {
        while !stopped.load(Ordering::Relaxed) {
            sched::park();
        }
    })
    .expect("there is memory for a test thread");
    let mut last = 0;
    let turns = thread.accounts.turns();
    while thread.accounts.turns() < turns + TURNS {
        thread.unpark();
        for _ in 0..100 {
            let (user_ns, system_ns) = thread.times_at(monotonic_ns());
            assert!(user_ns == 0 && system_ns >= last, "{system_ns} ns after {last} ns");
            last = system_ns;
        }
        sched::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    thread.unpark();
    join([thread].into());
}
