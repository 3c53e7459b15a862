//! Tests of exclusive claims: PCI functions, port ranges; and of the tree of devices.

use super::{Device, pci, registry, virtio};
use machine::io::IoPorts;
use test_macro::kernel_test;

#[kernel_test]
fn ports_have_one_owner_and_the_machine_keeps_its_own() {
    let range = IoPorts::claim(0x5000, 16, "test").expect("nothing is there");
    assert!(IoPorts::claim(0x500f, 1, "test").is_none());
    assert!(IoPorts::claim(0x4fff, 2, "test").is_none());
    drop(range);
    assert!(IoPorts::claim(0x500f, 1, "test").is_some());
    for (first, count) in [(0x20, 1), (0x3f8, 8), (0xcf0, 16), (0x60, 2), (0xffff, 2), (0x300, 0)] {
        assert!(IoPorts::claim(first, count, "test").is_none(), "{first:#x}");
    }
}

#[kernel_test(should_panic)]
fn a_port_outside_of_the_range_cannot_be_read() {
    // A panic drops nothing: the claim stays, so the port is one that no other test wants.
    let range = IoPorts::claim(0x5100, 4, "test").expect("nothing is there");
    range.read_u32(1);
}

#[kernel_test]
fn functions_with_a_driver_are_taken() {
    for device in pci::BUS.devices() {
        let has_driver = device.node().driver().is_some();
        assert_eq!(device.claim("test").is_err(), has_driver, "{}", device.node().name());
    }
}

#[kernel_test]
fn a_function_has_one_owner_and_comes_back() {
    let devices = pci::BUS.devices();
    // The host bridge, at least, has no driver.
    let device =
        devices.iter().find(|device| device.node().driver().is_none()).expect("not all have drivers");
    let function = device.claim("test").expect("nobody has it");
    assert!(device.claim("test").is_err(), "its registers and interrupts belong to one");
    drop(function);
    assert!(device.claim("test").is_ok());
}

#[kernel_test]
fn devices_have_paths_from_the_root() {
    let host = registry::root().children();
    assert!(host.iter().any(|node| node.path() == "devices/pci0000:00"));
    for device in virtio::BUS.devices() {
        let path = device.node().path();
        assert!(path.starts_with("devices/pci0000:00/") && path.ends_with(device.node().name()), "{path}");
    }
}
