//! Base address registers: where a function's registers are, and how many.

use crate::{ConfigSpace, Function, Kind, register, register::command};
use core::ops::Range;

/// What a base address register describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Registers in memory.
    Memory {
        /// Physical address; 0: firmware assigned none.
        address: u64,
        /// Length in bytes, a power of two.
        length: u64,
        /// Reading has no side effects.
        is_prefetchable: bool,
        /// The register is 64 bits wide and takes the place of the next one too.
        is_wide: bool,
    },
    /// I/O ports.
    Ports {
        /// First port; 0: firmware assigned none.
        first: u32,
        /// Number of ports, a power of two.
        count: u32,
    },
}

impl Bar {
    /// First address or port.
    pub fn start(&self) -> u64 {
        match *self {
            Bar::Memory { address, .. } => address,
            Bar::Ports { first, .. } => first.into(),
        }
    }

    /// Bytes or ports.
    pub fn length(&self) -> u64 {
        match *self {
            Bar::Memory { length, .. } => length,
            Bar::Ports { count, .. } => count.into(),
        }
    }
}

const IS_PORTS: u32 = 1 << 0;
const WIDTH: u32 = 3 << 1;
const WIDTH_64: u32 = 2 << 1;
const IS_PREFETCHABLE: u32 = 1 << 3;
/// The address in a register for a ROM.
const ROM_ADDRESS: u32 = !0x7ff;

/// Reads all base address registers and finds out their sizes, by writing ones and reading what sticks.
/// The function does not answer meanwhile; nobody may be using it.
pub fn read_bars(space: &dyn ConfigSpace, function: &Function) -> [Option<Bar>; 6] {
    let address = function.address;
    let enabled = space.read_u16(address, register::COMMAND);
    // The status half is written as zero, which clears nothing there.
    let silent = enabled & !(command::IO | command::MEMORY);
    space.write(address, register::COMMAND, silent.into());
    let mut bars = [None; 6];
    let mut index = 0;
    while index < function.bar_count() {
        let offset = register::BAR0 + 4 * index as u16;
        let is_last = index + 1 == function.bar_count();
        let bar = read_bar(space, function, offset, is_last);
        bars[index] = bar;
        index += if matches!(bar, Some(Bar::Memory { is_wide: true, .. })) { 2 } else { 1 };
    }
    space.write(address, register::COMMAND, enabled.into());
    bars
}

fn read_bar(space: &dyn ConfigSpace, function: &Function, offset: u16, is_last: bool) -> Option<Bar> {
    let (value, mask) = probe(space, function, offset);
    if value & IS_PORTS != 0 {
        // Functions may leave the upper 16 bits of the mask at zero.
        let mask = (mask & !3) | if mask >> 16 == 0 { 0xffff_0000 } else { 0 };
        let count = (!mask).wrapping_add(1);
        return (mask & 0xffff != 0 && count.is_power_of_two())
            .then_some(Bar::Ports { first: value & !3, count });
    }
    let is_wide = value & WIDTH == WIDTH_64;
    if is_wide && is_last {
        return None;
    }
    let (high, high_mask) = if is_wide { probe(space, function, offset + 4) } else { (0, u32::MAX) };
    let mask = u64::from(high_mask) << 32 | u64::from(mask & !0xf);
    let length = (!mask).wrapping_add(1);
    (mask as u32 != 0 || (is_wide && high_mask != 0)).then_some(())?;
    length.is_power_of_two().then_some(Bar::Memory {
        address: u64::from(high) << 32 | u64::from(value & !0xf),
        length,
        is_prefetchable: value & IS_PREFETCHABLE != 0,
        is_wide,
    })
}

