//! The other side of a line: an open waits for it, and when it goes the terminal is hung up. And the last close, which
//! lets output leave before it says goodbye.
//!
//! All of that is for lines with modem lines, and as Linux does it: who sets CLOCAL, or opens with O_NONBLOCK, does not care
//! about the carrier; close_delay and closing_wait are what setserial(8) sets. Carriers go in interrupts, hanging up
//! sleeps: a thread does it.

use super::{TTYS, Tty};
use crate::clock;
use crate::error::Result;
use crate::sched::{self, wait::WaitQueue};
use abi::tty::ControlFlags;
use core::sync::atomic::{AtomicBool, Ordering};

/// How a line closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// How long output may still leave: nanoseconds; `None`: as long as it takes, 0: not at all.
    pub(crate) drain_ns: Option<u64>,
    /// How long the other side is to see that nobody is here, if somebody waits for it to come back.
    pub(crate) delay_ns: u64,
}

/// Whether the other side of a line is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Here,
    Gone,
}

/// Terminals that are to be hung up say so themselves; this says that there are some.
static HAS_LOST: AtomicBool = AtomicBool::new(false);
static LOST: WaitQueue = WaitQueue::named("tty-hang-up");

/// Starts the thread that hangs up.
///
/// # Errors
/// ENOMEM.
pub(super) fn init() -> Result<()> {
    let body = || loop {
        LOST.wait_for_work(|| HAS_LOST.swap(false, Ordering::AcqRel).then_some(()));
        let all = TTYS.lock().clone();
        for tty in all.iter().filter(|tty| tty.has_lost_carrier.swap(false, Ordering::AcqRel)) {
            tty.hang_up();
        }
    };
    sched::spawn("tty-hang-up", body).map(drop)
}

impl Tty {
    fn is_local(&self) -> bool {
        self.settings().control().contains(ControlFlags::CLOCAL)
    }

    /// The carrier has come or gone. Any context.
    pub(super) fn carrier_changed(&self, carrier: Carrier) {
        match carrier {
            Carrier::Here => self.connected.wake_all(),
            Carrier::Gone if self.is_local() => {}
            Carrier::Gone => {
                self.has_lost_carrier.store(true, Ordering::Release);
                HAS_LOST.store(true, Ordering::Release);
                LOST.wake_one();
            }
        }
    }

    /// Waits until the other side is there, for an open. Who has said by CLOCAL when it began that this does not matter
    /// does not wait.
    ///
    /// # Errors
    /// A restartable EINTR.
    pub(super) fn wait_for_carrier(&self) -> Result<()> {
        if self.is_local() || self.line().carrier() == Carrier::Here {
            return Ok(());
        }
        self.waiting_opens.fetch_add(1, Ordering::AcqRel);
        self.line().announce();
        let is_here = || (self.line().carrier() == Carrier::Here).then_some(());
        let outcome = self.connected.wait_interruptible(is_here, None);
        self.waiting_opens.fetch_sub(1, Ordering::AcqRel);
        if outcome.is_err() && !self.is_open() {
            self.line().last_closed();
        }
        outcome
    }

    /// When the last file is closed: output leaves, unless it is stopped or nobody takes it for too long.
    pub(super) fn drain_at_close(&self) {
        let drain_ns = self.line().closing().drain_ns;
        if drain_ns == Some(0) {
            return;
        }
        if self.input.lock().discipline.is_stopped() {
            return self.line().discard_output();
        }
        let deadline = drain_ns.map(|limit| clock::monotonic_ns().saturating_add(limit));
        let is_sent = || (self.line().waiting() == 0).then_some(());
        // What has not left by then, or when a signal comes, is lost with the line.
        let _ = self.writable.wait_interruptible(is_sent, deadline);
    }

