//! eventfd: a counter that is written to and read from. Source: eventfd(2).

use super::{check_room, put_number, take_number};
use crate::{
    error::Result,
    fs::{
        file::{File, FileOperations, Seeking},
        io::{Destination, Source},
        poll::PollTable,
    },
    sched::wait::WaitQueue,
};
use abi::{errno::Errno, poll::PollEvents};
use machine::sync::SpinLock;

/// The largest value; one more and a write waits.
const MAXIMUM: u64 = u64::MAX - 1;

/// What a read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Everything.
    All,
    /// 1 (EFD_SEMAPHORE).
    One,
}

/// The counter.
pub(crate) struct Counter {
    value: SpinLock<u64>,
    taking: Taking,
    changed: WaitQueue,
}

impl Counter {
    /// A counter with a value.
    pub(crate) fn new(value: u64, taking: Taking) -> Self {
        Self { value: SpinLock::new("eventfd", value), taking, changed: WaitQueue::named("eventfd") }
    }

    fn take(&self) -> Option<u64> {
        let mut value = self.value.lock();
        if *value == 0 {
            return None;
        }
        let taken = if self.taking == Taking::One { 1 } else { *value };
        *value -= taken;
        Some(taken)
    }

    fn add(&self, number: u64) -> Option<()> {
        let mut value = self.value.lock();
        let sum = value.checked_add(number).filter(|&sum| sum <= MAXIMUM)?;
        *value = sum;
        Some(())
    }
}

impl FileOperations for Counter {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        check_room(to)?;
        let taken = match self.take() {
            Some(taken) => taken,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.changed.wait_interruptible(|| self.take(), None)?,
        };
        self.changed.wake_all();
        put_number(to, taken)
    }

    fn write(&self, file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let number = take_number(from)?;
        if number == u64::MAX {
            return Err(Errno::EINVAL.into());
        }
        match self.add(number) {
            Some(()) => {}
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.changed.wait_interruptible(|| self.add(number), None)?,
        }
        self.changed.wake_all();
        Ok(size_of::<u64>())
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.changed);
        let value = *self.value.lock();
        let mut events = PollEvents::empty();
        events.set(PollEvents::POLLIN, value > 0);
        events.set(PollEvents::POLLOUT, value < MAXIMUM);
        events
    }
}
