//! Pseudo-terminals: a terminal (the slave, /dev/pts/N) whose line is a program (the master, from /dev/ptmx).
//!
//! What the slave's programs write goes through its discipline into `output`, which the master reads; what the
//! master writes is the slave's input. Closing the master hangs the slave up; when no slave is open any more, the
//! master reads EIO. Source: pty(7), ioctl_tty(2).

use super::line::Line;
use super::terminal::{Blocking, Tty};
use crate::device::character::{self, CharacterDevice};
use crate::error::{Error, Result};
use crate::fs::devpts;
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::process::session::Terminal;
use crate::process::signal::send_to_group;
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::signal::Signal;
use abi::stat::DeviceNumber;
use abi::tty::{self as ioctl, Termios};
use alloc::{boxed::Box, collections::VecDeque, format, sync::Arc, vec};
use core::sync::atomic::{AtomicBool, Ordering};
use id_map::IdMap;
use machine::mm::user;
use machine::sync::{IrqSpinLock, SpinLock};

/// /dev/ptmx.
const MULTIPLEXER: DeviceNumber = DeviceNumber::new(5, 2);
/// Slaves: one major number is enough for all that are allowed.
const SLAVE_MAJOR: u32 = 136;
const MAX_PTYS: u32 = 4096;

/// Bytes on the way from the slave to the master.
const CAPACITY: usize = 8192;
/// Bytes that the master writes at a time.
const STEP: usize = 256;

/// TIOCSIG: the master sends a signal to the foreground group.
const TIOCSIG: u32 = 0x4004_5436;

static NUMBERS: SpinLock<IdMap<u32, ()>> = SpinLock::new("pty numbers", IdMap::new());

/// Registers /dev/ptmx.
pub(super) fn init() {
    character::register(MULTIPLEXER, "ptmx", 0o666, Arc::new(Multiplexer));
}

/// /dev/ptmx: every open makes a new pair.
struct Multiplexer;

impl CharacterDevice for Multiplexer {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let number = Number::allocate()?;
        let wire = Arc::new(Wire {
            output: IrqSpinLock::new("pty output", VecDeque::with_capacity(CAPACITY)),
            readable: WaitQueue::named("pty-read"),
            is_slave_closed: AtomicBool::new(false),
            is_locked: AtomicBool::new(true),
        });
        let slave_number = DeviceNumber::new(SLAVE_MAJOR, number.0);
        let name = format!("pts/{}", number.0);
        let tty = Tty::new(name, slave_number, Termios::default(), Box::new(SlaveLine(wire.clone())));
        let slave = Slave { tty: tty.clone(), wire: wire.clone() };
        character::register_hidden(slave_number, Arc::new(slave));
        // From here on, dropping the master takes everything back.
        let master = Master { number, tty, wire };
        let owner = crate::process::current().credentials();
        devpts::add(master.number.0, slave_number, owner.fsuid, owner.fsgid)?;
        Ok(Arc::new(master))
    }
}

/// A pty's number, until the master is closed.
struct Number(u32);

impl Number {
    fn allocate() -> Result<Number> {
        let mut taken = NUMBERS.lock();
        let free = (0..MAX_PTYS).find(|number| !taken.contains_key(*number));
        let number = free.ok_or(Error::new(Errno::ENOSPC, "all pseudo-terminals are in use"))?;
        taken.insert(number, ());
        Ok(Number(number))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        NUMBERS.lock().remove(self.0);
    }
}

/// What connects both sides.
struct Wire {
    output: IrqSpinLock<VecDeque<u8>>,
    /// Woken when the master may have something to read.
    readable: WaitQueue,
    /// A slave was open, and none is any more.
    is_slave_closed: AtomicBool,
    /// The slave cannot be opened yet (TIOCSPTLCK).
    is_locked: AtomicBool,
}

/// The wire as the slave's terminal sees it.
struct SlaveLine(Arc<Wire>);

impl Line for SlaveLine {
    fn write(&self, bytes: &[u8]) {
        let mut output = self.0.output.lock();
        // Echo that finds no room is lost; a program's output has been measured before.
        let room = CAPACITY - output.len();
        output.extend(&bytes[..bytes.len().min(room)]);
        drop(output);
        self.0.readable.wake_all();
    }

