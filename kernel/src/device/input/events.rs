//! An input device: its state, and the way of its events to the programs that have it open and to the consoles.
//!
//! A driver says every event with [`EventDevice::event`], and SYN when what belongs together is complete. What the
//! device does not have by its description is left out, and so is what changes nothing: so a device can say what it
//! likes. Every open file has a queue of its own; one that is not read in time loses events and is told so (SYN_DROPPED).
//!
//! A device can be [taken away](EventDevice::unregister): its keys go up, its files are not found any more, and open files
//! say ENODEV.
//!
//! Locks: a device's state is never held while keys go to the consoles, which may have lights shown.

use super::description::{AXES, Axis, Description, KEYS, Repeating, code, kind};
use super::evdev::{EventFile, OpenEvents};
use super::keyboard;
use super::mice::Mouse;
use crate::device::{character, random};
use crate::sched::timer::Timer;
use crate::sched::wait::WaitQueue;
use abi::stat::DeviceNumber;
use alloc::{boxed::Box, format, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use keymap::{Indicators, KeyEvent, Motion};
use machine::sync::{IrqSpinLock, Once};
use machine::time;

const MAJOR: u32 = 13;
const FIRST_MINOR: u32 = 64;

/// LED_NUML, LED_CAPSL, LED_SCROLLL.
pub(crate) const LIGHTS: [Indicators; 3] =
    [Indicators::NUM_LOCK, Indicators::CAPS_LOCK, Indicators::SCROLL_LOCK];
/// Keys below are those of keyboards, for the consoles; others are buttons.
const KEYBOARD_KEYS: u16 = 0x100;

/// Events that belong together at most; more of them are handed on in parts.
const PACKET: usize = 32;

/// Kind, code, value.
pub(super) type Raw = (u16, u16, i32);

/// When held keys repeat, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repetition {
    /// Until the first time.
    pub(crate) delay: u32,
    /// From one time to the next.
    pub(crate) period: u32,
}

impl Default for Repetition {
    /// Linux's.
    fn default() -> Self {
        Self { delay: 250, period: 33 }
    }
}

/// What a device is asked to do. Any context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Show these lights.
    Lights(Indicators),
    /// Repeat held keys like this.
    Repeat(Repetition),
}

/// Has a device do something.
pub(crate) type Output = Box<dyn Fn(Request) + Send + Sync>;

/// A device, as programs see it.
pub(crate) struct EventDevice {
    pub(super) description: Description,
    pub(super) state: IrqSpinLock<State>,
    pub(super) news: WaitQueue,
    /// The id of the open file that gets everything for itself; 0: none.
    pub(super) grabber: AtomicUsize,
    pub(super) next_id: AtomicUsize,
    /// It was taken away.
    pub(super) is_gone: AtomicBool,
    output: Output,
    /// The key that repeats.
    held: AtomicU32,
    timer: Once<Timer>,
    /// What it is as a mouse, if it is one.
    mouse: Once<Arc<Mouse>>,
}

pub(super) struct State {
    pub(super) keys: [u8; KEYS / 8],
    pub(super) axes: [Option<Axis>; AXES],
    pub(super) lights: Indicators,
    pub(super) repetition: Repetition,
    /// What has come since the last report.
    packet: [Raw; PACKET],
    length: usize,
    pub(super) open_files: Vec<Weak<OpenEvents>>,
}

/// All devices by number. A number is used again when its device has gone.
static ALL: IrqSpinLock<Vec<Option<Arc<EventDevice>>>> = IrqSpinLock::new("input devices", Vec::new());

impl EventDevice {
    /// A device without keys down, as /dev/input/eventN. May sleep.
    pub(crate) fn register(description: Description, output: Output) -> Arc<Self> {
        let mut axes = [None; AXES];
        for (code, axis) in &description.axes {
            if let Some(place) = axes.get_mut(usize::from(*code)) {
                *place = Some(*axis);
            }
        }
        let state = State {
            keys: [0; KEYS / 8],
            axes,
            lights: Indicators::empty(),
            repetition: Repetition::default(),
            packet: [(0, 0, 0); PACKET],
            length: 0,
            open_files: Vec::new(),
        };
        let device = Arc::new(EventDevice {
            description,
            state: IrqSpinLock::new("input device", state),
            news: WaitQueue::named("input"),
            grabber: AtomicUsize::new(0),
            next_id: AtomicUsize::new(1),
            is_gone: AtomicBool::new(false),
            output,
            held: AtomicU32::new(0),
            timer: Once::new(),
            mouse: Once::new(),
        });
        if let Some(mouse) = Mouse::register(&device.description) {
            device.mouse.call_once(|| mouse);
        }
        if device.description.repeating == Repeating::Timer {
            let weak = Arc::downgrade(&device);
            let repeat = move || {
                if let Some(device) = weak.upgrade() {
                    device.repeat();
                }
            };
            device.timer.call_once(|| Timer::new(Arc::new(repeat)));
        }
        let mut all = ALL.lock();
        let index = all.iter().position(Option::is_none).unwrap_or(all.len());
        match all.get_mut(index) {
            Some(place) => *place = Some(device.clone()),
            None => all.push(Some(device.clone())),
        }
        drop(all);
        log::info!("input: event{index} is {}", device.description.name);
        let number = number(index);
        let file = Arc::new(EventFile(device.clone()));
        character::register(number, &format!("input/event{index}"), 0o660, file);
        device
    }

