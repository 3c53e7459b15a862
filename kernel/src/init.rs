//! Boot, in order.

use machine::boot::BootInfo;

/// Where the machine hands over: memory, clock and timer are set up, interrupts are disabled.
pub(crate) fn start(boot: BootInfo) -> ! {
    crate::log::init();
    crate::sched::init().expect("there is memory for the first threads");
    machine::cpu::enable_interrupts();
    log::info!("boot: by {}", boot.protocol);
    crate::ktest::run("")
}
