//! The high-precision event timer, for its main counter only: a clock to measure others by, and to fall back on.
//!
//! Source: IA-PC HPET Specification 1.0a, 2.3 (registers), 2.4.7 (reading 64 bits in halves).

use crate::acpi;
use crate::mm::Mmio;
use crate::sync::Once;

const CAPABILITIES: usize = 0;
const PERIOD_FS: usize = 4;
const CONFIGURATION: usize = 0x10;
const COUNTER_LOW: usize = 0xf0;
const COUNTER_HIGH: usize = 0xf4;
const LENGTH: usize = 0x400;

const COUNTER_IS_64_BITS: u32 = 1 << 13;
const ENABLE: u32 = 1;
/// Interrupts in place of the PIT's and the CMOS clock's: not wanted.
const LEGACY_ROUTES: u32 = 1 << 1;
/// The specification's longest period, in femtoseconds; and one so short that it cannot be.
const LONGEST_PERIOD_FS: u32 = 100_000_000;
const SHORTEST_PERIOD_FS: u32 = 100_000;
const FS_PER_SECOND: u64 = 1_000_000_000_000_000;

struct Hpet {
    registers: Mmio,
    hz: u64,
    is_wide: bool,
}

static HPET: Once<Hpet> = Once::new();

/// Looks for it and lets it count.
pub(super) fn init() {
    let Some(address) = acpi::platform().hpet else { return };
    let Some(registers) = Mmio::map(address, LENGTH) else { return };
    let capabilities: u32 = registers.read(CAPABILITIES);
    let period: u32 = registers.read(PERIOD_FS);
    if capabilities == u32::MAX || !(SHORTEST_PERIOD_FS..=LONGEST_PERIOD_FS).contains(&period) {
        return;
    }
    let configuration: u32 = registers.read(CONFIGURATION);
    registers.write(CONFIGURATION, configuration & !LEGACY_ROUTES | ENABLE);
    let period = u64::from(period);
    let hpet = Hpet {
        registers,
        hz: (FS_PER_SECOND + period / 2) / period,
        is_wide: capabilities & COUNTER_IS_64_BITS != 0,
    };
    // One that stands still is none.
    let first = hpet.count();
    if (0..100_000).any(|_| hpet.count() != first) {
        HPET.call_once(|| hpet);
    }
}

impl Hpet {
    fn count(&self) -> u64 {
        let low = || self.registers.read::<u32>(COUNTER_LOW);
        if !self.is_wide {
            return u64::from(low());
        }
        let mut high: u32 = self.registers.read(COUNTER_HIGH);
        loop {
            let count = u64::from(high) << 32 | u64::from(low());
            let again: u32 = self.registers.read(COUNTER_HIGH);
            if again == high {
                return count;
            }
            high = again;
        }
    }
}

/// Its frequency in hertz, if there is one.
pub(super) fn frequency() -> Option<u64> {
    HPET.get().map(|hpet| hpet.hz)
}

/// The bits of its counter.
pub(super) fn mask() -> u64 {
    if HPET.get().is_some_and(|hpet| hpet.is_wide) { u64::MAX } else { u64::from(u32::MAX) }
}

/// The counter; 0 without an HPET.
pub(super) fn count() -> u64 {
    HPET.get().map_or(0, Hpet::count)
}