    /// It is taken away. The driver says no more events. May sleep.
    pub(crate) fn unregister(self: &Arc<Self>) {
        self.release_keys();
        let mut all = ALL.lock();
        let place = all.iter().position(|known| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, self)));
        let gone = place.and_then(|place| Some((place, all.get_mut(place)?.take()?)));
        drop(all);
        if let Some((index, _)) = gone {
            character::unregister(number(index));
            log::info!("input: event{index} has gone");
        }
        if let Some(mouse) = self.mouse.get() {
            mouse.unregister();
        }
        self.is_gone.store(true, Ordering::Release);
        self.news.wake_all();
    }

    /// As if all keys had been let go that are down.
    fn release_keys(&self) {
        let keys = self.state.lock().keys;
        for code in (0..KEYS as u16).filter(|code| keys[usize::from(code / 8)] & 1 << (code % 8) != 0) {
            self.event(kind::KEY, code, 0);
        }
        self.event(kind::SYN, code::SYN_REPORT, 0);
        if let Some(timer) = self.timer.get() {
            timer.cancel();
        }
    }

    /// Whether somebody has it for himself, so that its keys type nothing.
    fn is_grabbed(&self) -> bool {
        self.grabber.load(Ordering::Relaxed) != 0
    }

    /// The device says something; SYN ends what belongs together. Any context.
    pub(crate) fn event(&self, kind: u16, code: u16, value: i32) {
        let mut state = self.state.lock();
        if kind != kind::SYN {
            if !self.description.has(kind, code) || !state.takes_in(kind, code, value) {
                return;
            }
            let length = state.length;
            state.packet[length] = (kind, code, value);
            state.length += 1;
            if state.length < PACKET {
                return;
            }
        }
        let (packet, length) = (state.packet, core::mem::take(&mut state.length));
        let packet = &packet[..length];
        if packet.is_empty() {
            return;
        }
        let grabber = self.grabber.load(Ordering::Relaxed);
        for open in state.open_files.iter().filter_map(Weak::upgrade) {
            if grabber == 0 || grabber == open.id {
                open.take(packet);
            }
        }
        drop(state);
        self.news.wake_all();
        random::add_time();
        if let Some(mouse) = self.mouse.get()
            && grabber == 0
        {
            mouse.take(packet);
        }
        packet.iter().filter(|event| event.0 == kind::KEY).for_each(|event| self.key(event.1, event.2));
    }

    /// A key of a keyboard moved: all that is to be said of it.
    pub(super) fn key_event(&self, event: KeyEvent) {
        self.event(kind::MSC, code::MSC_SCAN, event.code.into());
        self.event(kind::KEY, event.code, event.motion as i32);
        self.event(kind::SYN, code::SYN_REPORT, 0);
    }

    /// What a key does here.
    fn key(&self, code: u16, value: i32) {
        if code >= KEYBOARD_KEYS {
            return;
        }
        if let Some(timer) = self.timer.get() {
            self.plan_repetition(timer, code, value);
        }
        if self.is_grabbed() {
            return;
        }
        let motion = match value {
            0 => Motion::Released,
            1 => Motion::Pressed,
            _ => Motion::Repeated,
        };
        if let Some(lights) = keyboard::handle(KeyEvent { code, motion }) {
            show_lights(lights);
        }
    }

    fn plan_repetition(&self, timer: &Timer, code: u16, value: i32) {
        let repetition = self.state.lock().repetition;
        match value {
            0 if self.held.load(Ordering::Relaxed) != code.into() => {}
            0 => {
                self.held.store(0, Ordering::Relaxed);
                timer.cancel();
            }
            1 if repetition.delay > 0 => {
                self.held.store(code.into(), Ordering::Relaxed);
                timer.set(in_milliseconds(repetition.delay));
            }
            _ => {}
        }
    }

    /// The time has come for a held key. In interrupt context.
    fn repeat(&self) {
        let code = self.held.load(Ordering::Relaxed) as u16;
        let period = self.state.lock().repetition.period;
        if code == 0 || period == 0 {
            return;
        }
        if let Some(timer) = self.timer.get() {
            timer.set(in_milliseconds(period));
        }
        self.event(kind::KEY, code, 2);
        self.event(kind::SYN, code::SYN_REPORT, 0);
    }

    /// Has it show these lights, and tells programs.
    pub(super) fn show(&self, lights: Indicators) {
        (self.output)(Request::Lights(lights));
        for (code, light) in (0..).zip(LIGHTS) {
            self.event(kind::LED, code, lights.contains(light).into());
        }
        self.event(kind::SYN, code::SYN_REPORT, 0);
    }

    /// Changes when held keys repeat.
    pub(super) fn set_repetition(&self, repetition: Repetition) {
        self.state.lock().repetition = repetition;
        (self.output)(Request::Repeat(repetition));
    }

    /// The lights that are on, a bit for each code.
    pub(super) fn light_bits(&self) -> u8 {
        let lights = self.state.lock().lights;
        LIGHTS
            .iter()
            .enumerate()
            .fold(0, |bits, (code, light)| bits | u8::from(lights.contains(*light)) << code)
    }
}

