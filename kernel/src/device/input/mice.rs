//! /dev/input/mice and /dev/input/mouse*: for programs that want PS/2 mice. `mice` is all of them together.
//!
//! What the bytes are is in `lib/keymap` ([`MouseEmulation`]). Tablets, which say where they are, move such a mouse as far
//! as they have moved on a screen of [`WIDTH`] by [`HEIGHT`].
//!
//! Source: Linux's Documentation/input/input.rst.

use super::description::{Axis, Description, code, kind};
use super::events::Raw;
use crate::device::character::{self, CharacterDevice};
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags, Seeking};
use crate::fs::io::{Destination, Source};
use crate::fs::poll::PollTable;
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use abi::poll::PollEvents;
use abi::stat::DeviceNumber;
use alloc::{format, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use keymap::{MouseEmulation, MouseEvent};
use machine::sync::{IrqSpinLock, Lazy, Once, SpinLock};

const MAJOR: u32 = 13;
const FIRST_MINOR: u32 = 32;
/// `mice`.
const ALL_MINOR: u32 = 63;
/// There are numbers for so many.
const MOST: u32 = ALL_MINOR - FIRST_MINOR;

/// The screen of tablets.
const WIDTH: i64 = 1024;
const HEIGHT: i64 = 768;
/// A tablet was nowhere yet.
const NOWHERE: i32 = i32::MIN;
/// Bytes that are read and written at a time.
const STEP: usize = 64;

/// All mice together.
static ALL: Lazy<Arc<Mouse>> = Lazy::new(|| Mouse::new(Vec::new(), None));
/// Which numbers are taken.
static NUMBERS: SpinLock<u64> = SpinLock::new("mouse numbers", 0);

/// A mouse, or all of them.
pub(super) struct Mouse {
    /// The axes of a tablet: left to right, and down.
    axes: Vec<(u16, Axis)>,
    /// Where that is.
    place: [AtomicI32; 2],
    /// Those that are down.
    buttons: AtomicU8,
    open_files: IrqSpinLock<Vec<Weak<OpenMouse>>>,
    news: WaitQueue,
    /// That of its file, if there was one for it.
    number: Option<u32>,
    /// It was taken away.
    is_gone: AtomicBool,
}

/// An open file.
struct OpenMouse {
    mouse: Arc<Mouse>,
    emulation: IrqSpinLock<MouseEmulation>,
}

impl Mouse {
    fn new(axes: Vec<(u16, Axis)>, number: Option<u32>) -> Arc<Self> {
        Arc::new(Mouse {
            axes,
            place: [const { AtomicI32::new(NOWHERE) }; 2],
            buttons: AtomicU8::new(0),
            open_files: IrqSpinLock::new("mouse readers", Vec::new()),
            news: WaitQueue::named("mouse"),
            number,
            is_gone: AtomicBool::new(false),
        })
    }

    /// Makes files for a device, if it is a mouse. May sleep.
    pub(super) fn register(description: &Description) -> Option<Arc<Self>> {
        let moves = description.has(kind::REL, code::REL_X) || description.has(kind::ABS, 0);
        if !moves || !description.has(kind::KEY, code::BTN_LEFT) {
            return None;
        }
        static ALL_FILE: Once<()> = Once::new();
        ALL_FILE.call_once(|| {
            let file = Arc::new(MouseFile(ALL.clone()));
            character::register(DeviceNumber::new(MAJOR, ALL_MINOR), "input/mice", 0o660, file);
        });
        let mut taken = NUMBERS.lock();
        let number = Some(taken.trailing_ones()).filter(|number| *number < MOST);
        *taken |= number.map_or(0, |number| 1 << number);
        drop(taken);
        let axes = description.axes.iter().filter(|(axis, _)| *axis < 2).copied().collect();
        let mouse = Mouse::new(axes, number);
        if let Some(number) = number {
            let file = Arc::new(MouseFile(mouse.clone()));
            character::register(place(number), &format!("input/mouse{number}"), 0o660, file);
        }
        Some(mouse)
    }

    /// It is taken away. May sleep.
    pub(super) fn unregister(&self) {
        if let Some(number) = self.number {
            character::unregister(place(number));
            *NUMBERS.lock() &= !(1 << number);
        }
        self.is_gone.store(true, Ordering::Release);
        self.news.wake_all();
    }

    /// The device says something. Any context.
    pub(super) fn take(&self, packet: &[Raw]) {
        let mut event = MouseEvent::default();
        let mut buttons = self.buttons.load(Ordering::Relaxed);
        for &(kind, code, value) in packet {
            match (kind, code) {
                (kind::REL, code::REL_X) => event.x = event.x.saturating_add(value),
                (kind::REL, code::REL_Y) => event.y = event.y.saturating_add(value),
                (kind::REL, code::REL_WHEEL) => event.wheel = event.wheel.saturating_add(value),
                (kind::ABS, 0) => event.x = event.x.saturating_add(self.move_to(0, value)),
                (kind::ABS, 1) => event.y = event.y.saturating_add(self.move_to(1, value)),
                (kind::KEY, code::BTN_LEFT..) if code < code::BTN_LEFT + 5 => {
                    let bit = 1 << (code - code::BTN_LEFT);
                    buttons = if value != 0 { buttons | bit } else { buttons & !bit };
                }
                _ => {}
            }
        }
        self.buttons.store(buttons, Ordering::Relaxed);
        event.buttons = buttons;
        self.tell(event);
        ALL.tell(event);
    }

    /// A tablet is there on an axis: how far it has come on the screen.
    fn move_to(&self, axis: u16, value: i32) -> i32 {
        let Some((_, limits)) = self.axes.iter().find(|(known, _)| *known == axis) else { return 0 };
        let size = (i64::from(limits.maximum) - i64::from(limits.minimum)).max(1);
        let screen = if axis == 0 { WIDTH } else { HEIGHT };
        let value = i64::from(value).clamp(limits.minimum.into(), i64::from(limits.minimum) + size);
        let place = ((value - i64::from(limits.minimum)) * screen / size) as i32;
        match self.place[usize::from(axis)].swap(place, Ordering::Relaxed) {
            NOWHERE => 0,
            before => place - before,
        }
    }

    fn tell(&self, event: MouseEvent) {
        let open_files = self.open_files.lock();
        for open in open_files.iter().filter_map(Weak::upgrade) {
            open.emulation.lock().take(event);
        }
        drop(open_files);
        self.news.wake_all();
    }
}

fn place(number: u32) -> DeviceNumber {
    DeviceNumber::new(MAJOR, FIRST_MINOR + number)
}

/// The device file.
struct MouseFile(Arc<Mouse>);

impl CharacterDevice for MouseFile {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let emulation = IrqSpinLock::new("mouse", MouseEmulation::default());
        let open = Arc::new(OpenMouse { mouse: self.0.clone(), emulation });
        let mut open_files = self.0.open_files.lock();
        open_files.retain(|open| open.strong_count() > 0);
        open_files.try_reserve(1).map_err(|_| Error::from(Errno::ENOMEM))?;
        open_files.push(Arc::downgrade(&open));
        drop(open_files);
        Ok(open)
    }
}

