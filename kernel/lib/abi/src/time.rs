//! Times, clocks and interval timers. Source: clock_gettime(2), setitimer(2), times(2), timer_create(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: i64 = 1_000_000_000;

/// What `times` and /proc count in: 100 a second.
pub const USER_HZ: u64 = 100;

/// `struct timespec`: seconds and nanoseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, 0 to 999,999,999 in a valid value.
    pub nsec: i64,
}

impl Timespec {
    /// `utimensat`: take the present time.
    pub const UTIME_NOW: i64 = 0x3fff_ffff;
    /// `utimensat`: leave the time as it is.
    pub const UTIME_OMIT: i64 = 0x3fff_fffe;

    /// Whether it is a valid duration: not negative, nanoseconds in range.
    pub const fn is_valid(&self) -> bool {
        self.sec >= 0 && self.nsec >= 0 && self.nsec < NSEC_PER_SEC
    }

    /// A number of nanoseconds as a `Timespec`.
    pub const fn from_nanos(nanos: u64) -> Timespec {
        Timespec { sec: (nanos / NSEC_PER_SEC as u64) as i64, nsec: (nanos % NSEC_PER_SEC as u64) as i64 }
    }

    /// The whole time in nanoseconds, at most `u64::MAX`; `None` unless it is valid.
    pub const fn to_nanos(&self) -> Option<u64> {
        if !self.is_valid() {
            return None;
        }
        Some((self.sec as u64).saturating_mul(NSEC_PER_SEC as u64).saturating_add(self.nsec as u64))
    }
}

/// `struct timeval`: seconds and microseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Timeval {
    /// Seconds.
    pub sec: i64,
    /// Microseconds, 0 to 999,999 in a valid value.
    pub usec: i64,
}

impl Timeval {
    /// Whether it is a valid duration: not negative, microseconds in range.
    pub const fn is_valid(&self) -> bool {
        self.sec >= 0 && self.usec >= 0 && self.usec < 1_000_000
    }

    /// A number of nanoseconds, rounded down.
    pub const fn from_nanos(nanos: u64) -> Timeval {
        Timeval { sec: (nanos / 1_000_000_000) as i64, usec: (nanos % 1_000_000_000 / 1000) as i64 }
    }

    /// The whole time in nanoseconds, at most `u64::MAX`; `None` unless it is valid.
    pub const fn to_nanos(&self) -> Option<u64> {
        if !self.is_valid() {
            return None;
        }
        Some((self.sec as u64).saturating_mul(NSEC_PER_SEC as u64).saturating_add(self.usec as u64 * 1000))
    }
}

/// `struct itimerval`: a timer of `setitimer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Itimerval {
    /// Period; zero means once.
    pub interval: Timeval,
    /// Time to the next expiry; zero means off.
    pub value: Timeval,
}

/// `struct itimerspec`: a timer of `timer_settime` and `timerfd_settime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Itimerspec {
    /// Period; zero means once.
    pub interval: Timespec,
    /// Time to the next expiry; zero means off.
    pub value: Timespec,
}

/// `struct tms`: the answer of `times`, in units of 1/[`USER_HZ`] s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Tms {
    /// User time of the process.
    pub utime: i64,
    /// System time of the process.
    pub stime: i64,
    /// User time of its waited-for children.
    pub cutime: i64,
    /// System time of its waited-for children.
    pub cstime: i64,
}

/// `struct timezone`: what `gettimeofday` still fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Timezone {
    /// Minutes west of Greenwich.
    pub minuteswest: i32,
    /// Kind of daylight saving time.
    pub dsttime: i32,
}

/// `struct utimbuf`: the argument of `utime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Utimbuf {
    /// Access time in seconds.
    pub actime: i64,
    /// Modification time in seconds.
    pub modtime: i64,
}

/// `struct rtc_time`: what /dev/rtc0 shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RtcTime {
    /// 0 to 59.
    pub second: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 11.
    pub month: i32,
    /// Since 1900.
    pub year: i32,
    /// 0 is Sunday.
    pub weekday: i32,
    /// Since the first of January.
    pub day_of_year: i32,
    /// Not used.
    pub daylight_saving: i32,
}