    /// Behind the last close, or a hang-up: whoever waits for the carrier goes on waiting, and the other side is told so
    /// after a while.
    pub(super) fn reopen_for_those_who_wait(&self) {
        if self.waiting_opens.load(Ordering::Acquire) > 0 {
            sched::sleep_until(clock::monotonic_ns().saturating_add(self.line().closing().delay_ns));
            self.line().announce();
            self.connected.wake_all();
        }
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use crate::tty::{Line, serial};
    use abi::stat::DeviceNumber;
    use abi::tty::Termios;
    use alloc::{boxed::Box, string::String, sync::Arc};
    use core::sync::atomic::{AtomicU64, AtomicUsize};
    use machine::time;
    use test_macro::kernel_test;

    /// A line whose other side the test plays.
    #[derive(Default)]
    struct Side {
        has_carrier: AtomicBool,
        announced: AtomicUsize,
        closed: AtomicUsize,
        waiting: AtomicUsize,
        delay_ns: AtomicU64,
    }

    struct SideLine(Arc<Side>);

    impl Line for SideLine {
        fn write(&self, _bytes: &[u8]) {}

        fn waiting(&self) -> usize {
            self.0.waiting.load(Ordering::SeqCst)
        }

        fn carrier(&self) -> Carrier {
            if self.0.has_carrier.load(Ordering::SeqCst) { Carrier::Here } else { Carrier::Gone }
        }

        fn announce(&self) {
            self.0.announced.fetch_add(1, Ordering::SeqCst);
        }

        fn closing(&self) -> Closing {
            Closing { drain_ns: Some(60_000_000_000), delay_ns: self.0.delay_ns.load(Ordering::SeqCst) }
        }

        fn last_closed(&self) {
            self.0.closed.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn line(flags: ControlFlags) -> (Arc<Side>, Arc<Tty>) {
        let side = Arc::new(Side::default());
        let settings = Termios { cflag: (ControlFlags::CREAD | flags).bits(), ..Termios::default() };
        let line = Box::new(SideLine(side.clone()));
        (side, Tty::new(String::from("side"), DeviceNumber::new(4, 250), settings, line))
    }

    /// Waits until something is so, which is to be soon.
    fn until(mut is_so: impl FnMut() -> bool) -> bool {
        let deadline = time::monotonic_ns() + 10_000_000_000;
        while !is_so() && time::monotonic_ns() < deadline {
            sched::yield_now();
        }
        is_so()
    }

    #[kernel_test]
    fn an_open_waits_for_the_carrier() {
        let (side, tty) = line(ControlFlags::HUPCL);
        let is_open = Arc::new(AtomicBool::new(false));
        let (opener, done) = (tty.clone(), is_open.clone());
        sched::spawn("opener", move || {
            opener.wait_for_carrier().expect("no signals come");
            done.store(true, Ordering::SeqCst);
        })
        .expect("there is memory");
        assert!(until(|| tty.waiting_opens.load(Ordering::SeqCst) == 1), "nobody waits");
        // Woken for nothing it goes on waiting, and says again that it is there once somebody else has closed.
        tty.carrier_changed(Carrier::Here);
        tty.begin_use();
        tty.end_use();
        assert!(until(|| side.announced.load(Ordering::SeqCst) == 2), "nobody announces the one who waits");
        assert_eq!((is_open.load(Ordering::SeqCst), side.closed.load(Ordering::SeqCst)), (false, 1));
        side.has_carrier.store(true, Ordering::SeqCst);
        tty.carrier_changed(Carrier::Here);
        assert!(until(|| is_open.load(Ordering::SeqCst)), "it still waits");
        // Without modem lines nobody does.
        let (side, tty) = line(ControlFlags::CLOCAL);
        tty.wait_for_carrier().expect("it does not wait");
        assert_eq!(side.announced.load(Ordering::SeqCst), 0);
    }

    #[kernel_test]
    fn the_end_of_a_carrier_hangs_up() {
        for (flags, hangs_up) in [(ControlFlags::CLOCAL, false), (ControlFlags::empty(), true)] {
            let (_, tty) = line(flags);
            TTYS.lock().push(tty.clone());
            let opened = tty.begin_use();
            tty.carrier_changed(Carrier::Gone);
            let outcome = !hangs_up || until(|| tty.is_hung_up(opened));
            TTYS.lock().retain(|other| !Arc::ptr_eq(other, &tty));
            assert!(outcome, "it is still in use");
            assert_eq!(tty.is_hung_up(opened), hangs_up);
            tty.end_use();
        }
    }

    #[kernel_test]
    fn the_last_close_waits_for_output() {
        let (side, tty) = line(ControlFlags::CLOCAL);
        side.waiting.store(5, Ordering::SeqCst);
        tty.begin_use();
        let closer = tty.clone();
        sched::spawn("closer", move || closer.end_use()).expect("there is memory");
        assert!(until(|| !tty.is_open()), "nobody closes it");
        assert_eq!(side.closed.load(Ordering::SeqCst), 0);
        side.waiting.store(0, Ordering::SeqCst);
        tty.writable.wake_all();
        assert!(until(|| side.closed.load(Ordering::SeqCst) == 1), "it still waits");
    }

    #[kernel_test]
    fn setserial_says_how_lines_close() {
        // What a line begins with: half a second, half a minute.
        let closing = serial::closing(50, 3000);
        assert_eq!(closing, Closing { drain_ns: Some(30_000_000_000), delay_ns: 500_000_000 });
        assert_eq!(serial::closing(0, 0), Closing { drain_ns: None, delay_ns: 0 });
        assert_eq!(serial::closing(1, 65_535), Closing { drain_ns: Some(0), delay_ns: 10_000_000 });
    }
}