impl OpenMouse {
    fn is_gone(&self) -> bool {
        self.mouse.is_gone.load(Ordering::Acquire)
    }

    /// Whether a read would not wait.
    fn is_ready(&self) -> bool {
        self.is_gone() || self.emulation.lock().is_ready()
    }

    fn check(&self) -> Result<()> {
        if self.is_gone() { Err(Error::new(Errno::ENODEV, "the mouse was taken away")) } else { Ok(()) }
    }
}

impl FileOperations for OpenMouse {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        if !self.is_ready() {
            if file.is_nonblocking() {
                return Err(Errno::EAGAIN.into());
            }
            self.mouse.news.wait_interruptible(|| self.is_ready().then_some(()), None)?;
        }
        self.check()?;
        // A packet at a time, as Linux does it.
        let mut bytes = [0; STEP];
        let room = to.remaining().min(STEP);
        let length = self.emulation.lock().read(&mut bytes[..room]);
        to.write(&bytes[..length])
    }

    fn write(&self, _file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.check()?;
        let mut done = 0;
        let mut bytes = [0; STEP];
        while from.remaining() > 0 {
            let room = from.remaining().min(STEP);
            let length = from.read(&mut bytes[..room])?;
            let mut emulation = self.emulation.lock();
            bytes[..length].iter().for_each(|byte| emulation.write(*byte));
            drop(emulation);
            done += length;
        }
        self.mouse.news.wake_all();
        Ok(done)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.mouse.news);
        if self.is_gone() {
            return PollEvents::POLLHUP | PollEvents::POLLERR;
        }
        let mut events = PollEvents::POLLOUT | PollEvents::POLLWRNORM;
        events.set(PollEvents::POLLIN | PollEvents::POLLRDNORM, self.is_ready());
        events
    }
}
