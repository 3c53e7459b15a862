//! Numbers that are fixed when the kernel is built. What is chosen at boot is in `cmdline.rs`.

/// Memory for log messages, in bytes.
pub(crate) const LOG_BYTES: usize = 128 * 1024;

/// Messages of this level (syslog's numbers: 6 is information) and above it are not printed on the console.
pub(crate) const CONSOLE_LEVEL: u8 = 7;

/// The same with `quiet` on the command line: errors and worse are printed.
pub(crate) const CONSOLE_LEVEL_QUIET: u8 = 4;

/// Names that the dentry cache keeps without anybody using them.
pub(crate) const DENTRY_CACHE_ENTRIES: usize = 16384;

/// How often the flusher writes what is dirty.
pub(crate) const FLUSH_INTERVAL_NS: u64 = 5_000_000_000;

/// Pages that may be dirty before those who write have to wait for the disk.
pub(crate) const MAXIMUM_DIRTY_PAGES: usize = 8192;

/// Real-time priority of the thread that the monitor is when a magic key asks for it.
pub(crate) const MONITOR_PRIORITY: u32 = 98;
