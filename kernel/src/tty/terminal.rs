//! A terminal: the line, its discipline, who owns it, who waits for it.
//!
//! Input arrives in interrupt context and goes through the discipline at once, so that Ctrl-C works however busy
//! the system is; the discipline's lock therefore disables interrupts. Output passes the discipline in small
//! pieces and is then written to the line outside of that lock; `writing` keeps the pieces of writers in order.

use super::control::{code_speed, speed_of};
use super::line::{Line, Tap};
use crate::error::{Error, Result};
use crate::fs::io::Source;
use crate::process::session::{self, Terminal, TerminalUse};
use crate::process::signal::send_to_group;
use crate::sched::wait::WaitQueue;
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::signal::Signal;
use abi::stat::DeviceNumber;
use abi::tty::{LocalFlags, Termios, Termios2, Winsize};
use alloc::{boxed::Box, collections::VecDeque, string::String, sync::Arc};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use line_discipline::{Event, LineDiscipline, Sink};
use machine::sync::{IrqSpinLock, SpinLock};

/// Bytes of a program's output that pass the discipline at a time, and what they may become.
const PIECE: usize = 128;
const TREATED_PIECE: usize = 4 * PIECE;
/// What a byte becomes at most: a tab is eight spaces.
const MAX_TREATED_BYTE: usize = 8;

/// Input that waits for room in the discipline; beyond this it is lost.
const MAX_BACKLOG: usize = 64 * 1024;

/// A terminal.
pub(crate) struct Tty {
    name: String,
    number: DeviceNumber,
    line: Box<dyn Line>,
    pub(super) input: IrqSpinLock<Input>,
    owner: IrqSpinLock<Owner>,
    window: SpinLock<Winsize>,
    /// In baud: what the settings name, or what they leave to this.
    speed: AtomicU32,
    /// Held by whoever changes the settings.
    changing: SpinLock<()>,
    writing: Mutex<()>,
    /// Woken when there may be something to read.
    pub(super) readable: WaitQueue,
    /// Woken when output may go on.
    pub(crate) writable: WaitQueue,
    /// Woken when there is room for more input.
    pub(super) input_room: WaitQueue,
    /// Open files of it.
    open_files: AtomicUsize,
    /// Opens that wait for the other side.
    pub(super) waiting_opens: AtomicUsize,
    /// Woken when the other side comes.
    pub(super) connected: WaitQueue,
    /// It was hung up, and not opened since.
    is_down: AtomicBool,
    /// Its line is gone for good.
    is_gone: AtomicBool,
    /// It is to be hung up since the other side went.
    pub(super) has_lost_carrier: AtomicBool,
    /// How often it was hung up: open files from before are dead.
    hang_ups: AtomicU32,
    /// No further opens (TIOCEXCL).
    pub(super) is_exclusive: AtomicBool,
    /// Who gets the input instead.
    tap: IrqSpinLock<Option<Arc<dyn Tap>>>,
}

/// What the receiving side changes.
pub(super) struct Input {
    pub(super) discipline: LineDiscipline,
    /// What found no room.
    backlog: VecDeque<Arrival>,
}

/// What comes from the keyboard or the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Byte(u8),
    /// Its parity is wrong, or its end is missing.
    Damaged(u8),
    /// The line was held at zero.
    Break,
}

/// For whom it is the controlling terminal; 0: nobody.
#[derive(Clone, Copy, Default)]
struct Owner {
    session: i32,
    foreground_group: i32,
}

/// Echo, on its way to the line.
struct Echo<'a>(&'a dyn Line);

impl Sink for Echo<'_> {
    fn put(&mut self, byte: u8) {
        self.0.write(&[byte]);
    }
}

