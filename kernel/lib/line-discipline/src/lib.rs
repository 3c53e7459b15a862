//! The line discipline N_TTY: what lies between a terminal and the programs that read and write it.
//!
//! A pure state machine. Bytes from the keyboard or the line go into [`LineDiscipline::receive`], which edits the line,
//! echoes, and reports signals; programs take bytes with [`LineDiscipline::read`]; what programs write goes through
//! [`LineDiscipline::write`]. Everything for the screen comes out byte by byte through a [`Sink`], so that
//! nothing is allocated and the caller decides about queues. Waiting (VMIN, VTIME), process groups and job control are the
//! caller's; so is holding back output while [`LineDiscipline::is_stopped`].
//!
//! The input buffer has 4096 bytes. In canonical mode a line has at most 4095 bytes and its end: further bytes replace
//! the last one until the line ends. An end of file is a marked zero byte that a read consumes and does not return.
//!
//! Source: termios(3), POSIX.1 chapter 11; the answers are Linux's (`tests/linux.rs` compares).
#![no_std]
#![forbid(unsafe_code)]

mod input;
mod output;
mod receive;
#[cfg(test)]
mod tests;

use abi::signal::Signal;
use abi::tty::{InputFlags, LocalFlags, Termios, VMIN, VTIME};
use input::Input;
use output::Output;

pub use input::CAPACITY;

/// What a received byte causes besides echo and input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The foreground process group gets a signal.
    Signal(Signal),
    /// Output is held back from now on.
    Stopped,
    /// Output goes on.
    Started,
}

/// The way to the screen. A closure that takes a byte is one.
pub trait Sink {
    /// A byte for the screen.
    fn put(&mut self, byte: u8);

    /// A signal came: drops what waits to be shown.
    fn discard(&mut self) {}
}

impl<F: FnMut(u8)> Sink for F {
    fn put(&mut self, byte: u8) {
        self(byte);
    }
}

/// The input buffer is full: the byte was not taken. Offer it again after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The answer of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes; 0 only if the buffer has length 0.
    Data(usize),
    /// End of file was typed.
    EndOfFile,
    /// Nothing is there: wait, or answer EAGAIN.
    Empty,
}

/// The state of one terminal.
#[derive(Clone, Debug)]
pub struct LineDiscipline {
    termios: Termios,
    input: Input,
    output: Output,
    /// The next byte is literal (VLNEXT was typed).
    is_literal_next: bool,
    /// Between the `\` and `/` of ECHOPRT.
    is_erasing: bool,
    /// Stopped by VSTOP or by `hold`.
    is_stopped: bool,
    /// Stopped by a program (TCXONC): VSTART does not start it.
    is_held: bool,
}

impl Default for LineDiscipline {
    fn default() -> LineDiscipline {
        LineDiscipline::new(Termios::default())
    }
}

impl LineDiscipline {
    /// A terminal with empty buffers.
    pub const fn new(termios: Termios) -> LineDiscipline {
        LineDiscipline {
            termios,
            input: Input::new(),
            output: Output::new(),
            is_literal_next: false,
            is_erasing: false,
            is_stopped: false,
            is_held: false,
        }
    }

    /// The settings.
    pub const fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Changes the settings. A switch between line and raw mode makes all that was typed readable.
    pub fn set_termios(&mut self, termios: Termios) {
        let old = core::mem::replace(&mut self.termios, termios);
        let changed = old.local() ^ termios.local();
        if changed.intersects(LocalFlags::ICANON | LocalFlags::EXTPROC) {
            self.input.change_mode(termios.local().contains(LocalFlags::ICANON));
            self.is_erasing = false;
            self.is_literal_next = false;
        }
        if old.input().contains(InputFlags::IXON) && !termios.input().contains(InputFlags::IXON) {
            self.start();
        }
    }

    /// Whether reads are by line.
    pub fn is_canonical(&self) -> bool {
        self.has(LocalFlags::ICANON) && !self.has(LocalFlags::EXTPROC)
    }

    /// Whether a read would return something: a line or an end of file in canonical mode, else a byte.
    pub fn can_read(&self) -> bool {
        self.input.can_read(self.is_canonical())
    }

    /// Whether `poll` reports input: as [`LineDiscipline::can_read`], but in raw mode without time-out VMIN bytes.
    pub fn is_ready(&self) -> bool {
        if self.is_canonical() || self.vtime() != 0 || self.vmin() == 0 {
            return self.can_read();
        }
        self.input.len() >= self.vmin()
    }

    /// Number of bytes that reads would return now (FIONREAD).
    pub fn readable_bytes(&self) -> usize {
        self.input.readable_bytes(self.is_canonical())
    }

    /// How many bytes a raw read waits for.
    pub const fn vmin(&self) -> usize {
        self.termios.cc[VMIN] as usize
    }

    /// Time-out of a raw read in tenths of a second; 0 means none.
    pub const fn vtime(&self) -> u8 {
        self.termios.cc[VTIME]
    }

    /// Takes what can be read now: at most one line in canonical mode.
    pub fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        if buffer.is_empty() {
            return ReadOutcome::Data(0);
        }
        if !self.can_read() {
            return ReadOutcome::Empty;
        }
        let count =
            if self.is_canonical() { self.input.read_line(buffer) } else { self.input.read_raw(buffer) };
        if count == 0 { ReadOutcome::EndOfFile } else { ReadOutcome::Data(count) }
    }

    /// Drops all input (TCIFLUSH).
    pub fn flush_input(&mut self) {
        self.input.clear();
        self.is_erasing = false;
    }

    /// Treats what a program writes and passes it to `sink`. Stops before the first byte whose result would exceed
    /// `room` bytes. Returns how many bytes of `bytes` are done.
    pub fn write(&mut self, bytes: &[u8], room: usize, sink: &mut dyn Sink) -> usize {
        let mut left = room;
        for (index, &byte) in bytes.iter().enumerate() {
            if self.output.cost(&self.termios, byte) > left {
                return index;
            }
            self.output.put(&self.termios, byte, &mut |byte| {
                left -= 1;
                sink.put(byte);
            });
        }
        bytes.len()
    }

    /// Whether output is to be held back.
    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Holds output back until [`LineDiscipline::release`] (TCOOFF).
    pub fn hold(&mut self) {
        self.is_held = true;
        self.is_stopped = true;
    }

    /// Lets output go on (TCOON).
    pub fn release(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.is_stopped = false;
        }
    }

    /// Lets output go on unless a program holds it; whether something changed.
    fn start(&mut self) -> bool {
        let starts = self.is_stopped && !self.is_held;
        if starts {
            self.is_stopped = false;
        }
        starts
    }

    fn has(&self, flag: LocalFlags) -> bool {
        self.termios.local().contains(flag)
    }
}
