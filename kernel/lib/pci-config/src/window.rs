//! What a bridge passes on to the bus behind it, and places in there for the registers of functions that came while the
//! machine runs (PCI-to-PCI Bridge Architecture Specification 1.2, section 3.2.5).

use crate::{Address, Bar, ConfigSpace, Function, read_bars, register};
use alloc::vec::Vec;
use core::ops::Range;

/// What a bridge passes on, as ranges of addresses; empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// I/O ports.
    pub ports: Range<u64>,
    /// Memory below 4 GiB.
    pub memory: Range<u64>,
    /// Memory whose reading has no side effects, anywhere.
    pub prefetchable: Range<u64>,
}

/// There is no room behind the bridge for this register's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom(pub Bar);

/// In the registers of ports and prefetchable memory: which width they have.
const WIDTH: u32 = 0xf;

fn range(base: u64, limit: u64, unit: u64) -> Range<u64> {
    if base <= limit { base..limit + unit } else { 0..0 }
}

impl Windows {
    /// What the bridge passes on.
    pub fn read(space: &dyn ConfigSpace, bridge: Address) -> Windows {
        let ports = space.read(bridge, register::BRIDGE_PORTS);
        let ports_high = if ports & WIDTH == 1 { space.read(bridge, register::BRIDGE_PORTS_HIGH) } else { 0 };
        let port = |low: u32, high: u32| u64::from((low & 0xf0) << 8 | high << 16);
        let memory = space.read(bridge, register::BRIDGE_MEMORY);
        let base = |value: u32| u64::from(value & 0xfff0) << 16;
        let fetched = space.read(bridge, register::BRIDGE_PREFETCHABLE);
        let is_wide = fetched & WIDTH == 1;
        let high = |offset| if is_wide { u64::from(space.read(bridge, offset)) << 32 } else { 0 };
        let first = base(fetched) | high(register::BRIDGE_PREFETCHABLE_BASE_HIGH);
        let last = base(fetched >> 16) | high(register::BRIDGE_PREFETCHABLE_LIMIT_HIGH);
        // A window that begins at 0 was never set up.
        let set_up = |range: Range<u64>| if range.start == 0 { 0..0 } else { range };
        Windows {
            ports: set_up(range(
                port(ports, ports_high & 0xffff),
                port(ports >> 8, ports_high >> 16),
                1 << 12,
            )),
            memory: set_up(range(base(memory), base(memory >> 16), 1 << 20)),
            prefetchable: set_up(range(first, last, 1 << 20)),
        }
    }

    /// Where a register's range may lie: in the first of these that has room.
    fn choices(&self, bar: &Bar) -> Vec<Kind> {
        match bar {
            Bar::Ports { .. } => [Kind::Ports].into(),
            Bar::Memory { is_prefetchable: true, is_wide, .. } => {
                let is_reachable = *is_wide || self.prefetchable.end <= 1 << 32;
                let first = is_reachable.then_some(Kind::Prefetchable);
                first.into_iter().chain([Kind::Memory]).collect()
            }
            Bar::Memory { .. } => [Kind::Memory].into(),
        }
    }

    fn of(&mut self, kind: Kind) -> &mut Range<u64> {
        match kind {
            Kind::Ports => &mut self.ports,
            Kind::Memory => &mut self.memory,
            Kind::Prefetchable => &mut self.prefetchable,
        }
    }

