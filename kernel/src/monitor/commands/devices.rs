//! PCI, virtio, interrupts, random numbers.

use crate::device::virtio::{self, entropy};
use crate::device::{Device, pci};
use crate::fs::procfs;
use crate::monitor::arguments::{Arguments, Outcome, While};
use crate::monitor::command::Context;
use core::fmt::{self, Write};
use pci_config::{Bar, Capability, Function, Kind};

/// Random bytes that are asked for at a time.
const RANDOM_STEP: usize = 64;

/// Looks for all PCI functions and shows their configuration.
pub(in crate::monitor) fn list_pci(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let out = &mut context.out;
    let mut outcome = Ok(());
    pci::visit_again(&mut |function, words| {
        outcome = outcome.and_then(|()| write_function(out, function, words));
    });
    outcome?;
    Ok(())
}

fn write_function(out: &mut dyn Write, function: &Function, words: &[u32; 64]) -> fmt::Result {
    let (address, vendor, device) = (function.address, function.vendor, function.device);
    writeln!(
        out,
        "{address} {vendor:04x}:{device:04x} class {:06x} revision {:02x}",
        function.class, function.revision
    )?;
    let (subsystem_vendor, subsystem) = (function.subsystem_vendor, function.subsystem);
    write!(out, "  subsystem {subsystem_vendor:04x}:{subsystem:04x}, ")?;
    writeln!(out, "interrupt pin {} line {}", function.interrupt_pin, function.interrupt_line)?;
    if let Kind::Bridge(bridge) = &function.kind {
        writeln!(out, "  bridge to buses {} to {}", bridge.secondary, bridge.subordinate)?;
    }
    let known = pci::BUS.devices().into_iter().find(|known| known.function().address == address);
    if let Some(known) = known {
        if let Some(driver) = known.node().driver() {
            writeln!(out, "  driver {driver}")?;
        }
        for (index, bar) in known.bars().iter().enumerate() {
            match bar {
                None => {}
                Some(bar @ Bar::Ports { .. }) => {
                    writeln!(out, "  BAR {index}: ports {:#x}, {:#x} bytes", bar.start(), bar.length())?;
                }
                Some(bar @ Bar::Memory { .. }) => {
                    writeln!(out, "  BAR {index}: memory {:#x}, {:#x} bytes", bar.start(), bar.length())?;
                }
            }
        }
        for capability in known.capabilities() {
            writeln!(
                out,
                "  capability {:#04x} at {:#04x} ({})",
                capability.id,
                capability.offset,
                name(*capability)
            )?;
        }
    }
    for (row, words) in words.chunks(4).enumerate() {
        write!(out, "  {:02x}:", row * 16)?;
        words.iter().flat_map(|word| word.to_le_bytes()).try_for_each(|byte| write!(out, " {byte:02x}"))?;
        writeln!(out)?;
    }
    Ok(())
}

/// What a capability is for (PCI Code and ID Assignment Specification 1.12, section 2).
fn name(capability: Capability) -> &'static str {
    match capability.id {
        0x01 => "power management",
        0x05 => "MSI",
        0x09 => "vendor",
        0x0d => "bridge subsystem",
        0x10 => "PCI Express",
        0x11 => "MSI-X",
        0x12 => "SATA",
        0x13 => "advanced features",
        _ => "other",
    }
}

/// Shows all virtio devices with their capabilities.
pub(in crate::monitor) fn list_virtio(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    for device in pci::BUS.devices() {
        pci::virtio::describe(&device, &mut context.out)?;
    }
    let out = &mut context.out;
    for device in virtio::BUS.devices() {
        let node = device.node();
        write!(
            out,
            "{} ({}): driver {}",
            node.name(),
            virtio::kind_name(device.kind()),
            node.driver().unwrap_or("none")
        )?;
        for attribute in node.attributes() {
            write!(out, ", {} {}", attribute.name, (attribute.show)())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Shows who has which interrupt, and how many came.
pub(in crate::monitor) fn interrupts(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    write_text(context, "interrupts")
}

/// Shows the clocks, and what waits for them.
pub(in crate::monitor) fn timers(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    write_text(context, "timer_list")
}

/// Shows what /proc has under that name.
fn write_text(context: &mut Context<'_>, name: &'static str) -> Outcome {
    let text = procfs::text_of(name).trying("making the text")?;
    for part in text.utf8_chunks() {
        context.out.write_str(part.valid())?;
    }
    Ok(())
}

/// Asks the random number device for bytes and shows them.
pub(in crate::monitor) fn rng(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let mut left = arguments.number::<u32>("number of bytes")? as usize;
    arguments.end()?;
    while left > 0 {
        let mut bytes = [0; RANDOM_STEP];
        let part = &mut bytes[..left.min(RANDOM_STEP)];
        left -= part.len();
        entropy::read(part).trying("reading random numbers")?;
        for row in part.chunks(32) {
            row.iter().try_for_each(|byte| write!(context.out, "{byte:02x}"))?;
            writeln!(context.out)?;
        }
    }
    Ok(())
}
