//! What ACPI's code tells of the wiring of PCI interrupts, asked once at boot.
//!
//! The code runs in `lib/aml`, bounded in time and memory, and reaches the machine only through [`Registers`]: ports and
//! device memory that belong to nobody here, and configuration space. What it may not touch it is refused, which ends the
//! evaluation and is said in the log; the routes that it did tell are used.

use super::Space;
use crate::sched;
use aml::pci_routing::Routing;
use aml::resource::Interrupt;
use aml::{Host, Interpreter, Limits};
use machine::acpi;
use machine::addr::PhysAddr;
use machine::io::IoPorts;
use machine::mm::Mmio;
use machine::sync::Once;
use machine::time;
use pci_config::{Address, ConfigSpace};

static ROUTING: Once<Routing> = Once::new();

/// Length of a table's header, and where its revision stands in it.
const HEADER: usize = 36;
const REVISION: usize = 8;

/// Where a pin of a device arrives, if the firmware tells of that bus; the inner `None`: nowhere.
pub(super) fn route(bus: u8, device: u8, pin: u8) -> Option<Option<Interrupt>> {
    ROUTING.get()?.find(bus, device, pin)
}

/// Runs the code. Before functions are given to their drivers: buses are numbered, nobody has an interrupt.
pub(super) fn init() {
    let tables = acpi::platform().code_tables();
    if tables.is_empty() {
        return;
    }
    let mut registers = Registers;
    let mut interpreter = Interpreter::new(&mut registers, Limits::USUAL);
    // In tables of revision 1 numbers have 32 bits; what the first one says goes for all.
    if tables.first().and_then(|table| table.get(REVISION)).is_some_and(|revision| *revision < 2) {
        interpreter.use_short_integers();
    }
    for table in &tables {
        let loaded = table.get(HEADER..).map(|code| interpreter.load(code));
        if let Some(Err(error)) = loaded {
            log::warn!("acpi: {}: {error}", alloc::string::String::from_utf8_lossy(&table[..4]));
        }
    }
    let routing = interpreter.pci_routing();
    for problem in &routing.problems {
        log::warn!("acpi: {problem}");
    }
    log::debug!("acpi: {} interrupt routes on {} PCI buses", routing.routes.len(), routing.buses.len());
    ROUTING.call_once(|| routing);
}

/// The machine, as the code may use it.
struct Registers;

impl Host for Registers {
    fn read(&mut self, space: aml::Space, address: u64, bytes: usize) -> Option<u64> {
        match space {
            aml::Space::Memory => {
                let register = memory(address, bytes)?;
                Some(match bytes {
                    1 => register.read::<u8>(0).into(),
                    2 => register.read::<u16>(0).into(),
                    4 => register.read::<u32>(0).into(),
                    _ => register.read::<u64>(0),
                })
            }
            aml::Space::Port => {
                let ports = ports(address, bytes)?;
                Some(match bytes {
                    1 => ports.read_u8(0).into(),
                    2 => ports.read_u16(0).into(),
                    _ => ports.read_u32(0).into(),
                })
            }
            aml::Space::PciConfig { .. } => {
                let (function, offset, shift) = config(space, address, bytes)?;
                let value = u64::from(Space.read(function, offset)) >> shift;
                Some(value & ((1 << (bytes * 8)) - 1))
            }
        }
    }

    fn write(&mut self, space: aml::Space, address: u64, bytes: usize, value: u64) -> Option<()> {
        match space {
            aml::Space::Memory => {
                let register = memory(address, bytes)?;
                match bytes {
                    1 => register.write(0, value as u8),
                    2 => register.write(0, value as u16),
                    4 => register.write(0, value as u32),
                    _ => register.write(0, value),
                }
            }
            aml::Space::Port => {
                let ports = ports(address, bytes)?;
                match bytes {
                    1 => ports.write_u8(0, value as u8),
                    2 => ports.write_u16(0, value as u16),
                    _ => ports.write_u32(0, value as u32),
                }
            }
            aml::Space::PciConfig { .. } => {
                let (function, offset, shift) = config(space, address, bytes)?;
                let mask = ((1_u64 << (bytes * 8)) - 1) << shift;
                let rest = u64::from(Space.read(function, offset)) & !mask;
                Space.write(function, offset, (rest | ((value << shift) & mask)) as u32);
            }
        }
        Some(())
    }

    fn wait_us(&mut self, microseconds: u64) {
        sched::sleep_until(time::monotonic_ns().saturating_add(microseconds.saturating_mul(1000)));
    }
}

/// A register in memory that is no RAM.
fn memory(address: u64, bytes: usize) -> Option<Mmio> {
    let is_aligned = address.is_multiple_of(bytes as u64);
    Mmio::map(PhysAddr::try_new(address).ok().filter(|_| is_aligned)?, bytes)
}

/// Ports that nobody has, for one access.
fn ports(address: u64, bytes: usize) -> Option<IoPorts> {
    if bytes > 4 {
        return None;
    }
    IoPorts::claim(u16::try_from(address).ok()?, bytes as u16)
}

/// The double word of configuration space with a register of 1, 2 or 4 bytes, and the register's first bit in it.
fn config(space: aml::Space, address: u64, bytes: usize) -> Option<(Address, u16, usize)> {
    let aml::Space::PciConfig { bus, device, function } = space else { return None };
    let offset = u16::try_from(address).ok().filter(|offset| *offset < 4096)?;
    let is_inside = bytes <= 4 && usize::from(offset % 4) + bytes <= 4;
    let place = (Address { bus, device, function }, offset & !3, usize::from(offset % 4) * 8);
    is_inside.then_some(place)
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use pci_config::wire::{Chipset, Wire};
    use test_macro::kernel_test;

    #[kernel_test]
    fn the_firmware_routes_every_pin_as_the_chipset_does() {
        let Some(chipset) = Chipset::detect(&Space) else { return };
        let mut routed = 0;
        for (device, pin) in (0..32).flat_map(|device| (0..4).map(move |pin| (device, pin))) {
            let told = route(0, device, pin).expect("QEMU's firmware tells of the root bus");
            // Not all devices can be there.
            let Some(told) = told else { continue };
            routed += 1;
            match chipset.wire(&Space, device, pin) {
                Some(Wire::Global(input)) => assert_eq!(told.number, input, "device {device}, pin {pin}"),
                // One pin of the chipset's own device has a fixed interrupt.
                Some(Wire::Isa(irq)) if device != 1 || pin != 0 => {
                    assert_eq!(told.number, irq.into(), "device {device}, pin {pin}");
                }
                Some(Wire::Isa(_)) | None => {}
            }
            assert!(told.is_level);
        }
        assert!(routed >= 120, "{routed} of 128 pins are routed");
    }

    #[kernel_test]
    fn code_of_the_firmware_reaches_no_memory_and_no_ports_of_the_kernel() {
        let mut registers = Registers;
        assert_eq!(registers.read(aml::Space::Memory, 0x20_0000, 4), None);
        assert_eq!(registers.write(aml::Space::Memory, 0x20_0000, 4, 0), None);
        for port in [0x20, 0x70, 0xb2, 0xcf8, 0xffff, 0x1_0000] {
            assert_eq!(registers.read(aml::Space::Port, port, 4), None);
            assert_eq!(registers.write(aml::Space::Port, port, 4, 0), None);
        }
        let host = aml::Space::PciConfig { bus: 0, device: 0, function: 0 };
        assert_eq!(registers.read(host, 0, 2), Some(0x8086));
        assert_eq!(registers.read(host, 3, 2), None);
        assert_eq!(registers.read(host, 4096, 1), None);
    }
}
