//! Random numbers for the kernel and for programs: /dev/random, /dev/urandom, getrandom(2).
//!
//! One generator (`lib/random`) is fed by the CPU's random instruction, the clock, and what drivers bring:
//! virtio-rng's bytes and the times of interrupts. It counts as seeded when 256 bits came that cannot be
//! guessed; before that only [`wait_until_seeded`] waits. Every tenth of a second of use it takes in more from the CPU.

use crate::error::Result;
use crate::sched::wait::WaitQueue;
use ::random::Generator;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use machine::sync::IrqSpinLock;
use machine::{cpu, time};

/// Unpredictable bits that make the generator trustworthy.
const SEEDED_BITS: u32 = 256;
/// How often the CPU's random instruction is asked again, at most.
const RESEED_NS: u64 = 100_000_000;
/// Bytes that are made in one go, with interrupts disabled.
const STEP: usize = 1024;

static GENERATOR: IrqSpinLock<Generator> = IrqSpinLock::new("random", Generator::new());
static BITS: AtomicU32 = AtomicU32::new(0);
static NEXT_RESEED_NS: AtomicU64 = AtomicU64::new(0);
static SEEDED: WaitQueue = WaitQueue::named("random");

/// Takes in what the machine offers at boot.
pub(crate) fn init() {
    absorb_cpu();
    add_time();
    // Nobody else makes maps yet.
    id_map::set_hash_key(number());
    match is_seeded() {
        true => log::debug!("random: seeded by the CPU"),
        false => log::info!("random: the CPU has no random instruction; waiting for another source"),
    }
}

/// Takes in bytes, of which `bits` bits cannot be guessed. May be called by interrupt handlers.
pub(crate) fn absorb(input: &[u8], bits: u32) {
    GENERATOR.lock().absorb(input);
    let before = BITS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(old.saturating_add(bits)));
    let before = before.unwrap_or(0);
    if before < SEEDED_BITS && before.saturating_add(bits) >= SEEDED_BITS {
        SEEDED.wake_all();
    }
}

/// Takes in the present time, whose lowest bits nobody outside knows. They count for little.
pub(crate) fn add_time() {
    absorb(&time::monotonic_ns().to_le_bytes(), 1);
}

/// Whether the output can be trusted to be unpredictable.
pub(crate) fn is_seeded() -> bool {
    BITS.load(Ordering::Acquire) >= SEEDED_BITS
}

/// Fills `output` with random bytes, without waiting.
pub(crate) fn fill(output: &mut [u8]) {
    let now = time::monotonic_ns();
    let due = NEXT_RESEED_NS.load(Ordering::Relaxed);
    if now >= due && NEXT_RESEED_NS.swap(now + RESEED_NS, Ordering::Relaxed) == due {
        absorb_cpu();
        absorb(&now.to_le_bytes(), 0);
    }
    for part in output.chunks_mut(STEP) {
        GENERATOR.lock().fill(part);
    }
}

/// A random number.
pub(crate) fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Waits until the generator is seeded; a signal ends that.
pub(crate) fn wait_until_seeded() -> Result<()> {
    if is_seeded() {
        return Ok(());
    }
    SEEDED.wait_interruptible(|| is_seeded().then_some(()), None)
}

fn absorb_cpu() {
    for _ in 0..4 {
        if let Some(word) = cpu::hardware_random() {
            absorb(&word.to_le_bytes(), 64);
        }
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn numbers_differ() {
        let numbers: [u64; 16] = core::array::from_fn(|_| number());
        for (index, a) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(a), "{a:#x} came twice");
        }
    }

    #[kernel_test]
    fn long_buffers_are_filled_to_the_end() {
        let mut buffer = alloc::vec![0; 5000];
        fill(&mut buffer);
        assert!(buffer.chunks(100).all(|part| part.iter().any(|byte| *byte != 0)));
    }
}
