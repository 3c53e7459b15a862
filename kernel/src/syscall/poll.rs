//! Waiting for descriptors: poll, ppoll, select, pselect6. Source: poll(2), select(2).

use super::Call;
use crate::{
    clock,
    error::{Restart, Result},
    fs::{fd::FdTable, file::File, poll::PollTable},
    mm::user::{UserPtr, UserSlice},
    process::signal,
    sched::wait::Waiter,
};
use abi::{
    errno::Errno,
    poll::{PollEvents, PollFd, SigMaskArgument, fd_is_set, fd_set, fd_set_words},
    resource::RLIMIT_NOFILE,
    signal::SigSet,
    time::{Timespec, Timeval},
};
use alloc::{sync::Arc, vec::Vec};

/// How long to wait.
#[derive(Clone, Copy)]
enum Patience {
    /// Not at all.
    None,
    /// Until this point of the monotonic clock.
    Until(u64),
    /// For ever.
    Endless,
}

impl Patience {
    fn for_ns(nanoseconds: u64) -> Self {
        match nanoseconds {
            0 => Self::None,
            ns => Self::Until(clock::monotonic_ns().saturating_add(ns)),
        }
    }

    fn remaining_ns(self) -> u64 {
        match self {
            Self::None | Self::Endless => 0,
            Self::Until(deadline) => deadline.saturating_sub(clock::monotonic_ns()),
        }
    }
}

