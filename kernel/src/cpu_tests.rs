//! Tests of several CPUs together: calls, shootdowns counted, what a CPU tells when it is asked.

use crate::mm::{AddressSpace, Layout, Limits, MapRequest, Place, Randomization};
use crate::sched::{self, State, Thread};
use abi::mman::Prot;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use machine::addr::PAGE_SIZE;
use machine::cpu::{self, CacheLine, CpuEvent, PerCpu, StartError, StaticPerCpu};
use machine::mm::{self, shootdowns, user};
use machine::sync::SpinLock;
use test_macro::kernel_test;

const PAGE: u64 = PAGE_SIZE as u64;

/// Runs something in a thread that stays on one CPU.
fn on_cpu(id: usize, body: impl FnOnce() + Send + 'static) -> Arc<Thread> {
    sched::spawn("on-cpu", move || {
        sched::set_affinity(&sched::current(), 1 << id);
        while cpu::current_id() != id {
            sched::yield_now();
        }
        body();
    })
    .expect("memory for a test")
}

fn join(thread: &Thread) {
    while thread.state() != State::Exited {
        sched::yield_now();
    }
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

#[kernel_test]
fn per_cpu_data_has_cache_lines_of_its_own() {
    static FIXED: StaticPerCpu<[u8; 3]> =
        StaticPerCpu::new([const { CacheLine::new([7; 3]) }; cpu::MAX_CPUS]);
    let made = PerCpu::new(|id| (id, AtomicU64::new(0)));
    for id in 0..cpu::MAX_CPUS {
        assert_eq!(made.of(id).0, id);
        assert_eq!(FIXED.of(id), &[7; 3]);
        let places = [core::ptr::from_ref(made.of(id)) as usize, core::ptr::from_ref(FIXED.of(id)) as usize];
        assert!(places.iter().all(|place| place.is_multiple_of(64)));
    }
    let guard = cpu::disable_preemption();
    assert_eq!(made.get(&guard).0, cpu::current_id());
    assert!(core::ptr::eq(FIXED.get(&guard), FIXED.of(cpu::current_id())));
}

#[kernel_test]
fn a_call_runs_once_on_each_cpu_that_was_named() {
    for cpus in [u64::MAX, 1, 2, !1] {
        let calls: PerCpu<AtomicUsize> = PerCpu::new(|_| AtomicUsize::new(0));
        cpu::call_on(cpus, &|id| {
            assert_eq!(id, cpu::current_id());
            assert!(!cpu::interrupts_enabled());
            calls.of(id).fetch_add(1, Ordering::Relaxed);
        });
        for id in 0..cpu::MAX_CPUS {
            let wanted = usize::from(id < cpu::count() && cpus & 1 << id != 0);
            assert_eq!(calls.of(id).load(Ordering::Relaxed), wanted, "CPU {id} of {cpus:#x}");
        }
    }
}

#[kernel_test]
fn cpus_that_call_each_other_come_back() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    // Each CPU waits for all others in each: the more there are, the longer that takes a host with fewer.
    let rounds = 600 / cpu::count();
    CALLS.store(0, Ordering::Relaxed);
    let call = move || {
        for _ in 0..rounds {
            cpu::call_on(u64::MAX, &|_| {
                CALLS.fetch_add(1, Ordering::Relaxed);
            });
        }
    };
    let threads: Vec<_> = (0..cpu::count()).map(|id| on_cpu(id, call)).collect();
    threads.iter().for_each(|thread| join(thread));
    assert_eq!(CALLS.load(Ordering::Relaxed), cpu::count() * cpu::count() * rounds);
}

#[kernel_test(should_panic)]
fn a_call_with_interrupts_disabled_is_refused() {
    let _quiet = cpu::disable_interrupts();
    cpu::call_on(u64::MAX, &|_| ());
}

