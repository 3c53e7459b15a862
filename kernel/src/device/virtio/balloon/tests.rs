//! The balloon against devices that tests play.

use super::super::played::{Act, Chain, Played, Script};
use super::*;
use alloc::collections::BTreeSet;
use machine::addr::PAGE_SIZE;
use machine::sync::IrqSpinLock;
use test_macro::kernel_test;

const SECOND_NS: u64 = 1_000_000_000;

/// Waits for something that happens in other threads; a failure if it does not.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = time::monotonic_ns() + 20 * SECOND_NS;
    while !condition() {
        assert!(time::monotonic_ns() < deadline, "still waiting: {what}");
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
}

/// What a host knows.
#[derive(Default)]
struct Host {
    pages: BTreeSet<u32>,
    statistics: Vec<u8>,
    is_confused: bool,
}

fn numbers(message: &[u8]) -> impl Iterator<Item = u32> {
    message.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

/// A host that does what it should.
fn honest(host: &Arc<IrqSpinLock<Host>>) -> Script {
    let host = host.clone();
    Box::new(move |chain: &Chain| {
        let message = chain.read();
        let mut host = host.lock();
        match chain.queue {
            queue::INFLATE => numbers(&message).for_each(|page| host.is_confused |= !host.pages.insert(page)),
            queue::DEFLATE => {
                numbers(&message).for_each(|page| host.is_confused |= !host.pages.remove(&page))
            }
            _ => {
                host.statistics = message;
                return Act::Keep;
            }
        }
        Act::Done(0)
    })
}

fn new_host() -> Arc<IrqSpinLock<Host>> {
    Arc::new(IrqSpinLock::new("played host", Host::default()))
}

struct Setting {
    device: Arc<Played>,
    balloon: Arc<Balloon>,
    service: Option<Box<dyn InService>>,
}

impl Setting {
    fn new(features: u64, script: Script) -> Self {
        let device = Played::new(kind::BALLOON, features, script);
        let service = BalloonDriver.attach(&device.on_bus()).expect("the driver takes it");
        let balloon = BALLOONS.lock().last().cloned().expect("it is in service");
        Self { device, balloon, service: Some(service) }
    }

    /// The host wishes another size.
    fn wish(&self, pages: u32) {
        self.device.config().write(config::WANTED, pages);
        self.device.interrupt();
    }

    fn actual(&self) -> usize {
        self.device.config().read::<u32>(config::ACTUAL) as usize
    }

    fn remove(mut self) -> Arc<Played> {
        let device = self.device.clone();
        // The driver waits until nobody else has the balloon.
        let service = self.service.take().expect("it is removed once");
        drop(self);
        service.remove();
        device
    }
}

#[kernel_test]
fn a_balloon_takes_what_is_wished_and_total_memory_tells() {
    let host = new_host();
    let before = mm::statistics();
    let setting = Setting::new(feature::MUST_TELL_HOST, honest(&host));
    for pages in [1000_u32, 1, 777, 300, 256, 0] {
        setting.wish(pages);
        wait_for("the size", || setting.actual() == pages as usize);
        assert_eq!(host.lock().pages.len(), pages as usize);
        let now = mm::statistics();
        assert_eq!((now.lent, now.total), (before.lent + pages as usize, before.total - pages as usize));
    }
    setting.wish(500);
    wait_for("the size", || setting.actual() == 500);
    assert!(setting.remove().is_reset());
    let host = host.lock();
    assert!(host.pages.is_empty() && !host.is_confused, "a removed balloon is let out");
    let after = mm::statistics();
    assert_eq!((after.lent, after.total), (before.lent, before.total));
}

#[kernel_test]
fn a_wish_for_all_memory_leaves_a_reserve_and_kills_nobody() {
    let host = new_host();
    let kills = crate::process::oom::kills();
    let setting = Setting::new(0, honest(&host));
    setting.wish(u32::MAX);
    let limits = mm::watermarks();
    wait_for("memory to be few", || mm::free_frames() <= 2 * limits.high);
    // What a program needs now is there.
    let frame = crate::mm::allocate_zeroed().expect("a reserve is left");
    assert!(mm::free_frames() > limits.low);
    assert_eq!(crate::process::oom::kills(), kills);
    drop(frame);
    setting.wish(0);
    wait_for("the balloon to be empty", || setting.actual() == 0 && host.lock().pages.is_empty());
    setting.remove();
}

#[kernel_test]
fn a_balloon_is_let_out_when_memory_runs_out_and_waits_for_another_wish() {
    let host = new_host();
    let total = mm::statistics().total;
    let setting = Setting::new(feature::DEFLATE_ON_OOM, honest(&host));
    setting.wish(2000);
    wait_for("the size", || setting.actual() == 2000);
    assert_eq!(mm::statistics().total, total, "what comes back when it is needed counts");
    assert!(give_back(mm::free_frames() + 300));
    let left = setting.actual();
    assert!((1..=1700).contains(&left), "{left}");
    // Another interrupt is no other wish.
    setting.device.interrupt();
    assert!(give_back(0));
    assert!(setting.actual() < left);
    setting.wish(1999);
    wait_for("the size", || setting.actual() == 1999);
    setting.remove();
    assert!(host.lock().pages.is_empty());
}

#[kernel_test]
fn a_balloon_that_may_not_be_let_out_is_not() {
    let host = new_host();
    let setting = Setting::new(feature::MUST_TELL_HOST, honest(&host));
    setting.wish(300);
    wait_for("the size", || setting.actual() == 300);
    assert!(!give_back(mm::free_frames() + 1));
    assert_eq!(host.lock().pages.len(), 300);
    setting.remove();
}

#[kernel_test]
fn a_device_that_lies_or_is_silent_is_stopped_and_its_pages_come_back() {
    let lent = mm::statistics().lent;
    let lies: [fn(&Chain) -> Act; 4] = [
        // It has written into what it was to read.
        |_| Act::Done(1),
        |_| Act::Other(7, 0),
        |_| Act::Other(u32::MAX, u32::MAX),
        |_| Act::Keep,
    ];
    for lie in lies {
        let setting = Setting::new(0, Box::new(lie));
        setting.balloon.pages.lock().set_limit(SECOND_NS / 20);
        setting.wish(1000);
        wait_for("the device to be stopped", || setting.device.is_reset());
        wait_for("its pages", || mm::statistics().lent == lent);
        // It says all it likes; nobody listens.
        setting.wish(5);
        assert!(!give_back(usize::MAX));
        setting.remove();
    }
    assert_eq!(mm::statistics().lent, lent);
}

#[kernel_test]
fn a_device_that_must_be_told_and_does_not_listen_keeps_its_pages() {
    let host = new_host();
    let setting = Setting::new(feature::MUST_TELL_HOST | feature::DEFLATE_ON_OOM, honest(&host));
    setting.wish(10);
    wait_for("the size", || setting.actual() == 10);
    setting.balloon.pages.lock().set_limit(SECOND_NS / 20);
    setting.device.resume(Box::new(|_| Act::Keep));
    let lent = mm::statistics().lent;
    assert!(!give_back(usize::MAX));
    assert!(setting.device.is_reset());
    setting.remove();
    assert_eq!(mm::statistics().lent, lent, "nobody knows what the host does with them");
}

#[kernel_test]
fn statistics_are_sent_whenever_the_device_asks() {
    let host = new_host();
    let setting = Setting::new(feature::STATS_VQ, honest(&host));
    for _ in 0..100 {
        let message = core::mem::take(&mut host.lock().statistics);
        let figures: Vec<(u16, u64)> = message
            .chunks_exact(10)
            .map(|figure| {
                let (tag, value) = figure.split_at(2);
                let tag = u16::from_le_bytes(tag.try_into().expect("two bytes"));
                (tag, u64::from_le_bytes(value.try_into().expect("eight bytes")))
            })
            .collect();
        assert_eq!(figures.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [0, 1, 4, 5, 6, 7]);
        let total = (mm::statistics().total * PAGE_SIZE) as u64;
        assert!(figures.iter().all(|(tag, value)| *value <= total && (*tag != 5 || *value == total)));
        // It has one, and wants another.
        let (mut is_first, mut next) = (true, honest(&host));
        setting.device.resume(Box::new(move |chain| match core::mem::take(&mut is_first) {
            true => Act::Done(0),
            false => next(chain),
        }));
        wait_for("figures", || !host.lock().statistics.is_empty());
    }
    setting.remove();
}
