//! Signals: numbers, sets, actions and what a handler is told. Source: signal(7), sigaction(2), sigaltstack(2).

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A signal number, 1 to 64; 32 and above are the real-time signals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// What happens to a process that neither handles nor ignores a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// It ends.
    Terminate,
    /// It ends and would leave a core file.
    CoreDump,
    /// Nothing.
    Ignore,
    /// It stops.
    Stop,
    /// It goes on if it was stopped.
    Continue,
}

macro_rules! signals {
    ($($name:ident = $number:literal, $action:ident, $doc:literal;)*) => {
        impl Signal {
            $(
                #[doc = $doc]
                pub const $name: Signal = Signal($number);
            )*

            /// The name, such as `"SIGINT"`; `None` for real-time signals.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// What happens without a handler.
            pub const fn default_action(self) -> DefaultAction {
                match self.0 {
                    $($number => DefaultAction::$action,)*
                    _ => DefaultAction::Terminate,
                }
            }
        }

        #[cfg(test)]
        const _: () = { $(assert!($number == libc::$name, stringify!($name));)* };
    };
}

signals! {
    SIGHUP = 1, Terminate, "The terminal is gone.";
    SIGINT = 2, Terminate, "Interrupt from the keyboard.";
    SIGQUIT = 3, CoreDump, "Quit from the keyboard.";
    SIGILL = 4, CoreDump, "Illegal instruction.";
    SIGTRAP = 5, CoreDump, "Breakpoint or trace.";
    SIGABRT = 6, CoreDump, "The program gave up.";
    SIGBUS = 7, CoreDump, "Bad memory access that has no page behind it.";
    SIGFPE = 8, CoreDump, "Arithmetic fault.";
    SIGKILL = 9, Terminate, "Ends a process; cannot be handled.";
    SIGUSR1 = 10, Terminate, "For the program's use.";
    SIGSEGV = 11, CoreDump, "Invalid memory access.";
    SIGUSR2 = 12, Terminate, "For the program's use.";
    SIGPIPE = 13, Terminate, "Nobody reads the pipe.";
    SIGALRM = 14, Terminate, "The alarm clock.";
    SIGTERM = 15, Terminate, "Please end.";
    SIGSTKFLT = 16, Terminate, "Unused.";
    SIGCHLD = 17, Ignore, "A child ended or stopped.";
    SIGCONT = 18, Continue, "Go on.";
    SIGSTOP = 19, Stop, "Stops a process; cannot be handled.";
    SIGTSTP = 20, Stop, "Stop from the keyboard.";
    SIGTTIN = 21, Stop, "A background process read from the terminal.";
    SIGTTOU = 22, Stop, "A background process wrote to the terminal.";
    SIGURG = 23, Ignore, "Urgent data on a socket.";
    SIGXCPU = 24, CoreDump, "CPU time limit.";
    SIGXFSZ = 25, CoreDump, "File size limit.";
    SIGVTALRM = 26, Terminate, "The virtual alarm clock.";
    SIGPROF = 27, Terminate, "The profiling clock.";
    SIGWINCH = 28, Ignore, "The window changed its size.";
    SIGIO = 29, Terminate, "Input or output is possible.";
    SIGPWR = 30, Terminate, "Power failure.";
    SIGSYS = 31, CoreDump, "Bad system call.";
}

impl Signal {
    /// The greatest signal number.
    pub const MAX: u8 = 64;
    /// The first real-time signal.
    pub const SIGRTMIN: Signal = Signal(32);

    /// The signal with this number, if there is one.
    pub const fn new(number: u32) -> Option<Signal> {
        if number >= 1 && number <= Self::MAX as u32 { Some(Signal(number as u8)) } else { None }
    }

    /// Its number, 1 to 64.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether several instances queue up.
    pub const fn is_real_time(self) -> bool {
        self.0 >= Self::SIGRTMIN.0
    }

    /// The set of this signal alone.
    pub const fn to_set(self) -> SigSet {
        SigSet(1 << (self.0 - 1))
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "SIGRT{}", self.0),
        }
    }
}

