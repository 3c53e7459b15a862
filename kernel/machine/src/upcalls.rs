//! The one trait through which this crate calls the kernel.

use crate::boot::BootInfo;
use crate::sync::Once;
use core::fmt;

/// What an access that faulted wanted to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// What the machine asks of the kernel. Implemented once, registered by [`entry!`](crate::entry).
pub trait Upcalls: Sync {
    /// Kernel code touched the user address `address` (in a copy function of [`crate::mm::user`])
    /// and no page answers. Called with interrupts as they were at the fault, on the stack of the
    /// current task; may sleep if they were enabled. `true`: try again; `false`: the copy fails.
    fn user_page_fault(&self, address: u64, access: Access) -> bool;

    /// The heap wants so many frames, and few or none are free. Called where the task may sleep, which may hold sleeping
    /// locks. `true`: some were given back; `false`: there are none to be had, or the kernel is at it already.
    fn heap_is_short(&self, frames: usize) -> bool;

    /// The one-shot timer of this CPU expired. Interrupts are disabled.
    fn timer_interrupt(&self);

    /// An interrupt that arrived in kernel mode is over (end of interrupt is signalled). Interrupts
    /// are disabled and the preemption count is zero; the kernel may switch tasks here.
    fn interrupt_exit(&self);

    /// Another CPU asked this one to reconsider what it runs. Interrupts are disabled.
    fn reschedule_interrupt(&self);

    /// Another CPU is up and runs this on its own stack, with interrupts disabled; it goes on to idle.
    fn secondary_cpu(&self) -> !;

    /// A panic, or a fault in the kernel, happened on this CPU. If it belongs to a test thread, the kernel notes it
    /// and switches away for good; else it returns and the system ends with a report. Must not panic.
    fn panicked(&self, message: fmt::Arguments<'_>);

    /// Says in a few words what this CPU runs, for the report about all CPUs. Called in a non-maskable interrupt: takes
    /// only locks that are free, allocates nothing, must not panic.
    fn cpu_note(&self, out: &mut dyn fmt::Write);

    /// The kernel touched what it must not, on this CPU and on the stack of its task. If that belongs to a test thread,
    /// the kernel notes `report` and switches away for good; else it returns and the system ends with a report.
    fn faulted(&self, report: fmt::Arguments<'_>);

    /// Shows a part of a panic report wherever the kernel can, besides the first serial line. Must not take a lock,
    /// allocate or panic.
    fn panic_output(&self, text: &str);

    /// The report of a panic is written; the machine ends when this returns. Interrupts are disabled and the other CPUs
    /// stand still. May panic, which comes here again. A spin lock that is taken makes whoever wants it panic.
    fn after_panic(&self);

    /// Adds what the kernel knows to a panic report: current task, held locks, and so on.
    /// Must not take a lock that the panicking code may hold.
    fn panic_notes(&self, out: &mut dyn fmt::Write);
}

static KERNEL: Once<&'static dyn Upcalls> = Once::new();

/// The kernel, if it has been registered.
pub(crate) fn registered() -> Option<&'static dyn Upcalls> {
    KERNEL.get().copied()
}

/// The kernel; interrupts and tasks exist only after it was registered.
pub(crate) fn upcalls() -> &'static dyn Upcalls {
    registered().expect("the kernel registers before interrupts are enabled")
}

/// Starts the kernel proper; called by what [`entry!`](crate::entry) expands to.
#[doc(hidden)]
pub fn start_kernel(kernel: &'static dyn Upcalls, main: fn(BootInfo) -> !, boot: BootInfo) -> ! {
    KERNEL.call_once(|| kernel);
    main(boot)
}

/// Names the kernel's [`Upcalls`], its early function, `fn()`, and its main function, `fn(BootInfo) -> !`. The
/// early one is called first of all on the boot CPU: it has a stack and the first serial line, no memory, and no per-CPU
/// data (so no locks). The main one is called with memory, clock and timer set up and interrupts disabled.
#[macro_export]
macro_rules! entry {
    ($upcalls:expr, $early:path, $main:path) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "Rust" fn kernel_early() {
                $early()
            }

            #[unsafe(no_mangle)]
            extern "Rust" fn kernel_main(boot: $crate::boot::BootInfo) -> ! {
                $crate::upcalls::start_kernel($upcalls, $main, boot)
            }
        };
    };
}
