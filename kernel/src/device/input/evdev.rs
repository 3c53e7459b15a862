//! /dev/input/event*: open files of input devices, as the programs of "evdev" use them.
//!
//! Source: Linux's Documentation/input/event-codes.rst and input.h, for numbers and shapes.

use super::description::{AXES, Axis, Codes, code, kind};
use super::events::{EventDevice, LIGHTS, Raw, Repetition};
use crate::clock;
use crate::device::character::CharacterDevice;
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use abi::errno::Errno;
use abi::poll::PollEvents;
use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::mm::user;
use machine::sync::IrqSpinLock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Events that wait in an open file at most.
const QUEUE: usize = 256;
/// EV_VERSION.
const VERSION: u32 = 0x01_00_01;
const LED_BYTES: usize = 8;

/// `struct input_event`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Event {
    seconds: u64,
    microseconds: u64,
    kind: u16,
    code: u16,
    value: i32,
}

/// The device file.
pub(super) struct EventFile(pub(super) Arc<EventDevice>);

/// An open file.
pub(super) struct OpenEvents {
    device: Arc<EventDevice>,
    pub(super) id: usize,
    /// CLOCK_REALTIME, or what EVIOCSCLOCKID chose.
    clock: AtomicU32,
    /// It was taken away (EVIOCREVOKE).
    is_revoked: AtomicBool,
    queue: IrqSpinLock<VecDeque<Event>>,
}

impl CharacterDevice for EventFile {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let no_memory = |_| Error::from(Errno::ENOMEM);
        let mut queue = VecDeque::new();
        queue.try_reserve_exact(QUEUE).map_err(no_memory)?;
        let open = Arc::new(OpenEvents {
            device: self.0.clone(),
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            clock: AtomicU32::new(abi::time::CLOCK_REALTIME as u32),
            is_revoked: AtomicBool::new(false),
            queue: IrqSpinLock::new("input events", queue),
        });
        let mut state = self.0.state.lock();
        state.open_files.retain(|open| open.strong_count() > 0);
        state.open_files.try_reserve(1).map_err(no_memory)?;
        state.open_files.push(Arc::downgrade(&open));
        drop(state);
        Ok(open)
    }
}

impl OpenEvents {
    /// Queues events and the report that ends them.
    pub(super) fn take(&self, events: &[Raw]) {
        let clock = self.clock.load(Ordering::Relaxed);
        let now = match clock as i32 {
            abi::time::CLOCK_MONOTONIC => clock::monotonic_ns(),
            abi::time::CLOCK_BOOTTIME => clock::boot_time_ns(),
            _ => clock::realtime_ns(),
        };
        let event = |(kind, code, value)| Event {
            seconds: now / 1_000_000_000,
            microseconds: now % 1_000_000_000 / 1000,
            kind,
            code,
            value,
        };
        let mut queue = self.queue.lock();
        if queue.len() + events.len() + 1 > QUEUE {
            queue.clear();
            queue.push_back(event((kind::SYN, code::SYN_DROPPED, 0)));
        }
        queue.extend(events.iter().copied().map(event));
        queue.push_back(event((kind::SYN, code::SYN_REPORT, 0)));
    }

    /// All that waits.
    #[cfg(feature = "tests")]
    pub(super) fn take_all(&self) -> Vec<Raw> {
        self.queue.lock().drain(..).map(|event| (event.kind, event.code, event.value)).collect()
    }

    /// Whether the file is of no use any more: it was revoked, or the device has gone.
    fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Acquire) || self.device.is_gone.load(Ordering::Acquire)
    }

    /// Whether a read would not wait.
    fn is_ready(&self) -> bool {
        self.is_revoked() || !self.queue.lock().is_empty()
    }

    fn check(&self) -> Result<()> {
        if self.is_revoked() { Err(Error::new(Errno::ENODEV, "the device was taken away")) } else { Ok(()) }
    }

    /// Programs switch the lights and change the repetition by writing events; others are as if the device said them.
    fn inject(&self, event: &Event) {
        let device = &self.device;
        match event.kind {
            kind::LED => {
                if let Some(light) = LIGHTS.get(usize::from(event.code))
                    && device.description.has(kind::LED, event.code)
                {
                    let mut lights = device.state.lock().lights;
                    lights.set(*light, event.value != 0);
                    device.show(lights);
                }
            }
            kind::REP => {
                let mut repetition = device.state.lock().repetition;
                let Ok(value) = u32::try_from(event.value) else { return };
                match event.code {
                    0 => repetition.delay = value,
                    1 => repetition.period = value,
                    _ => return,
                }
                device.set_repetition(repetition);
            }
            _ => device.event(event.kind, event.code, event.value),
        }
    }
}

