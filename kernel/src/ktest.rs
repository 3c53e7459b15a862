//! Runs the in-kernel tests (`#[kernel_test]`), as `ktest` on the kernel command line asks.
//!
//! Each test runs in a thread of its own. One that panics ends that thread only ([`panicked`]), so all run
//! even if some fail; what such a test had locked stays locked, which at worst makes others fail too. A
//! test that does not end in [`TIME_LIMIT_NS`] fails and is left behind. The last line counts; QEMU's exit
//! status is 33 if all passed, 35 if not.

use crate::sched;
use crate::sync::Mutex;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::io::power;
use machine::test::{KernelTest, all};

/// A test may take this long.
const TIME_LIMIT_NS: u64 = 60_000_000_000;
const SUCCESS: u8 = 0x10;
const FAILURE: u8 = 0x11;

/// The thread of the test that runs; 0: none.
static THREAD: AtomicU64 = AtomicU64::new(0);
static RETURNED: AtomicBool = AtomicBool::new(false);
/// What the test's panic said.
static MESSAGE: Mutex<Option<String>> = Mutex::new("ktest message", None);

/// Runs the tests whose name contains one of the comma-separated words of `filter` (all if it is empty), prints
/// how each went, and ends QEMU with the result.
pub(crate) fn run(filter: &str) -> ! {
    let chosen =
        |test: &&KernelTest| filter.is_empty() || filter.split(',').any(|word| test.name.contains(word));
    let (mut passed, mut failed) = (0, 0);
    if !cfg!(feature = "tests") {
        log::error!("ktest: this kernel was built without the feature `tests`");
        failed += 1;
    }
    // Its own looks whether a test has ended disturb the first CPU only.
    sched::set_affinity(&sched::current(), 1);
    for test in all().iter().filter(chosen) {
        match run_one(test) {
            Ok(()) => {
                passed += 1;
                log::info!("ktest: ok {}", test.name);
            }
            Err(why) => {
                failed += 1;
                log::error!("ktest: FAILED {}: {why}", test.name);
            }
        }
    }
    if passed + failed == 0 {
        log::error!("ktest: no test matches '{filter}'");
        failed = 1;
    }
    log::info!("ktest: {passed} passed, {failed} failed");
    power::allow_debug_exit();
    power::debug_exit(if failed == 0 { SUCCESS } else { FAILURE });
    power::power_off()
}

fn run_one(test: &'static KernelTest) -> Result<(), String> {
    *MESSAGE.lock() = None;
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
    match (test.should_panic, RETURNED.load(Ordering::Acquire), panicked) {
        (false, true, _) | (true, false, Some(_)) => Ok(()),
        (true, true, _) => Err("did not panic".into()),
        (_, false, message) => Err(message.unwrap_or_else(|| "its thread ended".into())),
    }
}

/// A panic happened in the thread that runs this. Does not return if it is a test's.
pub(crate) fn panicked(info: &PanicInfo<'_>) {
    let place = info.location().map_or("?", |place| place.file());
    let line = info.location().map_or(0, |place| place.line());
    ended(format_args!("{} ({place}:{line})", info.message()));
}

/// The thread that runs this cannot go on, because of `why`. Does not return if it is a test's.
pub(crate) fn ended(why: fmt::Arguments<'_>) {
    let Some(thread) = sched::try_current() else { return };
    if THREAD.load(Ordering::Acquire) != thread.id() || !machine::cpu::abandon_guards() {
        return;
    }
    THREAD.store(0, Ordering::Release);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{why}");
    *MESSAGE.lock() = Some(text);
    sched::exit()
}
