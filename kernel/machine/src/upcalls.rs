//! The one trait through which this crate calls the kernel.

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

    /// The one-shot timer of this CPU expired. Interrupts are disabled.
    fn timer_interrupt(&self);

    /// An interrupt that arrived in kernel mode is over (end of interrupt is signalled). Interrupts
    /// are disabled and the preemption count is zero; the kernel may switch tasks here.
    fn interrupt_exit(&self);

    /// Another CPU asked this one to reconsider what it runs. Interrupts are disabled.
    fn reschedule_interrupt(&self);

    /// Adds what the kernel knows to a panic report: current task, held locks, and so on.
    /// Must not take a lock that the panicking code may hold.
    fn panic_notes(&self, out: &mut dyn fmt::Write);
}
