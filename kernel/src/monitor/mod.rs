//! The kernel's monitor: a shell inside the kernel, to look and to try things out.
//!
//! It is reached by `monitor` on the kernel command line, or a list of commands there (`mount 2; ls /`); by the magic
//! key `g` while the system runs; and after a panic, with `panic=monitor`.
//!
//! | file | what |
//! |---|---|
//! | `console.rs` | where it reads and writes: `Console`, and that on a terminal |
//! | `output.rs` | what commands write to: page by page, until somebody has enough |
//! | `arguments.rs` | what commands are given, and what is wrong with it |
//! | `command.rs` | what a command is |
//! | `table.rs` | the list of all commands |
//! | `completion.rs` | what Tab finds |
//! | `session.rs` | reading lines and running them |
//! | `start.rs` | the ways in: command line and magic key |
//! | `panicked.rs` | the way in after a panic |
//! | `commands/` | the commands, by topic |
//!
//! A command writes through a writer and asks for the end through its context, so it works the same on every console.
//! Nothing typed may panic the kernel: arguments are checked, and what a command needs is said in the table.
//!
//! After a panic a command that finds a lock taken, or does what it should not, panics in turn; it is given up with a
//! line on what it was, and the monitor goes on.

mod arguments;
mod command;
mod commands;
mod completion;
mod console;
mod output;
mod panicked;
mod session;
mod start;
mod table;
#[cfg(feature = "tests")]
mod tests;

pub(crate) use panicked::after_panic;
pub(crate) use start::{Origin, at_boot, init, is_command, request, run_on_console};
