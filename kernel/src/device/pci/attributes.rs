//! What /sys says of a function.

use crate::device::registry::Attribute;
use alloc::{boxed::Box, format, string::String, vec, vec::Vec};
use core::fmt::Write;
use core::ops::Range;
use pci_config::{Bar, Function, Kind, window::Windows};

/// Flags of `resource` (include/linux/ioport.h); the lowest four bits are those of the function's register.
mod flag {
    pub(super) const PORTS: u64 = 0x100;
    pub(super) const MEMORY: u64 = 0x200;
    pub(super) const PREFETCHABLE: u64 = 0x2000;
    pub(super) const READ_ONLY: u64 = 0x4000;
    pub(super) const ALIGNED_TO_SIZE: u64 = 0x4_0000;
    pub(super) const WIDE: u64 = 0x10_0000;

    pub(super) const REGISTER_PORTS: u64 = 0x1;
    pub(super) const REGISTER_WIDE: u64 = 0x4;
    pub(super) const REGISTER_PREFETCHABLE: u64 = 0x8;
    /// In a bridge's register for prefetchable memory: it is wide.
    pub(super) const WINDOW_WIDE: u64 = 0x1;
    /// A ROM that is read where firmware has copied it, and that stays there.
    pub(super) const SHADOW: u64 = 0x12;
}

/// Class of the screen that firmware draws on.
const VGA: u32 = 0x03_0000;
/// Where firmware copies its ROM.
const VGA_ROM: Range<u64> = 0xc_0000..0xe_0000;
/// Lines for what virtual functions have, which nobody drives here.
const VIRTUAL: usize = 6;

fn line(text: &mut String, addresses: &Range<u64>, flags: u64) {
    let (start, last, flags) = match addresses.is_empty() {
        true => (0, 0, 0),
        false => (addresses.start, addresses.end - 1, flags),
    };
    // Writing to a string does not fail.
    let _ = writeln!(text, "{start:#018x} {last:#018x} {flags:#018x}");
}

/// `resource`: a line for each base address register, for the ROM, for virtual functions, and the windows of a bridge.
fn resources(function: &Function, bars: &[Option<Bar>; 6], rom: &Range<u64>) -> String {
    let mut text = String::new();
    for bar in bars {
        let Some(bar) = bar else {
            line(&mut text, &(0..0), 0);
            continue;
        };
        let flags = match *bar {
            Bar::Ports { .. } => flag::PORTS | flag::REGISTER_PORTS,
            Bar::Memory { is_prefetchable, is_wide, .. } => {
                let when = |is_set: bool, flags: u64| if is_set { flags } else { 0 };
                flag::MEMORY
                    | when(is_prefetchable, flag::PREFETCHABLE | flag::REGISTER_PREFETCHABLE)
                    | when(is_wide, flag::WIDE | flag::REGISTER_WIDE)
            }
        };
        let addresses = bar.start()..bar.start().saturating_add(bar.length());
        line(&mut text, &addresses, flag::ALIGNED_TO_SIZE | flags);
    }
    match function.class {
        VGA => line(&mut text, &VGA_ROM, flag::MEMORY | flag::SHADOW),
        _ => {
            let flags = flag::MEMORY | flag::PREFETCHABLE | flag::READ_ONLY | flag::ALIGNED_TO_SIZE;
            line(&mut text, rom, flags);
        }
    }
    (0..VIRTUAL).for_each(|_| line(&mut text, &(0..0), 0));
    if matches!(function.kind, Kind::Bridge(_)) {
        let windows = Windows::read(&super::Space, function.address);
        line(&mut text, &windows.ports, flag::PORTS);
        line(&mut text, &windows.memory, flag::MEMORY);
        let wide = flag::MEMORY | flag::PREFETCHABLE | flag::WIDE | flag::WINDOW_WIDE;
        line(&mut text, &windows.prefetchable, wide);
        line(&mut text, &(0..0), 0);
    }
    text
}

/// The files that Linux has for a function in /sys.
pub(super) fn of(function: &Function, bars: &[Option<Bar>; 6], rom: Range<u64>) -> Vec<Attribute> {
    let fixed = Attribute::fixed;
    let (shown, bars) = (*function, *bars);
    let show = Box::new(move || String::from(resources(&shown, &bars, &rom).trim_end()));
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
                "PCI_CLASS={class:04X}\nPCI_ID={vendor:04X}:{device:04X}\n\
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
        // The windows of a bridge are changed when something is put into its slot.
        Attribute { name: "resource", show },
    ]
}