impl State {
    /// Notes what an event changes; tells whether it says anything new.
    fn takes_in(&mut self, kind: u16, code: u16, value: i32) -> bool {
        match kind {
            kind::KEY => {
                let bit = 1 << (code % 8);
                let Some(byte) = self.keys.get_mut(usize::from(code / 8)) else { return false };
                let was_down = *byte & bit != 0;
                match value {
                    0 => *byte &= !bit,
                    1 => *byte |= bit,
                    // A key that the device says is held has gone down.
                    2 => {
                        *byte |= bit;
                        return was_down;
                    }
                    _ => return false,
                }
                was_down != (value == 1)
            }
            kind::REL => value != 0,
            kind::ABS => {
                let Some(Some(axis)) = self.axes.get_mut(usize::from(code)) else { return false };
                core::mem::replace(&mut axis.value, value) != value
            }
            kind::LED => {
                let Some(light) = LIGHTS.get(usize::from(code)) else { return false };
                let was_on = self.lights.contains(*light);
                self.lights.set(*light, value != 0);
                was_on != (value != 0)
            }
            _ => true,
        }
    }
}

fn number(index: usize) -> DeviceNumber {
    DeviceNumber::new(MAJOR, FIRST_MINOR + index as u32)
}

fn in_milliseconds(milliseconds: u32) -> crate::sched::timer::Deadline {
    crate::sched::timer::Deadline::monotonic(time::monotonic_ns() + u64::from(milliseconds) * 1_000_000)
}

/// What the keyboards were last told to show; at first nobody knows.
static SHOWN: AtomicU8 = AtomicU8::new(u8::MAX);

/// Has all keyboards show these lights. Any context.
pub(super) fn show_lights(lights: Indicators) {
    SHOWN.store(lights.bits(), Ordering::Relaxed);
    for_each_with(kind::LED, |device| device.show(lights));
}

/// Switches the locks of a console, and says which ones a reset brings (KDSKBLED). Any context.
pub(crate) fn set_locks(console: usize, locks: Indicators, at_reset: Indicators) {
    keyboard::set_locks(console, locks, at_reset);
    show_lights(keyboard::lights());
}

/// Has the lights of a console show this, or with `None` its locks again (KDSETLED). Any context.
pub(crate) fn set_lights(console: usize, lights: Option<Indicators>) {
    keyboard::set_lights(console, lights);
    show_lights(keyboard::lights());
}

/// A console was reset: so are its locks and lights. Any context.
pub(crate) fn reset_locks(console: usize) {
    keyboard::reset(console);
    follow_lights();
}

/// Another console is shown, and its lights. Any context.
pub(crate) fn change_console() {
    keyboard::change_console();
    follow_lights();
}

/// Has the keyboards show what they are to show, if that is something else than before.
fn follow_lights() {
    let lights = keyboard::lights();
    if SHOWN.load(Ordering::Relaxed) != lights.bits() {
        show_lights(lights);
    }
}

/// Changes when held keys repeat, on all keyboards; tells how the first did before.
pub(crate) fn set_repetition(change: impl Fn(Repetition) -> Repetition) -> Repetition {
    let mut first = None;
    for_each_with(kind::REP, |device| {
        let old = device.state.lock().repetition;
        first = first.or(Some(old));
        if change(old) != old {
            device.set_repetition(change(old));
        }
    });
    first.unwrap_or_default()
}

/// Calls `act` with every device that has such events.
fn for_each_with(kind: u16, mut act: impl FnMut(&EventDevice)) {
    for_each(|_, device| {
        if !device.description.codes(kind).is_empty() {
            act(device);
        }
    });
}

/// Calls `act` with every device and its number.
pub(super) fn for_each(mut act: impl FnMut(usize, &EventDevice)) {
    let mut index = 0;
    loop {
        // Not under the lock: what is done takes others.
        let Some(device) = ALL.lock().get(index).cloned() else { return };
        if let Some(device) = device {
            act(index, &device);
        }
        index += 1;
    }
}
