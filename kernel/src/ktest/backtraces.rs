//! In-kernel tests of backtraces: through calls, switches, faults, interrupts, and off the end of a stack.

use super::report_of;
use crate::clock::monotonic_ns;
use crate::sched::{self, timer::Timer};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::backtrace::Trace;
use machine::sync::{IrqSpinLock, Once};
use machine::test::{Fault, provoke};
use test_macro::kernel_test;

/// Asserts that the lines of a backtrace contain these words in this order.
#[track_caller]
fn assert_in_order(trace: &str, words: &[&str]) {
    let mut lines = trace.lines();
    for word in words {
        assert!(lines.any(|line| line.contains(word)), "no '{word}' where it is due in:\n{trace}");
    }
}

/// No frame of it is a guess.
#[track_caller]
fn assert_sure(trace: &str) {
    assert!(!trace.lines().any(|line| line.starts_with('?')), "a guess in:\n{trace}");
}

#[inline(never)]
fn outer(depth: usize) -> String {
    let trace = middle(depth);
    // Not a tail call.
    black_box(trace)
}

#[inline(never)]
fn middle(depth: usize) -> String {
    // An array whose size makes the frame large, and a saved register or two.
    let mut filler = [depth as u64; 200];
    filler[depth] += 1;
    let trace = inner();
    black_box(&filler);
    black_box(trace)
}

#[inline(never)]
fn inner() -> String {
    let trace = Trace::here().to_string();
    black_box(trace)
}

fn assert_calls_are_named() {
    let trace = outer(black_box(7));
    assert_in_order(&trace, &["here", "inner", "middle", "outer", "thread_main", "task_start"]);
    assert_sure(&trace);
}

#[kernel_test]
fn a_backtrace_names_all_callers() {
    assert_calls_are_named();
}

#[inline(never)]
fn sleep_here(may_end: &AtomicBool) {
    while !may_end.load(Ordering::Acquire) {
        sched::sleep_until(monotonic_ns() + 1_000_000_000);
    }
    black_box(());
}

#[kernel_test]
fn a_thread_that_sleeps_shows_where() {
    let may_end = Arc::new(AtomicBool::new(false));
    let flag = may_end.clone();
    let thread = sched::spawn("sleeper", move || sleep_here(&flag)).expect("there is memory");
    let trace = loop {
        let trace = sched::backtrace(&thread).map(|trace| trace.to_string()).unwrap_or_default();
        if trace.contains("sleep_here") {
            break trace;
        }
        sched::yield_now();
    };
    may_end.store(true, Ordering::Release);
    thread.unpark();
    assert_in_order(&trace, &["park", "sleep_until", "sleep_here", "thread_main", "task_start"]);
    assert_sure(&trace);
}

#[inline(never)]
fn mistake(fault: Fault) {
    provoke(black_box(fault));
}

#[kernel_test]
fn a_fault_in_the_kernel_is_shown_between_its_handler_and_its_cause() {
    for (fault, message, mark) in [
        (Fault::NullRead, "cannot read absent page at 0x8", "<page fault>"),
        (Fault::NonCanonicalRead, "general protection in the kernel", "<general protection>"),
        (Fault::InvalidOpcode, "invalid opcode in the kernel", "<invalid opcode>"),
    ] {
        let report = report_of(move || mistake(fault)).expect("it panics");
        assert_in_order(
            &report,
            &[message, "kernel_trap", "trap", mark, "provoke", "mistake", "thread_main"],
        );
        assert_sure(&report);
    }
}

#[inline(never)]
fn sink(depth: u64) -> u64 {
    let filler = black_box([depth; 16]);
    if depth == 0 { filler[3] } else { sink(depth - 1) + filler[5] }
}

#[kernel_test]
fn a_recursion_without_end_is_a_stack_overflow_with_a_backtrace() {
    let report = report_of(|| {
        black_box(sink(black_box(1 << 40)));
    });
    let report = report.expect("it panics");
    assert_in_order(
        &report,
        &["a guard page: the stack of thread", "<double fault>", "sink", "sink", "sink"],
    );
    // The stack is intact, and another thread can have it.
    assert_calls_are_named();
}

/// Waits in a function of its own for what an interrupt brings.
#[inline(never)]
fn spin_until<T>(place: &Once<T>) {
    while !place.is_completed() {
        core::hint::spin_loop();
    }
    black_box(());
}

#[kernel_test]
fn an_interrupt_shows_what_it_interrupted() {
    static TRACES: IrqSpinLock<Vec<String>> = IrqSpinLock::new("test traces", Vec::new());
    TRACES.lock().clear();
    for _ in 0..20 {
        // The timer goes off on the CPU that sets it.
        let done = Arc::new(Once::new());
        let guard = machine::cpu::disable_preemption();
        let flag = done.clone();
        let call = Arc::new(move || {
            TRACES.lock().push(Trace::here().to_string());
            flag.call_once(|| ());
        });
        let timer = Timer::new(call);
        timer.set(monotonic_ns() + 300_000);
        spin_until(&done);
        drop(guard);
        drop(timer);
    }
    let traces = core::mem::take(&mut *TRACES.lock());
    assert_eq!(traces.len(), 20);
    for trace in &traces {
        assert_in_order(trace, &["kernel_trap", "<interrupt 0xf0>", "an_interrupt_shows", "thread_main"]);
        assert_sure(trace);
    }
    assert!(traces.iter().any(|trace| trace.contains("spin_until")), "{}", traces[0]);
}

#[inline(never)]
fn give_up(number: u64) {
    panic!("give_up with {number}");
}

#[kernel_test]
fn a_panic_is_reported_with_its_backtrace() {
    let report = report_of(|| give_up(black_box(3))).expect("it panics");
    assert_in_order(&report, &["give_up with 3 (", "panic_fmt", "give_up", "thread_main"]);
    assert_sure(&report);
    assert_eq!(report_of(|| {}), None);
}

#[kernel_test]
fn a_thread_shows_how_much_of_its_stack_it_has_used() {
    let used_at = |depth: u64| {
        let thread = sched::spawn("stack user", move || {
            black_box(sink(black_box(depth)));
        });
        let thread = thread.expect("there is memory");
        while thread.state() != sched::State::Exited {
            sched::yield_now();
        }
        let stack = sched::watch::stack_use(&thread).expect("its stack is its own");
        assert!(stack.used < stack.size);
        stack.used
    };
    // The second may get the first one's stack. Both are deeper than a thread's beginning and end.
    let (deep, less) = (used_at(80), used_at(40));
    assert!(deep > less + 40 * 64, "80 calls: {deep}; 40 calls: {less}");
    // Another CPU may be the one that frees the thread, a little later.
    while sched::watch::deepest_stack().expect("there are threads").used < deep {
        sched::yield_now();
    }
}
