//! Tests of interrupt lines: who may claim one, where it goes, and what ends a storm.

use crate::clock::monotonic_ns;
use crate::sched;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use machine::cpu;
use machine::irq::{self, Claim, Handled, IrqError, IrqLine, LineInfo, Trigger};
use machine::sync::{IrqSpinLock, Once};
use test_macro::kernel_test;

/// An ISA interrupt that nothing here uses: the PS/2 mouse's.
const UNUSED_IRQ: u8 = 5;
/// An input of the I/O APIC that no device of the test machine is wired to.
const UNUSED_INPUT: u32 = 19;
const PATIENCE_NS: u64 = 20_000_000_000;

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = monotonic_ns() + PATIENCE_NS;
    while !is_so() {
        assert!(monotonic_ns() < deadline, "waited in vain: {what}");
        sched::yield_now();
    }
}

fn info(number: u32) -> LineInfo {
    irq::lines().into_iter().find(|line| line.number == number).expect("the line is claimed")
}

#[kernel_test]
fn an_exclusive_line_has_one_owner() {
    let claim = || IrqLine::claim_isa(UNUSED_IRQ, Claim::Exclusive);
    let line = claim().expect("nobody uses it");
    assert_eq!(line.number(), u32::from(UNUSED_IRQ));
    assert_eq!(claim().err(), Some(IrqError::Claimed));
    assert_eq!(IrqLine::claim_isa(UNUSED_IRQ, Claim::Shared).err(), Some(IrqError::Claimed));
    drop(line);
    assert!(claim().is_ok());
    assert_eq!(IrqLine::claim_isa(16, Claim::Exclusive).err(), Some(IrqError::NoSuchLine));
    assert_eq!(
        IrqLine::claim_wired(100_000, Trigger::LowLevel, Claim::Shared).err(),
        Some(IrqError::NoSuchLine)
    );
}

#[kernel_test]
fn a_line_is_shared_only_if_all_say_so_and_the_same() {
    let claim = |trigger, claim| IrqLine::claim_wired(UNUSED_INPUT, trigger, claim);
    let first = claim(Trigger::LowLevel, Claim::Shared).expect("nobody uses it");
    let second = claim(Trigger::LowLevel, Claim::Shared).expect("it is shared");
    assert_eq!(first.vector(), second.vector());
    assert_eq!(claim(Trigger::RisingEdge, Claim::Shared).err(), Some(IrqError::Claimed));
    assert_eq!(claim(Trigger::LowLevel, Claim::Exclusive).err(), Some(IrqError::Claimed));
    first.set_handler("first", Box::new(|| Handled::No));
    second.set_handler("second", Box::new(|| Handled::No));
    assert_eq!(info(UNUSED_INPUT).names, ["first", "second"]);
    drop(first);
    assert_eq!(info(UNUSED_INPUT).names, ["second"]);
    assert_eq!(claim(Trigger::LowLevel, Claim::Exclusive).err(), Some(IrqError::Claimed));
    drop(second);
    assert!(claim(Trigger::LowLevel, Claim::Exclusive).is_ok());
}

#[kernel_test]
fn messages_are_masked_written_moved_and_masked_again() {
    let written = Arc::new(IrqSpinLock::new("test messages", Vec::new()));
    let log = written.clone();
    let line =
        IrqLine::allocate_message(Box::new(move |message| log.lock().push(message))).expect("a vector");
    let other = IrqLine::allocate_message(Box::new(|_| ())).expect("another vector");
    assert_ne!(line.vector(), other.vector());
    assert_eq!(*written.lock(), [None]);
    line.set_handler("test", Box::new(|| Handled::Yes));
    let message = written.lock().last().copied().flatten().expect("it is written with the handler");
    assert_eq!(message.data, u32::from(line.vector()));
    let target = |address: u64| (address >> 12 & 0xff) as u32;
    let here = info(line.number()).target;
    assert_eq!(message.address & !0xff000, 0xfee0_0000);
    assert_eq!(Some(target(message.address)), cpu::apic_id(here));
    if let Some(there) = (0..cpu::count()).find(|&id| id != here) {
        written.lock().clear();
        irq::set_affinity(line.number(), 1 << there).expect("it runs");
        let moved: Vec<_> = written.lock().iter().map(|m| m.map(|m| target(m.address))).collect();
        assert_eq!(moved, [None, cpu::apic_id(there)]);
    }
    let vector = line.vector();
    drop(line);
    assert_eq!(written.lock().last(), Some(&None));
    assert_eq!(IrqLine::allocate_message(Box::new(|_| ())).expect("the same again").vector(), vector);
}

