//! The commands, by topic.
//!
//! | file | commands |
//! |---|---|
//! | `general.rs` | help, history, paging, and the ways out |
//! | `messages.rs` | the log |
//! | `threads.rs` | what threads and CPUs do |
//! | `memory.rs` | frames, heap, page tables |
//! | `devices.rs` | PCI, virtio, interrupts, random numbers |
//! | `firmware.rs` | what the boot loader and ACPI told |
//! | `disks.rs` | sectors |
//! | `fat.rs` | FAT file systems |
//! | `files.rs` | the root file system and files |
//! | `programs.rs` | processes, and tasks of the kernel that have something to compute |
//! | `time.rs` | timers and sleep |
//! | `screen.rs` | the screen |
//! | `tests.rs` | the in-kernel tests |

pub(super) mod devices;
pub(super) mod disks;
pub(super) mod fat;
pub(super) mod files;
pub(super) mod firmware;
pub(super) mod general;
pub(super) mod memory;
pub(super) mod messages;
pub(super) mod programs;
pub(super) mod screen;
pub(super) mod tests;
pub(super) mod threads;
pub(super) mod time;