/// Where the function's ROM is, whether it answers there or not; empty if it has none or is at no place. Nobody may be
/// using it.
pub fn read_rom(space: &dyn ConfigSpace, function: &Function) -> Range<u64> {
    let offset = match function.kind {
        Kind::Device => register::ROM,
        Kind::Bridge(_) => register::BRIDGE_ROM,
        _ => return 0..0,
    };
    let value = space.read(function.address, offset);
    // Without the bit that has it answer.
    space.write(function.address, offset, ROM_ADDRESS);
    let mask = space.read(function.address, offset) & ROM_ADDRESS;
    space.write(function.address, offset, value);
    let (start, length) = (value & ROM_ADDRESS, (!mask).wrapping_add(1));
    if mask == 0 || start == 0 || !length.is_power_of_two() {
        return 0..0;
    }
    u64::from(start)..u64::from(start) + u64::from(length)
}

/// The value of a register, and which of its bits can be written.
fn probe(space: &dyn ConfigSpace, function: &Function, offset: u16) -> (u32, u32) {
    let value = space.read(function.address, offset);
    space.write(function.address, offset, u32::MAX);
    let mask = space.read(function.address, offset);
    space.write(function.address, offset, value);
    (value, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    #[test]
    fn sizes_are_found_and_values_kept() {
        let space = FakeSpace::default();
        let address = at(0, 4, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        space.set(address, 0x10, 0xc001, 0x0000_ffe0); // 32 ports
        space.set(address, 0x14, 0xfeb0_0000, 0xffff_f000); // 4 KiB
        space.set(address, 0x20, 0x0000_000c, 0xffff_c000); // 16 KiB, 64 bits, prefetchable
        space.set(address, 0x24, 0x0000_00c0, 0xffff_ffff);
        let function = Function::read(&space, address).expect("it is there");
        let bars = read_bars(&space, &function);
        assert_eq!(bars[0], Some(Bar::Ports { first: 0xc000, count: 32 }));
        let memory =
            Bar::Memory { address: 0xfeb0_0000, length: 4096, is_prefetchable: false, is_wide: false };
        assert_eq!(bars[1], Some(memory));
        assert_eq!((bars[2], bars[3], bars[5]), (None, None, None));
        let wide =
            Bar::Memory { address: 0xc0_0000_0000, length: 16384, is_prefetchable: true, is_wide: true };
        assert_eq!(bars[4], Some(wide));
        assert_eq!(space.read(address, 0x14), 0xfeb0_0000);
        assert_eq!(space.read_u16(address, register::COMMAND), 7);
    }

    #[test]
    fn a_rom_is_sized_and_stays_silent() {
        let space = FakeSpace::default();
        let address = at(0, 4, 0);
        space.add(address, 0x1041_1af4, 0, 0);
        let function = Function::read(&space, address).expect("it is there");
        assert!(read_rom(&space, &function).is_empty());
        space.set(address, 0x30, 0xfeb4_0000, 0xfffc_0001);
        assert_eq!(read_rom(&space, &function), 0xfeb4_0000..0xfeb8_0000);
        assert_eq!(space.read(address, 0x30), 0xfeb4_0000);
        space.set(address, 0x30, 0, 0xfffc_0001);
        assert!(read_rom(&space, &function).is_empty(), "firmware has given it no place");
    }

    #[test]
    fn odd_masks_are_left_out() {
        let space = FakeSpace::default();
        let address = at(0, 4, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        space.set(address, 0x10, 0, 0xf0f0_f000);
        space.set(address, 0x24, 0x4, 0xffff_0000); // 64 bits in the last register
        let function = Function::read(&space, address).expect("it is there");
        assert_eq!(read_bars(&space, &function), [None; 6]);
    }

    #[test]
    fn a_register_of_more_than_four_gigabytes_is_sized() {
        let space = FakeSpace::default();
        let address = at(0, 4, 0);
        space.add(address, 0x1042_1af4, 0, 0);
        space.set(address, 0x10, 0xc, 0);
        space.set(address, 0x14, 0x80, 0xffff_fff0);
        let function = Function::read(&space, address).expect("it is there");
        assert_eq!(read_bars(&space, &function)[0].map(|bar| bar.length()), Some(16 << 32));
    }
}
