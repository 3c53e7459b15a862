//! The screen that is used: the console draws on it directly, programs through a [`Picture`].
//!
//! The screen can be taken away ([`Canvas::set_display`]); what is drawn then is seen nowhere, and programs are told that
//! there is no device.
//!
//! The picture is made when a program asks for it for the first time, and shows from then on all that is on the
//! screen. When the screen changes its size there is a new one; who has mapped the old one draws unseen.

use super::Display;
use super::picture::{self, Picture};
use crate::error::{Error, Result};
use crate::mm::{PageSource, collect_stores};
use crate::sched;
use crate::sync::Mutex;
use crate::tty::screen;
use abi::errno::Errno;
use alloc::{sync::Arc, vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::SpinLock;
use machine::time;

/// Time from one look at what programs drew to the next, at least.
const FRAME_NS: u64 = 16_666_667;

/// Whether the screen shows anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Light {
    /// It does.
    On,
    /// It is dark, whatever is drawn.
    Off,
}

/// How often a lock is tried when the system panics.
const ATTEMPTS: usize = 100_000;

/// What is drawn on while there is no screen: its size stays what it was.
struct Nowhere {
    size: (usize, usize),
}

impl Display for Nowhere {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn write(&self, _x: usize, _y: usize, _pixels: &[u32]) {}
}

/// What is shown on.
struct Shown {
    display: Arc<dyn Display>,
    is_there: bool,
}

/// A screen.
pub(crate) struct Canvas {
    shown: SpinLock<Shown>,
    picture: SpinLock<Option<Arc<Picture>>>,
    is_dark: AtomicBool,
    /// Held while a picture is made or shown; so there is one thread that shows.
    showing: Mutex<Showing>,
}

struct Showing {
    has_thread: bool,
}

impl Canvas {
    pub(super) fn new(display: Arc<dyn Display>) -> Self {
        Self {
            shown: SpinLock::new("screen in use", Shown { display, is_there: true }),
            picture: SpinLock::new("picture", None),
            is_dark: AtomicBool::new(false),
            showing: Mutex::new("display", Showing { has_thread: false }),
        }
    }

    /// What it is shown on. To be kept for no longer than a moment: whoever takes the screen away waits for that.
    pub(crate) fn display(&self) -> Arc<dyn Display> {
        self.shown.lock().display.clone()
    }

    /// The same in a panic, when whoever has the lock may never give it back: then there is none.
    pub(crate) fn display_in_panic(&self) -> Option<Arc<dyn Display>> {
        (0..ATTEMPTS).find_map(|_| self.shown.try_lock()).map(|shown| shown.display.clone())
    }

    /// Whether there is a screen.
    pub(crate) fn has_display(&self) -> bool {
        self.shown.lock().is_there
    }

    /// Whether this is the screen that is used.
    pub(super) fn shows_on(&self, display: &Arc<dyn Display>) -> bool {
        Arc::ptr_eq(&self.shown.lock().display, display)
    }

    /// Uses another screen, or none, from now on; whether there is one. May sleep.
    pub(super) fn set_display(&self, display: Option<Arc<dyn Display>>) -> bool {
        // Nobody shows what programs have drawn meanwhile.
        let showing = self.showing.lock();
        let is_there = display.is_some();
        let display = display.unwrap_or_else(|| Arc::new(Nowhere { size: self.size() }));
        let old = core::mem::replace(&mut *self.shown.lock(), Shown { display, is_there });
        drop(old);
        drop(showing);
        if let Some(picture) = &*self.picture.lock() {
            picture.mark_all();
        }
        screen::redraw();
        is_there
    }

    /// Width and height in pixels. They may change.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.display().size()
    }

    /// Puts pixels into row `y`, from column `x` on; they are seen after [`flush`](Self::flush).
    pub(crate) fn draw(&self, x: usize, y: usize, pixels: &[u32]) {
        let picture = self.picture.lock().clone();
        if let Some(picture) = picture {
            picture.put(x, y, pixels);
        }
        if !self.is_dark.load(Ordering::Relaxed) {
            self.display().write(x, y, pixels);
        }
    }

    /// What was drawn is to be seen now. May sleep.
    pub(crate) fn flush(&self) {
        self.display().flush();
    }

    /// Makes it dark, or shows again what was drawn. May sleep.
    pub(super) fn set_light(&self, light: Light) {
        let is_dark = light == Light::Off;
        if self.is_dark.swap(is_dark, Ordering::Relaxed) == is_dark {
            return;
        }
        if is_dark {
            let (width, height) = self.size();
            let black = vec![0; width];
            let display = self.display();
            (0..height).for_each(|y| display.write(0, y, &black));
            drop(display);
            self.flush();
        } else {
            if let Some(picture) = &*self.picture.lock() {
                picture.mark_all();
            }
            screen::redraw();
        }
    }

    /// The pixels as programs see them. May sleep.
    ///
    /// # Errors
    /// ENODEV if there is no screen, ENOMEM.
    pub(super) fn picture(self: &Arc<Self>) -> Result<Arc<Picture>> {
        if !self.has_display() {
            return Err(Error::new(Errno::ENODEV, "there is no screen any more"));
        }
        let mut showing = self.showing.lock();
        if !showing.has_thread {
            let canvas = self.clone();
            sched::spawn("fb0", move || canvas.show_forever())?;
            showing.has_thread = true;
        }
        let (width, height) = self.size();
        if let Some(picture) = &*self.picture.lock()
            && picture.size() == (width, height)
        {
            return Ok(picture.clone());
        }
        let picture = Arc::new(Picture::new(width, height)?);
        let old = self.picture.lock().replace(picture.clone());
        drop(old);
        // What is on the screen now comes into it.
        screen::redraw_now();
        Ok(picture)
    }

    fn show_forever(&self) {
        loop {
            picture::DRAWN.wait_for_work(picture::take_news);
            self.show_stores();
            sched::sleep_until(time::monotonic_ns() + FRAME_NS);
        }
    }

    /// Shows what programs have drawn. May sleep.
    pub(super) fn show_stores(&self) {
        let _showing = self.showing.lock();
        let Some(picture) = self.picture.lock().clone() else { return };
        // First later stores are made to be noticed, then what is there is read: nothing is missed.
        collect_stores(picture.identity());
        let is_dark = self.is_dark.load(Ordering::Relaxed);
        let display = self.display();
        picture.take_changes(|x, y, pixels| {
            if !is_dark {
                display.write(x, y, pixels);
            }
        });
        drop(display);
        self.flush();
    }
}
