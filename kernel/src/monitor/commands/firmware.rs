//! What the boot loader and ACPI told.

use crate::init;
use crate::monitor::arguments::{Arguments, Failure, Outcome};
use crate::monitor::command::Context;
use core::fmt::Write;
use machine::acpi;

/// Shows what the boot loader told, and the memory map.
pub(in crate::monitor) fn boot_info(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let boot = init::boot_info().ok_or(Failure::Refused("the boot loader's information is gone"))?;
    let out = &mut context.out;
    writeln!(out, "boot protocol: {}\ncommand line: {}", boot.protocol, boot.command_line)?;
    match boot.rsdp {
        Some(address) => writeln!(out, "ACPI root pointer: {:#x}", address.as_u64())?,
        None => writeln!(out, "ACPI root pointer: none")?,
    }
    match &boot.framebuffer {
        Some(screen) => writeln!(
            out,
            "framebuffer: {}x{} at {:#x}, {} bits, {} bytes a row",
            screen.width,
            screen.height,
            screen.address.as_u64(),
            screen.bits_per_pixel,
            screen.pitch
        )?,
        None => writeln!(out, "framebuffer: none")?,
    }
    for module in &boot.modules {
        writeln!(out, "module {}: {:#x}, {} bytes", module.name, module.start.as_u64(), module.length)?;
    }
    writeln!(out, "memory map:")?;
    for region in &boot.memory_map {
        let start = region.start.as_u64();
        let end = start.saturating_add(region.length);
        writeln!(out, "  {start:#014x}-{end:#014x} {:>10} KiB {:?}", region.length / 1024, region.kind)?;
    }
    Ok(())
}

/// Shows what ACPI's tables tell.
pub(in crate::monitor) fn print_acpi(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let platform = acpi::platform();
    let out = &mut context.out;
    writeln!(out, "processors:")?;
    for cpu in &platform.interrupts.cpus {
        let state = if cpu.is_enabled { "enabled" } else { "disabled" };
        writeln!(out, "  processor {}: APIC id {}, {state}", cpu.processor_id, cpu.apic_id)?;
    }
    writeln!(out, "local APIC: {:#x}", platform.interrupts.local_apic_address)?;
    for io_apic in &platform.interrupts.io_apics {
        let (id, address, first) = (io_apic.id, io_apic.address, io_apic.first_interrupt);
        writeln!(out, "I/O APIC {id}: {address:#x}, interrupts from {first}")?;
    }
    for changed in &platform.interrupts.overrides {
        let level = if changed.is_level { "level" } else { "edge" };
        let active = if changed.is_active_low { "low" } else { "high" };
        writeln!(
            out,
            "ISA interrupt {} is {}, {level}, active {active}",
            changed.isa_irq, changed.interrupt
        )?;
    }
    writeln!(out, "tables:")?;
    for table in platform.tables.entries() {
        let name = core::str::from_utf8(&table.signature).unwrap_or("?");
        writeln!(out, "  {name} at {:#x}, {} bytes", table.address, table.length)?;
    }
    if let Some(address) = platform.dsdt {
        writeln!(out, "  DSDT at {address:#x}")?;
    }
    match platform.hpet {
        Some(address) => writeln!(out, "HPET: {:#x}", address.as_u64())?,
        None => writeln!(out, "HPET: none")?,
    }
    for region in &platform.pci_regions {
        let (segment, first, last) = (region.segment, region.first_bus, region.last_bus);
        writeln!(out, "MCFG: segment {segment}, buses {first} to {last} at {:#x}", region.address)?;
    }
    for (table, problem) in &platform.problems {
        writeln!(out, "problem with {table}: {problem}")?;
    }
    Ok(())
}