#[kernel_test]
fn nothing_runs_beside_a_stopped_machine() {
    static ROUNDS: StaticPerCpu<AtomicU64> =
        StaticPerCpu::new([const { CacheLine::new(AtomicU64::new(0)) }; cpu::MAX_CPUS]);
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    IS_OVER.store(false, Ordering::Release);
    let count_rounds = |id: usize| {
        move || {
            while !IS_OVER.load(Ordering::Acquire) {
                ROUNDS.of(id).fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let rounds = || -> u64 { (0..cpu::count()).map(|id| ROUNDS.of(id).load(Ordering::Relaxed)).sum() };
    let threads: Vec<_> = (0..cpu::count()).map(|id| on_cpu(id, count_rounds(id))).collect();
    while (0..cpu::count()).any(|id| ROUNDS.of(id).load(Ordering::Relaxed) == 0) {
        sched::yield_now();
    }
    for _ in 0..20 {
        let looks = cpu::stop_machine(|| {
            assert!(!cpu::interrupts_enabled());
            core::array::from_fn::<u64, 1000, _>(|_| rounds())
        });
        assert!(looks.iter().all(|look| *look == looks[0]), "somebody ran");
    }
    IS_OVER.store(true, Ordering::Release);
    threads.iter().for_each(|thread| join(thread));
}

#[kernel_test]
fn cpus_that_stop_each_other_go_on() {
    static STOPS: AtomicUsize = AtomicUsize::new(0);
    STOPS.store(0, Ordering::Relaxed);
    let rounds = (40 / cpu::count()).max(1);
    let stop = move || {
        for _ in 0..rounds {
            // Not as one operation: nobody else does it meanwhile.
            cpu::stop_machine(|| STOPS.store(STOPS.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
        }
    };
    let threads: Vec<_> = (0..cpu::count()).map(|id| on_cpu(id, stop)).collect();
    threads.iter().for_each(|thread| join(thread));
    assert_eq!(STOPS.load(Ordering::Relaxed), cpu::count() * rounds);
}

#[kernel_test]
fn a_cpu_that_cannot_come_yet_is_asked_again() {
    static LOCK: SpinLock<()> = SpinLock::new("stop test", ());
    static STEP: AtomicUsize = AtomicUsize::new(0);
    fn wait_for_step(step: usize) {
        while STEP.load(Ordering::Acquire) != step {
            core::hint::spin_loop();
        }
    }
    if cpu::count() < 3 {
        return;
    }
    STEP.store(0, Ordering::Release);
    // Holds the lock until it has been stopped, which the other one waits for with interrupts disabled.
    let holder = on_cpu(1, || {
        let _held = LOCK.lock();
        STEP.store(1, Ordering::Release);
        wait_for_step(2);
        let calls = CpuEvent::Call.count(1);
        STEP.store(3, Ordering::Release);
        while CpuEvent::Call.count(1) == calls {
            core::hint::spin_loop();
        }
    });
    let waiter = on_cpu(2, || {
        wait_for_step(1);
        let _quiet = cpu::disable_interrupts();
        STEP.store(2, Ordering::Release);
        drop(LOCK.lock());
    });
    sched::set_affinity(&sched::current(), 1);
    sched::yield_now();
    wait_for_step(3);
    cpu::stop_machine(|| STEP.store(4, Ordering::Release));
    sched::set_affinity(&sched::current(), u64::MAX);
    [holder, waiter].iter().for_each(|thread| join(thread));
    assert_eq!(STEP.load(Ordering::Acquire), 4);
}

#[kernel_test(should_panic)]
fn a_stop_with_interrupts_disabled_is_refused() {
    let _quiet = cpu::disable_interrupts();
    cpu::stop_machine(|| ());
}

#[kernel_test]
fn a_cpu_that_is_not_there_is_reported_and_skipped() {
    let before = cpu::count();
    let running: Vec<u32> = (0..before).filter_map(cpu::apic_id).collect();
    assert_eq!(cpu::start_others(&running, usize::MAX), []);
    let missing = (0..=254).rev().find(|id| !running.contains(id)).expect("not all ids are in use");
    if before < cpu::MAX_CPUS {
        assert_eq!(cpu::start_others(&[missing], usize::MAX), [(missing, StartError::NoAnswer)]);
    }
    assert_eq!(cpu::start_others(&[missing], before), [], "beyond the limit nobody is started");
    let far = cpu::start_others(&[100_000], cpu::MAX_CPUS);
    assert!(matches!(far[..], [] | [(100_000, StartError::Unreachable | StartError::NoAnswer)]), "{far:?}");
    assert_eq!(cpu::count(), before);
}

#[kernel_test]
fn every_cpu_tells_what_it_does_with_interrupts_off_too() {
    static STUCK: AtomicBool = AtomicBool::new(false);
    static FREED: AtomicBool = AtomicBool::new(false);
    let stuck = (cpu::count() > 1).then(|| {
        on_cpu(1, || {
            let _quiet = cpu::disable_interrupts();
            STUCK.store(true, Ordering::Release);
            wait_for(&FREED);
        })
    });
    if let Some(thread) = &stuck {
        // Not by a call or a message, which it does not hear.
        sched::set_affinity(&sched::current(), !2);
        sched::yield_now();
        wait_for(&STUCK);
        let nmis = CpuEvent::Nmi.count(1);
        let mut text = String::new();
        cpu::write_what_cpus_do(&mut text);
        FREED.store(true, Ordering::Release);
        assert!(
            text.contains(&format!("CPU 1: thread {} \"on-cpu\", interrupts off", thread.id())),
            "{text}"
        );
        assert_eq!(CpuEvent::Nmi.count(1), nmis + 1);
        join(thread);
        sched::set_affinity(&sched::current(), u64::MAX);
    }
    let mut text = String::new();
    cpu::write_what_cpus_do(&mut text);
    for id in 0..cpu::count() {
        assert!(text.contains(&format!("CPU {id}: ")), "{text}");
    }
    assert!(!text.contains("does not answer"), "{text}");
}

fn space() -> Arc<AddressSpace> {
    AddressSpace::new(Layout::new(8 << 20, Randomization::Off), Limits::default()).expect("memory for a test")
}

/// Pages at a place where a table of their own is needed.
fn map(space: &AddressSpace, start: u64, pages: u64) {
    let protection = Prot::PROT_READ | Prot::PROT_WRITE;
    space.map(MapRequest::anonymous(Place::Fixed(start), pages * PAGE, protection)).expect("free");
    space.populate(start..start + pages * PAGE).expect("memory for a test");
}

/// Requests and CPUs asked while `work` was done.
fn asked(work: impl FnOnce()) -> (u64, u64) {
    let (requests, cpus) = shootdowns();
    work();
    let (requests_after, cpus_after) = shootdowns();
    (requests_after - requests, cpus_after - cpus)
}

#[kernel_test]
fn nobody_is_asked_where_nobody_else_has_the_address_space() {
    let space = space();
    const AREA: u64 = 0x4000_0000;
    let work = || {
        map(&space, AREA, 3000);
        space.unmap(AREA + 10 * PAGE, 1000 * PAGE).expect("a good range");
        drop(space.fork().expect("memory for a test"));
        space.unmap(AREA, 3000 * PAGE).expect("a good range");
    };
    assert_eq!(asked(work), (0, 0), "nobody has it loaded");
    let here = || {
        let _here = cpu::disable_preemption();
        space.activate();
    };
    // Elsewhere this thread would find it loaded on the CPU that it has left.
    sched::set_affinity(&sched::current(), 1);
    sched::reschedule_if_due();
    here();
    assert_eq!(asked(work), (0, 0), "this CPU has it loaded, at most");
    mm::activate_kernel();
    sched::set_affinity(&sched::current(), u64::MAX);
}

/// Another CPU takes the address space and does as it is told.
struct Other {
    thread: Arc<Thread>,
    order: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

const USE: usize = 1;
const BE_LAZY: usize = 2;
const TOUCH: usize = 3;
const END: usize = 4;

impl Other {
    /// On CPU 1, with preemption disabled: no other thread takes the address space away.
    fn start(space: &Arc<AddressSpace>, address: u64) -> Self {
        let (order, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (space, orders, answers) = (space.clone(), order.clone(), done.clone());
        let thread = on_cpu(1, move || {
            let _here = cpu::disable_preemption();
            loop {
                let order = orders.swap(0, Ordering::AcqRel);
                match order {
                    0 => {
                        core::hint::spin_loop();
                        continue;
                    }
                    USE => space.activate(),
                    BE_LAZY => mm::be_lazy(),
                    TOUCH => {
                        // 2: it is there; 1: it is not.
                        let found = user::without_faults(|| user::copy_from(&mut [0; 1], address)).is_ok();
                        answers.store(100 + usize::from(found), Ordering::Release);
                        continue;
                    }
                    _ => break,
                }
                answers.store(order, Ordering::Release);
            }
            mm::activate_kernel();
            answers.store(END, Ordering::Release);
        });
        Self { thread, order, done }
    }

    fn tell(&self, order: usize) -> usize {
        self.done.store(0, Ordering::Release);
        self.order.store(order, Ordering::Release);
        loop {
            match self.done.load(Ordering::Acquire) {
                0 => core::hint::spin_loop(),
                answer => return answer,
            }
        }
    }

    fn sees_page(&self) -> bool {
        self.tell(TOUCH) == 101
    }
}

#[kernel_test]
fn a_lazy_cpu_is_left_alone_and_learns_later() {
    if cpu::count() == 1 {
        return;
    }
    sched::set_affinity(&sched::current(), 1);
    sched::yield_now();
    let space = space();
    const AREA: u64 = 0x4000_0000;
    map(&space, AREA, 64);
    let other = Other::start(&space, AREA);
    other.tell(USE);
    assert!(other.sees_page());
    // It uses the address space: it is asked, once for however many pages.
    assert_eq!(asked(|| space.unmap(AREA + PAGE, PAGE).expect("a good range")), (1, 1));
    assert_eq!(asked(|| space.unmap(AREA + 4 * PAGE, 8 * PAGE).expect("a good range")), (1, 1));
    other.tell(BE_LAZY);
    assert_eq!(asked(|| space.unmap(AREA, PAGE).expect("a good range")), (0, 0));
    assert_eq!(asked(|| space.unmap(AREA + 20 * PAGE, 10 * PAGE).expect("a good range")), (0, 0));
    // What it had cached is gone when it goes back.
    other.tell(USE);
    assert!(!other.sees_page(), "a CPU goes on with a page that was unmapped");
    // A table is released: it must leave the address space, and is not asked again.
    other.tell(BE_LAZY);
    map(&space, AREA + (1 << 30), 2);
    assert_eq!(asked(|| space.unmap(AREA + (1 << 30), 2 * PAGE).expect("a good range")), (1, 1));
    assert_eq!(asked(|| space.unmap(AREA, 64 * PAGE).expect("a good range")), (0, 0));
    other.tell(END);
    join(&other.thread);
    sched::set_affinity(&sched::current(), u64::MAX);
}

#[kernel_test]
fn a_large_change_asks_other_cpus_a_few_times() {
    if cpu::count() == 1 {
        return;
    }
    sched::set_affinity(&sched::current(), 1);
    sched::yield_now();
    let space = space();
    const AREA: u64 = 0x4000_0000;
    // 20 areas of 250 pages each, with gaps.
    let place = |index: u64| AREA + index * 300 * PAGE;
    (0..20).for_each(|index| map(&space, place(index), 250));
    let other = Other::start(&space, place(19) + 200 * PAGE);
    other.tell(USE);
    assert!(other.sees_page());
    let mut child = None;
    let fork = asked(|| child = Some(space.fork().expect("memory for a test")));
    assert_eq!(fork, (1, 1), "a fork of 5000 pages in 20 areas");
    let (requests, _) = asked(|| space.unmap(place(3), 250 * PAGE).expect("a good range"));
    assert!((1..=2).contains(&requests), "250 pages: {requests} requests");
    let (requests, _) = asked(|| space.unmap(place(19), 250 * PAGE).expect("a good range"));
    assert!((1..=2).contains(&requests), "250 pages: {requests} requests");
    assert!(!other.sees_page());
    drop(child);
    other.tell(END);
    join(&other.thread);
    sched::set_affinity(&sched::current(), u64::MAX);
}

#[kernel_test]
fn shootdowns_of_many_cpus_are_under_way_at_once() {
    const ROUNDS: u64 = 100;
    let space = space();
    let threads: Vec<_> = (0..cpu::count())
        .map(|id| {
            let space = space.clone();
            on_cpu(id, move || {
                // Each CPU changes pages of its own, in an address space of all.
                let start = 0x4000_0000 + (id as u64) * (1 << 30);
                for round in 0..ROUNDS {
                    space.activate();
                    map(&space, start, 4);
                    assert_eq!(space.write_remote(start, &round.to_le_bytes()), 8);
                    space.unmap(start, 4 * PAGE).expect("a good range");
                }
                mm::activate_kernel();
            })
        })
        .collect();
    threads.iter().for_each(|thread| join(thread));
    mm::activate_kernel();
}
