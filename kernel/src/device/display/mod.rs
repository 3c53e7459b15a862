//! Screens: where pixels go.
//!
//! | file | what |
//! |---|---|
//! | `boot.rs` | the framebuffer that the boot loader set up |
//! | `bochs.rs` | QEMU's and Bochs' standard VGA: any resolution |
//! | `virtio/gpu.rs`, beside | virtio-gpu: the size of the window |
//! | `canvas.rs` | the screen that is used, and what was drawn on it |
//! | `picture.rs` | its pixels in memory, for programs |
//! | `framebuffer.rs` | /dev/fb0 |
//!
//! The first screen that is found is used. When it is taken away, the next one is; without any, what is drawn goes nowhere
//! until there is one again.
//!
//! Programs never get the memory of a device: they draw in RAM ([`picture::Picture`]), and what they changed is copied
//! sixty times a second. So every screen looks the same to them (32 bits a pixel), also those that have no memory.

pub(super) mod bochs;
mod boot;
mod canvas;
mod framebuffer;
mod picture;
#[cfg(feature = "tests")]
mod tests;

pub(crate) use canvas::Canvas;

use crate::cmdline::VideoMode;
use crate::device::pci;
use crate::tty::screen;
use alloc::{sync::Arc, vec::Vec};
use machine::boot::Framebuffer;
use machine::sync::{Once, SpinLock};

/// What a driver of a screen does. Colours are 0xRRGGBB; what is outside of the screen is left out.
pub(crate) trait Display: Send + Sync {
    /// The driver, for messages.
    fn name(&self) -> &'static str;

    /// Width and height in pixels.
    fn size(&self) -> (usize, usize);

    /// Puts pixels into row `y`, from column `x` on. May be called in any context.
    fn write(&self, x: usize, y: usize, pixels: &[u32]);

    /// What was written is to be seen now. May sleep.
    fn flush(&self) {}

    /// The same when the system panics: without locks, memory or other threads.
    fn flush_in_panic(&self) {}
}

/// What is used unless something else is asked for.
const DEFAULT: VideoMode = VideoMode { width: 1024, height: 768 };

static CANVAS: Once<Arc<Canvas>> = Once::new();
/// All screens that are there, in the order in which they were found.
static ALL: SpinLock<Vec<Arc<dyn Display>>> = SpinLock::new("displays", Vec::new());
static WANTED: Once<VideoMode> = Once::new();
static ASKED: Once<Option<VideoMode>> = Once::new();

/// Notes which resolution is wanted, before drivers look for screens: what the user asked for, or what the boot
/// loader had.
pub(crate) fn prepare(asked: Option<VideoMode>, found: Option<&Framebuffer>) {
    let found = found.map(|found| VideoMode { width: found.width as usize, height: found.height as usize });
    ASKED.call_once(|| asked);
    WANTED.call_once(|| asked.or(found).unwrap_or(DEFAULT));
}

/// Which resolution is wanted.
fn wanted() -> VideoMode {
    WANTED.get().copied().unwrap_or(DEFAULT)
}

/// The resolution that the user asked for.
pub(super) fn asked_for() -> Option<VideoMode> {
    ASKED.get().copied().flatten()
}

/// After the drivers: takes in the boot loader's framebuffer, unless a driver has the device behind it. It is used if none
/// of them found a screen.
pub(crate) fn init(found: Option<&Framebuffer>) {
    let Some(found) = found.filter(|found| !is_driven(found)) else { return };
    match boot::BootDisplay::new(found) {
        Some(display) => add(Arc::new(display)),
        None => log::warn!("display: the boot loader's framebuffer cannot be used: {found:?}"),
    }
}

/// Whether the framebuffer is in the memory of a function that has a driver, and with which it may go.
fn is_driven(found: &Framebuffer) -> bool {
    let address = found.address.as_u64();
    pci::BUS.devices().iter().any(|device| {
        let is_there = |bar: &pci_config::Bar| address.wrapping_sub(bar.start()) < bar.length();
        device.is_claimed() && device.bars().iter().flatten().any(is_there)
    })
}

/// Takes in a screen; it is used if there is no other. May sleep.
pub(super) fn add(display: Arc<dyn Display>) {
    let (width, height) = display.size();
    log::info!("display: {}, {width}x{height}", display.name());
    ALL.lock().push(display.clone());
    let mut is_first = false;
    let canvas = CANVAS.call_once(|| {
        is_first = true;
        Arc::new(Canvas::new(display.clone()))
    });
    if is_first || (!canvas.has_display() && canvas.set_display(Some(display))) {
        framebuffer::register(canvas);
        screen::found_later();
    }
}

/// A screen goes: another one is used, or none. On return nobody has it any more who got it from here. May sleep.
pub(super) fn remove(display: &Arc<dyn Display>) {
    let next = {
        let mut all = ALL.lock();
        all.retain(|known| !Arc::ptr_eq(known, display));
        all.first().cloned()
    };
    let Some(canvas) = CANVAS.get().filter(|canvas| canvas.shows_on(display)) else { return };
    match &next {
        Some(next) => log::info!("display: {} is used now", next.name()),
        None => {
            log::info!("display: there is no screen any more");
            framebuffer::unregister();
        }
    }
    canvas.set_display(next);
}

/// The screen.
pub(crate) fn current() -> Option<&'static Arc<Canvas>> {
    CANVAS.get()
}
