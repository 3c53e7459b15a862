//! The screen that is used: the console draws on it directly, programs through a [`Picture`].
//!
//! The picture is made when a program asks for it for the first time, and shows from then on all that is on the
//! screen. When the screen changes its size there is a new one; who has mapped the old one draws unseen.

use super::Display;
use super::picture::{self, Picture};
use crate::error::Result;
use crate::mm::{PageSource, collect_stores};
use crate::sched;
use crate::sync::Mutex;
use crate::tty::screen;
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

/// A screen.
pub(crate) struct Canvas {
    display: Arc<dyn Display>,
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
            display,
            picture: SpinLock::new("picture", None),
            is_dark: AtomicBool::new(false),
            showing: Mutex::new("display", Showing { has_thread: false }),
        }
    }

    /// Who draws past all others: a panic.
    pub(crate) fn display(&self) -> &Arc<dyn Display> {
        &self.display
    }

    /// Width and height in pixels. They may change.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.display.size()
    }

    /// Puts pixels into row `y`, from column `x` on; they are seen after [`flush`](Self::flush).
    pub(crate) fn draw(&self, x: usize, y: usize, pixels: &[u32]) {
        let picture = self.picture.lock().clone();
        if let Some(picture) = picture {
            picture.put(x, y, pixels);
        }
        if !self.is_dark.load(Ordering::Relaxed) {
            self.display.write(x, y, pixels);
        }
    }

    /// What was drawn is to be seen now. May sleep.
    pub(crate) fn flush(&self) {
        self.display.flush();
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
            (0..height).for_each(|y| self.display.write(0, y, &black));
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
    /// ENOMEM.
    pub(super) fn picture(self: &Arc<Self>) -> Result<Arc<Picture>> {
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
        picture.take_changes(|x, y, pixels| {
            if !is_dark {
                self.display.write(x, y, pixels);
            }
        });
        self.flush();
    }
}
