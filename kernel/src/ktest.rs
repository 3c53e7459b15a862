//! Runs the in-kernel tests (`#[kernel_test]`), as `ktest` on the kernel command line asks.
//!
//! Each test runs in a thread of its own. One that panics ends that thread only ([`panicked`]), so all run
//! even if some fail; what such a test had locked stays locked, which at worst makes others fail too. A
//! test that does not end in [`TIME_LIMIT_NS`] fails and is left behind. The last line counts; QEMU's exit
//! status is 33 if all passed, 35 if not. A test that wants to see the report of a panic has another thread make it
//! (`report_of`).

#[cfg(feature = "tests")]
mod backtraces;

use crate::sched;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::backtrace::Trace;
use machine::io::power;
use machine::sync::IrqSpinLock;
use machine::test::{KernelTest, all};

/// A test may take this long.
const TIME_LIMIT_NS: u64 = 60_000_000_000;
const SUCCESS: u8 = 0x10;
const FAILURE: u8 = 0x11;

/// The thread of the test that runs; 0: none.
static THREAD: AtomicU64 = AtomicU64::new(0);
static RETURNED: AtomicBool = AtomicBool::new(false);
/// What the test's panic said.
static MESSAGE: IrqSpinLock<Option<String>> = IrqSpinLock::new("ktest message", None);
/// The thread whose panic is awaited; 0: none.
static EXPECTED: AtomicU64 = AtomicU64::new(0);
/// Its message and backtrace.
static REPORT: IrqSpinLock<Option<String>> = IrqSpinLock::new("ktest report", None);

/// Runs tests, see [`run_some`], and ends QEMU with the result.
pub(crate) fn run(filter: &str) -> ! {
    let Counts { passed, mut failed } = run_some(filter, &|| false);
    if !cfg!(feature = "tests") {
        log::error!("ktest: this kernel was built without the feature `tests`");
        failed += 1;
    } else if passed + failed == 0 {
        log::error!("ktest: no test matches '{filter}'");
        failed = 1;
    }
    log::info!("ktest: {passed} passed, {failed} failed");
    power::allow_debug_exit();
    power::debug_exit(if failed == 0 { SUCCESS } else { FAILURE });
    power::power_off()
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// They did what they should.
    pub(crate) passed: usize,
    /// They did not.
    pub(crate) failed: usize,
}

/// Runs the tests whose name contains one of the comma-separated words of `filter` (all if it is empty), until
/// `is_enough`, and prints how each went. For one thread at a time.
pub(crate) fn run_some(filter: &str, is_enough: &dyn Fn() -> bool) -> Counts {
    let chosen =
        |test: &&KernelTest| filter.is_empty() || filter.split(',').any(|word| test.name.contains(word));
    // Its own looks whether a test has ended disturb the first CPU only.
    let here = sched::current();
    let affinity = here.affinity();
    sched::set_affinity(&here, 1);
    let mut counts = Counts::default();
    for test in all().iter().filter(chosen).take_while(|_| !is_enough()) {
        match run_one(test) {
            Ok(()) => {
                counts.passed += 1;
                log::info!("ktest: ok {}", test.name);
            }
            Err(why) => {
                counts.failed += 1;
                log::error!("ktest: FAILED {}: {why}", test.name);
            }
        }
    }
    sched::set_affinity(&here, affinity);
    counts
}

fn run_one(test: &'static KernelTest) -> Result<(), String> {
    drop(MESSAGE.lock().take());
    RETURNED.store(false, Ordering::Relaxed);
    let thread = sched::spawn("ktest", move || {
        THREAD.store(sched::current_id(), Ordering::Release);
        (test.run)();
        RETURNED.store(true, Ordering::Release);
    });
    let thread = thread.map_err(|error| error.to_string())?;
    let deadline = machine::time::monotonic_ns() + TIME_LIMIT_NS;
    while thread.state() != sched::State::Exited {
        if machine::time::monotonic_ns() > deadline {
            return Err("did not end in time".into());
        }
        sched::sleep_until(machine::time::monotonic_ns() + 200_000);
    }
    let panicked = MESSAGE.lock().take();
    let outcome = match (test.should_panic, RETURNED.load(Ordering::Acquire), panicked) {
        (None, true, _) => Ok(()),
        (Some(text), false, Some(message)) if message.contains(text) => Ok(()),
        (Some(_), true, _) => Err("did not panic".into()),
        (_, false, message) => Err(message.unwrap_or_else(|| "its thread ended".into())),
    };
    match machine::sync::take_violations() {
        (0, _) => outcome,
        (count, text) => Err(format!("{count} violations of the rules for locks, such as: {text}")),
    }
}

/// Message and backtrace of the panic that `body` makes in a thread of its own; `None`: it makes none. For one
/// test at a time.
#[cfg(feature = "tests")]
pub(crate) fn report_of(body: impl FnOnce() + Send + 'static) -> Option<String> {
    let thread = sched::spawn("ktest panic", move || {
        EXPECTED.store(sched::current_id(), Ordering::Release);
        body();
        EXPECTED.store(0, Ordering::Release);
    });
    let thread = thread.expect("there is memory for a thread");
    while thread.state() != sched::State::Exited {
        sched::sleep_until(machine::time::monotonic_ns() + 200_000);
    }
    REPORT.lock().take()
}

/// A panic happened in the thread that runs this. Does not return if it is a test's.
pub(crate) fn panicked(message: fmt::Arguments<'_>) {
    let Some(thread) = sched::try_current() else { return };
    let owner = [&THREAD, &EXPECTED].into_iter().find(|owner| owner.load(Ordering::Acquire) == thread.id());
    let Some(owner) = owner else { return };
    if !machine::cpu::abandon_guards() {
        return;
    }
    owner.store(0, Ordering::Release);
    let mut text = message.to_string();
    let place = if core::ptr::eq(owner, &EXPECTED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", Trace::here());
        &REPORT
    } else {
        &MESSAGE
    };
    let old = place.lock().replace(text);
    drop(old);
    drop(thread);
    sched::exit()
}
