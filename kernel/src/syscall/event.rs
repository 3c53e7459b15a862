//! Event files: epoll, eventfd, timerfd. Source: epoll(7), eventfd(2), timerfd_create(2).

use super::Call;
use crate::{
    clock,
    error::Result,
    fs::{
        anonymous,
        event::{
            counter::{Counter, Taking},
            epoll::Epoll,
            timer::{Left, OnStep, Setting, TimerFile},
        },
        fd::OnExec,
        file::{File, FileOperations, OpenFlags},
    },
    mm::user::{UserPtr, UserSlice},
    process::signal,
    sched::timer::{Base, Deadline},
};
use abi::{
    errno::Errno,
    event::{EventfdFlags, TimerfdFlags, TimerfdSetFlags},
    poll::{EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent},
    signal::SigSet,
    time::{
        CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
        Itimerspec, Timespec,
    },
};
use alloc::sync::Arc;

/// Opens an anonymous file; `bits` may hold O_CLOEXEC and O_NONBLOCK, which the calls' own flags are made of.
fn install(call: &Call<'_>, name: &str, operations: Arc<dyn FileOperations>, bits: u32) -> Result<u64> {
    let flags = OpenFlags::from_bits_retain(bits) & (OpenFlags::O_CLOEXEC | OpenFlags::O_NONBLOCK);
    let file = anonymous::open(name, operations, flags | OpenFlags::O_RDWR);
    Ok(call.process().files().install(file, OnExec::from_open_flags(flags))? as u64)
}

/// eventfd(value)
pub(super) fn eventfd(call: &mut Call<'_>) -> Result<u64> {
    make_counter(call, 0)
}

/// eventfd2(value, flags)
pub(super) fn eventfd2(call: &mut Call<'_>) -> Result<u64> {
    make_counter(call, call.uint(1))
}

fn make_counter(call: &Call<'_>, flags: u32) -> Result<u64> {
    let flags = EventfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let taking = if flags.contains(EventfdFlags::EFD_SEMAPHORE) { Taking::One } else { Taking::All };
    let counter = Counter::new(call.uint(0).into(), taking);
    install(call, "[eventfd]", Arc::new(counter), flags.bits())
}

/// timerfd_create(clock, flags)
pub(super) fn timerfd_create(call: &mut Call<'_>) -> Result<u64> {
    let flags = TimerfdFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    let base = match call.int(0) {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => Base::Realtime,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Base::Monotonic,
        _ => return Err(Errno::EINVAL.into()),
    };
    super::time::check_alarm(call, call.int(0))?;
    install(call, "[timerfd]", TimerFile::new(base), flags.bits())
}

/// The timer behind a descriptor; EINVAL if it is something else.
fn with_timer<R>(call: &Call<'_>, use_timer: impl FnOnce(&TimerFile) -> R) -> Result<R> {
    let file = call.process().files().get(call.fd(0))?;
    let timer = file.operations_as::<TimerFile>().ok_or(Errno::EINVAL)?;
    Ok(use_timer(timer))
}

fn to_itimerspec(left: Left) -> Itimerspec {
    Itimerspec {
        interval: Timespec::from_nanos(left.interval_ns),
        value: Timespec::from_nanos(left.value_ns),
    }
}

/// timerfd_settime(fd, flags, new, old)
pub(super) fn timerfd_settime(call: &mut Call<'_>) -> Result<u64> {
    let flags = TimerfdSetFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    let new = UserPtr::<Itimerspec>::new(call.arg(2)).read()?;
    let interval_ns = new.interval.to_nanos().ok_or(Errno::EINVAL)?;
    let value = new.value.to_nanos().ok_or(Errno::EINVAL)?;
    let is_absolute = flags.contains(TimerfdSetFlags::TFD_TIMER_ABSTIME);
    let wants_cancel = is_absolute && flags.contains(TimerfdSetFlags::TFD_TIMER_CANCEL_ON_SET);
    let before = with_timer(call, |timer| {
        let deadline = match value {
            0 => None,
            value if is_absolute => Some(Deadline { base: timer.base(), ns: value }),
            // A length is a length, whatever the clock is set to meanwhile.
            value => Some(Deadline::monotonic(clock::monotonic_ns().saturating_add(value))),
        };
        let cancels = wants_cancel && timer.base() == Base::Realtime;
        let on_step = if cancels { OnStep::Cancel } else { OnStep::GoOn };
        timer.set(Setting { deadline, interval_ns, on_step })
    })??;
    if let Some(address) = call.address(3) {
        UserPtr::<Itimerspec>::new(address).write(&to_itimerspec(before))?;
    }
    Ok(0)
}

