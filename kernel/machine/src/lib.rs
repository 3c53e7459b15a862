//! CPU and memory made safe: the only crate that may write `unsafe`.
//!
//! Everything here has a safe face. What the hardware demands of its driver is either made
//! impossible by the types or checked at run time, so that the crate `kernel` and every driver in
//! it need no unsafe code. The crate calls up through one trait, [`upcalls::Upcalls`].
#![no_std]

extern crate alloc;

pub mod acpi;
pub mod addr;
pub mod backtrace;
pub mod boot;
pub mod cpu;
pub mod io;
pub mod irq;
pub mod mm;
mod panic;
pub mod sync;
pub mod task;
pub mod test;
pub mod time;
pub mod trap;
pub mod upcalls;
pub mod user;
