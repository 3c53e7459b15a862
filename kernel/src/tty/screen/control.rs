//! The ioctls of virtual consoles (ioctl_console(2)): who draws, which one is shown.

use super::console::Console;
use super::switch::{self, Drawing, Handling};
use super::{all, shown_index};
use crate::device::input;
use crate::error::{Error, Result};
use crate::process::credentials::capability;
use crate::process::session::Terminal;
use crate::sched;
use crate::tty::Tty;
use crate::tty::control::{get, put};
use abi::console::{self, Repetition, VtMode, VtState};
use abi::errno::Errno;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

impl Console {
    /// Does what `command` says; ENOTTY for what a console does not know.
    pub(super) fn ioctl(&self, tty: &Tty, command: u32, argument: u64) -> Result<u64> {
        match command {
            console::KDGETMODE => put(argument, &(self.handling().drawing as u32))?,
            console::KDSETMODE => {
                check_may_configure(tty)?;
                self.set_drawing(match u32::try_from(argument) {
                    // 2 and 3 are old names for text.
                    Ok(console::KD_TEXT | 2 | 3) => Drawing::Text,
                    Ok(console::KD_GRAPHICS) => Drawing::Graphics,
                    _ => return Err(Errno::EINVAL.into()),
                });
            }
            console::KDGKBTYPE => put(argument, &(console::KB_101 as u8))?,
            console::KDKBDREP => {
                check_may_configure(tty)?;
                put(argument, &set_repetition(get(argument)?))?;
            }
            // There is no speaker.
            console::KIOCSOUND | console::KDMKTONE => check_may_configure(tty)?,
            console::VT_OPENQRY => put(argument, &first_free())?,
            console::VT_GETMODE => put(argument, &self.handling().mode)?,
            console::VT_SETMODE => self.set_mode(tty, get(argument)?)?,
            console::VT_GETSTATE => put(argument, &state())?,
            console::VT_RELDISP => self.release(tty, argument)?,
            console::VT_ACTIVATE => {
                check_may_configure(tty)?;
                switch::show(existing(argument)?);
            }
            console::VT_WAITACTIVE => {
                check_may_configure(tty)?;
                let index = existing(argument)? - 1;
                switch::CHANGED.wait_interruptible(|| (shown_index() == index).then_some(()), None)?;
            }
            console::VT_DISALLOCATE => deallocate(argument)?,
            console::VT_LOCKSWITCH | console::VT_UNLOCKSWITCH => {
                check_may_administer()?;
                switch::IS_LOCKED.store(command == console::VT_LOCKSWITCH, Ordering::Relaxed);
            }
            _ => return self.keyboard_ioctl(tty, command, argument),
        }
        Ok(0)
    }

    fn set_mode(&self, tty: &Tty, mode: VtMode) -> Result<()> {
        check_may_configure(tty)?;
        if !switch::is_valid(&mode) {
            return Err(Error::new(Errno::EINVAL, "no such way to handle a change"));
        }
        let owner = crate::process::try_current().map_or(0, |process| process.pid());
        self.change_handling(&mut |handling| {
            (handling.mode, handling.owner) = (VtMode { frsig: 0, ..mode }, owner);
        });
        switch::forget_wish(self.index());
        Ok(())
    }

    /// VT_RELDISP.
    fn release(&self, tty: &Tty, argument: u64) -> Result<()> {
        check_may_configure(tty)?;
        let refused = Err(Error::new(Errno::EINVAL, "it was not asked"));
        if u32::from(self.handling().mode.mode) != console::VT_PROCESS {
            return refused;
        }
        let is_asked = shown_index() == self.index();
        match (argument, is_asked.then(|| switch::answer(argument != 0)).flatten()) {
            (_, Some(())) => Ok(()),
            (argument, None) if argument == u64::from(console::VT_ACKACQ) => Ok(()),
            _ => refused,
        }
    }

    fn set_drawing(&self, drawing: Drawing) {
        let mut is_other = false;
        self.change_handling(&mut |handling| {
            is_other = core::mem::replace(&mut handling.drawing, drawing) != drawing;
        });
        if is_other && shown_index() == self.index() {
            super::redraw();
        }
    }

    /// As it was in the beginning: whoever had chosen something has gone.
    pub(super) fn reset_handling(&self) {
        let mut was_other = false;
        self.change_handling(&mut |handling| {
            was_other = core::mem::take(handling).drawing != Drawing::Text;
        });
        if was_other && shown_index() == self.index() {
            super::redraw();
        }
    }

    /// Changes what programs have chosen.
    pub(super) fn change_handling(&self, change: &mut dyn FnMut(&mut Handling)) {
        change(&mut self.handling.lock());
    }
}

/// The number of a console that exists; ENXIO.
fn existing(argument: u64) -> Result<usize> {
    let number = usize::try_from(argument).ok().filter(|number| (1..=all().len()).contains(number));
    number.ok_or(Error::new(Errno::ENXIO, "no such console"))
}

/// The number of a console that nobody has open; -1 if there is none.
fn first_free() -> i32 {
    let free = all().iter().position(|console| !is_open(console));
    free.map_or(-1, |index| index as i32 + 1)
}

fn is_open(console: &Arc<Console>) -> bool {
    console.tty().is_some_and(|tty| tty.is_open())
}

fn state() -> VtState {
    let open = all().iter().enumerate().filter(|(_, console)| is_open(console));
    let state = open.fold(1, |bits, (index, _)| bits | 1 << (index + 1));
    VtState { active: shown_index() as u16 + 1, signal: 0, state }
}

/// Has held keys repeat otherwise, where `wanted` says something; tells how they did before.
fn set_repetition(wanted: Repetition) -> Repetition {
    let chosen = |wanted: i32, old: u32| u32::try_from(wanted).ok().filter(|value| *value > 0).unwrap_or(old);
    let old = input::set_repetition(|old| input::Repetition {
        delay: chosen(wanted.delay, old.delay),
        period: chosen(wanted.period, old.period),
    });
    Repetition { delay: old.delay as i32, period: old.period as i32 }
}

/// VT_DISALLOCATE: one, or with 0 all that nobody uses.
fn deallocate(argument: u64) -> Result<()> {
    let is_used = |console: &Arc<Console>| is_open(console) || console.index() == shown_index();
    if argument == 0 {
        all().iter().filter(|console| !is_used(console)).for_each(|console| console.deallocate());
        return Ok(());
    }
    let console = &all()[existing(argument)? - 1];
    if is_used(console) {
        return Err(Error::new(Errno::EBUSY, "the console is in use"));
    }
    console.deallocate();
    Ok(())
}

/// EPERM unless the console is the caller's terminal, or it may configure all of them.
pub(super) fn check_may_configure(tty: &Tty) -> Result<()> {
    let thread = sched::current();
    let may = thread.process().is_none_or(|process| {
        let is_own = tty.session() != 0 && tty.session() == process.session_id();
        is_own || process.credentials().has(capability::SYS_TTY_CONFIG)
    });
    if may { Ok(()) } else { Err(Error::new(Errno::EPERM, "the console is somebody else's")) }
}

fn check_may_administer() -> Result<()> {
    let thread = sched::current();
    let may = thread.process().is_none_or(|process| process.credentials().has(capability::SYS_TTY_CONFIG));
    if may { Ok(()) } else { Err(Errno::EPERM.into()) }
}
