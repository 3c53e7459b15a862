//! iomem and ioports: what is where, and who has it. Source: proc(5).
//!
//! A range that lies in another one stands below it. As on Linux, where things are is told to administrators only.

use super::system::done;
use crate::device::{pci, resources};
use crate::error::Result;
use crate::init;
use crate::process::{self, credentials::capability};
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::cmp::Reverse;
use core::fmt::Write;
use machine::acpi;
use machine::boot::MemoryKind;
use pci_config::{Bar, Kind, window::Windows};

/// Lengths of registers that every machine has at the places that firmware tells.
const IO_APIC: u64 = 0x400;
const LOCAL_APIC: u64 = 0x1000;
const HPET: u64 = 0x400;
/// Configuration space of a bus.
const BUS: u64 = 1 << 20;

/// A range of addresses or ports. Of equal ranges that with the lower rank is outside.
struct Entry {
    start: u64,
    last: u64,
    rank: u8,
    name: Cow<'static, str>,
}

impl Entry {
    fn new(start: u64, length: u64, rank: u8, name: impl Into<Cow<'static, str>>) -> Option<Self> {
        let last = start.checked_add(length.checked_sub(1)?)?;
        Some(Self { start, last, rank, name: name.into() })
    }
}

/// iomem.
pub(super) fn memory((): &()) -> Result<Vec<u8>> {
    let mut entries = known_to_firmware();
    for device in pci::BUS.devices() {
        let function = device.function();
        if let Kind::Bridge(bridge) = function.kind {
            let windows = device.windows();
            for window in [windows.memory, windows.prefetchable] {
                let name = format!("PCI Bus 0000:{:02x}", bridge.secondary);
                entries.extend(Entry::new(window.start, window.end - window.start, 1, name));
            }
        }
        for bar in device.bars().iter().flatten().filter(|bar| bar.start() != 0) {
            if let Bar::Memory { address, length, .. } = bar {
                entries.extend(Entry::new(*address, *length, 2, format!("{}", function.address)));
            }
        }
    }
    let owned = resources::owned().into_iter();
    entries.extend(owned.map(|owned| {
        let (start, last, name) = (owned.start, owned.last, owned.owner.into());
        Entry { start, last, rank: 3, name }
    }));
    done(text(entries, 8))
}

/// What the memory map and ACPI tell of.
fn known_to_firmware() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for region in init::boot_info().map_or(&[][..], |boot| &boot.memory_map) {
        let name = match region.kind {
            MemoryKind::Usable | MemoryKind::Kernel | MemoryKind::BootLoader => "System RAM",
            MemoryKind::AcpiReclaimable => "ACPI Tables",
            MemoryKind::AcpiNvs => "ACPI Non-volatile Storage",
            MemoryKind::Reserved => "Reserved",
        };
        let Some(entry) = Entry::new(region.start.as_u64(), region.length, 0, name) else { continue };
        match entries.last_mut() {
            Some(before) if before.name == name && before.last + 1 == entry.start => before.last = entry.last,
            _ => entries.push(entry),
        }
    }
    let platform = acpi::platform();
    for region in &platform.pci_regions {
        let buses = u64::from(region.last_bus.saturating_sub(region.first_bus)) + 1;
        let (segment, first, last) = (region.segment, region.first_bus, region.last_bus);
        let start = region.address.saturating_add(u64::from(first) * BUS);
        let name = format!("PCI ECAM {segment:04x} [bus {first:02x}-{last:02x}]");
        entries.extend(Entry::new(start, buses * BUS, 2, name));
    }
    for (index, io_apic) in platform.interrupts.io_apics.iter().enumerate() {
        entries.extend(Entry::new(io_apic.address.into(), IO_APIC, 2, format!("IOAPIC {index}")));
    }
    entries.extend(Entry::new(platform.interrupts.local_apic_address, LOCAL_APIC, 2, "Local APIC"));
    entries.extend(platform.hpet.and_then(|hpet| Entry::new(hpet.as_u64(), HPET, 2, "HPET 0")));
    entries
}

/// ioports.
pub(super) fn ports((): &()) -> Result<Vec<u8>> {
    let owned = machine::io::owned_ports().into_iter();
    let mut entries: Vec<_> = owned
        .map(|(range, name)| {
            let (start, last) = (u64::from(*range.start()), u64::from(*range.end()));
            Entry { start, last, rank: 3, name: name.into() }
        })
        .collect();
    for device in pci::BUS.devices() {
        if let Kind::Bridge(bridge) = device.function().kind {
            let Windows { ports, .. } = device.windows();
            let name = format!("PCI Bus 0000:{:02x}", bridge.secondary);
            entries.extend(Entry::new(ports.start, ports.end - ports.start, 1, name));
        }
        for bar in device.bars().iter().flatten().filter(|bar| bar.start() != 0) {
            if let Bar::Ports { first, count } = bar {
                let name = format!("{}", device.function().address);
                entries.extend(Entry::new((*first).into(), (*count).into(), 2, name));
            }
        }
    }
    done(text(entries, 4))
}

/// The entries in order, each as far to the right as there are entries around it.
fn text(mut entries: Vec<Entry>, width: usize) -> String {
    entries.sort_by_key(|entry| (entry.start, Reverse(entry.last), entry.rank));
    let is_told =
        process::try_current().is_none_or(|process| process.credentials().has(capability::SYS_ADMIN));
    let mut around: Vec<u64> = Vec::new();
    let mut text = String::new();
    for entry in &entries {
        while around.last().is_some_and(|last| *last < entry.last) {
            around.pop();
        }
        let (start, last) = if is_told { (entry.start, entry.last) } else { (0, 0) };
        let blanks = 2 * around.len();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:blanks$}{start:0width$x}-{last:0width$x} : {}", "", entry.name);
        around.push(entry.last);
    }
    text
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn what_lies_in_another_stands_below_it() {
        let entry = |start, length, rank, name| Entry::new(start, length, rank, name).expect("a range");
        let entries = [
            entry(0x2000, 0x100, 3, "driver"),
            entry(0x1000, 0x2000, 1, "bus"),
            entry(0x3000, 0x10, 2, "other"),
            entry(0x2000, 0x100, 2, "device"),
        ];
        let expected = "1000-2fff : bus\n  2000-20ff : device\n    2000-20ff : driver\n3000-300f : other\n";
        assert_eq!(text(entries.into(), 4), expected);
        assert!(Entry::new(1, 0, 0, "nothing").is_none() && Entry::new(u64::MAX, 2, 0, "too much").is_none());
    }

    #[kernel_test]
    fn registers_of_drivers_are_told() {
        let told = memory(&()).expect("it is made");
        let told = String::from_utf8_lossy(&told);
        for owned in resources::owned() {
            let line = format!("{:08x}-{:08x} : {}\n", owned.start, owned.last, owned.owner);
            assert!(told.contains(&line), "{line}");
        }
        assert!(told.contains(" : System RAM\n") && told.contains(" : Local APIC\n"));
    }
}
