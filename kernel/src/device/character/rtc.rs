//! /dev/rtc0: the CMOS clock. Source: rtc(4), hwclock(8).
//!
//! Programs read it and set it; with RTC_UIE_ON each open file is told of every second that begins. No interrupt of the
//! chip is used for that: a timer looks at the clock shortly before the second ends, and then often.

use super::CharacterDevice;
use crate::clock;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::Destination;
use crate::fs::poll::PollTable;
use crate::mm::user::UserPtr;
use crate::process::{self, credentials::capability};
use crate::sched::{timer::Timer, wait::WaitQueue};
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::stat::DeviceNumber;
use abi::time::RtcTime;
use alloc::sync::{Arc, Weak};
use machine::sync::IrqSpinLock;
use machine::time;
use timekeeping::calendar::DateTime;

/// Its number; on Linux the major number is one of those given out at run time.
pub(crate) const NUMBER: (u32, u32) = (252, 0);

const RTC_UIE_ON: u32 = 0x7003;
const RTC_UIE_OFF: u32 = 0x7004;
const RTC_RD_TIME: u32 = 0x8024_7009;
const RTC_SET_TIME: u32 = 0x4024_700a;

/// What a read tells besides the number of events: an interrupt, by an update.
const UPDATE_EVENT: u64 = 0x80 | 0x10;

/// After a second has begun, nobody looks for so long; then so often, in nanoseconds.
const QUIET_NS: u64 = 990_000_000;
const LOOK_NS: u64 = 2_000_000;

struct Rtc;

/// Who is told of seconds.
struct Updates {
    is_on: bool,
    /// Seconds that have begun since the last read.
    count: u64,
    /// The second that the clock showed at the last look.
    second: Option<u8>,
}

struct OpenRtc {
    updates: IrqSpinLock<Updates>,
    timer: Timer,
    begun: WaitQueue,
}

/// Adds the device, if there is such a clock.
pub(super) fn register() {
    if time::read_rtc().is_ok() {
        super::register(DeviceNumber::new(NUMBER.0, NUMBER.1), "rtc0", 0o600, Arc::new(Rtc));
    }
}

impl CharacterDevice for Rtc {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(Arc::new_cyclic(|this: &Weak<OpenRtc>| {
            let this = this.clone();
            let look = move || this.upgrade().iter().for_each(|rtc| rtc.look());
            OpenRtc {
                updates: IrqSpinLock::new("rtc updates", Updates { is_on: false, count: 0, second: None }),
                timer: Timer::new(Arc::new(look)),
                begun: WaitQueue::named("rtc"),
            }
        }))
    }
}

impl OpenRtc {
    /// Has a second begun? In interrupt context.
    fn look(&self) {
        let shown = time::read_rtc().ok().map(|date| date.second);
        let mut updates = self.updates.lock();
        if !updates.is_on {
            return;
        }
        let has_begun = updates.second.is_some() && shown.is_some() && updates.second != shown;
        updates.second = shown;
        updates.count += u64::from(has_begun);
        drop(updates);
        let pause_ns = if has_begun { QUIET_NS } else { LOOK_NS };
        self.timer.set(clock::monotonic_ns() + pause_ns);
        if has_begun {
            self.begun.wake_all();
        }
    }

    fn take(&self) -> Option<u64> {
        let count = core::mem::take(&mut self.updates.lock().count);
        (count > 0).then_some(count << 8 | UPDATE_EVENT)
    }

    fn set_updates(&self, is_on: bool) {
        let mut updates = self.updates.lock();
        *updates = Updates { is_on, count: 0, second: None };
        drop(updates);
        if is_on {
            self.timer.set(clock::monotonic_ns());
        } else {
            self.timer.cancel();
        }
    }
}

/// The time as programs see it.
fn to_rtc_time(date: &DateTime) -> RtcTime {
    RtcTime {
        second: i32::from(date.second),
        minute: i32::from(date.minute),
        hour: i32::from(date.hour),
        day: i32::from(date.day),
        month: i32::from(date.month) - 1,
        year: i32::try_from(date.year).unwrap_or(i32::MAX) - 1900,
        weekday: i32::from(date.weekday()),
        day_of_year: i32::from(date.day_of_year()),
        daylight_saving: 0,
    }
}

fn from_rtc_time(time: &RtcTime) -> Option<DateTime> {
    let small = |number: i32| u8::try_from(number).ok();
    let date = DateTime {
        year: u64::try_from(i64::from(time.year) + 1900).ok()?,
        month: small(time.month.checked_add(1)?)?,
        day: small(time.day)?,
        hour: small(time.hour)?,
        minute: small(time.minute)?,
        second: small(time.second)?,
    };
    date.is_valid().then_some(date)
}

fn clock_error(_: time::RtcError) -> Error {
    Error::new(Errno::EINVAL, "the CMOS clock shows no time, or cannot show that one")
}

impl FileOperations for OpenRtc {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let length = to.remaining();
        if length != size_of::<u32>() && length < size_of::<u64>() {
            return Err(Errno::EINVAL.into());
        }
        let event = match self.take() {
            Some(event) => event,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.begun.wait_interruptible(|| self.take(), None)?,
        };
        to.write(&event.to_le_bytes()[..length.min(size_of::<u64>())])
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.begun);
        if self.updates.lock().count > 0 {
            PollEvents::POLLIN | PollEvents::POLLRDNORM
        } else {
            PollEvents::empty()
        }
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        match command {
            RTC_RD_TIME => {
                let date = time::read_rtc().map_err(clock_error)?;
                UserPtr::<RtcTime>::new(argument).write(&to_rtc_time(&date))?;
            }
            RTC_SET_TIME => {
                if !process::current().credentials().has(capability::SYS_TIME) {
                    return Err(Error::new(Errno::EACCES, "CAP_SYS_TIME"));
                }
                let date = from_rtc_time(&UserPtr::<RtcTime>::new(argument).read()?).ok_or(Errno::EINVAL)?;
                time::write_rtc(&date).map_err(clock_error)?;
            }
            RTC_UIE_ON => self.set_updates(true),
            RTC_UIE_OFF => self.set_updates(false),
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }
}
