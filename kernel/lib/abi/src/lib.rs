//! Linux's x86-64 ABI in numbers and structs, shared by the kernel and the userland.
//!
//! Rules:
//! * Constants and flags carry Linux's full names (`O_CREAT`, `ENOENT`, `TCGETS`), so that a search finds them; the type
//!   groups them ([`fcntl::OpenFlags`]). Each one is compared with `libc` or `linux-raw-sys` when the tests compile.
//! * Structs that cross the user boundary have Linux's layout and zerocopy's derives, with padding as fields, so that no
//!   stale byte leaves the kernel. Field names are Linux's without the prefix (`st_mode` is [`stat::Stat::mode`]).
//! * Nothing here decides anything: it is vocabulary only.
//!
//! Source: the man pages and Linux's exported headers.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod tables;

pub mod auxv;
pub mod console;
pub mod dirent;
pub mod errno;
pub mod event;
pub mod fb;
pub mod fcntl;
pub mod futex;
pub mod inotify;
pub mod iovec;
pub mod loop_device;
pub mod misc;
pub mod mman;
pub mod mount;
pub mod poll;
pub mod prctl;
pub mod reboot;
pub mod resource;
pub mod sched;
pub mod sigframe;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod syscall;
pub mod sysinfo;
pub mod time;
pub mod tty;
pub mod utsname;
pub mod wait;

pub use errno::Errno;
