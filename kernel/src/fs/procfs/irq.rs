//! Interrupts: /proc/interrupts, irq/ with the affinity of each line. Source: proc(5), Linux's
//! Documentation/core-api/irq/irq-affinity.rst.

use super::{
    process::cpu_list,
    root::parse_number,
    table::{Row, RowKind, Subject, Table, text},
};
use crate::{
    error::{Error, Result},
    fs::{
        inode::FileKind,
        synthetic::{Content, Directory, Item},
    },
};
use abi::errno::Errno;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt::Write;
use machine::cpu::{self, CpuEvent};
use machine::irq::{self, IrqError, LineInfo};

/// How /proc/interrupts names what interrupts a CPU and is no device.
fn label(event: CpuEvent) -> (&'static str, &'static str) {
    match event {
        CpuEvent::Nmi => ("NMI", "Non-maskable interrupts"),
        CpuEvent::Timer => ("LOC", "Local timer interrupts"),
        CpuEvent::Spurious => ("SPU", "Spurious interrupts"),
        CpuEvent::Reschedule => ("RES", "Rescheduling interrupts"),
        CpuEvent::Call => ("CAL", "Function call interrupts"),
        CpuEvent::Shootdown => ("TLB", "TLB shootdowns"),
        CpuEvent::ApicError => ("ERR", ""),
        CpuEvent::Stray => ("STR", "Interrupts that belong to nobody"),
    }
}

/// All interrupts since boot, for /proc/stat.
pub(super) fn total() -> u64 {
    let of_cpus = CpuEvent::ALL.iter().map(|event| (0..cpu::count()).map(|id| event.count(id)).sum::<u64>());
    of_cpus.chain(irq::lines().iter().map(|line| line.counts.iter().sum())).sum()
}

/// interrupts.
pub(super) fn interrupts((): &()) -> Result<Vec<u8>> {
    let mut text = String::from("     ");
    // Writing to a string does not fail.
    for id in 0..cpu::count() {
        let _ = write!(text, "{:<11}", format!("      CPU{id}"));
    }
    text.push('\n');
    for line in irq::lines() {
        let _ = write!(text, "{:>4}:", line.number);
        line.counts.iter().for_each(|count| {
            let _ = write!(text, " {count:>10}");
        });
        let disabled = if line.is_disabled { " (disabled)" } else { "" };
        let what = format!("{}-{}", line.input, line.flow);
        let _ = writeln!(text, "  {}  {what:<12}  {}{disabled}", line.chip, line.names.join(", "));
    }
    for event in CpuEvent::ALL {
        let (name, meaning) = label(event);
        let _ = write!(text, "{name:>4}:");
        if event == CpuEvent::ApicError {
            // Linux has one number for all CPUs here.
            let _ = writeln!(text, " {:>10}", (0..cpu::count()).map(|id| event.count(id)).sum::<u64>());
            continue;
        }
        for id in 0..cpu::count() {
            let _ = write!(text, " {:>10}", event.count(id));
        }
        let _ = writeln!(text, "  {meaning}");
    }
    // What an I/O APIC took for an edge and was a level: that does not happen on the buses of this century.
    let _ = writeln!(text, " MIS: {:>10}", 0);
    Ok(text.into_bytes())
}

/// A line, by its number.
#[derive(Clone, Copy)]
struct Line(u32);

impl Line {
    fn info(self) -> Result<LineInfo> {
        irq::lines().into_iter().find(|line| line.number == self.0).ok_or(Errno::ENOENT.into())
    }
}

impl Subject for Line {
    fn is_valid(&self) -> bool {
        self.info().is_ok()
    }
}

const ROWS: &[Row<Line>] = &[
    text("effective_affinity", |line| Ok(mask_text(1 << line.info()?.target))),
    text("effective_affinity_list", |line| Ok(list_text(1 << line.info()?.target))),
    text("node", |_| Ok(b"0\n".to_vec())),
    Row {
        name: "smp_affinity",
        mode: 0o644,
        kind: RowKind::Setting(
            |line| Ok(mask_text(line.info()?.affinity)),
            |line, text| set_affinity(*line, parse_mask(text)),
        ),
    },
    Row {
        name: "smp_affinity_list",
        mode: 0o644,
        kind: RowKind::Setting(
            |line| Ok(list_text(line.info()?.affinity)),
            |line, text| set_affinity(*line, parse_list(text)),
        ),
    },
    text("spurious", |line| {
        let info = line.info()?;
        let count: u64 = info.counts.iter().sum();
        Ok(format!("count {count}\nunhandled {}\nlast_unhandled 0 ms\n", info.unhandled).into_bytes())
    }),
];

/// irq/.
pub(super) fn directory((): &()) -> Arc<dyn Directory> {
    Arc::new(Lines)
}

struct Lines;

impl Directory for Lines {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        let number = parse_number(name).and_then(|number| u32::try_from(number).ok()).ok_or(Errno::ENOENT)?;
        let line = Line(number);
        line.info()?;
        let directory = Content::Directory(Arc::new(Table { rows: ROWS, subject: line }));
        Ok(Item { content: directory, mode: 0o555, owner: (0, 0) })
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        for line in irq::lines() {
            let cursor = u64::from(line.number) + 2;
            if cursor >= from && !visit(cursor, format!("{}", line.number).as_bytes(), FileKind::Directory) {
                return;
            }
        }
    }

    fn subdirectories(&self) -> u32 {
        irq::lines().len() as u32
    }
}

fn set_affinity(line: Line, cpus: Option<u64>) -> Result<()> {
    let cpus = cpus.ok_or(Errno::EINVAL)?;
    irq::set_affinity(line.0, cpus).map_err(|error| match error {
        IrqError::NoCpu => Error::new(Errno::EINVAL, "none of the CPUs can get the interrupt"),
        _ => Error::new(Errno::EIO, "the line is not there any more"),
    })
}

/// A mask of CPUs as Linux prints it: as many hexadecimal digits as there are CPUs for, in groups of eight.
fn mask_text(mask: u64) -> Vec<u8> {
    let digits = cpu::count().div_ceil(4);
    let text = if digits > 8 {
        format!("{:0width$x},{:08x}\n", mask >> 32, mask & 0xffff_ffff, width = digits - 8)
    } else {
        format!("{mask:0digits$x}\n")
    };
    text.into_bytes()
}

fn list_text(mask: u64) -> Vec<u8> {
    format!("{}\n", cpu_list(mask)).into_bytes()
}

/// Reads a mask: hexadecimal digits, with commas between groups of 32 bits.
fn parse_mask(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?.trim();
    let groups: Vec<&str> = text.split(',').collect();
    if groups.len() > 2 {
        return None;
    }
    groups.iter().try_fold(0_u64, |mask, group| {
        let fits = groups.len() == 1 || (1..=8).contains(&group.len());
        let value = u64::from_str_radix(group, 16).ok().filter(|_| fits)?;
        if groups.len() == 1 { Some(value) } else { Some(mask << 32 | value) }
    })
}

/// Reads a list: numbers and ranges, with commas between them.
fn parse_list(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?.trim();
    text.split(',').try_fold(0_u64, |mask, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= u64::BITS {
            return None;
        }
        Some((first..=last).fold(mask, |mask, cpu| mask | 1 << cpu))
    })
}