impl Tty {
    /// A terminal with these settings at the end of a line.
    pub(crate) fn new(
        name: String,
        number: DeviceNumber,
        settings: Termios,
        line: Box<dyn Line>,
    ) -> Arc<Self> {
        let input = Input { discipline: LineDiscipline::new(settings), backlog: VecDeque::new() };
        Arc::new(Self {
            name,
            number,
            line,
            input: IrqSpinLock::new("tty input", input),
            owner: IrqSpinLock::new("tty owner", Owner::default()),
            window: SpinLock::new("tty window", Winsize::default()),
            speed: AtomicU32::new(code_speed(settings.cflag)),
            changing: SpinLock::new("tty settings", ()),
            writing: Mutex::new("tty-writing", ()),
            readable: WaitQueue::named("tty-read"),
            writable: WaitQueue::named("tty-write"),
            input_room: WaitQueue::named("tty-input"),
            open_files: AtomicUsize::new(0),
            waiting_opens: AtomicUsize::new(0),
            connected: WaitQueue::named("tty-carrier"),
            is_down: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            has_lost_carrier: AtomicBool::new(false),
            hang_ups: AtomicU32::new(0),
            is_exclusive: AtomicBool::new(false),
            tap: IrqSpinLock::new("tty tap", None),
        })
    }

    /// Its name in /dev.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its device number.
    pub(crate) fn number(&self) -> DeviceNumber {
        self.number
    }

