//! The ioctls of terminals (ioctl_tty(2)).

use super::Tty;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::process::credentials::capability;
use crate::process::session::{self, Claim, Terminal, TerminalUse};
use crate::sched;
use abi::errno::Errno;
use abi::tty::{self, ControlFlags, Termios, Termios2};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::io::serial::BreakCondition;
use machine::mm::user;
use zerocopy::{FromZeros, IntoBytes};

/// Speed in baud of each code in `c_cflag` (termios(3)).
const SPEEDS: [(u32, u32); 31] = [
    (0o0, 0),
    (0o1, 50),
    (0o2, 75),
    (0o3, 110),
    (0o4, 134),
    (0o5, 150),
    (0o6, 200),
    (0o7, 300),
    (0o10, 600),
    (0o11, 1200),
    (0o12, 1800),
    (0o13, 2400),
    (0o14, 4800),
    (0o15, 9600),
    (0o16, 19200),
    (0o17, 38400),
    (0o10001, 57600),
    (0o10002, 115_200),
    (0o10003, 230_400),
    (0o10004, 460_800),
    (0o10005, 500_000),
    (0o10006, 576_000),
    (0o10007, 921_600),
    (0o10010, 1_000_000),
    (0o10011, 1_152_000),
    (0o10012, 1_500_000),
    (0o10013, 2_000_000),
    (0o10014, 2_500_000),
    (0o10015, 3_000_000),
    (0o10016, 3_500_000),
    (0o10017, 4_000_000),
];

/// How long a break is, in milliseconds, if nobody says otherwise.
const BREAK_MS: u64 = 250;
/// The longest that TCSBRKP gives.
const LONGEST_BREAK_MS: u64 = 10_000;

impl Tty {
    /// Does what `command` says; ENOTTY for what a terminal does not know.
    pub(super) fn ioctl(self: &Arc<Self>, command: u32, argument: u64) -> Result<u64> {
        match command {
            tty::TCSETSW | tty::TCSETSW2 | tty::TCSETSF | tty::TCSETSF2 | tty::TCSBRK | tty::TCSBRKP => {
                self.wait_until_sent()?;
            }
            _ => {}
        }
        match command {
            tty::TCGETS => put(argument, &self.settings())?,
            tty::TCSETS | tty::TCSETSW => {
                self.change_settings(self.keep_speed(get(argument)?), Pending::Kept)?
            }
            tty::TCSETSF => self.change_settings(self.keep_speed(get(argument)?), Pending::Dropped)?,
            tty::TCGETS2 => put(argument, &self.settings2())?,
            tty::TCSETS2 | tty::TCSETSW2 => self.change_settings(get(argument)?, Pending::Kept)?,
            tty::TCSETSF2 => self.change_settings(get(argument)?, Pending::Dropped)?,
            tty::TIOCGWINSZ => put(argument, &self.window())?,
            tty::TIOCSWINSZ => self.set_window(get(argument)?),
            tty::FIONREAD => {
                let readable = self.input.lock().discipline.readable_bytes() as u32;
                put(argument, &readable)?;
            }
            tty::TIOCOUTQ => put(argument, &(self.line().waiting() as u32))?,
            tty::TIOCGETD => put(argument, &0_u32)?,
            tty::TIOCSETD => check(get::<u32>(argument)? == 0, Errno::EINVAL)?,
            tty::TIOCGDEV => put(argument, &(self.number().to_raw() as u32))?,
            tty::TIOCEXCL => self.is_exclusive.store(true, Ordering::Release),
            tty::TIOCNXCL => self.is_exclusive.store(false, Ordering::Release),
            tty::TIOCGEXCL => put(argument, &u32::from(self.is_exclusive.load(Ordering::Acquire)))?,
            tty::TCFLSH => self.flush(argument)?,
            tty::TCXONC => self.control_flow(argument)?,
            tty::TCSBRK | tty::TCSBRKP => {
                self.check_change()?;
                match (command, argument) {
                    (_, 0) => self.send_break(BREAK_MS),
                    // All output has left, and that was it.
                    (tty::TCSBRK, _) => {}
                    (_, tenths) => self.send_break(tenths.saturating_mul(100).min(LONGEST_BREAK_MS)),
                }
            }
            tty::TIOCSBRK | tty::TIOCCBRK => {
                self.check_change()?;
                let is_on = command == tty::TIOCSBRK;
                self.line().set_break(if is_on { BreakCondition::On } else { BreakCondition::Off });
            }
            // Typing for others is an old hole.
            tty::TIOCSTI => return Err(Errno::EIO.into()),
            tty::TIOCVHANGUP => {
                check(may_administer(caller(&sched::current())?), Errno::EPERM)?;
                self.hang_up();
            }
            _ => return self.job_control(command, argument),
        }
        Ok(0)
    }