#[kernel_test]
fn a_line_interrupts_the_cpu_that_it_is_sent_to() {
    static SEEN: AtomicUsize = AtomicUsize::new(usize::MAX);
    let line = IrqLine::allocate_software().expect("a vector");
    line.set_handler(
        "test",
        Box::new(|| {
            assert!(!cpu::interrupts_enabled());
            SEEN.store(cpu::current_id(), Ordering::Release);
            Handled::Yes
        }),
    );
    for id in 0..cpu::count() {
        SEEN.store(usize::MAX, Ordering::Release);
        irq::set_affinity(line.number(), 1 << id).expect("it runs");
        line.raise();
        wait_until("the interrupt", || SEEN.load(Ordering::Acquire) != usize::MAX);
        assert_eq!(SEEN.load(Ordering::Acquire), id);
        assert_eq!(info(line.number()).counts[id], 1);
    }
    assert_eq!(irq::set_affinity(line.number(), 0), Err(IrqError::NoCpu));
    assert_eq!(irq::set_affinity(100_000, 1), Err(IrqError::NoSuchLine));
    if cpu::count() < cpu::MAX_CPUS {
        assert_eq!(irq::set_affinity(line.number(), 1 << cpu::count()), Err(IrqError::NoCpu));
    }
}

#[kernel_test]
fn lines_are_spread_over_the_cpus() {
    let lines: Vec<_> = (0..2 * cpu::count())
        .map(|_| {
            let line = IrqLine::allocate_software().expect("a vector");
            line.set_handler("test", Box::new(|| Handled::Yes));
            line
        })
        .collect();
    for id in 0..cpu::count() {
        let here = lines.iter().filter(|line| info(line.number()).target == id).count();
        assert!(here >= 1, "no line for CPU {id}");
    }
}

#[kernel_test]
fn a_line_that_nobody_cares_for_is_disabled() {
    static LINE: Once<IrqLine> = Once::new();
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let line = LINE.call_once(|| IrqLine::allocate_software().expect("a vector"));
    line.set_handler(
        "test",
        Box::new(move || {
            CALLS.fetch_add(1, Ordering::Relaxed);
            // Without end: only the disabled line is silent.
            line.raise();
            Handled::No
        }),
    );
    line.raise();
    wait_until("the line to be disabled", || info(line.number()).is_disabled);
    let calls = CALLS.load(Ordering::Relaxed);
    assert_eq!(info(line.number()).unhandled, calls);
    line.raise();
    sched::sleep_until(monotonic_ns() + 1_000_000);
    assert_eq!(CALLS.load(Ordering::Relaxed), calls, "a disabled line still interrupts");
}

#[kernel_test]
fn a_line_that_never_rests_leaves_the_cpu_time() {
    static LINE: Once<IrqLine> = Once::new();
    static GOES_ON: AtomicBool = AtomicBool::new(true);
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let line = LINE.call_once(|| IrqLine::allocate_software().expect("a vector"));
    line.set_handler(
        "test",
        Box::new(move || {
            CALLS.fetch_add(1, Ordering::Relaxed);
            if GOES_ON.load(Ordering::Relaxed) {
                line.raise();
            }
            Handled::Yes
        }),
    );
    // On the CPU of this very thread, which would never run again.
    let thread = sched::current();
    let affinity = thread.affinity();
    sched::set_affinity(&thread, 1);
    sched::yield_now();
    irq::set_affinity(line.number(), 1).expect("it runs");
    line.raise();
    // This is reached only while the line keeps quiet.
    wait_until("the first storm", || CALLS.load(Ordering::Relaxed) >= 1000);
    assert_eq!(cpu::current_id(), 0);
    let before = CALLS.load(Ordering::Relaxed);
    line.raise();
    wait_until("the line to go on", || {
        // It has lost the interrupt that was raised while it was closed.
        line.raise();
        CALLS.load(Ordering::Relaxed) > before
    });
    GOES_ON.store(false, Ordering::Relaxed);
    assert!(!info(line.number()).is_disabled);
    sched::set_affinity(&thread, affinity);
}
