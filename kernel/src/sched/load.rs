//! The load averages of /proc/loadavg and sysinfo: how many threads run or wait for something that comes for sure,
//! averaged over 1, 5 and 15 minutes with exponential decay, sampled every five seconds.

use super::timer::Timer;
use alloc::sync::Arc;
use machine::sync::{Once, SequenceLock};
use machine::time;

const SAMPLE_NS: u64 = 5_000_000_000;
/// Fixed point: 16 bits behind the point, as `sysinfo` has it.
const ONE: u64 = 1 << 16;
/// exp(-5 s / 1, 5, 15 min) in 1/65536.
const DECAY: [u64; 3] = [60_296, 64_453, 65_173];

static AVERAGES: SequenceLock<3> = SequenceLock::new("load averages", [0; 3]);
static TIMER: Once<Timer> = Once::new();

/// The averages times 65,536.
pub(crate) fn averages() -> [u64; 3] {
    AVERAGES.read()
}

/// Starts sampling.
pub(super) fn start() {
    let timer = TIMER.call_once(|| Timer::new(Arc::new(sample)));
    timer.set(time::monotonic_ns() + SAMPLE_NS);
}

fn sample() {
    let active = super::running_threads() as u64 * ONE;
    AVERAGES.update(|old| {
        core::array::from_fn(|index| (old[index] * DECAY[index] + active * (ONE - DECAY[index])) / ONE)
    });
    if let Some(timer) = TIMER.get() {
        timer.set(time::monotonic_ns() + SAMPLE_NS);
    }
}