/// Asks `check` until it counts something, waiting in between. `check` registers with what it is given.
fn wait(patience: Patience, mut check: impl FnMut(&mut PollTable<'_>) -> Result<usize>) -> Result<usize> {
    if matches!(patience, Patience::None) {
        return check(&mut PollTable::none());
    }
    let waiter = Waiter::new();
    let deadline = if let Patience::Until(deadline) = patience { Some(deadline) } else { None };
    // The registrations of the first round last.
    let mut count = check(&mut PollTable::new(&waiter))?;
    while count == 0 {
        match waiter.wait(deadline) {
            Ok(()) => count = check(&mut PollTable::none())?,
            Err(error) if error.errno == Errno::ETIMEDOUT => return check(&mut PollTable::none()),
            // Never made again after a handler ran.
            Err(error) => return Err(error.restarting(Some(Restart::WithoutHandler))),
        }
    }
    Ok(count)
}

fn do_poll(call: &Call<'_>, patience: Patience) -> Result<u64> {
    let count = call.size(1);
    if count as u64 > call.process().limits.current(RLIMIT_NOFILE) {
        return Err(Errno::EINVAL.into());
    }
    let slice = UserSlice::<PollFd>::new(call.arg(0), count);
    let mut wanted = slice.read_vec()?;
    let table = call.process().files();
    let files: Vec<Option<Arc<File>>> =
        wanted.iter().map(|entry| if entry.fd < 0 { None } else { table.get(entry.fd).ok() }).collect();
    let ready = wait(patience, |poll| Ok(check_all(&mut wanted, &files, poll)));
    if ready.is_ok() {
        slice.write(&wanted)?;
    }
    Ok(ready? as u64)
}

fn check_all(wanted: &mut [PollFd], files: &[Option<Arc<File>>], poll: &mut PollTable<'_>) -> usize {
    let mut ready = 0;
    for (entry, file) in wanted.iter_mut().zip(files) {
        entry.revents = 0;
        if entry.fd < 0 {
            continue;
        }
        let happened = match file {
            None => PollEvents::POLLNVAL,
            Some(file) => {
                let asked = PollEvents::from_bits_retain(entry.events.into())
                    | PollEvents::POLLERR
                    | PollEvents::POLLHUP;
                file.poll(poll) & asked
            }
        };
        entry.revents = happened.bits() as u16;
        ready += usize::from(!happened.is_empty());
    }
    ready
}

/// poll(fds, count, milliseconds)
pub(super) fn poll(call: &mut Call<'_>) -> Result<u64> {
    let patience = match call.int(2) {
        ..0 => Patience::Endless,
        milliseconds => Patience::for_ns(milliseconds as u64 * 1_000_000),
    };
    do_poll(call, patience)
}

/// The time that a program gives; `None` waits for ever.
fn read_timespec(address: Option<u64>) -> Result<Patience> {
    match address {
        None => Ok(Patience::Endless),
        Some(address) => {
            let time = UserPtr::<Timespec>::new(address).read()?;
            Ok(Patience::for_ns(time.to_nanos().ok_or(Errno::EINVAL)?))
        }
    }
}

/// The signals that are blocked for the time of the call.
fn set_mask(call: &Call<'_>, address: Option<u64>, size: u64) -> Result<()> {
    let Some(address) = address else { return Ok(()) };
    if size != size_of::<SigSet>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let mask = UserPtr::<SigSet>::new(address).read()?;
    signal::set_temporary_mask(call.thread, mask);
    Ok(())
}

/// Tells a program how much of its time is left, as Linux does; nobody minds if that fails.
fn write_remaining(address: Option<u64>, patience: Patience) {
    if let (Some(address), Patience::None | Patience::Until(_)) = (address, patience) {
        let _ = UserPtr::<Timespec>::new(address).write(&Timespec::from_nanos(patience.remaining_ns()));
    }
}

/// ppoll(fds, count, time, mask, mask_size)
pub(super) fn ppoll(call: &mut Call<'_>) -> Result<u64> {
    let patience = read_timespec(call.address(2))?;
    set_mask(call, call.address(3), call.arg(4))?;
    let outcome = do_poll(call, patience);
    write_remaining(call.address(2), patience);
    outcome
}

/// The three sets of select, in and out.
struct Sets {
    addresses: [Option<u64>; 3],
    wanted: [Vec<u64>; 3],
    words: usize,
}

impl Sets {
    fn read(call: &Call<'_>, count: usize) -> Result<Self> {
        let words = fd_set_words(count);
        let addresses = [call.address(1), call.address(2), call.address(3)];
        let mut wanted = [const { Vec::new() }; 3];
        for (set, address) in wanted.iter_mut().zip(addresses) {
            *set = match address {
                Some(address) => UserSlice::<u64>::new(address, words).read_vec()?,
                None => alloc::vec![0; words],
            };
        }
        Ok(Self { addresses, wanted, words })
    }

    /// Every descriptor that is in a set, with its file; EBADF.
    fn files(&self, count: usize, table: &FdTable) -> Result<Vec<(usize, Arc<File>)>> {
        let is_wanted = |fd: &usize| self.wanted.iter().any(|set| fd_is_set(set, *fd));
        (0..count).filter(is_wanted).map(|fd| Ok((fd, table.get(fd as i32)?))).collect()
    }

    fn check(&self, files: &[(usize, Arc<File>)], poll: &mut PollTable<'_>) -> ([Vec<u64>; 3], usize) {
        const EVENTS: [PollEvents; 3] =
            [PollEvents::SELECT_READ, PollEvents::SELECT_WRITE, PollEvents::SELECT_EXCEPT];
        let mut ready = [const { Vec::new() }; 3].map(|_: Vec<u64>| alloc::vec![0u64; self.words]);
        let mut count = 0;
        for (fd, file) in files {
            let happened = file.poll(poll);
            for ((wanted, ready), events) in self.wanted.iter().zip(&mut ready).zip(EVENTS) {
                if fd_is_set(wanted, *fd) && happened.intersects(events) {
                    fd_set(ready, *fd);
                    count += 1;
                }
            }
        }
        (ready, count)
    }

    fn write(&self, ready: &[Vec<u64>; 3]) -> Result<()> {
        for (set, address) in ready.iter().zip(self.addresses) {
            if let Some(address) = address {
                UserSlice::<u64>::new(address, self.words).write(set)?;
            }
        }
        Ok(())
    }
}

fn do_select(call: &Call<'_>, patience: Patience) -> Result<u64> {
    let count = usize::try_from(call.int(0)).map_err(|_| Errno::EINVAL)?;
    let table = call.process().files();
    // What is behind the end of the table is not looked at.
    let count = count.min(table.size());
    let sets = Sets::read(call, count)?;
    let files = sets.files(count, &table)?;
    let mut ready = [const { Vec::new() }; 3];
    let found = wait(patience, |poll| {
        let (now, count) = sets.check(&files, poll);
        ready = now;
        Ok(count)
    })?;
    sets.write(&ready)?;
    Ok(found as u64)
}

/// select(count, read, write, except, time)
pub(super) fn select(call: &mut Call<'_>) -> Result<u64> {
    let patience = match call.address(4) {
        None => Patience::Endless,
        Some(address) => {
            let time = UserPtr::<Timeval>::new(address).read()?;
            if time.sec < 0 || time.usec < 0 {
                return Err(Errno::EINVAL.into());
            }
            // More than a second of microseconds is allowed here.
            let ns = (time.sec as u64)
                .saturating_mul(1_000_000_000)
                .saturating_add((time.usec as u64).saturating_mul(1000));
            Patience::for_ns(ns)
        }
    };
    let outcome = do_select(call, patience);
    if let (Some(address), Patience::None | Patience::Until(_)) = (call.address(4), patience) {
        // As with ppoll: nobody minds.
        let _ = UserPtr::<Timeval>::new(address).write(&Timeval::from_nanos(patience.remaining_ns()));
    }
    outcome
}

/// pselect6(count, read, write, except, time, mask)
pub(super) fn pselect6(call: &mut Call<'_>) -> Result<u64> {
    let patience = read_timespec(call.address(4))?;
    if let Some(address) = call.address(5) {
        let argument = UserPtr::<SigMaskArgument>::new(address).read()?;
        set_mask(call, (argument.mask != 0).then_some(argument.mask), argument.size)?;
    }
    let outcome = do_select(call, patience);
    write_remaining(call.address(4), patience);
    outcome
}
