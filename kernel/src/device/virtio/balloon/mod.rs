//! virtio-balloon: memory that the host wants to have for a while (virtio 1.2, section 5.5).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the driver, and its thread, which does what the host wishes |
//! | `pages.rs` | the balloon: frames that the host has, and how it is told |
//! | `statistics.rs` | what the host gets to know of memory |
//!
//! The host writes into the configuration how many pages the balloon is to have. It gets what is free above a
//! [reserve](growable) and what caches give without waiting; what is missing is tried again later, and not while others wait for
//! memory. So a balloon that grows kills nobody. If the device can bear that ([`feature::DEFLATE_ON_OOM`]), the balloon is
//! let out [before a process is killed](give_back); it then grows again only when the host changes its mind.
//!
//! As on Linux the memory of a balloon is missing in MemTotal, unless it comes back when it is needed.

mod pages;
mod statistics;
#[cfg(feature = "tests")]
mod tests;

use super::session::Session;
use super::{VirtioDevice, kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::error::Result;
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::mm;
use machine::sync::SpinLock;
use machine::time;
use pages::Pages;
use statistics::Reporter;

/// What the driver makes use of (section 5.5.3).
mod feature {
    /// A page may be used again only when the device knows. It always gets to know first.
    pub(super) const MUST_TELL_HOST: u64 = 1 << 0;
    /// The host wants statistics: there is a queue for them.
    pub(super) const STATS_VQ: u64 = 1 << 1;
    /// The balloon may be let out when memory runs out.
    pub(super) const DEFLATE_ON_OOM: u64 = 1 << 2;
    pub(super) const ALL: u64 = MUST_TELL_HOST | STATS_VQ | DEFLATE_ON_OOM;
}

/// Queues.
mod queue {
    pub(super) const INFLATE: u16 = 0;
    pub(super) const DEFLATE: u16 = 1;
    pub(super) const STATISTICS: u16 = 2;
}

/// Offsets in the configuration: pages that the host wants to have, and that it has.
mod config {
    pub(super) const WANTED: usize = 0;
    pub(super) const ACTUAL: usize = 4;
}

/// When a balloon that could not grow tries again.
const RETRY_NS: u64 = 1_000_000_000;

/// Those in service.
static BALLOONS: SpinLock<Vec<Arc<Balloon>>> = SpinLock::new("virtio-balloons", Vec::new());
/// Pages that ever went to hosts and came back (/proc/vmstat).
static INFLATED: AtomicU64 = AtomicU64::new(0);
static DEFLATED: AtomicU64 = AtomicU64::new(0);

/// Pages that ever went into balloons, and that came out of them.
pub(crate) fn counts() -> (u64, u64) {
    (INFLATED.load(Ordering::Relaxed), DEFLATED.load(Ordering::Relaxed))
}

/// Lets balloons out, as far as their devices can bear it, until `needed` frames are free; tells whether any came back. Waits
/// for devices, for a bounded time.
pub(crate) fn give_back(needed: usize) -> bool {
    let balloons = BALLOONS.lock().clone();
    let mut has_come = false;
    for balloon in balloons.iter().filter(|balloon| balloon.session.has(feature::DEFLATE_ON_OOM)) {
        balloon.is_needed.store(true, Ordering::Release);
        let mut pages = balloon.pages.lock();
        while (!has_come || mm::free_frames() < needed) && pages.deflate(&balloon.session, pages::BATCH) > 0 {
            has_come = true;
        }
    }
    has_come
}

/// The driver.
pub(crate) struct BalloonDriver;

impl Driver<VirtioDevice> for BalloonDriver {
    fn name(&self) -> &'static str {
        "virtio_balloon"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::BALLOON
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let balloon = Balloon::start(device)?;
        let worker = balloon.clone();
        sched::spawn("virtio-balloon", move || worker.work())?;
        BALLOONS.lock().push(balloon.clone());
        Ok(Box::new(InUse(balloon)))
    }
}

struct InUse(Arc<Balloon>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(balloon) = *self;
        BALLOONS.lock().retain(|known| !Arc::ptr_eq(known, &balloon));
        balloon.is_gone.store(true, Ordering::Release);
        balloon.news.wake_all();
        wait_until_alone(&balloon);
        balloon.pages.lock().deflate_all(&balloon.session);
        balloon.session.stop();
        balloon.session.silence();
    }
}

