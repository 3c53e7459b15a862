//! All locks that are held and waited for: by CPUs (spin locks) and by threads (sleeping locks).
//!
//! Release builds know who waits for what and who holds that; debug builds know everything that is held.

use crate::sched::{Thread, watch};
use alloc::string::String;
use core::fmt::{self, Write};

/// Writes all locks that are held and waited for. Waits for nothing, so that panics can call it.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write_held(out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "locks held and waited for:")?;
    machine::sync::write_cpu_locks(out)?;
    let mut result = Ok(());
    let is_complete = watch::visit_for_report(&mut |thread| {
        result = result.and_then(|()| write_thread(out, thread));
    });
    if !is_complete {
        writeln!(out, "(the list of threads is in use)")?;
    }
    result
}

fn write_thread(out: &mut dyn Write, thread: &Thread) -> fmt::Result {
    let mut result = Ok(());
    thread.visit_locks(&mut |lock| {
        result = result.and_then(|()| {
            write_who(out, thread)?;
            writeln!(out, " on CPU {} holds `{}` since {}", thread.cpu(), lock.name, lock.place)
        });
    });
    result?;
    let Some(waiting) = thread.try_waiting() else { return Ok(()) };
    let Some(holder) = waiting.holder else { return Ok(()) };
    write_who(out, thread)?;
    write!(out, " waits for `{}`, held by thread {}", waiting.what, holder.thread)?;
    match holder.since {
        Some(place) => writeln!(out, " since {place}"),
        None => writeln!(out),
    }
}

fn write_who(out: &mut dyn Write, thread: &Thread) -> fmt::Result {
    write!(out, "thread {} ", thread.id())?;
    thread.write_name(out)
}

/// Logs what [`write_held`] writes.
pub(crate) fn log_held() {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_held(&mut text);
    text.lines().for_each(|line| log::warn!("{line}"));
}
