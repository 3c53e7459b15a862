//! The walk through all buses that bridges lead to.

use crate::{Address, ConfigSpace, Function, Kind, register};
use alloc::vec::Vec;

/// Header type bit: the device has more functions than number 0.
const IS_MULTIFUNCTION: u8 = 1 << 7;

/// Visits every function from bus 0 on, a bridge before what is behind it; `visit` is told which bridge that
/// is. Firmware has numbered the buses; bridges that it left alone lead nowhere.
pub fn scan(space: &dyn ConfigSpace, visit: &mut dyn FnMut(&Function, Option<Address>)) {
    let mut is_seen = [false; 256];
    scan_bus(space, 0, None, &mut is_seen, visit);
}

/// The depth of this recursion is bounded by the number of buses, since each is entered once.
fn scan_bus(
    space: &dyn ConfigSpace,
    bus: u8,
    bridge: Option<Address>,
    is_seen: &mut [bool; 256],
    visit: &mut dyn FnMut(&Function, Option<Address>),
) {
    if core::mem::replace(&mut is_seen[usize::from(bus)], true) {
        return;
    }
    for device in 0..32 {
        for function in functions_of(space, bus, device) {
            visit(&function, bridge);
            if let Kind::Bridge(numbers) = function.kind
                && numbers.secondary > bus
            {
                scan_bus(space, numbers.secondary, Some(function.address), is_seen, visit);
            }
        }
    }
}

/// The functions of a device; none if it is not there.
pub fn functions_of(space: &dyn ConfigSpace, bus: u8, device: u8) -> Vec<Function> {
    let first = Address { bus, device, function: 0 };
    let Some(function) = Function::read(space, first) else { return Vec::new() };
    let has_more = space.read_u8(first, register::HEADER_TYPE) & IS_MULTIFUNCTION != 0;
    let others = (1..if has_more { 8 } else { 1 }).map(|function| Address { bus, device, function });
    [function].into_iter().chain(others.filter_map(|address| Function::read(space, address))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};

    fn found(space: &FakeSpace) -> Vec<(Address, Option<Address>)> {
        let mut found = Vec::new();
        scan(space, &mut |function, bridge| found.push((function.address, bridge)));
        found
    }

    #[test]
    fn bridges_and_functions_are_found() {
        let space = FakeSpace::default();
        space.add(at(0, 0, 0), 0x29c0_8086, 0, 0);
        space.add(at(0, 1, 0), 0x000c_1b36, 0, 1);
        space.set(at(0, 1, 0), 0x18, 0x0001_0100, 0);
        space.add(at(0, 0x1f, 0), 0x2918_8086, 0, 0x80);
        space.add(at(0, 0x1f, 2), 0x2922_8086, 0, 0);
        space.add(at(1, 0, 0), 0x1041_1af4, 0, 0);
        space.add(at(1, 0, 5), 0x1041_1af4, 0, 0); // not multifunction: does not exist
        let bridge = Some(at(0, 1, 0));
        let expected = [
            (at(0, 0, 0), None),
            (at(0, 1, 0), None),
            (at(1, 0, 0), bridge),
            (at(0, 0x1f, 0), None),
            (at(0, 0x1f, 2), None),
        ];
        assert_eq!(found(&space), expected);
    }

    #[test]
    fn bridges_that_lead_back_are_harmless() {
        let space = FakeSpace::default();
        for device in 0..4 {
            space.add(at(0, device, 0), 0x000c_1b36, 0, 1);
            space.set(at(0, device, 0), 0x18, u32::from(device) << 8, 0);
            space.add(at(1, device, 0), 0x000c_1b36, 0, 1);
            space.set(at(1, device, 0), 0x18, 0x0000_0100, 0);
        }
        assert_eq!(found(&space).len(), 8);
    }
}