/// A device in service.
struct Balloon {
    // Dropped first: the device is reset before the queues' memory goes.
    session: Session,
    pages: Mutex<Pages>,
    reporter: Option<SpinLock<Reporter>>,
    /// Woken by each interrupt.
    news: Arc<WaitQueue>,
    /// Memory has run out since the host said how large the balloon is to be: it does not grow.
    is_needed: AtomicBool,
    is_gone: AtomicBool,
}

impl Balloon {
    fn start(device: &VirtioDevice) -> Result<Arc<Self>> {
        let session = device.start(feature::ALL)?;
        let news = Arc::new(WaitQueue::named("virtio-balloon"));
        let pages = Mutex::new("virtio-balloon", Pages::new(&session, news.clone())?);
        let reporter = match session.has(feature::STATS_VQ) {
            true => Some(SpinLock::new("virtio-balloon statistics", Reporter::new(&session)?)),
            false => None,
        };
        let interrupted = news.clone();
        session.set_handler("virtio-balloon", Arc::new(move || interrupted.wake_all()));
        session.set_ready();
        let (is_needed, is_gone) = (AtomicBool::new(false), AtomicBool::new(false));
        let balloon = Self { session, pages, reporter, news, is_needed, is_gone };
        if let Some(reporter) = &balloon.reporter {
            // The device keeps this until it wants to know more.
            reporter.lock().answer(&balloon.session, &statistics::message());
        }
        log::info!("balloon: {} may have memory", device.node().name());
        Ok(Arc::new(balloon))
    }

    fn wanted(&self) -> usize {
        self.session.config::<u32>(config::WANTED) as usize
    }

    /// Does what the host wishes, until the device is taken away.
    fn work(&self) {
        let (mut last_wanted, mut last_stalls) = (self.wanted(), stalls());
        while !self.is_gone.load(Ordering::Acquire) {
            let wanted = self.wanted();
            if wanted != last_wanted {
                self.is_needed.store(false, Ordering::Release);
            }
            last_wanted = wanted;
            if let Some(reporter) = &self.reporter {
                let text = statistics::message();
                reporter.lock().answer(&self.session, &text);
            }
            // What others wait for is theirs.
            let stalls = stalls();
            let may_grow = core::mem::replace(&mut last_stalls, stalls) == stalls;
            match self.approach(wanted, may_grow) {
                Moved::On => {}
                Moved::There => self.news.wait_for_work(|| self.reason(last_wanted)),
                Moved::NotNow => {
                    let deadline = time::monotonic_ns() + RETRY_NS;
                    // Time over is a reason too.
                    self.news.wait_for_work_until(deadline, || self.reason(last_wanted)).unwrap_or(());
                }
            }
        }
    }

    /// Whether there is something to do.
    fn reason(&self, last_wanted: usize) -> Option<()> {
        let is_asked = || self.reporter.as_ref().is_some_and(|reporter| reporter.lock().is_asked());
        let is_gone = self.is_gone.load(Ordering::Acquire);
        (is_gone || self.wanted() != last_wanted || is_asked()).then_some(())
    }

    /// Makes one step to the size that the host wishes.
    fn approach(&self, wanted: usize, may_grow: bool) -> Moved {
        let mut pages = self.pages.lock();
        if pages.is_broken() {
            return Moved::There;
        }
        let held = pages.held();
        if held > wanted {
            return if pages.deflate(&self.session, held - wanted) > 0 { Moved::On } else { Moved::There };
        }
        if held == wanted || self.is_needed.load(Ordering::Acquire) {
            return Moved::There;
        }
        let most = if may_grow { growable().min(wanted - held) } else { 0 };
        match pages.inflate(&self.session, most) {
            0 => Moved::NotNow,
            _ => Moved::On,
        }
    }
}

/// What became of a step.
enum Moved {
    /// It was made; there may be more to do.
    On,
    /// There was too little memory.
    NotNow,
    /// There is nothing to do.
    There,
}

fn stalls() -> u64 {
    crate::mm::reclaim_counts().1
}

/// How many frames a balloon can have now: those that are free beyond twice of where caches stop to give any back.
fn growable() -> usize {
    let reserve = 2 * mm::watermarks().high;
    let free = mm::free_frames();
    if free <= reserve {
        crate::mm::release_unused(pages::BATCH);
    }
    mm::free_frames().saturating_sub(reserve)
}
