//! Open files of terminals: by their own names, as /dev/tty and as /dev/console.

use super::control::may_administer;
use super::terminal::{Blocking, Opened};
use super::{Tty, console, screen};
use crate::device::character::CharacterDevice;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::process::session::{self, Claim};
use crate::sched;
use abi::errno::Errno;
use abi::poll::PollEvents;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// An open file of a terminal.
pub(super) struct OpenTty {
    pub(super) tty: Arc<Tty>,
    pub(super) opened: Opened,
}

impl OpenTty {
    pub(super) fn operations(tty: &Arc<Tty>) -> Arc<dyn FileOperations> {
        Arc::new(Self { tty: tty.clone(), opened: tty.begin_use() })
    }
}

/// Whether opening a terminal may make it the controlling one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controlling {
    Never,
    Maybe,
}

fn open(tty: &Arc<Tty>, flags: OpenFlags, controlling: Controlling) -> Result<Arc<dyn FileOperations>> {
    let thread = sched::current();
    let process = thread.process();
    let may_all = process.is_none_or(may_administer);
    if tty.is_exclusive.load(Ordering::Acquire) && !may_all {
        return Err(Error::new(Errno::EBUSY, "the terminal is opened exclusively"));
    }
    if !flags.contains(OpenFlags::O_NONBLOCK) {
        tty.wait_for_carrier()?;
    }
    if controlling == Controlling::Maybe
        && !flags.contains(OpenFlags::O_NOCTTY)
        && let Some(process) = process
    {
        // A terminal that cannot control the session can be used all the same.
        let _ = session::claim_terminal(process, tty.clone(), Claim::Open);
    }
    Ok(OpenTty::operations(tty))
}

/// /dev/tty: the controlling terminal of whoever opens it.
pub(super) struct ControllingTty;

impl CharacterDevice for ControllingTty {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let thread = sched::current();
        let terminal = thread.process().and_then(|process| session::controlling_terminal(process));
        let terminal = terminal.ok_or(Error::new(Errno::ENXIO, "no controlling terminal"))?;
        let tty = terminal.as_any().downcast::<Tty>();
        tty.map(|tty| OpenTty::operations(&tty)).map_err(|_| Errno::ENXIO.into())
    }
}

/// /dev/console: never becomes anybody's controlling terminal by being opened.
pub(super) struct Console;

impl CharacterDevice for Console {
    fn open(&self, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let tty = console().ok_or(Error::new(Errno::ENODEV, "there is no console"))?;
        open(&tty, flags, Controlling::Never)
    }
}

/// /dev/tty0: the virtual console that is shown.
pub(super) struct Shown;

impl CharacterDevice for Shown {
    fn open(&self, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let tty = screen::shown_tty().ok_or(Error::new(Errno::ENODEV, "there is no screen"))?;
        open(&tty, flags, Controlling::Never)
    }
}

/// A terminal under its own name.
pub(super) struct Named(pub(super) Arc<Tty>);

impl CharacterDevice for Named {
    fn open(&self, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        open(&self.0, flags, Controlling::Maybe)
    }
}

impl FileOperations for OpenTty {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if self.tty.is_hung_up(self.opened) {
            return Ok(0);
        }
        self.tty.read(to, self.opened, blocking(file))
    }

    fn write(&self, file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.tty.check_alive(self.opened)?;
        self.tty.write(from, self.opened, blocking(file))
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.tty.readable);
        table.watch(&self.tty.writable);
        self.tty.readiness(self.opened)
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        self.tty.check_alive(self.opened)?;
        self.tty.ioctl(command, argument)
    }
}

impl Drop for OpenTty {
    fn drop(&mut self) {
        self.tty.end_use();
    }
}

/// Whether operations on a file may wait.
pub(super) fn blocking(file: &File) -> Blocking {
    if file.is_nonblocking() { Blocking::Never } else { Blocking::Allowed }
}
