//! Descriptors that stand for events: `eventfd`, `timerfd`, `signalfd`, `pidfd`. Source: eventfd(2), timerfd_create(2),
//! signalfd(2), pidfd_open(2).

use crate::signal::SigInfo;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

flags! {
    /// The flags of `eventfd2`.
    EventfdFlags: u32, like libc;
    EFD_SEMAPHORE = 0x1, "A read takes 1, not everything.";
    EFD_NONBLOCK = 0o4000, "Never sleep.";
    EFD_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// The flags of `timerfd_create`.
    TimerfdFlags: u32, like libc;
    TFD_NONBLOCK = 0o4000, "Never sleep.";
    TFD_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// The flags of `timerfd_settime`.
    TimerfdSetFlags: u32, like libc;
    TFD_TIMER_ABSTIME = 0x1, "The time is a point of the clock.";
    TFD_TIMER_CANCEL_ON_SET = 0x2, "A read fails when the clock is set.";
}

flags! {
    /// The flags of `signalfd4`.
    SignalfdFlags: u32, like libc;
    SFD_NONBLOCK = 0o4000, "Never sleep.";
    SFD_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// The flags of `pidfd_open`.
    PidfdFlags: u32, like libc;
    PIDFD_NONBLOCK = 0o4000, "`waitid` on it never sleeps.";
}

/// `struct signalfd_siginfo`, 128 bytes: a signal as it is read from a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are those of signalfd(2), without the prefix")]
pub struct SignalfdSiginfo {
    pub signo: u32,
    pub errno: i32,
    pub code: i32,
    pub pid: u32,
    pub uid: u32,
    pub fd: i32,
    pub tid: u32,
    pub band: u32,
    pub overrun: u32,
    pub trapno: u32,
    pub status: i32,
    pub int: i32,
    pub ptr: u64,
    pub utime: u64,
    pub stime: u64,
    pub addr: u64,
    pub addr_lsb: u16,
    pub _pad2: u16,
    pub syscall: i32,
    pub call_addr: u64,
    pub arch: u32,
    pub _pad: [u8; 28],
}

impl SignalfdSiginfo {
    /// From what a handler would be told. Which fields mean something depends on the signal and the code.
    pub fn new(info: &SigInfo) -> SignalfdSiginfo {
        let halves = |word: u64| (word as u32, (word >> 32) as u32);
        let (first, second) = halves(info.fields[0]);
        let mut read = SignalfdSiginfo::new_zeroed();
        (read.signo, read.errno, read.code) = (info.signo as u32, info.errno, info.code);
        match (info.signo, info.code) {
            (_, crate::signal::SI_TIMER) => {
                (read.tid, read.overrun) = (first, second);
                (read.ptr, read.int) = (info.fields[1], info.fields[1] as i32);
            }
            (_, crate::signal::SI_USER | crate::signal::SI_TKILL) => (read.pid, read.uid) = (first, second),
            (CHILD, 1..) => {
                (read.pid, read.uid) = (first, second);
                read.status = info.fields[1] as i32;
                (read.utime, read.stime) = (info.fields[2], info.fields[3]);
            }
            (FAULT_FIRST..=FAULT_LAST | SEGMENT, 1..) => read.addr = info.fields[0],
            (POLL, 1..) => (read.band, read.fd) = (first, info.fields[1] as i32),
            (_, ..0) => {
                (read.pid, read.uid) = (first, second);
                (read.ptr, read.int) = (info.fields[1], info.fields[1] as i32);
            }
            _ => {}
        }
        read
    }
}

const CHILD: i32 = 17;
const FAULT_FIRST: i32 = 4;
const FAULT_LAST: i32 = 8;
const SEGMENT: i32 = 11;
const POLL: i32 = 29;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<SignalfdSiginfo>(), size_of::<libc::signalfd_siginfo>());
        assert_eq!(offset_of!(SignalfdSiginfo, ptr), offset_of!(libc::signalfd_siginfo, ssi_ptr));
        assert_eq!(offset_of!(SignalfdSiginfo, addr), offset_of!(libc::signalfd_siginfo, ssi_addr));
        assert_eq!(offset_of!(SignalfdSiginfo, call_addr), offset_of!(libc::signalfd_siginfo, ssi_call_addr));
    }

    #[test]
    fn the_fields_of_a_child_are_found() {
        let info = SigInfo::child(crate::signal::CLD_EXITED, 1234, 1000, 7, 11, 12);
        let read = SignalfdSiginfo::new(&info);
        assert_eq!((read.signo, read.pid, read.uid, read.status), (17, 1234, 1000, 7));
        assert_eq!((read.utime, read.stime), (11, 12));
    }
}
