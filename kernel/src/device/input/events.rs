//! /dev/input/event*: what input devices say, as the programs of "evdev" read it.
//!
//! Every open file has a queue of its own; one that is not read in time loses events and is told so (SYN_DROPPED).
//! Source: Linux's Documentation/input/event-codes.rst and input.h, for numbers and shapes.

use crate::clock;
use crate::device::character::{self, CharacterDevice};
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::stat::DeviceNumber;
use alloc::{boxed::Box, collections::VecDeque, format, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use keymap::{Indicators, KeyEvent, Motion};
use machine::mm::user;
use machine::sync::IrqSpinLock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const MAJOR: u32 = 13;
const FIRST_MINOR: u32 = 64;
/// Events that wait in an open file at most.
const QUEUE: usize = 64;

/// Kinds of events.
mod kind {
    pub(super) const SYN: u16 = 0x00;
    pub(super) const KEY: u16 = 0x01;
    pub(super) const MSC: u16 = 0x04;
    pub(super) const LED: u16 = 0x11;
    pub(super) const REP: u16 = 0x14;
}

const SYN_REPORT: u16 = 0;
const SYN_DROPPED: u16 = 3;
const MSC_SCAN: u16 = 4;

/// Bytes of the set of all keys (KEY_MAX is 0x2ff).
const KEY_BYTES: usize = 96;
const LED_BYTES: usize = 8;
/// LED_NUML, LED_CAPSL, LED_SCROLLL.
const LIGHTS: [Indicators; 3] = [Indicators::NUM_LOCK, Indicators::CAPS_LOCK, Indicators::SCROLL_LOCK];
/// Keys that a PC keyboard may have.
const KEYS: core::ops::Range<u16> = 1..128;

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

/// `struct input_id`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Id {
    bus: u16,
    vendor: u16,
    product: u16,
    version: u16,
}

const BUS_I8042: u16 = 0x11;
/// EV_VERSION.
const VERSION: u32 = 0x01_00_01;
/// Delay and period of repetition in milliseconds: what PS/2 keyboards do by themselves.
const REPETITION: [u32; 2] = [250, 33];

/// Has the device show these lights.
pub(super) type SetLights = Box<dyn Fn(Indicators) + Send + Sync>;

/// A keyboard, as programs see it.
pub(super) struct EventDevice {
    name: &'static str,
    place: &'static str,
    state: IrqSpinLock<State>,
    news: WaitQueue,
    /// The id of the open file that gets everything for itself; 0: none.
    grabber: AtomicUsize,
    set_lights: SetLights,
    next_id: AtomicUsize,
}

struct State {
    keys: [u8; KEY_BYTES],
    lights: Indicators,
    open_files: Vec<Weak<OpenEvents>>,
}

/// An open file.
struct OpenEvents {
    device: Arc<EventDevice>,
    id: usize,
    /// CLOCK_REALTIME, or what EVIOCSCLOCKID chose.
    clock: AtomicU32,
    queue: IrqSpinLock<VecDeque<Event>>,
}

impl EventDevice {
    /// A keyboard without keys down, as /dev/input/eventN.
    pub(super) fn register(
        index: u32,
        name: &'static str,
        place: &'static str,
        set_lights: SetLights,
    ) -> Arc<Self> {
        let state = State { keys: [0; KEY_BYTES], lights: Indicators::empty(), open_files: Vec::new() };
        let device = Arc::new(EventDevice {
            name,
            place,
            state: IrqSpinLock::new("input device", state),
            news: WaitQueue::named("input"),
            grabber: AtomicUsize::new(0),
            set_lights,
            next_id: AtomicUsize::new(1),
        });
        let number = DeviceNumber::new(MAJOR, FIRST_MINOR + index);
        let file = Arc::new(EventFile(device.clone()));
        character::register(number, &format!("input/event{index}"), 0o660, file);
        device
    }

    /// Whether somebody has it for himself, so that its keys type nothing.
    pub(super) fn is_grabbed(&self) -> bool {
        self.grabber.load(Ordering::Relaxed) != 0
    }

    /// A key moved. Any context.
    pub(super) fn key(&self, event: KeyEvent) {
        let (byte, bit) = (usize::from(event.code / 8), 1 << (event.code % 8));
        let mut state = self.state.lock();
        if let Some(keys) = state.keys.get_mut(byte) {
            if event.motion == Motion::Released {
                *keys &= !bit;
            } else {
                *keys |= bit;
            }
        }
        let value = event.motion as i32;
        self.emit(&state, &[(kind::MSC, MSC_SCAN, event.code.into()), (kind::KEY, event.code, value)]);
    }

    /// The lights changed.
    pub(super) fn lights(&self, lights: Indicators) {
        let mut state = self.state.lock();
        state.lights = lights;
        let event = |code: usize| (kind::LED, code as u16, i32::from(lights.contains(LIGHTS[code])));
        self.emit(&state, &[event(0), event(1), event(2)]);
    }

    fn emit(&self, state: &State, events: &[(u16, u16, i32)]) {
        let grabber = self.grabber.load(Ordering::Relaxed);
        for open in state.open_files.iter().filter_map(Weak::upgrade) {
            if grabber == 0 || grabber == open.id {
                open.take(events);
            }
        }
        self.news.wake_all();
    }

