//! What ACPI's static tables tell of this machine, read once at boot.
//!
//! The parsing is done by `lib/acpi-tables`; here it gets physical memory to read, and the values go to
//! where they are used: power-off and reset to [`crate::io::power`], the rest to a [`Platform`] that the
//! interrupt, PCI and timer code asks. A machine without (usable) tables gets a PC's defaults.

use crate::addr::PhysAddr;
use crate::io::acpi_events::EventRegisters;
use crate::sync::Once;
use acpi_tables::{Error, Memory, Tables, fadt, hpet, madt, mcfg, sleep};
use alloc::{vec, vec::Vec};

pub use acpi_tables::{
    Entry as TableEntry,
    madt::{Cpu, IoApic, Madt, Override},
    mcfg::Region as PciRegion,
};

/// The machine as firmware describes it.
#[derive(Debug, Default)]
pub struct Platform {
    /// CPUs and interrupt controllers.
    pub interrupts: Madt,
    /// Where PCI configuration space is mapped; empty: only the ports can be used.
    pub pci_regions: Vec<PciRegion>,
    /// Registers of the HPET.
    pub hpet: Option<PhysAddr>,
    /// How the chipset tells of events.
    pub events: Option<EventRegisters>,
    /// There is no CMOS clock.
    pub has_no_rtc: bool,
    /// The CMOS clock's register with the century.
    pub rtc_century: Option<u8>,
    /// Names, addresses and lengths of the tables.
    pub tables: Tables,
    /// Physical address of the DSDT, which is not among them.
    pub dsdt: Option<u64>,
    /// What was wrong: the table, and how. For the log, which does not run yet when tables are read.
    pub problems: Vec<(&'static str, Error)>,
}

static PLATFORM: Once<Platform> = Once::new();

/// The I/O APIC and the local APICs of every PC, for machines without a MADT.
const DEFAULT_IO_APIC: IoApic = IoApic { id: 0, address: 0xfec0_0000, first_interrupt: 0 };
const DEFAULT_LOCAL_APIC: u64 = 0xfee0_0000;

/// Reads the tables. Once, when memory and heap are up.
pub(crate) fn init(rsdp: Option<PhysAddr>) -> &'static Platform {
    PLATFORM.call_once(|| Platform::read(rsdp))
}

/// What the tables told; a machine without any, before [`init`].
pub fn platform() -> &'static Platform {
    PLATFORM.call_once(|| Platform::read(None))
}

struct PhysicalMemory;

impl Memory for PhysicalMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        PhysAddr::try_new(address).is_ok_and(|start| crate::mm::read_physical(start, buffer))
    }
}

impl Platform {
    fn read(rsdp: Option<PhysAddr>) -> Platform {
        let mut platform = Platform::default();
        match rsdp.ok_or(Error::Missing).and_then(|rsdp| Tables::locate(&PhysicalMemory, rsdp.as_u64())) {
            Ok(tables) => platform.tables = tables,
            Err(error) => platform.problems.push(("RSDP", error)),
        }
        let madt = platform.table("APIC", b"APIC", madt::parse);
        platform.interrupts = madt.unwrap_or_else(|| Madt {
            local_apic_address: DEFAULT_LOCAL_APIC,
            io_apics: vec![DEFAULT_IO_APIC],
            overrides: vec![Override { isa_irq: 0, interrupt: 2, is_active_low: false, is_level: false }],
            ..Madt::default()
        });
        platform.pci_regions = platform.table("MCFG", b"MCFG", mcfg::parse).unwrap_or_default();
        platform.hpet =
            platform.table("HPET", b"HPET", hpet::parse).and_then(|address| PhysAddr::try_new(address).ok());
        if let Some(fadt) = platform.table("FACP", b"FACP", fadt::parse) {
            platform.dsdt = (fadt.dsdt != 0).then_some(fadt.dsdt);
            platform.events = EventRegisters::of(&fadt);
            platform.has_no_rtc = fadt.has_no_rtc;
            platform.rtc_century = fadt.rtc_century;
            platform.set_up_power(&fadt);
        }
        platform
    }

    /// Loads and reads one table; what is wrong with it is noted (a table that is not there is no problem).
    fn table<T>(
        &mut self,
        name: &'static str,
        signature: &[u8; 4],
        parse: fn(&[u8]) -> Result<T, Error>,
    ) -> Option<T> {
        match self.tables.load(&PhysicalMemory, signature).and_then(|bytes| parse(&bytes)) {
            Ok(value) => Some(value),
            Err(Error::Missing) => None,
            Err(error) => {
                self.problems.push((name, error));
                None
            }
        }
    }

    fn set_up_power(&mut self, fadt: &fadt::Fadt) {
        use crate::io::power;
        if let Some((fadt::Register::Port(port), value)) = fadt.reset {
            power::set_reset(port, value);
        }
        let port = |register| match register {
            Some(fadt::Register::Port(port)) => port,
            _ => 0,
        };
        let (pm1a, pm1b) = (port(fadt.pm1a_control), port(fadt.pm1b_control));
        match self.soft_off(fadt.dsdt) {
            Ok(off) => power::set_power_off(pm1a, pm1b, off.type_a, off.type_b),
            Err(error) => self.problems.push(("DSDT", error)),
        }
    }

    /// The tables with code (DSDT, then the SSDTs), without those that cannot be read.
    pub fn code_tables(&self) -> Vec<Vec<u8>> {
        let secondary = self.tables.entries().iter().filter(|entry| &entry.signature == b"SSDT");
        let addresses = self.dsdt.into_iter().map(|address| (address, b"DSDT"));
        let addresses = addresses.chain(secondary.map(|entry| (entry.address, b"SSDT")));
        addresses
            .filter_map(|(address, signature)| {
                acpi_tables::load_at(&PhysicalMemory, address, Some(signature)).ok()
            })
            .collect()
    }

    /// Looks for `_S5_` in the DSDT, then in the SSDTs.
    fn soft_off(&self, dsdt: u64) -> Result<sleep::SoftOff, Error> {
        let dsdt = acpi_tables::load_at(&PhysicalMemory, dsdt, Some(b"DSDT"))?;
        let secondary = self.tables.entries().iter().filter(|entry| &entry.signature == b"SSDT");
        sleep::find_soft_off(&dsdt)
            .or_else(|| {
                secondary
                    .filter_map(|e| acpi_tables::load_at(&PhysicalMemory, e.address, Some(b"SSDT")).ok())
                    .find_map(|ssdt| sleep::find_soft_off(&ssdt))
            })
            .ok_or(Error::Missing)
    }
}
