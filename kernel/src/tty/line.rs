//! What a terminal is put on: the way to the screen, the wire, or the other side of a pseudo-terminal.

use super::carrier::{Carrier, Closing};
use super::terminal::Tty;
use crate::error::Result;
use abi::errno::Errno;
use abi::tty::Termios2;
use machine::io::serial::BreakCondition;

/// The way to the screen, the wire, or the other side of a pseudo-terminal.
pub(crate) trait Line: Send + Sync {
    /// Puts out all bytes, as they are. May be called in any context.
    fn write(&self, bytes: &[u8]);

    /// How many bytes it takes now; who has more waits for [`Tty::writable`].
    fn room(&self) -> usize {
        usize::MAX
    }

    /// How many bytes it has taken that are still on their way. [`Tty::writable`] is woken when there are none.
    fn waiting(&self) -> usize {
        0
    }

    /// Does what an ioctl says that not every terminal knows; ENOTTY.
    fn ioctl(&self, _tty: &Tty, _command: u32, _argument: u64) -> Result<u64> {
        Err(Errno::ENOTTY.into())
    }

    /// Takes on new settings, as far as it has any; what it cannot do is put right in `new`.
    fn configure(&self, _new: &mut Termios2, _old: &Termios2) {}

    /// Holds the wire at zero, or no more, if it is one.
    fn set_break(&self, _condition: BreakCondition) {}

    /// Forgets output that has not left yet.
    fn discard_output(&self) {}

    /// Puts out bytes in a panic, if it can do that without waiting for locks and interrupts.
    fn write_in_panic(&self, _bytes: &[u8]) {}

    /// Calls `act` while what guards the output is held: as when a CPU was stopped in the midst of printing.
    #[cfg(feature = "tests")]
    fn while_held(&self, act: &mut dyn FnMut()) {
        act();
    }

    /// Whether the other side is there; [`Tty::carrier_changed`] says when that changes. A line without modem lines has
    /// nobody else. Any context.
    fn carrier(&self) -> Carrier {
        Carrier::Here
    }

    /// Tells the other side that somebody is here.
    fn announce(&self) {}

    /// How it closes.
    fn closing(&self) -> Closing {
        Closing { drain_ns: Some(0), delay_ns: 0 }
    }

    /// The terminal was opened; no other file of it is open, or it was hung up.
    fn first_opened(&self) {}

    /// The terminal was hung up: its files are dead.
    fn hung_up(&self) {}

    /// The last open file of the terminal was closed.
    fn last_closed(&self) {}
}

/// Somebody who gets what is typed before the terminal does: the kernel's monitor.
pub(crate) trait Tap: Send + Sync {
    /// Takes bytes. Any context.
    fn receive(&self, bytes: &[u8]);
}