/// A set of signals as the system calls pass it: bit n-1 is signal n.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// All signals.
    pub const FULL: SigSet = SigSet(!0);
    /// `SIGKILL` and `SIGSTOP`: can be neither blocked nor handled.
    pub const UNBLOCKABLE: SigSet = Signal::SIGKILL.to_set().union(Signal::SIGSTOP.to_set());
    /// The signals that stop by default.
    pub const STOPPING: SigSet = Signal::SIGSTOP
        .to_set()
        .union(Signal::SIGTSTP.to_set())
        .union(Signal::SIGTTIN.to_set())
        .union(Signal::SIGTTOU.to_set());
    /// The signals that an instruction of the program itself raises; they are delivered first.
    pub const SYNCHRONOUS: SigSet = Signal::SIGSEGV
        .to_set()
        .union(Signal::SIGBUS.to_set())
        .union(Signal::SIGILL.to_set())
        .union(Signal::SIGTRAP.to_set())
        .union(Signal::SIGFPE.to_set())
        .union(Signal::SIGSYS.to_set());

    /// Whether the signal is in the set.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.to_set().0 != 0
    }

    /// Whether no signal is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Puts a signal in.
    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= signal.to_set().0;
    }

    /// Takes a signal out.
    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !signal.to_set().0;
    }

    /// What is in either.
    pub const fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// What is in both.
    pub const fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// What is here and not there.
    pub const fn difference(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// The lowest signal of the set.
    pub const fn first(self) -> Option<Signal> {
        if self.0 == 0 { None } else { Some(Signal(self.0.trailing_zeros() as u8 + 1)) }
    }

    /// The signals in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let signal = rest.first()?;
            rest.remove(signal);
            Some(signal)
        })
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Handler value: the default action.
pub const SIG_DFL: u64 = 0;
/// Handler value: ignore.
pub const SIG_IGN: u64 = 1;

flags! {
    /// The flags of an action.
    SaFlags: u64, like linux_raw_sys::general;
    SA_NOCLDSTOP = 0x1, "No SIGCHLD when a child stops.";
    SA_NOCLDWAIT = 0x2, "Children leave no zombies.";
    SA_SIGINFO = 0x4, "The handler takes three arguments.";
    SA_UNSUPPORTED = 0x400, "Never supported: lets a program find out which flags are.";
    SA_EXPOSE_TAGBITS = 0x800, "Keep tag bits in addresses.";
    SA_RESTORER = 0x0400_0000, "The restorer is given (x86-64 always needs it).";
    SA_ONSTACK = 0x0800_0000, "Use the alternate stack.";
    SA_RESTART = 0x1000_0000, "Restart interrupted calls.";
    SA_NODEFER = 0x4000_0000, "Do not block the signal in its own handler.";
    SA_RESETHAND = 0x8000_0000, "Back to the default once called.";
}

/// `struct sigaction` as the system call takes it, 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KernelSigaction {
    /// Handler's address, [`SIG_DFL`] or [`SIG_IGN`].
    pub handler: u64,
    /// [`SaFlags`].
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked in addition while the handler runs.
    pub mask: SigSet,
}

constants! { i32, like libc;
    SIG_BLOCK = 0, "`rt_sigprocmask`: add to the mask.";
    SIG_UNBLOCK = 1, "`rt_sigprocmask`: take from the mask.";
    SIG_SETMASK = 2, "`rt_sigprocmask`: replace the mask.";
    SS_ONSTACK = 1, "The alternate stack is in use.";
    SS_DISABLE = 2, "There is no alternate stack.";
    SI_USER = 0, "Sent by `kill`.";
    SI_KERNEL = 0x80, "Sent by the kernel.";
    SI_QUEUE = -1, "Sent by `sigqueue`.";
    SI_TIMER = -2, "A POSIX timer expired.";
    SI_MESGQ = -3, "A message arrived in an empty queue.";
    SI_ASYNCIO = -4, "Asynchronous I/O is complete.";
    SI_SIGIO = -5, "Queued SIGIO.";
    SI_TKILL = -6, "Sent by `tkill` or `tgkill`.";
    CLD_EXITED = 1, "SIGCHLD: the child exited.";
    CLD_KILLED = 2, "SIGCHLD: a signal ended it.";
    CLD_DUMPED = 3, "SIGCHLD: a signal ended it with a core file.";
    CLD_TRAPPED = 4, "SIGCHLD: a traced child trapped.";
    CLD_STOPPED = 5, "SIGCHLD: it stopped.";
    CLD_CONTINUED = 6, "SIGCHLD: it goes on.";
}

