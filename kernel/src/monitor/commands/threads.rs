//! What threads and CPUs do.

use crate::monitor::arguments::{Arguments, Failure, Outcome, invalid};
use crate::monitor::command::{Context, Mode};
use crate::sched::{self, Thread, watch};
use crate::sync;
use alloc::sync::Arc;
use core::fmt::Write;
use machine::backtrace::Trace;
use machine::time;

/// All threads, one after the other.
fn all() -> impl Iterator<Item = Arc<Thread>> {
    let mut last = 0;
    core::iter::from_fn(move || {
        let thread = watch::next_after(last)?;
        last = thread.id();
        Some(thread)
    })
}

/// Lists all threads.
pub(in crate::monitor) fn ps(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let out = &mut context.out;
    writeln!(out, "{:>6} {:>6} {:>6} S CPU {:>8} NAME", "THREAD", "PID", "PPID", "TIME/ms")?;
    for thread in all() {
        let (pid, parent) = thread.process().map_or((0, 0), |process| (process.pid(), process.parent_id()));
        let (user_ns, system_ns) = thread.times_at(time::monotonic_ns());
        let used_ms = (user_ns + system_ns) / 1_000_000;
        let (id, state, cpu) = (thread.id(), thread.state().letter(), thread.cpu());
        write!(out, "{id:>6} {pid:>6} {parent:>6} {state} {cpu:>3} {used_ms:>8} ")?;
        thread.write_name(out)?;
        write_wait(out, &thread)?;
        writeln!(out)?;
    }
    Ok(())
}

/// What a thread waits for.
fn write_wait(out: &mut dyn Write, thread: &Thread) -> core::fmt::Result {
    let Some(waiting) = thread.waiting() else { return Ok(()) };
    let since_ms = time::monotonic_ns().saturating_sub(waiting.since_ns) / 1_000_000;
    write!(out, " waits for {} since {since_ms} ms", waiting.what)?;
    let Some(holder) = waiting.holder.filter(|holder| holder.thread != 0) else { return Ok(()) };
    write!(out, ", held by thread {}", holder.thread)?;
    holder.since.map_or(Ok(()), |place| write!(out, " since {place}"))
}

/// Shows where this thread or another is, and who called it there.
pub(in crate::monitor) fn backtrace(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let word = arguments.optional();
    arguments.end()?;
    let Some(word) = word else {
        write!(context.out, "{}", Trace::here())?;
        return Ok(());
    };
    if word == "all" {
        for thread in all() {
            write_trace(context, &thread)?;
        }
        return Ok(());
    }
    let id = crate::monitor::arguments::parse_number(word).map_err(|why| invalid("thread", word, why))?;
    let thread = watch::find(id).ok_or(invalid("thread", word, "`ps` lists them"))?;
    write_trace(context, &thread)
}

fn write_trace(context: &mut Context<'_>, thread: &Thread) -> Result<(), Failure> {
    let out = &mut context.out;
    write!(out, "thread {} ", thread.id())?;
    thread.write_name(out)?;
    writeln!(out, ", {:?} on CPU {}", thread.state(), thread.cpu())?;
    match sched::backtrace(thread) {
        Some(trace) => write!(out, "{trace}")?,
        None => writeln!(out, "  it runs")?,
    }
    Ok(())
}

/// Shows what each CPU does.
pub(in crate::monitor) fn cpus(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let mut text = alloc::string::String::new();
    machine::cpu::write_what_cpus_do(&mut text);
    context.out.write_str(&text)?;
    Ok(())
}

/// Shows the locks that are held and waited for.
pub(in crate::monitor) fn locks(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    match context.state.mode {
        // Nothing else runs: memory is not to be relied on, and nobody waits.
        Mode::Panicked => sync::write_held(&mut context.out)?,
        Mode::Running => {
            // The list of threads must not be held while somebody reads a page.
            let mut text = alloc::string::String::new();
            sync::write_held(&mut text)?;
            context.out.write_str(&text)?;
        }
    }
    Ok(())
}
