//! What /sys says of a function.

use crate::device::registry::Attribute;
use alloc::{format, string::String, vec, vec::Vec};
use core::fmt::Write;
use pci_config::{Bar, Function};

/// The files that Linux has for a function in /sys.
pub(super) fn of(function: &Function, bars: &[Option<Bar>; 6]) -> Vec<Attribute> {
    let mut resource = String::new();
    for bar in bars {
        // Linux's resource flags: 0x100 ports, 0x200 memory, 0x2000 prefetchable, 0x100000 64 bits.
        let flags = match bar {
            None => 0,
            Some(Bar::Ports { .. }) => 0x100,
            Some(Bar::Memory { is_prefetchable, is_wide, .. }) => {
                0x200 | u64::from(*is_prefetchable) << 13 | u64::from(*is_wide) << 20
            }
        };
        let start = bar.map_or(0, |bar| bar.start());
        let end = bar.map_or(0, |bar| start.saturating_add(bar.length() - 1));
        // Writing to a string does not fail.
        let _ = writeln!(resource, "{start:#018x} {end:#018x} {flags:#018x}");
    }
    let fixed = Attribute::fixed;
    let Function { vendor, device, subsystem_vendor, subsystem, class, .. } = function;
    let [_, class_byte, subclass, interface] = class.to_be_bytes();
    let alias = format!(
        "pci:v{vendor:08X}d{device:08X}sv{subsystem_vendor:08X}sd{subsystem:08X}\
         bc{class_byte:02X}sc{subclass:02X}i{interface:02X}"
    );
    vec![
        fixed(
            "uevent",
            format!(
                "PCI_CLASS={class:X}\nPCI_ID={vendor:04X}:{device:04X}\n\
                 PCI_SUBSYS_ID={subsystem_vendor:04X}:{subsystem:04X}\n\
                 PCI_SLOT_NAME={}\nMODALIAS={alias}",
                function.address
            ),
        ),
        fixed("modalias", alias.clone()),
        fixed("vendor", format!("{:#06x}", function.vendor)),
        fixed("device", format!("{:#06x}", function.device)),
        fixed("subsystem_vendor", format!("{:#06x}", function.subsystem_vendor)),
        fixed("subsystem_device", format!("{:#06x}", function.subsystem)),
        fixed("class", format!("{:#08x}", function.class)),
        fixed("revision", format!("{:#04x}", function.revision)),
        fixed("irq", format!("{}", function.interrupt_line)),
        fixed("resource", String::from(resource.trim_end())),
    ]
}
