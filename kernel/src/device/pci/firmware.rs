//! ACPI's code: what it tells of the wiring of PCI interrupts, and whether it leaves hot-plug to us. That is asked at boot, after
//! it has done what it wants to do first (`_INI`, `_REG`), by a thread that runs its methods of [events](super::firmware_events)
//! from then on.
//!
//! The code runs in `lib/aml`, bounded in time and memory, and reaches the machine only through [`Registers`]: ports and
//! device memory that belong to nobody here, and configuration space. What it may not touch it is refused, which ends the
//! evaluation and is said in the log; the routes that it did tell are used.

use super::{Space, firmware_events};
use crate::sched::{self, wait::WaitQueue};
use alloc::vec::Vec;
use aml::pci_routing::Routing;
use aml::resource::Interrupt;
use aml::{Host, Interpreter, Limits, Value};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::acpi;
use machine::addr::PhysAddr;
use machine::io::IoPorts;
use machine::mm::Mmio;
use machine::sync::Once;
use machine::time;
use pci_config::{Address, ConfigSpace};

static ROUTING: Once<Routing> = Once::new();
/// Woken when the code was asked.
static ASKED: WaitQueue = WaitQueue::named("acpi-tables");
static IS_ASKED: AtomicBool = AtomicBool::new(false);

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
    // What tables define is no other thread's business, and cannot be given to one.
    if let Err(error) = sched::spawn("acpi", move || run(tables)) {
        return log::error!("acpi: its code cannot be run: {error}");
    }
    ASKED.wait(|| IS_ASKED.load(Ordering::Acquire).then_some(()));
}

fn run(tables: Vec<Vec<u8>>) {
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
    drop(tables);
    let initialization = interpreter.initialize();
    let routing = interpreter.pci_routing();
    for problem in initialization.problems.iter().chain(&routing.problems) {
        log::warn!("acpi: {problem}");
    }
    log::debug!("acpi: ran {} _INI and {} _REG", initialization.devices, initialization.regions);
    log::debug!("acpi: {} interrupt routes on {} PCI buses", routing.routes.len(), routing.buses.len());
    LETS_US_PLUG.store(ask_for_hot_plug(&mut interpreter), Ordering::Release);
    ROUTING.call_once(|| routing);
    IS_ASKED.store(true, Ordering::Release);
    ASKED.wake_all();
    firmware_events::serve(&mut interpreter);
}

/// Whether slots are ours. Firmware that has no code has no part in it.
static LETS_US_PLUG: AtomicBool = AtomicBool::new(true);

/// Whether the system may work the slots of PCI Express ports; else firmware does.
pub(super) fn lets_us_plug() -> bool {
    LETS_US_PLUG.load(Ordering::Acquire)
}

/// Asks the PCI host bridges for control of hot-plug (`_OSC`: ACPI 6.5, section 6.2.11; PCI Firmware Specification 3.2,
/// section 4.5). A bridge without that method leaves it to the system.
fn ask_for_hot_plug(interpreter: &mut Interpreter<'_>) -> bool {
    let mut is_ours = true;
    for bridge in interpreter.pci_root_bridges() {
        // No error and no question, but a demand; what we can do; what we want to do.
        let words = [0_u32, osc::EXTENDED_CONFIGURATION | osc::MESSAGES, osc::HOT_PLUG | osc::CAPABILITIES];
        let words: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let count = Value::Integer(words.len() as u64 / 4);
        let arguments = [Value::buffer(osc::ID.to_vec()), Value::Integer(1), count, Value::buffer(words)];
        let granted = match interpreter.evaluate_child(bridge, aml::segment("_OSC"), &arguments) {
            Ok(None) => continue,
            Ok(Some(answer)) => answer.as_bytes().and_then(|bytes| osc::granted(&bytes)),
            Err(error) => {
                log::warn!("acpi: {}._OSC: {error}", interpreter.path(bridge));
                None
            }
        };
        is_ours &= granted.is_some_and(|granted| granted & osc::HOT_PLUG != 0);
    }
    log::debug!("acpi: hot-plug of PCI Express is {}", if is_ours { "ours" } else { "the firmware's" });
    is_ours
}

/// What a PCI host bridge is asked.
mod osc {
    /// 33db4d5b-1ff7-401c-9657-7441c03dd766.
    pub(super) const ID: [u8; 16] =
        [0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66];
    /// The system reaches 4096 bytes of configuration space, and uses messages as interrupts.
    pub(super) const EXTENDED_CONFIGURATION: u32 = 1 << 0;
    pub(super) const MESSAGES: u32 = 1 << 4;
    /// It wants to work slots, and the PCI Express capability.
    pub(super) const HOT_PLUG: u32 = 1 << 0;
    pub(super) const CAPABILITIES: u32 = 1 << 4;
    /// In the answer's first word: it was not understood.
    const REFUSED: u32 = 0b1110;

    /// What an answer lets the system do; `None`: it is no answer.
    pub(super) fn granted(answer: &[u8]) -> Option<u32> {
        let word =
            |index: usize| answer.get(4 * index..4 * index + 4)?.try_into().ok().map(u32::from_le_bytes);
        (word(0)? & REFUSED == 0).then(|| word(2))?
    }
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
    IoPorts::claim(u16::try_from(address).ok()?, bytes as u16, "ACPI")
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
