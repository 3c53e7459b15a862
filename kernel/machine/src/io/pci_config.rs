//! PCI configuration space of segment 0: ECAM where ACPI's MCFG tells of it, else the ports 0xcf8 and 0xcfc.
//!
//! This is the mechanism only. Who may touch which function's registers is decided by the PCI bus of the
//! kernel, which hands out functions exclusively.
//!
//! # Soundness
//! The two ports are used only here. Writes can make a device a bus master or move its registers; that
//! it then writes only memory given to it is the contract of [`DmaBuffer`](crate::mm::DmaBuffer) and of
//! the kernel's PCI bus.

use super::port;
use crate::acpi;
use crate::addr::PhysAddr;
use crate::mm::Mmio;
use crate::sync::{IrqSpinLock, Once};

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
/// Bit 31 of the address: the data port accesses configuration space.
const ENABLE: u32 = 1 << 31;

/// Bytes of ECAM space for each bus and each function.
const BUS_BYTES: u64 = 1 << 20;
const FUNCTION_BYTES: usize = 4096;

/// Held between the write of the address port and the access of the data port.
static PORTS: IrqSpinLock<()> = IrqSpinLock::new("pci ports", ());

/// ECAM space of each bus, mapped when it is first asked for; `None`: only the ports reach it.
static BUSES: [Once<Option<Mmio>>; 256] = [const { Once::new() }; 256];

/// Reads an aligned double word; all ones where nothing answers.
pub fn read_u32(bus: u8, device: u8, function: u8, offset: u16) -> u32 {
    if let Some(ecam) = ecam(bus) {
        return ecam.read(ecam_offset(device, function, offset));
    }
    let Some(address) = port_address(bus, device, function, offset) else { return u32::MAX };
    let _ports = PORTS.lock();
    // SAFETY: selects a register, see Soundness.
    unsafe { port::write_u32(ADDRESS_PORT, address) };
    // SAFETY: reads the register selected above.
    unsafe { port::read_u32(DATA_PORT) }
}

/// Writes an aligned double word.
pub fn write_u32(bus: u8, device: u8, function: u8, offset: u16, value: u32) {
    if let Some(ecam) = ecam(bus) {
        return ecam.write(ecam_offset(device, function, offset), value);
    }
    let Some(address) = port_address(bus, device, function, offset) else { return };
    let _ports = PORTS.lock();
    // SAFETY: selects a register, see Soundness.
    unsafe { port::write_u32(ADDRESS_PORT, address) };
    // SAFETY: writes the register selected above.
    unsafe { port::write_u32(DATA_PORT, value) };
}

/// Writes an aligned word, and nothing beside it.
pub fn write_u16(bus: u8, device: u8, function: u8, offset: u16, value: u16) {
    assert!(offset.is_multiple_of(2), "pci: no word at {offset:#x}");
    let (register, within) = (offset & !3, offset & 2);
    if let Some(ecam) = ecam(bus) {
        return ecam.write(ecam_offset(device, function, register) + usize::from(within), value);
    }
    let Some(address) = port_address(bus, device, function, register) else { return };
    let _ports = PORTS.lock();
    // SAFETY: selects a register, see Soundness.
    unsafe { port::write_u32(ADDRESS_PORT, address) };
    // SAFETY: writes a half of the register selected above.
    unsafe { port::write_u16(DATA_PORT + within, value) };
}

/// Bytes of configuration space of each function: 4096 with ECAM, else 256.
pub fn size() -> u16 {
    if region(0).is_some() { FUNCTION_BYTES as u16 } else { 256 }
}

fn region(bus: u8) -> Option<&'static acpi::PciRegion> {
    let mut regions = acpi::platform().pci_regions.iter();
    regions.find(|r| r.segment == 0 && (r.first_bus..=r.last_bus).contains(&bus))
}

fn ecam(bus: u8) -> Option<&'static Mmio> {
    let map = || {
        let start = region(bus)?.address.checked_add(u64::from(bus) * BUS_BYTES)?;
        Mmio::map(PhysAddr::try_new(start).ok()?, BUS_BYTES as usize)
    };
    BUSES[usize::from(bus)].call_once(map).as_ref()
}

/// Bits 19-15 device, 14-12 function, 11-0 register (PCI Express Base Specification 5.0, 7.2.2).
fn ecam_offset(device: u8, function: u8, offset: u16) -> usize {
    check(device, function, offset);
    usize::from(device) << 15 | usize::from(function) << 12 | usize::from(offset)
}

/// Bits 23-16 bus, 15-11 device, 10-8 function, 7-2 register (PCI Local Bus Specification 3.0, 3.2.2.3.2).
fn port_address(bus: u8, device: u8, function: u8, offset: u16) -> Option<u32> {
    check(device, function, offset);
    let offset = u8::try_from(offset).ok()?;
    let function = u32::from(device) << 11 | u32::from(function) << 8;
    Some(ENABLE | u32::from(bus) << 16 | function | u32::from(offset))
}

fn check(device: u8, function: u8, offset: u16) {
    assert!(device < 32 && function < 8, "pci: no function {device:02x}.{function}");
    assert!(offset < 4096 && offset.is_multiple_of(4), "pci: no register at {offset:#x}");
}
