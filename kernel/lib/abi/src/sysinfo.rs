//! What `sysinfo` and `syslog` deal in. Source: sysinfo(2), syslog(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct sysinfo`, 112 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sysinfo {
    /// Seconds since boot.
    pub uptime: i64,
    /// Load averages over 1, 5, 15 minutes, times 65,536.
    pub loads: [u64; 3],
    /// Memory in all, in units of `mem_unit`, as the next five.
    pub totalram: u64,
    /// Free memory.
    pub freeram: u64,
    /// Shared memory.
    pub sharedram: u64,
    /// Memory used by block buffers.
    pub bufferram: u64,
    /// Swap in all.
    pub totalswap: u64,
    /// Free swap.
    pub freeswap: u64,
    /// Processes and threads.
    pub procs: u16,
    /// Padding.
    pub _pad0: [u16; 3],
    /// Unused on x86-64.
    pub totalhigh: u64,
    /// Unused on x86-64.
    pub freehigh: u64,
    /// The unit in bytes.
    pub mem_unit: u32,
    /// Padding.
    pub _pad1: u32,
}

constants! { i32;
    SYSLOG_ACTION_CLOSE = 0, "`syslog`: nothing.";
    SYSLOG_ACTION_OPEN = 1, "`syslog`: nothing.";
    SYSLOG_ACTION_READ = 2, "`syslog`: wait for messages and take them.";
    SYSLOG_ACTION_READ_ALL = 3, "`syslog`: read all that is there.";
    SYSLOG_ACTION_READ_CLEAR = 4, "`syslog`: read and clear.";
    SYSLOG_ACTION_CLEAR = 5, "`syslog`: clear.";
    SYSLOG_ACTION_CONSOLE_OFF = 6, "`syslog`: console messages off.";
    SYSLOG_ACTION_CONSOLE_ON = 7, "`syslog`: console messages on.";
    SYSLOG_ACTION_CONSOLE_LEVEL = 8, "`syslog`: level of console messages, 1 to 8.";
    SYSLOG_ACTION_SIZE_UNREAD = 9, "`syslog`: unread bytes.";
    SYSLOG_ACTION_SIZE_BUFFER = 10, "`syslog`: size of the buffer.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layout_matches_the_c_library() {
        assert_eq!(size_of::<Sysinfo>(), size_of::<libc::sysinfo>());
        assert_eq!(offset_of!(Sysinfo, totalhigh), offset_of!(libc::sysinfo, totalhigh));
        assert_eq!(offset_of!(Sysinfo, mem_unit), offset_of!(libc::sysinfo, mem_unit));
    }
}
