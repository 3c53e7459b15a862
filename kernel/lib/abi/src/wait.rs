//! Waiting for children: flags and the status word. Source: wait(2), waitid(2).

use crate::signal::Signal;

flags! {
    /// The flags of `wait4` and `waitid`.
    WaitFlags: u32, like linux_raw_sys::general;
    WNOHANG = 0x1, "Do not wait.";
    WUNTRACED = 0x2, "Stopped children too; the same bit is `WSTOPPED`.";
    WEXITED = 0x4, "Ended children.";
    WCONTINUED = 0x8, "Continued children.";
    WNOWAIT = 0x0100_0000, "Leave the child waitable.";
    __WNOTHREAD = 0x2000_0000, "Only children of this thread.";
    __WALL = 0x4000_0000, "Any kind of child.";
    __WCLONE = 0x8000_0000, "Only children that signal something else than SIGCHLD.";
}

constants! { u32, like linux_raw_sys::general;
    P_ALL = 0, "`waitid`: any child.";
    P_PID = 1, "`waitid`: this process.";
    P_PGID = 2, "`waitid`: this process group.";
    P_PIDFD = 3, "`waitid`: this process descriptor.";
}

/// What happened to a child, with Linux's encoding in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// It exited with this code.
    Exited(u8),
    /// A signal ended it.
    Signaled {
        /// The signal.
        signal: Signal,
        /// Whether it left a core file.
        core: bool,
    },
    /// It stopped.
    Stopped(Signal),
    /// It goes on.
    Continued,
}

impl WaitStatus {
    /// The status word.
    pub const fn encode(self) -> i32 {
        match self {
            WaitStatus::Exited(code) => (code as i32) << 8,
            WaitStatus::Signaled { signal, core } => signal.number() as i32 | if core { 0x80 } else { 0 },
            WaitStatus::Stopped(signal) => (signal.number() as i32) << 8 | 0x7f,
            WaitStatus::Continued => 0xffff,
        }
    }

    /// The meaning of a status word; `None` if it has none.
    pub const fn decode(status: i32) -> Option<WaitStatus> {
        let (high, low) = ((status >> 8 & 0xff) as u8, status & 0x7f);
        match low {
            0 => Some(WaitStatus::Exited(high)),
            0x7f if status == 0xffff => Some(WaitStatus::Continued),
            0x7f => match Signal::new(high as u32) {
                Some(signal) => Some(WaitStatus::Stopped(signal)),
                None => None,
            },
            _ => match Signal::new(low as u32) {
                Some(signal) => Some(WaitStatus::Signaled { signal, core: status & 0x80 != 0 }),
                None => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_understands_the_status() {
        let status = WaitStatus::Exited(42).encode();
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42);
        let status = WaitStatus::Signaled { signal: Signal::SIGSEGV, core: true }.encode();
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == 11 && libc::WCOREDUMP(status));
        let status = WaitStatus::Stopped(Signal::SIGTSTP).encode();
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == 20);
        assert!(libc::WIFCONTINUED(WaitStatus::Continued.encode()));
    }

    #[test]
    fn status_words_round_trip() {
        for status in 0..=0xffff {
            if let Some(meaning) = WaitStatus::decode(status) {
                assert_eq!(WaitStatus::decode(meaning.encode()), Some(meaning));
            }
        }
    }
}