    /// The lights that are on, a bit for each code.
    fn light_bits(&self) -> u8 {
        let lights = self.state.lock().lights;
        LIGHTS
            .iter()
            .enumerate()
            .fold(0, |bits, (code, light)| bits | u8::from(lights.contains(*light)) << code)
    }
}

/// The device file.
struct EventFile(Arc<EventDevice>);

impl CharacterDevice for EventFile {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let no_memory = |_| Error::from(Errno::ENOMEM);
        let mut queue = VecDeque::new();
        queue.try_reserve_exact(QUEUE).map_err(no_memory)?;
        let open = Arc::new(OpenEvents {
            device: self.0.clone(),
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            clock: AtomicU32::new(abi::time::CLOCK_REALTIME as u32),
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
    fn take(&self, events: &[(u16, u16, i32)]) {
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
            queue.push_back(event((kind::SYN, SYN_DROPPED, 0)));
        }
        queue.extend(events.iter().copied().map(event));
        queue.push_back(event((kind::SYN, SYN_REPORT, 0)));
    }

    fn has_events(&self) -> bool {
        !self.queue.lock().is_empty()
    }
}

impl FileOperations for OpenEvents {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if to.remaining() < size_of::<Event>() {
            return if to.remaining() == 0 { Ok(0) } else { Err(Errno::EINVAL.into()) };
        }
        if !self.has_events() {
            if file.is_nonblocking() {
                return Err(Errno::EAGAIN.into());
            }
            self.device.news.wait_interruptible(|| self.has_events().then_some(()), None)?;
        }
        let mut done = 0;
        while to.remaining() >= size_of::<Event>() {
            let Some(event) = self.queue.lock().pop_front() else { break };
            done += to.write(event.as_bytes())?;
        }
        Ok(done)
    }

    /// Programs switch the lights by writing events; others have no effect, as on Linux.
    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        if from.remaining() < size_of::<Event>() {
            return Err(Errno::EINVAL.into());
        }
        let mut lights = self.device.state.lock().lights;
        let old = lights;
        let mut done = 0;
        while from.remaining() >= size_of::<Event>() {
            let mut event = Event::default();
            done += from.read(event.as_mut_bytes())?;
            if event.kind == kind::LED
                && let Some(light) = LIGHTS.get(usize::from(event.code))
            {
                lights.set(*light, event.value != 0);
            }
        }
        if lights != old {
            (self.device.set_lights)(lights);
            self.device.lights(lights);
        }
        Ok(done)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.device.news);
        let mut events = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, self.has_events());
        events
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        // _IOC(direction, 'E', number, size): 2 bits, 14 bits of size, 8 of type, 8 of number.
        let (size, class, number) = (command as usize >> 16 & 0x3fff, command >> 8 & 0xff, command & 0xff);
        if class != u32::from(b'E') {
            return Err(Errno::ENOTTY.into());
        }
        let give = |bytes: &[u8]| -> Result<u64> {
            let length = bytes.len().min(size);
            user::copy_to(argument, &bytes[..length])?;
            Ok(length as u64)
        };
        let text = |text: &str| -> Result<u64> {
            let mut bytes = Vec::from(text.as_bytes());
            bytes.push(0);
            give(&bytes)
        };
        match number {
            0x01 => give(VERSION.as_bytes()).map(|_| 0),
            0x02 => {
                let id = Id { bus: BUS_I8042, vendor: 1, product: 1, version: 0xab41 };
                give(id.as_bytes()).map(|_| 0)
            }
            0x03 => give(REPETITION.as_bytes()).map(|_| 0),
            0x06 => text(self.device.name),
            0x07 => text(self.device.place),
            // It has no serial number.
            0x08 => Err(Errno::ENOENT.into()),
            // No properties.
            0x09 => give(&[0; 4]),
            0x18 => {
                let keys = self.device.state.lock().keys;
                give(&keys)
            }
            0x19 => {
                let mut lights = [0; LED_BYTES];
                lights[0] = self.device.light_bits();
                give(&lights)
            }
            0x20..=0x3f => give(&supported(number as u16 - 0x20)),
            0x90 => self.grab(argument != 0),
            0xa0 => self.set_clock(argument),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn release(&self, _file: &File) {
        let grabber = &self.device.grabber;
        // Whether it had been the grabber does not matter afterwards.
        let _ = grabber.compare_exchange(self.id, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl OpenEvents {
    /// EVIOCGRAB.
    fn grab(&self, wanted: bool) -> Result<u64> {
        let (from, to) = if wanted { (0, self.id) } else { (self.id, 0) };
        let outcome = self.device.grabber.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        match outcome {
            Ok(_) => Ok(0),
            Err(_) if wanted => Err(Error::new(Errno::EBUSY, "somebody else has the device for himself")),
            Err(_) => Err(Errno::EINVAL.into()),
        }
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

/// The codes of a kind of events that the device has; kind 0 stands for the kinds themselves. A bit each.
fn supported(kind: u16) -> [u8; KEY_BYTES] {
    let mut bits = [0; KEY_BYTES];
    let mut add = |code: u16| bits[usize::from(code / 8)] |= 1 << (code % 8);
    match kind {
        kind::SYN => [kind::SYN, kind::KEY, kind::MSC, kind::LED, kind::REP].into_iter().for_each(add),
        kind::KEY => KEYS.for_each(add),
        kind::MSC => add(MSC_SCAN),
        kind::LED => (0..3).for_each(add),
        kind::REP => (0..2).for_each(add),
        _ => {}
    }
    bits
}
