//! The signals that process 1 listens to, turned into a wake-up of its one waiting place.
//!
//! Handlers store the wish and write a byte to a pipe; [`Signals::wait`] polls that pipe. So a signal that
//! comes just before the wait is not lost. A child's end is only a wake-up: the caller reaps.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::system::{RebootCommand, reboot};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level};

use crate::shutdown::Goal;

/// Which signal asks for which end, as busybox's `halt`, `poweroff` and `reboot` send them.
const WISHES: [(i32, Goal); 4] = [
    (SIGUSR1, Goal::Halt),
    (SIGUSR2, Goal::PowerOff),
    (SIGTERM, Goal::Reboot),
    (SIGINT, Goal::Reboot), // Ctrl-Alt-Del, once the kernel is told not to reset by itself
];

const NO_WISH: usize = usize::MAX;

pub(crate) struct Signals {
    /// Index in [`WISHES`] of the last wish, or [`NO_WISH`].
    wish: Arc<AtomicUsize>,
    /// Where handlers leave a byte.
    bell: OwnedFd,
}

impl Signals {
    /// Takes over the signals; before that they have their default effect, which for process 1 is none.
    pub(crate) fn install() -> io::Result<Self> {
        let wish = Arc::new(AtomicUsize::new(NO_WISH));
        let (bell, rope) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        for (index, (signal, _)) in WISHES.iter().enumerate() {
            flag::register_usize(*signal, Arc::clone(&wish), index)?;
            low_level::pipe::register(*signal, rope.try_clone()?)?;
        }
        low_level::pipe::register(SIGCHLD, rope)?;
        // A kernel that refuses has no Ctrl-Alt-Del to tell us about.
        let _ = reboot(RebootCommand::CadOff);
        Ok(Signals { wish, bell })
    }

    /// The wish that came since the last call.
    pub(crate) fn take_wish(&self) -> Option<Goal> {
        WISHES.get(self.wish.swap(NO_WISH, Ordering::AcqRel)).map(|(_, goal)| *goal)
    }

    /// Sleeps until a signal came, or for `limit`. Returns early now and then.
    pub(crate) fn wait(&self, limit: Option<Duration>) {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut polled = [PollFd::new(&self.bell, PollFlags::IN)];
        if poll(&mut polled, limit.as_ref()).is_ok() {
            let mut bytes = [0; 64];
            while matches!(rustix::io::read(&self.bell, &mut bytes), Ok(count) if count == bytes.len()) {}
        }
    }
}
