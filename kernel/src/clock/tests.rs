//! In-kernel tests of the clocks: what no program can see.

use super::{SECOND_NS, monotonic_ns};
use core::ops::Range;
use machine::time::{self, CounterKind};
use test_macro::kernel_test;
use timekeeping::calendar::DateTime;

#[kernel_test]
fn clocks_go_on_when_they_change_their_counter() {
    let original = time::current_counter();
    let others: alloc::vec::Vec<_> = time::available_counters().collect();
    let mut last = monotonic_ns();
    for _ in 0..50 {
        for kind in others.iter().copied().chain([original]) {
            assert!(time::use_counter(kind) && time::current_counter() == kind);
            for _ in 0..20 {
                let now = monotonic_ns();
                assert!(now >= last && now - last < SECOND_NS, "{last} then {now} by {}", kind.name());
                last = now;
            }
        }
    }
    crate::sched::timer::clock_was_set();
}

#[kernel_test]
fn sleeping_works_by_the_hpet_as_well() {
    let original = time::current_counter();
    if !time::use_counter(CounterKind::Hpet) {
        return;
    }
    crate::sched::timer::clock_was_set();
    for length_ns in [1_000, 100_000, 3_000_000] {
        let deadline_ns = monotonic_ns() + length_ns;
        crate::sched::sleep_until(deadline_ns);
        let now = monotonic_ns();
        assert!(now >= deadline_ns && now < deadline_ns + SECOND_NS, "{deadline_ns} was {now}");
    }
    assert!(time::use_counter(original));
    crate::sched::timer::clock_was_set();
}

/// The steered clock between two looks at the raw one, however much time passed between the three: its moment lies in
/// the range.
struct Moment {
    steered: u64,
    raw: Range<u64>,
}

impl Moment {
    fn now() -> Self {
        let before = time::raw_ns();
        let steered = monotonic_ns();
        Self { steered, raw: before..time::raw_ns() }
    }
}

#[kernel_test]
fn a_turned_rate_is_the_rate_that_shows() {
    // A tenth fast, by the steered clock and by the counter's own.
    time::steer((SECOND_NS as i64 / 10) << 32);
    let first = Moment::now();
    let (steered, shortest, longest) = loop {
        let last = Moment::now();
        let shortest = last.raw.start.saturating_sub(first.raw.end);
        let longest = last.raw.end.saturating_sub(first.raw.start);
        // So long that what passed within the looks cannot hide the tenth, whatever kept this thread from its CPU.
        if shortest > 5_000_000 && (longest - shortest) * 50 < longest {
            break (last.steered - first.steered, shortest, longest);
        }
    };
    time::steer(0);
    crate::sched::timer::clock_was_set();
    // Each look cuts off what is left of a nanosecond, and so does this division.
    let due = |raw: u64| raw * 11 / 10;
    assert!(
        (due(shortest).saturating_sub(2)..=due(longest) + 2).contains(&steered),
        "{steered} ns against {shortest} to {longest} ns"
    );
}

#[kernel_test]
fn the_cmos_clock_keeps_what_is_written() {
    let Ok(before) = time::read_rtc() else { return };
    for date in [
        DateTime { year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 30 },
        DateTime { year: 2031, month: 12, day: 1, hour: 12, minute: 0, second: 0 },
        DateTime { year: 2026, month: 1, day: 31, hour: 0, minute: 1, second: 2 },
    ] {
        time::write_rtc(&date).expect("it can show that");
        let shown = time::read_rtc().expect("it shows something");
        assert!(shown.to_unix() - date.to_unix() <= 10, "{date:?} became {shown:?}");
    }
    time::write_rtc(&before).expect("it showed that");
}

#[kernel_test]
fn the_vdso_is_a_shared_object_of_whole_pages() {
    let frame = time::vdso_frame(0).expect("memory");
    let mut head = [0; 20];
    frame.read(0, &mut head);
    assert_eq!(&head[..4], b"\x7fELF");
    // ET_DYN for x86-64.
    assert_eq!((head[16], head[18]), (3, 62));
    assert!(time::vdso_length() <= 4 * machine::addr::PAGE_SIZE, "{} bytes", time::vdso_length());
}
