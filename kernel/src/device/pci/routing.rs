//! Where a function's wired interrupt arrives: from its pin over the bridges to a bus of which ACPI's code tells
//! ([`firmware`]), as a rule the root bus. Without such code, from the root bus by what is known of the chipset; on another
//! one, by the ISA interrupt that firmware noted, with a message.

use super::interrupt::no_line;
use super::{BUS, Device, PciDevice, Space, firmware};
use crate::error::{Error, Result};
use abi::errno::Errno;
use aml::resource::Interrupt;
use machine::irq::{Claim, IrqLine, Trigger};
use pci_config::wire::{Chipset, Wire, swizzle};
use pci_config::{Function, Kind};

/// Claims the line, together with the other functions on it.
pub(super) fn claim(device: &PciDevice) -> Result<IrqLine> {
    let function = device.function();
    if function.interrupt_pin == 0 {
        return Err(Error::new(Errno::ENODEV, "the function has no interrupt"));
    }
    let line = match route(function) {
        Some(Route::Firmware(None)) => {
            return Err(Error::new(
                Errno::ENODEV,
                "the firmware says that the function's interrupt is not wired",
            ));
        }
        Some(Route::Firmware(Some(interrupt))) => {
            let trigger = match (interrupt.is_level, interrupt.is_active_low) {
                (true, true) => Trigger::LowLevel,
                (true, false) => Trigger::HighLevel,
                (false, true) => Trigger::FallingEdge,
                (false, false) => Trigger::RisingEdge,
            };
            IrqLine::claim_wired(interrupt.number, trigger, Claim::Shared)
        }
        Some(Route::Chipset(Wire::Global(input))) => {
            IrqLine::claim_wired(input, Trigger::LowLevel, Claim::Shared)
        }
        Some(Route::Chipset(Wire::Isa(irq))) => IrqLine::claim_isa(irq, Claim::Shared),
        None => {
            let irq = function.interrupt_line;
            log::warn!(
                "pci: {}: the chipset is unknown; taking irq {irq}, as firmware says",
                device.node().name()
            );
            IrqLine::claim_isa(irq, Claim::Shared)
        }
    };
    let line = line.map_err(no_line)?;
    log::debug!("pci: {}: no messages; wired to irq {}", device.node().name(), line.number());
    Ok(line)
}

/// Who tells where a pin arrives.
enum Route {
    /// ACPI; `None`: nowhere.
    Firmware(Option<Interrupt>),
    Chipset(Wire),
}

fn route(function: &Function) -> Option<Route> {
    let (mut bus, mut device) = (function.address.bus, function.address.device);
    let mut pin = function.interrupt_pin.wrapping_sub(1) % 4;
    // Each bridge is nearer to the root, so there are at most as many as buses.
    for _ in 0..256 {
        if let Some(found) = firmware::route(bus, device, pin) {
            return Some(Route::Firmware(found));
        }
        if bus == 0 {
            return Chipset::detect(&Space)?.wire(&Space, device, pin).map(Route::Chipset);
        }
        let bridge = bridge_to(bus)?;
        pin = swizzle(device, pin);
        (bus, device) = (bridge.address.bus, bridge.address.device);
    }
    None
}

/// The bridge behind which a bus is.
fn bridge_to(bus: u8) -> Option<Function> {
    let devices = BUS.devices();
    let functions = devices.iter().map(|device| *device.function());
    functions
        .into_iter()
        .find(|function| matches!(function.kind, Kind::Bridge(bridge) if bridge.secondary == bus))
}