constants! { i32, like linux_raw_sys::general;
    SEGV_MAPERR = 1, "SIGSEGV: nothing is mapped there.";
    SEGV_ACCERR = 2, "SIGSEGV: the mapping does not allow it.";
    BUS_ADRALN = 1, "SIGBUS: misaligned.";
    BUS_ADRERR = 2, "SIGBUS: beyond the end of the file.";
    BUS_OBJERR = 3, "SIGBUS: the device failed.";
    ILL_ILLOPN = 2, "SIGILL: illegal operand.";
    ILL_ILLOPC = 1, "SIGILL: illegal opcode.";
    ILL_PRVOPC = 5, "SIGILL: privileged opcode.";
    FPE_INTDIV = 1, "SIGFPE: integer division by zero.";
    FPE_INTOVF = 2, "SIGFPE: integer overflow.";
    FPE_FLTDIV = 3, "SIGFPE: division by zero.";
    FPE_FLTOVF = 4, "SIGFPE: overflow.";
    FPE_FLTUND = 5, "SIGFPE: underflow.";
    FPE_FLTRES = 6, "SIGFPE: inexact.";
    FPE_FLTINV = 7, "SIGFPE: invalid operation.";
    TRAP_BRKPT = 1, "SIGTRAP: breakpoint.";
    TRAP_TRACE = 2, "SIGTRAP: single step.";
    POLL_IN = 1, "SIGIO: input.";
    POLL_OUT = 2, "SIGIO: output is possible.";
    POLL_HUP = 6, "SIGIO: hung up.";
}

/// `sigaltstack`: disarm the stack while a handler runs on it.
pub const SS_AUTODISARM: u32 = 1 << 31;

/// The smallest alternate stack that `sigaltstack` takes.
pub const MINSIGSTKSZ: u64 = 2048;

/// `siginfo_t`: what a handler or a waiter is told, 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigInfo {
    /// The signal.
    pub signo: i32,
    /// An errno, nearly always 0.
    pub errno: i32,
    /// Why: `SI_*`, `CLD_*`, `SEGV_*`, ...
    pub code: i32,
    /// Padding.
    pub _pad: u32,
    /// What depends on the code, see the builders.
    pub fields: [u64; 14],
}

/// Two 32-bit fields in one word, the first at the lower address.
const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

impl SigInfo {
    /// Only signal and code.
    pub const fn new(signal: Signal, code: i32) -> SigInfo {
        SigInfo { signo: signal.0 as i32, errno: 0, code, _pad: 0, fields: [0; 14] }
    }

    /// Sent by a process: `SI_USER`, `SI_TKILL`.
    pub const fn sent(signal: Signal, code: i32, pid: i32, uid: u32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = pair(pid as u32, uid);
        info
    }

    /// Sent with a value: `SI_QUEUE`.
    pub const fn queued(signal: Signal, code: i32, pid: i32, uid: u32, value: u64) -> SigInfo {
        let mut info = SigInfo::sent(signal, code, pid, uid);
        info.fields[1] = value;
        info
    }

