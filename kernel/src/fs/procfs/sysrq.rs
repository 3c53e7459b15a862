//! sysrq-trigger: what can be asked of the kernel at any time by writing a letter. Source: Linux's
//! Documentation/admin-guide/sysrq.rst, whose letters these are.

use crate::error::Result;
use crate::init::{self, Action};
use alloc::{string::String, vec::Vec};
use machine::cpu;

/// What the file shows: nothing.
pub(super) fn show((): &()) -> Result<Vec<u8>> {
    Ok(Vec::new())
}

/// Does what the first letter stands for; an unknown one lists the known.
pub(super) fn trigger((): &(), text: &[u8]) -> Result<()> {
    match text.first() {
        Some(b'b') => init::shutdown(Action::Reboot),
        Some(b'c') => crash(),
        Some(b'l') => show_cpus(),
        Some(b'm') => log::warn!("sysrq: {:?}", machine::mm::statistics()),
        Some(b'o') => init::shutdown(Action::PowerOff),
        Some(b's') => crate::fs::mount::sync_all()?,
        None => {}
        Some(_) => log::warn!(
            "sysrq: known: b (reboot) c (crash) l (what all CPUs do) m (memory) o (power off) s (sync)"
        ),
    }
    Ok(())
}

/// Has every CPU tell what it does: a message for each line.
fn show_cpus() {
    let mut text = String::new();
    cpu::write_what_cpus_do(&mut text);
    text.lines().for_each(|line| log::warn!("{line}"));
}

/// Panics, for those who want to see a report or test what comes after.
#[inline(never)]
fn crash() -> ! {
    panic!("sysrq triggered a crash")
}
