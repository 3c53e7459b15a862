//! `_PRT`, links and bridges.

use super::Machine;
use super::assembler::*;
use crate::pci_routing::{Route, Routing};
use crate::resource::{self, Interrupt};
use crate::{Interpreter, Limits, Space};
use alloc::vec::Vec;

pub(crate) const BRIDGE_ID: u32 = 0x030a_d041;

fn entry(device: u16, pin: u8, source: &[u8], number: u8) -> Vec<u8> {
    let address = double(u32::from(device) << 16 | 0xffff);
    package(&[address, byte(pin), source.to_vec(), byte(number)])
}

/// A path that begins in the scope around the device.
fn above(text: &str) -> Vec<u8> {
    [b"^^", &path(text)[..]].concat()
}

/// A link as chipsets have it: a register with the interrupt's number, bit 7 for none.
fn link(name: &str, register: &str) -> Vec<u8> {
    let possible = [0x89, 14, 0, 0b1001, 3, 5, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 0x79, 0];
    let current = [0x89, 6, 0, 0b1001, 1, 0, 0, 0, 0, 0x79, 0];
    let tell = [
        self::name("LIST", &buffer(current.len() as u8, &current)),
        create_field(0x8a, "LIST", 5, "IRQN"),
        if_(&less(&above(register), &byte(0x80)), &store(&above(register), &path("IRQN"))),
        return_(&path("LIST")),
    ];
    let set = [
        operation(&[0x8a], &[&argument(0), &byte(5), &path("IRQN")]),
        store(&path("IRQN"), &above(register)),
    ]
    .concat();
    let body = [
        method("_PRS", 0, &return_(&buffer(possible.len() as u8, &possible))),
        method("_CRS", 0, &tell.concat()),
        method("_SRS", 1, &set),
    ];
    device(name, &body.concat())
}

/// A machine with a root bridge, a bridge with a table, and one without.
pub(crate) fn table() -> Vec<u8> {
    let with_pic = package(&[entry(1, 0, &zero(), 3)]);
    let with_apic = package(&[
        entry(1, 0, &zero(), 17),
        entry(1, 1, &path("LNKA"), 0),
        entry(1, 2, &path("LNKB"), 0),
        entry(31, 3, &path("LNKB"), 0),
    ]);
    let chipset = [
        name("_ADR", &double(0x0001_0000)),
        region("PIRQ", 2, 0x60, 4),
        fields_of("PIRQ", 1, &[field_entry("PRQ0", 8), field_entry("PRQ1", 8)].concat()),
    ];
    let bridge = [name("_ADR", &double(0x0005_0000)), name("_PRT", &package(&[entry(0, 0, &zero(), 40)]))];
    let root_bridge = [
        name("_HID", &double(BRIDGE_ID)),
        device("ISA_", &chipset.concat()),
        device("PEX0", &bridge.concat()),
        method("_PRT", 0, &[if_(&path("PICM"), &return_(&with_apic)), return_(&with_pic)].concat()),
    ];
    let links = [link("LNKA", "PCI0.ISA_.PRQ0"), link("LNKB", "PCI0.ISA_.PRQ1")].concat();
    [
        name("PICM", &zero()),
        method("_PIC", 1, &store(&argument(0), &path("PICM"))),
        scope("_SB_", &[device("PCI0", &root_bridge.concat()), links].concat()),
    ]
    .concat()
}

fn routing(machine: &mut Machine, table: &[u8]) -> Routing {
    let mut interpreter = Interpreter::new(machine, Limits::USUAL);
    interpreter.load(table).expect("it is well made");
    interpreter.pci_routing()
}

#[test]
fn every_kind_of_entry_leads_to_an_interrupt() {
    let mut machine = Machine::default();
    let isa_bridge = Space::PciConfig { bus: 0, device: 1, function: 0 };
    machine.set(isa_bridge, 0x60, &[11, 0x80]);
    machine.set(Space::PciConfig { bus: 0, device: 5, function: 0 }, 0x19, &[7]);
    let routing = routing(&mut machine, &table());
    assert_eq!(routing.problems, [""; 0]);
    assert_eq!(routing.buses, [0, 7]);
    let fixed = |number| Interrupt { number, is_level: true, is_active_low: true };
    let linked = |number| Interrupt { number, is_level: true, is_active_low: false };
    let route = |bus, device, pin, interrupt| Route { bus, device, pin, interrupt };
    let expected = [
        route(0, 1, 0, fixed(17)),
        // As it was set before.
        route(0, 1, 1, linked(11)),
        // Set now, to what the list allows and ISA devices leave alone.
        route(0, 1, 2, linked(10)),
        route(0, 31, 3, linked(10)),
        route(7, 0, 0, fixed(40)),
    ];
    assert_eq!(routing.routes, expected);
    assert_eq!(machine.writes, [(isa_bridge, 0x61, 1, 10)]);
    assert_eq!(routing.find(0, 1, 0), Some(Some(fixed(17))));
    assert_eq!((routing.find(0, 2, 0), routing.find(3, 1, 0)), (Some(None), None));
}

#[test]
fn lists_of_resources_name_interrupts() {
    let small = [0x22, 0x20, 0x04, 0x79, 0];
    let edge = |number| Interrupt { number, is_level: false, is_active_low: false };
    assert_eq!(resource::interrupts(&small), [edge(5), edge(10)]);
    assert_eq!(resource::choose(&small, 10), Some([0x22, 0x00, 0x04, 0x79, 0].into()));
    assert_eq!(resource::choose(&small, 9), None);
    let low = [0x23, 0x00, 0x02, 0x18, 0x79, 0];
    let expected = Interrupt { number: 9, is_level: true, is_active_low: true };
    assert_eq!(resource::interrupts(&low), [expected]);
    // What is cut off is not read, nor what is behind the end.
    for length in 0..low.len() {
        assert!(resource::interrupts(&low[..length]).len() <= 1);
    }
    assert_eq!(resource::interrupts(&[0x79, 0, 0x22, 0x20, 0x04]), []);
    assert_eq!(resource::joined(&small, &low), [0x22, 0x20, 0x04, 0x23, 0x00, 0x02, 0x18, 0x79, 0]);
}