    /// What it writes to.
    pub(crate) fn line(&self) -> &dyn Line {
        &*self.line
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Termios {
        *self.input.lock().discipline.termios()
    }

    /// The window's size.
    pub(crate) fn window(&self) -> Winsize {
        *self.window.lock()
    }

    /// Changes the window's size; the foreground group is told if it is another one.
    pub(crate) fn set_window(&self, window: Winsize) {
        let old = core::mem::replace(&mut *self.window.lock(), window);
        if old != window {
            self.signal_foreground(Signal::SIGWINCH);
        }
    }

    /// Takes bytes from the keyboard or the wire. Any context.
    pub(crate) fn receive(&self, bytes: &[u8]) {
        let tap = self.tap.lock().clone();
        if let Some(tap) = tap {
            return tap.receive(bytes);
        }
        bytes.iter().for_each(|&byte| self.take_in(Arrival::Byte(byte)));
        self.readable.wake_all();
    }

    /// Takes what comes from a wire beside good bytes. Any context.
    pub(super) fn receive_odd(&self, arrival: Arrival) {
        if self.tap.lock().is_none() {
            self.take_in(arrival);
            self.readable.wake_all();
        }
    }

    fn take_in(&self, arrival: Arrival) {
        let mut input = self.input.lock();
        let event = input.receive(arrival, &mut Echo(&*self.line));
        drop(input);
        self.handle(event);
    }

    /// From now on the input goes to `tap`, and the line is in use; `None`: everything is as usual again. The tap before.
    pub(crate) fn set_tap(&self, tap: Option<Arc<dyn Tap>>) -> Option<Arc<dyn Tap>> {
        let is_tapped = tap.is_some();
        if is_tapped {
            self.begin_use();
        }
        let old = core::mem::replace(&mut *self.tap.lock(), tap);
        if old.is_some() {
            self.end_use();
        }
        old
    }

    /// Whether input would not have to wait.
    pub(super) fn has_input_room(&self) -> bool {
        self.input.lock().backlog.is_empty()
    }

    /// After a read there may be room for bytes that wait.
    pub(super) fn receive_backlog(&self) {
        loop {
            let mut input = self.input.lock();
            let Some(arrival) = input.backlog.pop_front() else {
                drop(input);
                return self.input_room.wake_all();
            };
            match input.pass(arrival, &mut Echo(&*self.line)) {
                Ok(event) => {
                    drop(input);
                    self.handle(event);
                }
                Err(_) => return input.backlog.push_front(arrival),
            }
        }
    }

    fn handle(&self, event: Option<Event>) {
        match event {
            None | Some(Event::Stopped) => {}
            Some(Event::Started) => self.writable.wake_all(),
            Some(Event::Signal(signal)) => self.signal_foreground(signal),
        }
    }

    fn signal_foreground(&self, signal: Signal) {
        let group = self.owner.lock().foreground_group;
        if group != 0 {
            send_to_group(group, signal);
        }
    }

    /// Writes what a program gives, by the settings. Waits while output is stopped.
    pub(super) fn write(&self, from: &mut Source<'_>, opened: Opened, blocking: Blocking) -> Result<usize> {
        self.check_use(TerminalUse::Write)?;
        let _writing = self.writing.lock();
        let mut done = 0;
        let mut bytes = [0; PIECE];
        let mut piece = 0..0;
        loop {
            if piece.is_empty() {
                let wanted = from.remaining().min(PIECE);
                match from.read(&mut bytes[..wanted]) {
                    Ok(0) => return Ok(done),
                    Ok(count) => piece = 0..count,
                    Err(error) => return if done == 0 { Err(error) } else { Ok(done) },
                }
            }
            if let Err(error) = self.wait_for_start(opened, blocking) {
                return if done == 0 { Err(error) } else { Ok(done) };
            }
            let written = self.write_piece(&bytes[piece.clone()]);
            piece.start += written;
            done += written;
        }
    }

    /// Writes a part of `bytes`, as there is room; tells how much.
    fn write_piece(&self, bytes: &[u8]) -> usize {
        let mut treated = Treated { bytes: [0; TREATED_PIECE], length: 0 };
        let room = self.line.room().min(TREATED_PIECE);
        let taken = self.input.lock().discipline.write(bytes, room, &mut treated);
        self.line.write(&treated.bytes[..treated.length]);
        taken
    }

    /// Waits until output is not stopped and there is room for a byte, whatever it becomes.
    fn wait_for_start(&self, opened: Opened, blocking: Blocking) -> Result<()> {
        let is_started = || {
            let is_over = self.is_hung_up(opened);
            let is_started = || !self.input.lock().discipline.is_stopped();
            (is_over || (is_started() && self.line.room() >= MAX_TREATED_BYTE)).then_some(())
        };
        match blocking {
            Blocking::Allowed => self.writable.wait_interruptible(is_started, None)?,
            Blocking::Never => is_started().ok_or(Error::from(Errno::EAGAIN))?,
        }
        self.check_alive(opened)
    }

    /// Waits until all output has left.
    ///
    /// # Errors
    /// EINTR.
    pub(super) fn wait_until_sent(&self) -> Result<()> {
        self.writable.wait_interruptible(|| (self.line.waiting() == 0).then_some(()), None)
    }

    /// EIO, or SIGTTIN or SIGTTOU, for background processes. Writing is restricted only with TOSTOP.
    pub(super) fn check_use(&self, purpose: TerminalUse) -> Result<()> {
        if purpose == TerminalUse::Write && !self.settings().local().contains(LocalFlags::TOSTOP) {
            return Ok(());
        }
        session::check_foreground(self, purpose)
    }

    /// What is ready.
    pub(super) fn readiness(&self, opened: Opened) -> PollEvents {
        if self.is_hung_up(opened) {
            return PollEvents::all();
        }
        let input = self.input.lock();
        let mut events = PollEvents::empty();
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, input.discipline.is_ready());
        let is_writable = !input.discipline.is_stopped() && self.line.room() >= MAX_TREATED_BYTE;
        events.set(PollEvents::POLLOUT | PollEvents::POLLWRNORM, is_writable);
        events
    }

    /// The settings with the speed.
    pub(super) fn settings2(&self) -> Termios2 {
        let speed = self.speed.load(Ordering::Relaxed);
        Termios2 { termios: self.settings(), ispeed: speed, ospeed: speed }
    }

    /// Changes the settings, as far as the line goes along.
    pub(super) fn set_settings(&self, mut settings: Termios2) {
        let _changing = self.changing.lock();
        self.line.configure(&mut settings, &self.settings2());
        self.speed.store(speed_of(&settings), Ordering::Relaxed);
        self.input.lock().discipline.set_termios(settings.termios);
        self.writable.wake_all();
        self.readable.wake_all();
    }

    /// The line has its settings once more, since it takes them differently now.
    pub(super) fn reconfigure(&self) {
        self.set_settings(self.settings2());
    }

