//! Whether two CPUs' TSCs show the same time: compared when the second of them starts.
//!
//! Both take turns as chance has it: under a lock, one reads its TSC and compares it with the last reading of the other. If
//! time has gone back, the two are apart, and no clock can be built on them.

use super::{counter, distrust_tsc};
use crate::sync::IrqSpinLock;
use core::sync::atomic::{AtomicU32, Ordering};

/// Readings by each of the two.
const READINGS: u32 = 1_000;
/// A reading that the other has not followed within so many rounds of waiting is not waited for: one of the two may
/// be a virtual CPU that has to wait for the other's host CPU.
const PATIENCE: u32 = 1 << 22;

struct Readings {
    last: u64,
    /// By how much time went back at most, in counts.
    warp: u64,
}

static READINGS_TAKEN: IrqSpinLock<Readings> =
    IrqSpinLock::new("tsc synchrony", Readings { last: 0, warp: 0 });
/// CPUs that have come to the comparison; it begins when their number is even, and ends when it is again.
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// Compares this CPU's TSC with that of the CPU that calls this at the same time: a CPU that starts, and the one that
/// starts it. At most two do.
pub(crate) fn compare() {
    if counter::trouble().is_some() || !meet() {
        return;
    }
    for _ in 0..READINGS {
        let mut readings = READINGS_TAKEN.lock();
        let now = counter::tsc();
        readings.warp = readings.warp.max(readings.last.saturating_sub(now));
        readings.last = now;
        drop(readings);
        core::hint::spin_loop();
    }
    meet();
    if READINGS_TAKEN.lock().warp > 0 {
        distrust_tsc("the CPUs' TSCs are not in step");
    }
}

/// Waits for the other CPU. `false`: it did not come.
fn meet() -> bool {
    let number = ARRIVED.fetch_add(1, Ordering::AcqRel) + 1;
    let complete = number.next_multiple_of(2);
    (0..PATIENCE).any(|_| {
        core::hint::spin_loop();
        ARRIVED.load(Ordering::Acquire) >= complete
    })
}
