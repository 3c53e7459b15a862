//! Limits and usage. Source: getrlimit(2), getrusage(2), getpriority(2).

use crate::time::Timeval;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32, like linux_raw_sys::general;
    RLIMIT_CPU = 0, "CPU time in seconds.";
    RLIMIT_FSIZE = 1, "File size.";
    RLIMIT_DATA = 2, "Data segment.";
    RLIMIT_STACK = 3, "Stack size.";
    RLIMIT_CORE = 4, "Core file.";
    RLIMIT_RSS = 5, "Resident memory.";
    RLIMIT_NPROC = 6, "Processes.";
    RLIMIT_NOFILE = 7, "Descriptors.";
    RLIMIT_MEMLOCK = 8, "Locked memory.";
    RLIMIT_AS = 9, "Address space.";
    RLIMIT_LOCKS = 10, "File locks.";
    RLIMIT_SIGPENDING = 11, "Queued signals.";
    RLIMIT_MSGQUEUE = 12, "Bytes in message queues.";
    RLIMIT_NICE = 13, "Greatest priority, as 20 - nice.";
    RLIMIT_RTPRIO = 14, "Greatest real-time priority.";
    RLIMIT_RTTIME = 15, "Real-time CPU time in microseconds.";
}

/// Number of limits.
pub const RLIM_NLIMITS: usize = 16;
/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

/// `struct rlimit64`: the limit and its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rlimit64 {
    /// What counts.
    pub cur: u64,
    /// Up to where `cur` can be raised.
    pub max: u64,
}

impl Rlimit64 {
    /// No limit at all.
    pub const UNLIMITED: Rlimit64 = Rlimit64 { cur: RLIM_INFINITY, max: RLIM_INFINITY };

    /// Limits that a new system gives to its first process, by number; as on Linux.
    pub const fn initial(resource: u32) -> Rlimit64 {
        match resource {
            RLIMIT_STACK => Rlimit64 { cur: 8 << 20, max: RLIM_INFINITY },
            RLIMIT_CORE => Rlimit64 { cur: 0, max: RLIM_INFINITY },
            RLIMIT_NOFILE => Rlimit64 { cur: 1024, max: 4096 },
            RLIMIT_MEMLOCK => Rlimit64 { cur: 8 << 20, max: 8 << 20 },
            RLIMIT_MSGQUEUE => Rlimit64 { cur: 819_200, max: 819_200 },
            RLIMIT_NICE | RLIMIT_RTPRIO => Rlimit64 { cur: 0, max: 0 },
            _ => Rlimit64::UNLIMITED,
        }
    }
}

constants! { i32, like libc;
    RUSAGE_SELF = 0, "The process.";
    RUSAGE_CHILDREN = -1, "Its waited-for children.";
    RUSAGE_THREAD = 1, "The thread.";
    PRIO_PROCESS = 0, "A process.";
    PRIO_PGRP = 1, "A process group.";
    PRIO_USER = 2, "A user's processes.";
}

/// `struct rusage`, 144 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rusage {
    /// User time.
    pub utime: Timeval,
    /// System time.
    pub stime: Timeval,
    /// Greatest resident size in KiB.
    pub maxrss: i64,
    /// Unused.
    pub ixrss: i64,
    /// Unused.
    pub idrss: i64,
    /// Unused.
    pub isrss: i64,
    /// Page faults without I/O.
    pub minflt: i64,
    /// Page faults with I/O.
    pub majflt: i64,
    /// Unused.
    pub nswap: i64,
    /// Blocks read.
    pub inblock: i64,
    /// Blocks written.
    pub oublock: i64,
    /// Unused.
    pub msgsnd: i64,
    /// Unused.
    pub msgrcv: i64,
    /// Unused.
    pub nsignals: i64,
    /// Voluntary context switches.
    pub nvcsw: i64,
    /// Involuntary context switches.
    pub nivcsw: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Rlimit64>(), size_of::<libc::rlimit64>());
        assert_eq!(size_of::<Rusage>(), size_of::<libc::rusage>());
        assert_eq!(core::mem::offset_of!(Rusage, nvcsw), core::mem::offset_of!(libc::rusage, ru_nvcsw));
    }
}
