//! Numbers that are fixed when the kernel is built. What is chosen at boot is in `cmdline.rs`.

/// Memory for log messages, in bytes.
pub(crate) const LOG_BYTES: usize = 128 * 1024;

/// Messages of this level (syslog's numbers: 6 is information) and above it are not printed on the console.
pub(crate) const CONSOLE_LEVEL: u8 = 7;

/// The same with `quiet` on the command line: errors and worse are printed.
pub(crate) const CONSOLE_LEVEL_QUIET: u8 = 4;