    fn job_control(self: &Arc<Self>, command: u32, argument: u64) -> Result<u64> {
        let thread = sched::current();
        let process = caller(&thread)?;
        match command {
            tty::TIOCGPGRP => {
                self.check_controlling(process)?;
                put(argument, &self.foreground_group())?;
            }
            tty::TIOCSPGRP => {
                self.check_controlling(process)?;
                session::set_foreground_group(process, &**self, get(argument)?)?;
            }
            tty::TIOCGSID => {
                self.check_controlling(process)?;
                put(argument, &self.session())?;
            }
            tty::TIOCSCTTY => {
                let may_steal = argument == 1 && may_administer(process);
                let claim = if may_steal { Claim::Steal } else { Claim::Ask };
                session::claim_terminal(process, self.clone(), claim)?;
            }
            tty::TIOCNOTTY => {
                self.check_controlling(process)?;
                session::release_terminal(process)?;
            }
            _ => return self.line().ioctl(self, command, argument),
        }
        Ok(0)
    }

    /// ENOTTY unless it controls the caller's session.
    fn check_controlling(&self, process: &Arc<Process>) -> Result<()> {
        check(self.session() != 0 && self.session() == process.session_id(), Errno::ENOTTY)
    }

    /// A background process that changes something is stopped, TOSTOP or not.
    fn check_change(&self) -> Result<()> {
        session::check_foreground(self, TerminalUse::Write)
    }

    fn change_settings(&self, settings: Termios2, pending: Pending) -> Result<()> {
        self.check_change()?;
        if pending == Pending::Dropped {
            self.flush_input();
        }
        self.set_settings(settings);
        Ok(())
    }

    fn flush(&self, argument: u64) -> Result<()> {
        self.check_change()?;
        match u32::try_from(argument) {
            Ok(tty::TCIFLUSH | tty::TCIOFLUSH) => self.flush_input(),
            Ok(tty::TCOFLUSH) => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        if argument != u64::from(tty::TCIFLUSH) {
            self.line().discard_output();
            self.writable.wake_all();
        }
        Ok(())
    }

    /// Settings without a speed: that which they name, or the old one.
    fn keep_speed(&self, termios: Termios) -> Termios2 {
        Termios2 { termios, ..self.settings2() }
    }

    /// Holds the line at zero for a while.
    fn send_break(&self, milliseconds: u64) {
        self.line().set_break(BreakCondition::On);
        sched::sleep_until(crate::clock::monotonic_ns() + milliseconds * 1_000_000);
        self.line().set_break(BreakCondition::Off);
    }

    fn control_flow(&self, argument: u64) -> Result<()> {
        self.check_change()?;
        match u32::try_from(argument) {
            Ok(tty::TCOOFF) => self.input.lock().discipline.hold(),
            Ok(tty::TCOON) => {
                self.input.lock().discipline.release();
                self.writable.wake_all();
            }
            Ok(flow @ (tty::TCIOFF | tty::TCION)) => {
                let index = if flow == tty::TCIOFF { tty::VSTOP } else { tty::VSTART };
                self.line().write(&[self.settings().cc[index]]);
            }
            _ => return Err(Errno::EINVAL.into()),
        }
        Ok(())
    }
}

/// What happens to input that was not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    Kept,
    Dropped,
}

pub(super) fn caller(thread: &Arc<sched::Thread>) -> Result<&Arc<Process>> {
    thread.process().ok_or(Error::new(Errno::ENOTTY, "only programs control terminals"))
}

/// Whether a process may do to terminals what it likes.
pub(super) fn may_administer(process: &Arc<Process>) -> bool {
    process.credentials().has(capability::SYS_ADMIN)
}

fn check(condition: bool, errno: Errno) -> Result<()> {
    if condition { Ok(()) } else { Err(errno.into()) }
}

/// The speed that a code in `c_cflag` stands for; 0 for [`tty::BOTHER`], which names none.
pub(super) fn code_speed(cflag: u32) -> u32 {
    let code = cflag & ControlFlags::CBAUD.bits();
    SPEEDS.iter().find(|speed| speed.0 == code).map_or(0, |speed| speed.1)
}

/// The speed of the settings in baud.
pub(super) fn speed_of(settings: &Termios2) -> u32 {
    let code = settings.termios.cflag & ControlFlags::CBAUD.bits();
    if code == tty::BOTHER { settings.ospeed } else { code_speed(code) }
}

/// The settings with this speed, by its code if it has one.
pub(super) fn with_speed(mut termios: Termios, speed: u32) -> Termios2 {
    let code = SPEEDS.iter().find(|known| known.1 == speed).map_or(tty::BOTHER, |known| known.0);
    termios.cflag = termios.cflag & !ControlFlags::CBAUD.bits() | code;
    Termios2 { termios, ispeed: speed, ospeed: speed }
}

/// Copies a value to the program.
pub(super) fn put<T: IntoBytes + zerocopy::Immutable>(address: u64, value: &T) -> Result<()> {
    Ok(user::copy_to(address, value.as_bytes())?)
}

/// Copies a value from the program.
pub(super) fn get<T: FromZeros + zerocopy::FromBytes + IntoBytes>(address: u64) -> Result<T> {
    let mut value = T::new_zeroed();
    user::copy_from(value.as_mut_bytes(), address)?;
    Ok(value)
}