    /// Takes the beginning of what is left of a window, aligned to the length, a power of two.
    fn take(&mut self, kind: Kind, length: u64) -> Option<u64> {
        let window = self.of(kind);
        let start = window.start.checked_next_multiple_of(length)?;
        let end = start.checked_add(length).filter(|end| *end <= window.end)?;
        window.start = end;
        Some(start)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ports,
    Memory,
    Prefetchable,
}

/// Gives all registers of these functions, which nobody uses and which are alone behind a bridge, places in its windows. A
/// function can do without ports, so it is no error if there is no room for these.
///
/// # Errors
/// The first for which there is no room; then the functions are of no use.
pub fn place(space: &dyn ConfigSpace, functions: &[Function], windows: &Windows) -> Result<(), NoRoom> {
    let mut left = windows.clone();
    let mut wanted: Vec<(Address, usize, Bar)> = Vec::new();
    for function in functions {
        let bars = read_bars(space, function);
        let bars = bars.into_iter().enumerate();
        wanted.extend(bars.filter_map(|(index, bar)| Some((function.address, index, bar?))));
    }
    // The large ones first: nothing is lost between them then.
    wanted.sort_by_key(|(_, _, bar)| core::cmp::Reverse(bar.length()));
    for (address, index, bar) in wanted {
        let choices = left.choices(&bar);
        let place = choices.into_iter().find_map(|kind| left.take(kind, bar.length()));
        let start = match (place, &bar) {
            (Some(start), _) => start,
            (None, Bar::Ports { .. }) => 0,
            (None, Bar::Memory { .. }) => return Err(NoRoom(bar)),
        };
        let offset = register::BAR0 + 4 * index as u16;
        space.write(address, offset, start as u32);
        if matches!(bar, Bar::Memory { is_wide: true, .. }) {
            space.write(address, offset + 4, (start >> 32) as u32);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    const BRIDGE: Address = at(0, 1, 0);
    const DEVICE: Address = at(1, 0, 0);

    fn bridge() -> FakeSpace {
        let space = FakeSpace::default();
        space.add(BRIDGE, 0x000c_1b36, 0x0604_0000, 1);
        space.set(BRIDGE, 0x1c, 0x0000_2121, 0); // 0x2000 to 0x2fff
        space.set(BRIDGE, 0x20, 0xfe70_fe60, 0); // 2 MiB
        space.set(BRIDGE, 0x24, 0x0011_0001, 0); // 2 MiB at 32 GiB
        space.set(BRIDGE, 0x28, 8, 0);
        space.set(BRIDGE, 0x2c, 8, 0);
        space
    }

    fn add(space: &FakeSpace, bars: &[(u32, u32)]) -> Function {
        space.add(DEVICE, 0x1042_1af4, 0x0100_0001, 0);
        for (index, (value, mask)) in bars.iter().enumerate() {
            space.set(DEVICE, 0x10 + 4 * index as u16, *value, *mask);
        }
        Function::read(space, DEVICE).expect("it is there")
    }

    #[test]
    fn windows_are_read() {
        let windows = Windows::read(&bridge(), BRIDGE);
        assert_eq!(windows.ports, 0x2000..0x3000);
        assert_eq!(windows.memory, 0xfe60_0000..0xfe80_0000);
        assert_eq!(windows.prefetchable, 0x8_0000_0000..0x8_0020_0000);
        let space = FakeSpace::default();
        space.add(BRIDGE, 0x000c_1b36, 0x0604_0000, 1);
        assert_eq!(Windows::read(&space, BRIDGE), Windows::default(), "never set up");
        space.set(BRIDGE, 0x20, 0x0000_fff0, 0); // the limit below the base
        assert_eq!(Windows::read(&space, BRIDGE).memory, 0..0);
    }

    #[test]
    fn registers_get_places_of_their_kind() {
        let space = bridge();
        // 4 KiB; 1 MiB; 32 ports; 64 KiB of 64 bits, prefetchable.
        let bars =
            [(0, 0xffff_f000), (0, 0xfff0_0000), (1, 0xffff_ffe0), (0, 0), (0xc, 0xffff_0000), (0, u32::MAX)];
        let function = add(&space, &bars);
        place(&space, &[function], &Windows::read(&space, BRIDGE)).expect("there is room");
        let starts: Vec<_> =
            read_bars(&space, &function).iter().map(|bar| bar.map_or(0, |bar| bar.start())).collect();
        assert_eq!(starts, [0xfe70_0000, 0xfe60_0000, 0x2000, 0, 0x8_0000_0000, 0]);
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let space = bridge();
        let function = add(&space, &[(0, 0xffc0_0000)]);
        let windows = Windows::read(&space, BRIDGE);
        let NoRoom(bar) = place(&space, &[function], &windows).expect_err("4 MiB in 2");
        assert_eq!(bar.length(), 4 << 20);
        // Without a window for ports there are no ports.
        let function = add(&space, &[(1, 0xffff_ffe0)]);
        place(&space, &[function], &Windows::default()).expect("it can do without");
    }

    #[test]
    fn narrow_registers_stay_below_four_gigabytes() {
        let space = bridge();
        let function = add(&space, &[(8, 0xffff_f000)]);
        place(&space, &[function], &Windows::read(&space, BRIDGE)).expect("there is room");
        assert_eq!(space.read(DEVICE, 0x10) & !0xf, 0xfe60_0000);
    }
}
