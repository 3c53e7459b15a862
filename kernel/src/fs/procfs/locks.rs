//! lockdep, lockdep_stats: what debug builds have seen of locks. Source: Linux's
//! Documentation/locking/lockdep-design.rst, whose words these are.

use crate::error::Result;
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

/// lockdep: the classes; OPS: how often taken, CON: how often waited for, FD and BD: the numbers of classes taken under it
/// and of those it was taken under; then the former by name.
pub(super) fn classes((): &()) -> Result<Vec<u8>> {
    let mut text = String::from("all lock classes:\n");
    machine::sync::visit_classes(&mut |class| {
        let usage = match (class.in_handlers, class.with_interrupts) {
            (true, true) => '?',
            (true, false) => '-',
            (false, true) => '+',
            (false, false) => '.',
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "OPS:{:9} CON:{:7} FD:{:5} BD:{:5} {usage}: {}",
            class.taken,
            class.contended,
            class.taken_under.len(),
            class.held_over.len(),
            class.name
        );
        for inner in class.taken_under.iter() {
            let _ = writeln!(text, " -> {}", machine::sync::class_name(inner));
        }
    });
    Ok(text.into_bytes())
}

/// lockdep_stats.
pub(super) fn statistics((): &()) -> Result<Vec<u8>> {
    let seen = machine::sync::statistics().unwrap_or_default();
    let rows = [
        ("hardirq-safe locks", seen.in_handlers),
        ("hardirq-unsafe locks", seen.with_interrupts),
        ("max locking depth", seen.deepest),
        ("violations", seen.violations),
        ("debug_locks", 1),
    ];
    let mut text = format!(
        " lock-classes:                  {:11} [max: {}]\n direct dependencies:           {:11}\n",
        seen.classes, seen.most_classes, seen.dependencies
    );
    for (name, value) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, " {:<31}{value:11}", format!("{name}:"));
    }
    Ok(text.into_bytes())
}
