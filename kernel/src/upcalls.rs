//! The implementation of what `machine` asks of the kernel.

use crate::{ktest, mm, monitor, process, sched};
use core::fmt::{self, Write};
use machine::upcalls::{Access, Upcalls};

/// The kernel, as the machine sees it.
pub(crate) struct Kernel;

/// The one of its kind.
pub(crate) static KERNEL: Kernel = Kernel;

impl Upcalls for Kernel {
    fn user_page_fault(&self, address: u64, access: Access) -> bool {
        let space = process::try_current().and_then(|process| process.try_address_space());
        space.is_some_and(|space| mm::kernel_access(&space, address, access))
    }

    fn heap_is_short(&self, frames: usize) -> bool {
        mm::refill_heap(frames)
    }

    fn timer_interrupt(&self) {
        sched::timer_interrupt();
    }

    fn interrupt_exit(&self) {
        sched::interrupt_exit();
    }

    fn reschedule_interrupt(&self) {
        sched::reschedule_interrupt();
    }

    fn secondary_cpu(&self) -> ! {
        sched::run_secondary()
    }

    fn panicked(&self, message: fmt::Arguments<'_>) {
        ktest::panicked(message);
    }

    fn cpu_note(&self, out: &mut dyn Write) {
        // As below.
        let _ = note_cpu(out);
    }

    fn faulted(&self, report: fmt::Arguments<'_>) {
        ktest::panicked(report);
    }

    fn panic_output(&self, text: &str) {
        crate::tty::screen::emergency::print(text);
        crate::tty::consoles::print_in_panic(text);
    }

    fn after_panic(&self) {
        monitor::after_panic();
    }

    fn panic_notes(&self, out: &mut dyn Write) {
        crate::log::print_for_panic();
        // A report that cannot be written has nobody to tell.
        let _ = note_thread(out);
        let _ = crate::sync::write_held(out);
    }
}

/// Who was running. Takes only locks that are free: the panicking code may hold them.
fn note_thread(out: &mut dyn Write) -> fmt::Result {
    let Some(thread) = sched::current_for_report() else {
        return writeln!(out, "thread: none (or the scheduler is in the middle of a switch)");
    };
    write!(out, "thread: {} ", thread.id())?;
    thread.write_name(out)?;
    writeln!(out)?;
    if let Some(process) = thread.process() {
        writeln!(out, "process: {}", process.pid())?;
    }
    Ok(())
}

/// The same in one line, for reports about all CPUs.
fn note_cpu(out: &mut dyn Write) -> fmt::Result {
    let Some(thread) = sched::current_for_report() else { return write!(out, "in the middle of a switch") };
    write!(out, "thread {} ", thread.id())?;
    thread.write_name(out)?;
    match thread.process() {
        Some(process) => write!(out, " of process {}", process.pid()),
        None => Ok(()),
    }
}