    /// A POSIX timer expired.
    pub const fn timer(signal: Signal, timer: i32, overrun: i32, value: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, SI_TIMER);
        info.fields[0] = pair(timer as u32, overrun as u32);
        info.fields[1] = value;
        info
    }

    /// Of a POSIX timer's: its number.
    pub const fn timer_id(&self) -> i32 {
        self.fields[0] as i32
    }

    /// Of a POSIX timer's: expirations that it stands for besides its own.
    pub const fn overruns(&self) -> i32 {
        (self.fields[0] >> 32) as i32
    }

    /// Adds to [`overruns`](Self::overruns), up to the largest number.
    pub const fn add_overruns(&mut self, more: i32) {
        let sum = self.overruns().saturating_add(more);
        self.fields[0] = pair(self.timer_id() as u32, sum as u32);
    }

    /// A child changed its state; times in units of 1/100 s.
    pub const fn child(code: i32, pid: i32, uid: u32, status: i32, utime: i64, stime: i64) -> SigInfo {
        let mut info = SigInfo::sent(Signal::SIGCHLD, code, pid, uid);
        info.fields[1] = pair(status as u32, 0);
        info.fields[2] = utime as u64;
        info.fields[3] = stime as u64;
        info
    }

    /// An instruction faulted at an address.
    pub const fn fault(signal: Signal, code: i32, address: u64) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = address;
        info
    }

    /// Input or output is possible.
    pub const fn poll(signal: Signal, code: i32, band: i64, fd: i32) -> SigInfo {
        let mut info = SigInfo::new(signal, code);
        info.fields[0] = band as u64;
        info.fields[1] = pair(fd as u32, 0);
        info
    }

    /// A filter refused a system call.
    pub const fn system_call(code: i32, call_address: u64, number: i32, architecture: u32) -> SigInfo {
        let mut info = SigInfo::new(Signal::SIGSYS, code);
        info.fields[0] = call_address;
        info.fields[1] = pair(number as u32, architecture);
        info
    }

    /// The sender's pid, for codes that have one.
    pub const fn pid(&self) -> i32 {
        self.fields[0] as u32 as i32
    }

    /// The sender's user id, for codes that have one.
    pub const fn uid(&self) -> u32 {
        (self.fields[0] >> 32) as u32
    }

    /// The faulting address, for codes that have one.
    pub const fn address(&self) -> u64 {
        self.fields[0]
    }
}

/// `stack_t`: an alternate stack, 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StackT {
    /// Lowest address.
    pub sp: u64,
    /// [`SS_ONSTACK`], [`SS_DISABLE`], [`SS_AUTODISARM`].
    pub flags: i32,
    /// Padding.
    pub _pad: u32,
    /// Size in bytes.
    pub size: u64,
}

/// `struct sigevent`, 64 bytes: how a timer or queue notifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigEvent {
    /// Passed on.
    pub value: u64,
    /// Signal number.
    pub signo: i32,
    /// [`SIGEV_SIGNAL`], [`SIGEV_NONE`], [`SIGEV_THREAD_ID`].
    pub notify: i32,
    /// Thread for [`SIGEV_THREAD_ID`].
    pub tid: i32,
    /// Reserved.
    pub _pad: [u32; 11],
}

constants! { i32, like libc;
    SIGEV_SIGNAL = 0, "Send a signal.";
    SIGEV_NONE = 1, "Do nothing.";
    SIGEV_THREAD = 2, "The C library's business.";
    SIGEV_THREAD_ID = 4, "Send a signal to one thread.";
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::mem::offset_of;
    use std::vec::Vec;

    #[test]
    fn layouts_match_linux() {
        assert_eq!(size_of::<KernelSigaction>(), size_of::<linux_raw_sys::general::kernel_sigaction>());
        assert_eq!(size_of::<SigInfo>(), size_of::<libc::siginfo_t>());
        assert_eq!(offset_of!(SigInfo, fields), 16);
        assert_eq!(size_of::<StackT>(), size_of::<libc::stack_t>());
        assert_eq!(offset_of!(StackT, size), offset_of!(libc::stack_t, ss_size));
        assert_eq!(size_of::<SigEvent>(), size_of::<libc::sigevent>());
    }

    #[test]
    fn numbers_outside_the_range_are_no_signals() {
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(65), None);
        assert_eq!(Signal::new(9), Some(Signal::SIGKILL));
        assert!(Signal::new(64).unwrap().is_real_time());
    }

    #[test]
    fn sets_iterate_in_order() {
        let mut set = SigSet::EMPTY;
        for number in [64, 1, 17] {
            set.insert(Signal::new(number).unwrap());
        }
        assert_eq!(set.iter().map(Signal::number).collect::<Vec<_>>(), [1, 17, 64]);
        set.remove(Signal::SIGHUP);
        assert_eq!(set.first(), Some(Signal::SIGCHLD));
        assert!(
            SigSet::FULL.difference(SigSet::UNBLOCKABLE).iter().all(|s| s.number() != 9 && s.number() != 19)
        );
    }

    #[test]
    fn child_information_lies_where_the_c_library_reads_it() {
        let info = SigInfo::child(CLD_EXITED, 1234, 1000, 7, 11, 12);
        let bytes = info.as_bytes();
        let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(
            (word(0), word(8), word(16), word(20), word(24), word(32), word(40)),
            (17, 1, 1234, 1000, 7, 11, 12)
        );
    }
}