/// timerfd_gettime(fd, current)
pub(super) fn timerfd_gettime(call: &mut Call<'_>) -> Result<u64> {
    let left = with_timer(call, |timer| timer.remaining())?;
    UserPtr::<Itimerspec>::new(call.arg(1)).write(&to_itimerspec(left))?;
    Ok(0)
}

/// epoll_create(size): the size means nothing but must be positive.
pub(super) fn epoll_create(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    install(call, "[eventpoll]", Arc::new(Epoll::new()), 0)
}

/// epoll_create1(flags)
pub(super) fn epoll_create1(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.uint(0);
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    install(call, "[eventpoll]", Arc::new(Epoll::new()), flags)
}

fn epoll_file(call: &Call<'_>) -> Result<Arc<File>> {
    let file = call.process().files().get(call.fd(0))?;
    if file.operations_as::<Epoll>().is_none() {
        return Err(Errno::EINVAL.into());
    }
    Ok(file)
}

/// epoll_ctl(epoll, operation, fd, event)
pub(super) fn epoll_ctl(call: &mut Call<'_>) -> Result<u64> {
    let operation = call.uint(1);
    let event = match operation {
        EPOLL_CTL_DEL => EpollEvent::default(),
        _ => UserPtr::<EpollEvent>::new(call.arg(3)).read()?,
    };
    let files = call.process().files();
    let target = files.get(call.fd(2))?;
    let file = files.get(call.fd(0))?;
    if Arc::ptr_eq(&file, &target) {
        return Err(Errno::EINVAL.into());
    }
    let file = epoll_file(call)?;
    let epoll = file.operations_as::<Epoll>().ok_or(Errno::EINVAL)?;
    match operation {
        EPOLL_CTL_ADD => epoll.add(call.fd(2), &target, event)?,
        EPOLL_CTL_MOD => epoll.modify(call.fd(2), &target, event)?,
        EPOLL_CTL_DEL => epoll.remove(call.fd(2), &target)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

fn wait(call: &Call<'_>, deadline_ns: Option<u64>) -> Result<u64> {
    let limit = usize::try_from(call.int(2)).ok().filter(|&limit| limit > 0).ok_or(Errno::EINVAL)?;
    let file = epoll_file(call)?;
    let epoll = file.operations_as::<Epoll>().ok_or(Errno::EINVAL)?;
    let events = epoll.wait(limit, deadline_ns)?;
    UserSlice::<EpollEvent>::new(call.arg(1), events.len()).write(&events)?;
    Ok(events.len() as u64)
}

/// A time in milliseconds: negative is for ever, 0 not at all.
fn deadline_ms(milliseconds: i32) -> Option<u64> {
    match milliseconds {
        ..0 => None,
        0 => Some(0),
        ms => Some(clock::monotonic_ns().saturating_add(ms as u64 * 1_000_000)),
    }
}

/// epoll_wait(epoll, events, limit, milliseconds)
pub(super) fn epoll_wait(call: &mut Call<'_>) -> Result<u64> {
    wait(call, deadline_ms(call.int(3)))
}

/// The signals that are blocked for the time of the call.
fn set_mask(call: &Call<'_>, address: Option<u64>, size: u64) -> Result<()> {
    let Some(address) = address else { return Ok(()) };
    if size != size_of::<SigSet>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    signal::set_temporary_mask(call.thread, UserPtr::<SigSet>::new(address).read()?);
    Ok(())
}

/// epoll_pwait(epoll, events, limit, milliseconds, mask, size)
pub(super) fn epoll_pwait(call: &mut Call<'_>) -> Result<u64> {
    set_mask(call, call.address(4), call.arg(5))?;
    wait(call, deadline_ms(call.int(3)))
}

/// epoll_pwait2(epoll, events, limit, time, mask, size)
pub(super) fn epoll_pwait2(call: &mut Call<'_>) -> Result<u64> {
    let deadline = match call.address(3) {
        None => None,
        Some(address) => match UserPtr::<Timespec>::new(address).read()?.to_nanos().ok_or(Errno::EINVAL)? {
            0 => Some(0),
            ns => Some(clock::monotonic_ns().saturating_add(ns)),
        },
    };
    set_mask(call, call.address(4), call.arg(5))?;
    wait(call, deadline)
}
