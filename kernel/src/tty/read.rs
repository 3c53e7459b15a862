//! Reading from a terminal: a line at a time, or raw by VMIN and VTIME (termios(3), "Canonical and noncanonical mode").

use super::terminal::{Blocking, Opened, Tty};
use crate::error::{Error, Result};
use crate::fs::io::Destination;
use crate::process::session::TerminalUse;
use abi::errno::Errno;
use alloc::vec;
use line_discipline::{CAPACITY, ReadOutcome};
use machine::time;

/// The unit of VTIME.
const TENTH_NS: u64 = 100_000_000;

impl Tty {
    /// Reads what there is, waiting as the settings say. 0: end of file, or the time is over.
    pub(super) fn read(&self, to: &mut Destination<'_>, opened: Opened, blocking: Blocking) -> Result<usize> {
        self.check_use(TerminalUse::Read)?;
        if to.remaining() == 0 {
            return Ok(0);
        }
        let mut buffer = vec![0; to.remaining().min(CAPACITY)];
        let mut filled = 0;
        let mut deadline = self.first_deadline();
        loop {
            match self.wait(opened, blocking, deadline) {
                Ok(Step::Over) => break,
                Ok(Step::Input) => {}
                Err(error) if error.errno == Errno::ETIMEDOUT => break,
                Err(error) if filled == 0 => return Err(error),
                Err(_) => break,
            }
            let (outcome, wanted) = self.take(&mut buffer[filled..]);
            match outcome {
                ReadOutcome::EndOfFile | ReadOutcome::Empty => break,
                ReadOutcome::Data(count) => filled += count,
            }
            self.receive_backlog();
            if filled == buffer.len() || filled >= wanted {
                break;
            }
            deadline = self.next_deadline();
        }
        if filled == 0 { Ok(0) } else { to.write(&buffer[..filled]) }
    }

    /// Takes what is there, and tells how many bytes are enough.
    fn take(&self, buffer: &mut [u8]) -> (ReadOutcome, usize) {
        let mut input = self.input.lock();
        let discipline = &mut input.discipline;
        let wanted = if discipline.is_canonical() { 1 } else { discipline.vmin() };
        (discipline.read(buffer), wanted)
    }

    /// Waits for input.
    fn wait(&self, opened: Opened, blocking: Blocking, deadline: Option<u64>) -> Result<Step> {
        let condition = || {
            if self.is_hung_up(opened) {
                return Some(Step::Over);
            }
            let input = self.input.lock();
            let discipline = &input.discipline;
            if discipline.can_read() {
                return Some(Step::Input);
            }
            // Neither a byte nor a time to wait for.
            let is_polling = !discipline.is_canonical() && discipline.vmin() == 0 && discipline.vtime() == 0;
            is_polling.then_some(Step::Over)
        };
        match blocking {
            Blocking::Allowed => self.readable.wait_interruptible(condition, deadline),
            Blocking::Never => condition().ok_or(Error::from(Errno::EAGAIN)),
        }
    }

    /// With VMIN 0, VTIME limits the whole read.
    fn first_deadline(&self) -> Option<u64> {
        let input = self.input.lock();
        let discipline = &input.discipline;
        let is_limited = !discipline.is_canonical() && discipline.vmin() == 0 && discipline.vtime() != 0;
        is_limited.then(|| time::monotonic_ns() + u64::from(discipline.vtime()) * TENTH_NS)
    }

    /// With VMIN, VTIME limits the pause after each byte.
    fn next_deadline(&self) -> Option<u64> {
        let vtime = self.input.lock().discipline.vtime();
        (vtime != 0).then(|| time::monotonic_ns() + u64::from(vtime) * TENTH_NS)
    }
}

/// What ended the wait.
enum Step {
    /// Something can be read.
    Input,
    /// Nothing will come: a hang-up, or the settings say not to wait.
    Over,
}