impl FileOperations for OpenEvents {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if to.remaining() < size_of::<Event>() {
            return if to.remaining() == 0 { Ok(0) } else { Err(Errno::EINVAL.into()) };
        }
        if !self.is_ready() {
            if file.is_nonblocking() {
                return Err(Errno::EAGAIN.into());
            }
            self.device.news.wait_interruptible(|| self.is_ready().then_some(()), None)?;
        }
        self.check()?;
        let mut done = 0;
        while to.remaining() >= size_of::<Event>() {
            let Some(event) = self.queue.lock().pop_front() else { break };
            done += to.write(event.as_bytes())?;
        }
        Ok(done)
    }

    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.check()?;
        if from.remaining() < size_of::<Event>() {
            return Err(Errno::EINVAL.into());
        }
        let mut done = 0;
        while from.remaining() >= size_of::<Event>() {
            let mut event = Event::default();
            done += from.read(event.as_mut_bytes())?;
            self.inject(&event);
        }
        Ok(done)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.device.news);
        if self.is_revoked() {
            return PollEvents::POLLHUP | PollEvents::POLLERR;
        }
        let mut events = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, self.is_ready());
        events
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        self.check()?;
        // _IOC(direction, 'E', number, size): 2 bits, 14 bits of size, 8 of type, 8 of number.
        let (size, class, number) = (command as usize >> 16 & 0x3fff, command >> 8 & 0xff, command & 0xff);
        let is_write = command >> 30 & 1 != 0;
        if class != u32::from(b'E') {
            return Err(Errno::ENOTTY.into());
        }
        let description = &self.device.description;
        let answer = Answer { address: argument, size };
        match number {
            0x01 => answer.value(VERSION.as_bytes()),
            0x02 => answer.value(description.id.as_bytes()),
            0x03 if description.codes(kind::REP).is_empty() => Err(Errno::ENOSYS.into()),
            0x03 if is_write => self.set_repetition(argument),
            0x03 => {
                let repetition = self.device.state.lock().repetition;
                answer.value([repetition.delay, repetition.period].as_bytes())
            }
            0x06 => answer.text(&description.name),
            0x07 => answer.text(&description.place),
            0x08 if description.serial.is_empty() => Err(Errno::ENOENT.into()),
            0x08 => answer.text(&description.serial),
            0x09 => answer.codes(&description.properties),
            0x18 => {
                let keys = self.device.state.lock().keys;
                answer.bytes(&keys)
            }
            0x19 => {
                let mut lights = [0; LED_BYTES];
                lights[0] = self.device.light_bits();
                answer.bytes(&lights)
            }
            // Sounds and switches: none is on.
            0x1a | 0x1b => answer.bytes(&[0; 8]),
            0x20..=0x3f => answer.codes(&description.codes(number as u16 - 0x20)),
            0x40..=0x7f => {
                let axis = self.device.state.lock().axes[number as usize - 0x40].ok_or(Errno::EINVAL)?;
                answer.bytes(axis.as_bytes()).map(|_| 0)
            }
            0x90 => self.grab(argument != 0),
            0x91 if argument == 0 => self.revoke(),
            0xa0 => self.set_clock(argument),
            0xc0..=0xff => self.set_axis(number as usize - 0xc0, argument),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn release(&self, _file: &File) {
        self.ungrab();
    }
}

/// Where an ioctl's answer goes.
struct Answer {
    address: u64,
    size: usize,
}

impl Answer {
    /// As much as there is room for; tells how much.
    fn bytes(&self, bytes: &[u8]) -> Result<u64> {
        let length = bytes.len().min(self.size);
        user::copy_to(self.address, &bytes[..length])?;
        Ok(length as u64)
    }

    fn value(&self, bytes: &[u8]) -> Result<u64> {
        self.bytes(bytes).map(|_| 0)
    }

    fn text(&self, text: &str) -> Result<u64> {
        let mut bytes = Vec::from(text.as_bytes());
        bytes.push(0);
        self.bytes(&bytes)
    }

    /// A set of codes, in whole words and with zeros behind it.
    fn codes(&self, codes: &Codes) -> Result<u64> {
        let mut bytes = Vec::from(codes.bytes());
        bytes.resize(bytes.len().next_multiple_of(8).max(8), 0);
        bytes.resize(bytes.len().max(self.size.min(AXES * 2)), 0);
        self.bytes(&bytes)
    }
}

impl OpenEvents {
    /// EVIOCGRAB.
    fn grab(&self, wanted: bool) -> Result<u64> {
        let (from, to) = if wanted { (0, self.id) } else { (self.id, 0) };
        let grabber = &self.device.grabber;
        match grabber.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(0),
            Err(_) if wanted => Err(Error::new(Errno::EBUSY, "somebody else has the device for himself")),
            Err(_) => Err(Errno::EINVAL.into()),
        }
    }

    /// Whether it had been the grabber does not matter afterwards.
    fn ungrab(&self) {
        let grabber = &self.device.grabber;
        let _ = grabber.compare_exchange(self.id, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// EVIOCREVOKE.
    fn revoke(&self) -> Result<u64> {
        self.is_revoked.store(true, Ordering::Release);
        self.ungrab();
        self.device.news.wake_all();
        Ok(0)
    }

    /// EVIOCSREP.
    fn set_repetition(&self, argument: u64) -> Result<u64> {
        let mut values = [0_u32; 2];
        user::copy_from(values.as_mut_bytes(), argument)?;
        let [delay, period] = values;
        self.device.set_repetition(Repetition { delay, period });
        Ok(0)
    }

    /// EVIOCSABS.
    fn set_axis(&self, code: usize, argument: u64) -> Result<u64> {
        let mut wanted = Axis::default();
        user::copy_from(wanted.as_mut_bytes(), argument)?;
        let mut state = self.device.state.lock();
        let axis = state.axes.get_mut(code).and_then(Option::as_mut).ok_or(Errno::EINVAL)?;
        *axis = wanted;
        Ok(0)
    }

    /// EVIOCSCLOCKID.
    fn set_clock(&self, argument: u64) -> Result<u64> {
        let mut clock = [0; 4];
        user::copy_from(&mut clock, argument)?;
        let clock = i32::from_ne_bytes(clock);
        match clock {
            abi::time::CLOCK_REALTIME | abi::time::CLOCK_MONOTONIC | abi::time::CLOCK_BOOTTIME => {
                self.clock.store(clock as u32, Ordering::Relaxed);
                self.queue.lock().clear();
                Ok(0)
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }
}