    fn room(&self) -> usize {
        CAPACITY - self.0.output.lock().len()
    }

    fn first_opened(&self) {
        self.0.is_slave_closed.store(false, Ordering::Release);
    }

    fn last_closed(&self) {
        self.0.is_slave_closed.store(true, Ordering::Release);
        self.0.readable.wake_all();
    }
}

/// The slave's device file.
struct Slave {
    tty: Arc<Tty>,
    wire: Arc<Wire>,
}

impl CharacterDevice for Slave {
    fn open(&self, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        if self.wire.is_locked.load(Ordering::Acquire) {
            return Err(Error::new(Errno::EIO, "the pseudo-terminal is locked"));
        }
        super::open::Named(self.tty.clone()).open(flags)
    }
}

/// The open master.
struct Master {
    number: Number,
    tty: Arc<Tty>,
    wire: Arc<Wire>,
}

impl FileOperations for Master {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let mut bytes = vec![0; to.remaining().min(CAPACITY)];
        let take = || {
            let mut output = self.wire.output.lock();
            let count = bytes.len().min(output.len());
            bytes.iter_mut().zip(output.drain(..count)).for_each(|(place, byte)| *place = byte);
            let is_over = count > 0 || self.wire.is_slave_closed.load(Ordering::Acquire);
            is_over.then_some(count)
        };
        if to.remaining() == 0 {
            return Ok(0);
        }
        let count = wait(file, &self.wire.readable, take)?;
        if count == 0 {
            return Err(Error::new(Errno::EIO, "the other side is closed"));
        }
        self.tty.writable.wake_all();
        to.write(&bytes[..count])
    }

    fn write(&self, file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let mut done = 0;
        let mut bytes = [0; STEP];
        while from.remaining() > 0 {
            let has_room = || self.tty.has_input_room().then_some(());
            let outcome = wait(file, &self.tty.input_room, has_room).and_then(|()| {
                let wanted = from.remaining().min(STEP);
                from.read(&mut bytes[..wanted])
            });
            match outcome {
                Ok(count) => {
                    self.tty.receive(&bytes[..count]);
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.wire.readable);
        table.watch(&self.tty.input_room);
        let mut events = PollEvents::empty();
        let has_output = !self.wire.output.lock().is_empty();
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, has_output);
        events.set(PollEvents::POLLOUT | PollEvents::POLLWRNORM, self.tty.has_input_room());
        events.set(PollEvents::POLLHUP, self.wire.is_slave_closed.load(Ordering::Acquire));
        events
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        let int = |value: u32| user::copy_to(argument, &value.to_ne_bytes());
        match command {
            ioctl::TIOCGPTN => int(self.number.0)?,
            ioctl::TIOCGPTLCK => int(self.wire.is_locked.load(Ordering::Acquire).into())?,
            ioctl::TIOCSPTLCK => {
                let mut value = [0; 4];
                user::copy_from(&mut value, argument)?;
                self.wire.is_locked.store(value != [0; 4], Ordering::Release);
            }
            ioctl::FIONREAD => int(self.wire.output.lock().len() as u32)?,
            // The master may ask for both without belonging to the session.
            ioctl::TIOCGPGRP => int(self.tty.foreground_group() as u32)?,
            ioctl::TIOCGSID => int(self.tty.session() as u32)?,
            TIOCSIG => {
                let signal = u32::try_from(argument).ok().and_then(Signal::new).ok_or(Errno::EINVAL)?;
                send_to_group(self.tty.foreground_group(), signal);
            }
            _ => return self.tty.ioctl(command, argument),
        }
        Ok(0)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        devpts::remove(self.number.0);
        character::unregister(self.tty.number());
        self.tty.hang_up();
    }
}

/// Waits on a queue for a condition, unless the file is not to be waited for.
fn wait<R>(file: &File, queue: &WaitQueue, mut condition: impl FnMut() -> Option<R>) -> Result<R> {
    match super::open::blocking(file) {
        Blocking::Allowed => queue.wait_interruptible(condition, None),
        Blocking::Never => condition().ok_or(Errno::EAGAIN.into()),
    }
}