    /// Drops what was typed and not read.
    pub(super) fn flush_input(&self) {
        let mut input = self.input.lock();
        input.discipline.flush_input();
        input.backlog.clear();
        drop(input);
        self.input_room.wake_all();
    }

    /// Ends all use of it: open files are dead, its session loses it and is told.
    pub(crate) fn hang_up(self: &Arc<Self>) {
        self.hang_ups.fetch_add(1, Ordering::AcqRel);
        self.flush_input();
        session::hang_up(&(self.clone() as Arc<dyn Terminal>));
        self.readable.wake_all();
        self.writable.wake_all();
        self.is_down.store(true, Ordering::Release);
        self.line.hung_up();
        self.reopen_for_those_who_wait();
    }

    /// Its line is gone: all files of it are dead, and so are those that are opened yet.
    pub(super) fn withdraw(self: &Arc<Self>) {
        self.is_gone.store(true, Ordering::Release);
        self.hang_up();
        self.connected.wake_all();
    }

    /// A file of it is opened; it can be used until the next hang-up.
    pub(super) fn begin_use(&self) -> Opened {
        let is_first = self.open_files.fetch_add(1, Ordering::AcqRel) == 0;
        if self.is_down.swap(false, Ordering::AcqRel) || is_first {
            self.line.first_opened();
        }
        Opened(self.hang_ups.load(Ordering::Acquire))
    }

    /// Whether a file of it is open.
    pub(super) fn is_open(&self) -> bool {
        self.open_files.load(Ordering::Acquire) > 0
    }

    /// A file of it is closed. May sleep.
    pub(super) fn end_use(&self) {
        if self.open_files.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        self.drain_at_close();
        // Somebody may have opened it meanwhile.
        if !self.is_open() {
            self.line.last_closed();
            self.reopen_for_those_who_wait();
        }
    }

    /// Whether it was hung up since.
    pub(super) fn is_hung_up(&self, opened: Opened) -> bool {
        self.is_gone.load(Ordering::Acquire) || self.hang_ups.load(Ordering::Acquire) != opened.0
    }

    /// EIO if it was hung up since.
    pub(super) fn check_alive(&self, opened: Opened) -> Result<()> {
        if self.is_hung_up(opened) { Err(Error::new(Errno::EIO, "the terminal was hung up")) } else { Ok(()) }
    }
}

/// When a file of a terminal was opened, counted in hang-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened(u32);

pub(super) use crate::fs::file::Blocking;

impl Input {
    /// Passes something to the discipline, behind what waits.
    fn receive(&mut self, arrival: Arrival, echo: &mut Echo<'_>) -> Option<Event> {
        if self.backlog.is_empty()
            && let Ok(event) = self.pass(arrival, echo)
        {
            return event;
        }
        // In interrupt context; without memory it is lost, as it would be without room.
        if self.backlog.len() < MAX_BACKLOG && self.backlog.try_reserve(1).is_ok() {
            self.backlog.push_back(arrival);
        }
        None
    }

    fn pass(
        &mut self,
        arrival: Arrival,
        echo: &mut Echo<'_>,
    ) -> core::result::Result<Option<Event>, line_discipline::Full> {
        match arrival {
            Arrival::Byte(byte) => self.discipline.receive(byte, echo),
            Arrival::Damaged(byte) => self.discipline.receive_damaged(byte, echo),
            Arrival::Break => self.discipline.receive_break(echo),
        }
    }
}

/// Output that passed the discipline.
struct Treated {
    bytes: [u8; TREATED_PIECE],
    length: usize,
}

impl Sink for Treated {
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

impl Terminal for Tty {
    fn device_number(&self) -> u64 {
        self.number.to_raw()
    }

    fn foreground_group(&self) -> i32 {
        self.owner.lock().foreground_group
    }

    fn session(&self) -> i32 {
        self.owner.lock().session
    }

    fn set_owner(&self, session: i32, foreground_group: i32) {
        *self.owner.lock() = Owner { session, foreground_group };
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
