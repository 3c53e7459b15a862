//! Host tests of the page.

use super::*;
use crate::Random;
use crate::rate::SECOND_NS;
use std::sync::atomic::AtomicU64 as Counter;

fn clocks(hz: u64, mask: u64) -> Clocks {
    let line = Line { base_ns: 0, fraction: 0, rate: Rate::from_hz(hz).unwrap() };
    Clocks { source: Source::Tsc, mask, monotonic: line, raw: line, ..Clocks::STOPPED }
}

fn read(page: &ClockPage, reading: Reading, counts: u64) -> u64 {
    page.read(reading, |_| Some(counts), || panic!("nobody changes it")).unwrap()
}

fn published(clocks: &Clocks) -> ClockPage {
    let page = ClockPage::new();
    page.begin();
    page.write(clocks);
    page.end();
    page
}

#[test]
fn a_new_moment_changes_no_reading() {
    let mut random = Random(77);
    for _ in 0..2_000 {
        let hz = 10_000_000 + random.below(5_000_000_000);
        let start = Clocks { base_counts: random.next(), ..clocks(hz, u64::MAX) };
        let mut moved = start;
        let mut counts = start.base_counts;
        for _ in 0..20 {
            let step = random.below(hz * 1000);
            counts = counts.wrapping_add(step);
            moved = moved.at(counts);
            let later = counts.wrapping_add(random.below(hz));
            assert_eq!(moved.monotonic_ns(later), start.monotonic_ns(later));
            assert_eq!(read(&published(&moved), Reading::Monotonic, later), start.monotonic_ns(later));
            assert_eq!(read(&published(&moved), Reading::Raw, later), start.monotonic_ns(later));
        }
    }
}

#[test]
fn a_new_rate_never_turns_the_clock_back() {
    let mut random = Random(4711);
    let mut now = clocks(2_893_202_111, u64::MAX);
    let mut counts = 0u64;
    let mut shown = 0;
    for _ in 0..50_000 {
        counts += random.skewed() % 10_000_000;
        assert!(now.monotonic_ns(counts) >= shown);
        shown = now.monotonic_ns(counts);
        now = now.at(counts);
        now.monotonic.rate = now.raw.rate.corrected((random.below(1_000_001) as i64 - 500_000) << 32);
        assert_eq!(now.monotonic_ns(counts), shown);
    }
    let steered = now.monotonic_ns(counts);
    let raw = now.raw.base_ns;
    assert!(steered.abs_diff(raw) < raw / 2000, "500 ppm at most");
}

#[test]
fn a_narrow_counter_may_wrap_and_another_cpu_may_be_behind() {
    let hpet = Clocks { base_counts: 0xffff_ff00, ..clocks(100_000_000, 0xffff_ffff) };
    assert_eq!(hpet.monotonic_ns(0x100), 0x200 * 10);
    assert_eq!(hpet.monotonic_ns(0xffff_feff), 0);
    assert_eq!(hpet.at(0xffff_feff), hpet);
    let tsc = Clocks { base_counts: u64::MAX - 9, ..clocks(SECOND_NS, u64::MAX) };
    assert_eq!((tsc.monotonic_ns(10), tsc.monotonic_ns(u64::MAX - 20)), (20, 0));
}

#[test]
fn deadlines_and_readings_agree() {
    let mut random = Random(99);
    for _ in 0..20_000 {
        let hz = 10_000_000 + random.below(5_000_000_000);
        let mut now = clocks(hz, u64::MAX);
        now.base_counts = random.next() >> 8;
        let deadline = random.below(1 << 50);
        let counts = now.counts_at(deadline);
        assert!(now.monotonic_ns(counts) >= deadline);
        assert_eq!(published(&now).tsc_at(deadline), Some(counts));
        assert!(counts == now.base_counts || now.monotonic_ns(counts - 1) < deadline);
    }
}

#[test]
fn the_other_clocks_are_offsets_and_multiples() {
    let mut now = clocks(SECOND_NS, u64::MAX);
    (now.realtime_offset_ns, now.tai_offset_s) = (1_700_000_000 * SECOND_NS, 37);
    let page = published(&now);
    let counts = 5_123_456_789;
    assert_eq!(read(&page, Reading::Realtime, counts), 1_700_000_005_123_456_789);
    assert_eq!(read(&page, Reading::Tai, counts), 1_700_000_042_123_456_789);
    assert_eq!(read(&page, Reading::MonotonicCoarse, counts), 5_120_000_000);
    assert_eq!(read(&page, Reading::RealtimeCoarse, counts), 1_700_000_005_120_000_000);
    assert_eq!(page.read(Reading::Raw, |_| None, || None), None);
}

#[test]
fn the_shared_page_tells_what_it_was_told() {
    let page = SharedPage::new();
    assert_eq!((page.cpu_number(), page.time_zone()), (CpuNumber::Kernel, (0, 0)));
    page.set_time_zone(-120, 1);
    for how in [CpuNumber::Rdtscp, CpuNumber::Rdpid, CpuNumber::Kernel] {
        page.set_cpu_number(how);
        assert_eq!((page.cpu_number(), page.time_zone()), (how, (-120, 1)));
    }
    assert!(size_of::<SharedPage>() <= 4096);
}

#[test]
fn readers_wait_while_it_changes_and_see_no_half_written_line() {
    let page = ClockPage::new();
    page.begin();
    assert!(page.is_changing());
    assert_eq!(page.read(Reading::Monotonic, |_| Some(0), || Some(5)), Some(5));
    page.end();

    // One thread steers, the others see that time does not go back.
    static COUNTS: Counter = Counter::new(0);
    static READERS: Counter = Counter::new(2);
    let page = &published(&clocks(SECOND_NS, u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                for _ in 0..300_000 {
                    let count = |_| Some(COUNTS.fetch_add(3, Ordering::SeqCst));
                    let now = page.read(Reading::Monotonic, count, || None).unwrap();
                    assert!(now >= last, "{now} after {last}");
                    last = now;
                }
                READERS.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut now = clocks(SECOND_NS, u64::MAX);
        for round in 0..i64::MAX {
            if READERS.load(Ordering::SeqCst) == 0 {
                break;
            }
            page.begin();
            now = now.at(COUNTS.load(Ordering::SeqCst));
            now.monotonic.rate = now.raw.rate.corrected((round % 1001 - 500) * (1000 << 32) * 100);
            page.write(&now);
            page.end();
            // A reader may be waiting on this very CPU.
            std::thread::yield_now();
        }
    });
}
