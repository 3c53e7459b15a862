//! The kernel: the operating system on top of `machine`.
//!
//! Start reading in `init.rs`, which lists the boot in order.
#![no_std]
#![no_main]

extern crate alloc;

mod block;
mod clock;
mod cmdline;
mod config;
#[cfg(feature = "tests")]
mod cpu_tests;
mod device;
mod error;
mod fault_injection;
mod fs;
mod init;
mod ktest;
mod log;
mod mm;
mod monitor;
mod net;
mod process;
mod sched;
#[cfg_attr(
    not(feature = "tests"),
    expect(dead_code, reason = "kinds of locks that stand ready for who needs them")
)]
mod sync;
mod syscall;
mod sysrq;
mod tty;
mod upcalls;
mod utsname;

machine::entry!(&upcalls::KERNEL, init::early, init::start);
