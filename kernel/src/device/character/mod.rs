//! Character devices: what is behind a character device file, by number and name.
//!
//! | file | devices |
//! |---|---|
//! | `memory.rs` | null, zero, full, random, urandom |
//! | `kmsg.rs` | kmsg, the log |
//! | `hwrng.rs` | hwrng, the hardware source of random bytes |
//! | `rtc.rs` | rtc0, the CMOS clock |
//!
//! Terminals are in `tty`. A device file (of any file system) leads here by its number; devtmpfs shows all that is
//! registered under its name.

mod hwrng;
mod kmsg;
mod memory;
mod rtc;

pub(crate) use rtc::NUMBER as RTC_NUMBER;

use crate::error::{Error, Result};
use crate::fs::devtmpfs;
use crate::fs::file::{FileOperations, OpenFlags};
use crate::fs::inode::NewKind;
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use id_map::IdMap;
use machine::sync::SpinLock;

/// A device that can be opened.
pub(crate) trait CharacterDevice: Send + Sync {
    /// What a new open file of it does.
    fn open(&self, flags: OpenFlags) -> Result<Arc<dyn FileOperations>>;
}

/// A device that has a file in /dev.
#[derive(Clone)]
pub(crate) struct Registration {
    /// Its number.
    pub(crate) number: DeviceNumber,
    /// Its name in /dev; may contain slashes.
    pub(crate) name: String,
    /// Permission bits of its file.
    pub(crate) mode: u16,
}

struct Entry {
    device: Arc<dyn CharacterDevice>,
    /// Name and mode of its file in /dev, if it has one.
    file: Option<(String, u16)>,
}

static DEVICES: SpinLock<IdMap<(u32, u32), Entry>> = SpinLock::new("character devices", IdMap::new());

/// devtmpfs has the files of all devices; those that come later get theirs at once.
static HAVE_FILES: AtomicBool = AtomicBool::new(false);

/// Adds a device; one with the same number is replaced. May sleep.
pub(crate) fn register(number: DeviceNumber, name: &str, mode: u16, device: Arc<dyn CharacterDevice>) {
    insert(number, Entry { device, file: Some((name.into(), mode)) });
    if HAVE_FILES.load(Ordering::Acquire)
        && let Err(error) = devtmpfs::add(name, NewKind::Character(number), mode.into())
    {
        log::warn!("devices: no /dev/{name}: {error}");
    }
}

/// Makes the files in devtmpfs, now and for devices that come later. May sleep.
///
/// # Errors
/// Those of [`devtmpfs::add`].
pub(crate) fn make_files() -> Result<()> {
    HAVE_FILES.store(true, Ordering::Release);
    all().into_iter().try_for_each(|Registration { number, name, mode }| {
        devtmpfs::add(&name, NewKind::Character(number), mode.into())
    })
}

/// Adds a device without a file in /dev.
pub(crate) fn register_hidden(number: DeviceNumber, device: Arc<dyn CharacterDevice>) {
    insert(number, Entry { device, file: None });
}

/// Removes a device, and its file; open files of it go on. May sleep.
pub(crate) fn unregister(number: DeviceNumber) {
    let removed = DEVICES.lock().remove((number.major, number.minor));
    if let Some(Entry { file: Some((name, _)), .. }) = removed
        && HAVE_FILES.load(Ordering::Acquire)
        && let Err(error) = devtmpfs::remove(&name)
    {
        log::warn!("devices: /dev/{name} stays: {error}");
    }
}

fn insert(number: DeviceNumber, entry: Entry) {
    let replaced = DEVICES.lock().insert((number.major, number.minor), entry);
    drop(replaced);
}

/// Opens the device with that number; ENXIO if there is none.
pub(crate) fn open(number: DeviceNumber, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    let device = DEVICES.lock().get((number.major, number.minor)).map(|found| found.device.clone());
    device.ok_or(Error::new(Errno::ENXIO, "no character device has this number"))?.open(flags)
}

/// All devices with files in /dev, at this moment, by number.
pub(crate) fn all() -> Vec<Registration> {
    let registration = |(key, entry): ((u32, u32), &Entry)| {
        let (name, mode) = entry.file.clone()?;
        Some(Registration { number: DeviceNumber::new(key.0, key.1), name, mode })
    };
    DEVICES.lock().iter().filter_map(registration).collect()
}

/// Registers the devices that every system has.
pub(super) fn init() {
    memory::register();
    kmsg::register();
    rtc::register();
    hwrng::register();
}