/// `struct timex`: the argument of `adjtimex`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "padding")]
pub struct Timex {
    /// What is to be set.
    pub modes: u32,
    pub _pad1: u32,
    /// Offset, in microseconds, or nanoseconds with `STA_NANO`.
    pub offset: i64,
    /// Frequency, in 2^-16 parts in a million.
    pub freq: i64,
    /// Largest possible error, in microseconds.
    pub maxerror: i64,
    /// Estimated error, in microseconds.
    pub esterror: i64,
    /// Status.
    pub status: i32,
    pub _pad2: u32,
    /// The loop's constant.
    pub constant: i64,
    /// Precision of the clock, in microseconds.
    pub precision: i64,
    /// Largest frequency, in 2^-16 parts in a million.
    pub tolerance: i64,
    /// The time of day: seconds.
    pub time_s: i64,
    /// And microseconds, or nanoseconds with `STA_NANO`.
    pub time_fraction: i64,
    /// Microseconds in a tick of 1/100 s.
    pub tick: i64,
    pub ppsfreq: i64,
    pub jitter: i64,
    pub shift: i32,
    pub _pad3: u32,
    pub stabil: i64,
    pub jitcnt: i64,
    pub calcnt: i64,
    pub errcnt: i64,
    pub stbcnt: i64,
    /// International atomic time minus time of day, in seconds.
    pub tai: i32,
    pub _pad4: [u32; 11],
}

constants! { i32, like libc;
    CLOCK_REALTIME = 0, "Time of day.";
    CLOCK_MONOTONIC = 1, "Since boot, adjusted in rate, never set.";
    CLOCK_PROCESS_CPUTIME_ID = 2, "CPU time of the process.";
    CLOCK_THREAD_CPUTIME_ID = 3, "CPU time of the thread.";
    CLOCK_MONOTONIC_RAW = 4, "Since boot, in hardware's rate.";
    CLOCK_REALTIME_COARSE = 5, "Time of day at the last tick.";
    CLOCK_MONOTONIC_COARSE = 6, "Since boot at the last tick.";
    CLOCK_BOOTTIME = 7, "Since boot, sleep included.";
    CLOCK_REALTIME_ALARM = 8, "Time of day, wakes the machine.";
    CLOCK_BOOTTIME_ALARM = 9, "Since boot, wakes the machine.";
    CLOCK_TAI = 11, "International atomic time.";
    TIMER_ABSTIME = 1, "The time is a point, not a duration.";
    ITIMER_REAL = 0, "Counts real time, sends SIGALRM.";
    ITIMER_VIRTUAL = 1, "Counts user time, sends SIGVTALRM.";
    ITIMER_PROF = 2, "Counts user and system time, sends SIGPROF.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Timespec>(), size_of::<libc::timespec>());
        assert_eq!(size_of::<Itimerval>(), size_of::<libc::itimerval>());
        assert_eq!(size_of::<Tms>(), size_of::<libc::tms>());
        assert_eq!(size_of::<Timex>(), size_of::<libc::timex>());
        assert_eq!(core::mem::offset_of!(Timex, tick), core::mem::offset_of!(libc::timex, tick));
        assert_eq!(core::mem::offset_of!(Timex, tai), core::mem::offset_of!(libc::timex, tai));
        assert_eq!(Timespec::UTIME_NOW, libc::UTIME_NOW);
        assert_eq!(Timespec::UTIME_OMIT, libc::UTIME_OMIT);
    }

    #[test]
    fn durations_convert_and_saturate() {
        assert_eq!(Timespec::from_nanos(1_500_000_001), Timespec { sec: 1, nsec: 500_000_001 });
        assert_eq!(Timespec { sec: 1, nsec: 5 }.to_nanos(), Some(1_000_000_005));
        assert_eq!(Timespec { sec: i64::MAX, nsec: 5 }.to_nanos(), Some(u64::MAX));
        assert_eq!(Timespec { sec: 0, nsec: NSEC_PER_SEC }.to_nanos(), None);
        assert_eq!(Timespec { sec: -1, nsec: 0 }.to_nanos(), None);
        assert_eq!(Timeval { sec: 2, usec: 3 }.to_nanos(), Some(2_000_003_000));
        assert_eq!(Timeval::from_nanos(2_000_003_999), Timeval { sec: 2, usec: 3 });
    }
}
