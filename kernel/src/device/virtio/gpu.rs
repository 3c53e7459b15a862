//! virtio-gpu, the part for pictures of two dimensions: a screen whose pixels lie in our memory, and are fetched by the
//! device where we say that they changed (virtio 1.2, section 5.7).
//!
//! The rows of the screen stand in bands; each remembers which columns were written, and only those are fetched. When the
//! window of the machine gets another size, the device says so, and the screen gets new memory.

use super::queue::{Buffer, RequestQueue};
use super::{VirtioDevice, kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::device::display::{self, Display};
use crate::error::{Error, Result};
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use crate::tty::screen;
use abi::errno::Errno;
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::mm::DmaBuffer;
use machine::sync::{IrqSpinLock, Once};
use zerocopy::IntoBytes;

/// Commands, and the answers to them.
mod command {
    pub(super) const GET_DISPLAY_INFO: u32 = 0x100;
    pub(super) const RESOURCE_CREATE_2D: u32 = 0x101;
    pub(super) const RESOURCE_UNREF: u32 = 0x102;
    pub(super) const SET_SCANOUT: u32 = 0x103;
    pub(super) const RESOURCE_FLUSH: u32 = 0x104;
    pub(super) const TRANSFER_TO_HOST_2D: u32 = 0x105;
    pub(super) const RESOURCE_ATTACH_BACKING: u32 = 0x106;
    pub(super) const OK_NODATA: u32 = 0x1100;
    pub(super) const OK_DISPLAY_INFO: u32 = 0x1101;
}

/// Words of the header of commands and answers: the number, flags, a fence of two words, a context of two.
const HEADER: usize = 6;
/// Blue, green, red, nothing: as a little-endian number 0xXXRRGGBB.
const FORMAT: u32 = 2;
const SCANOUT: u32 = 0;

/// Offsets in the configuration, and the event that the size of a screen changed.
const EVENTS_READ: usize = 0;
const EVENTS_CLEAR: usize = 4;
const EVENT_DISPLAY: u32 = 1;

const PIXEL: usize = 4;
/// Memory is taken in pieces of so many bytes, as far as it is not contiguous.
const PIECE: usize = 1 << 20;
/// Larger screens are cut.
const MAX_WIDTH: u32 = 8192;
const MAX_HEIGHT: u32 = 8192;
const MAX_BYTES: usize = 64 << 20;
/// Rows of a band.
const BAND: usize = 16;

/// Where a command stands in its buffer, and where its answer; both in a page each.
const COMMAND: usize = 0;
const ANSWER: usize = 4096;
const ANSWER_LENGTH: usize = 408;

/// How often a lock is tried when the system panics.
const ATTEMPTS: usize = 100_000;

/// The driver.
pub(crate) struct GpuDriver;

impl Driver<VirtioDevice> for GpuDriver {
    fn name(&self) -> &'static str {
        "virtio_gpu"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::GPU
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let queue = RequestQueue::start(device, "virtio-gpu", 0)?;
        let commands = Commands { buffer: DmaBuffer::allocate(2 * ANSWER)?, next_resource: 1 };
        let gpu = Arc::new(Gpu {
            name: device.node().name().into(),
            queue,
            commands: Mutex::new("virtio-gpu", commands),
            last_words: DmaBuffer::allocate(2 * ANSWER)?,
            surface: IrqSpinLock::new("virtio-gpu surface", None),
            is_resized: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            news: WaitQueue::named("virtio-gpu"),
        });
        let (width, height) = match display::asked_for() {
            Some(mode) => (mode.width as u32, mode.height as u32),
            None => gpu.wanted_size()?,
        };
        gpu.show(width, height)?;
        let weak = Arc::downgrade(&gpu);
        gpu.queue.set_listener(Arc::new(move || {
            if let Some(gpu) = weak.upgrade() {
                gpu.interrupt();
            }
        }));
        let resizer = gpu.clone();
        sched::spawn("virtio-gpu", move || resizer.follow())?;
        display::add(gpu.clone());
        Ok(Box::new(InUse(gpu)))
    }
}

struct InUse(Arc<Gpu>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(gpu) = *self;
        gpu.is_gone.store(true, Ordering::Release);
        display::remove(&(gpu.clone() as Arc<dyn Display>));
        gpu.queue.remove();
        gpu.news.wake_all();
        wait_until_alone(&gpu);
        // The queue is of no use any more, and goes with the last who had it.
        wait_until_alone(&gpu.queue);
    }
}

struct Gpu {
    name: String,
    queue: Arc<RequestQueue>,
    commands: Mutex<Commands>,
    /// For a command that nobody waits for.
    last_words: DmaBuffer,
    surface: IrqSpinLock<Option<Arc<Surface>>>,
    is_resized: AtomicBool,
    is_gone: AtomicBool,
    news: WaitQueue,
}

struct Commands {
    buffer: DmaBuffer,
    next_resource: u32,
}

/// The memory of the screen. The device has it as a "resource".
struct Surface {
    resource: u32,
    width: usize,
    height: usize,
    pieces: Vec<DmaBuffer>,
    /// For each band the columns that were written: the first, and in the upper half the one behind the last.
    changed: Vec<AtomicU64>,
}

/// A part of the screen: column, row, width, height.
type Rectangle = [u32; 4];

impl Surface {
    fn new(resource: u32, width: u32, height: u32) -> Result<Self> {
        let no_memory = || Error::new(Errno::ENOMEM, "no memory for the screen");
        let (width, height) = (width.clamp(1, MAX_WIDTH) as usize, height.clamp(1, MAX_HEIGHT) as usize);
        let height = height.min(MAX_BYTES / (width * PIXEL));
        let mut left = width * height * PIXEL;
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(left.div_ceil(PIECE)).map_err(|_| no_memory())?;
        while left > 0 {
            let length = left.min(PIECE);
            pieces.push(DmaBuffer::allocate(length)?);
            left -= length;
        }
        let mut changed = Vec::new();
        changed.try_reserve_exact(height.div_ceil(BAND)).map_err(|_| no_memory())?;
        changed.resize_with(height.div_ceil(BAND), AtomicU64::default);
        Ok(Self { resource, width, height, pieces, changed })
    }

    fn write(&self, x: usize, y: usize, pixels: &[u32]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let mut rest = &pixels[..pixels.len().min(self.width - x)];
        let end = x + rest.len();
        let mut at = (y * self.width + x) * PIXEL;
        while !rest.is_empty() {
            let (piece, offset) = (at / PIECE, at % PIECE);
            let (now, later) = rest.split_at(rest.len().min((PIECE - offset) / PIXEL));
            self.pieces[piece].write(offset, now.as_bytes());
            (at, rest) = (at + now.len() * PIXEL, later);
        }
        let widen = |old: u64| {
            let (first, behind) = (old as u32 as u64, old >> 32);
            let first = if behind == 0 { x as u64 } else { first.min(x as u64) };
            Some(first | behind.max(end as u64) << 32)
        };
        // The change always comes about.
        let _ = self.changed[y / BAND].fetch_update(Ordering::AcqRel, Ordering::Acquire, widen);
    }

    /// Calls `act` with rectangles around all that was written since the last call.
    fn take_changes(&self, mut act: impl FnMut(Rectangle) -> Result<()>) -> Result<()> {
        let mut open: Option<Rectangle> = None;
        for (band, changed) in self.changed.iter().enumerate() {
            let columns = changed.swap(0, Ordering::AcqRel);
            let (first, behind) = (columns as u32, (columns >> 32) as u32);
            let top = band * BAND;
            let rows = (self.height - top).min(BAND) as u32;
            open = match open {
                _ if behind == 0 => {
                    if let Some(done) = open {
                        act(done)?;
                    }
                    None
                }
                None => Some([first, top as u32, behind - first, rows]),
                Some([x, y, width, height]) => {
                    let (left, right) = (x.min(first), (x + width).max(behind));
                    Some([left, y, right - left, height + rows])
                }
            };
        }
        open.map_or(Ok(()), act)
    }

    /// Where the first pixel of a rectangle lies.
    fn offset(&self, [x, y, ..]: Rectangle) -> u64 {
        ((y as usize * self.width + x as usize) * PIXEL) as u64
    }

    fn whole(&self) -> Rectangle {
        [0, 0, self.width as u32, self.height as u32]
    }
}

impl Gpu {
    /// Has the device do something; the words behind the header. Returns the words of the answer behind its header.
    fn perform(&self, commands: &Commands, number: u32, words: &[u32], answer: u32) -> Result<Vec<u32>> {
        let chain = write_command(&commands.buffer, number, words)?;
        let written = self.queue.perform(&chain)?;
        let mut bytes = [0; ANSWER_LENGTH];
        commands.buffer.read(ANSWER, &mut bytes);
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let words: Vec<u32> = bytes[..(written as usize).min(ANSWER_LENGTH)].chunks(4).map(word).collect();
        match words.first() {
            Some(number) if *number == answer => Ok(words.get(HEADER..).unwrap_or_default().into()),
            _ => Err(Error::new(Errno::EIO, "virtio-gpu refuses a command")),
        }
    }

    fn order(&self, commands: &Commands, number: u32, words: &[u32]) -> Result<()> {
        self.perform(commands, number, words, command::OK_NODATA).map(drop)
    }

    /// The size of the window that shows the first screen.
    fn wanted_size(&self) -> Result<(u32, u32)> {
        let commands = self.commands.lock();
        let words = self.perform(&commands, command::GET_DISPLAY_INFO, &[], command::OK_DISPLAY_INFO)?;
        match words[..] {
            [_, _, width, height, enabled, ..] if enabled != 0 && width > 0 && height > 0 => {
                Ok((width, height))
            }
            _ => Err(Error::new(Errno::ENODEV, "virtio-gpu has no screen")),
        }
    }

    /// Gives the screen memory of this size, and has the device show it.
    fn show(&self, width: u32, height: u32) -> Result<()> {
        let mut commands = self.commands.lock();
        let resource = commands.next_resource;
        commands.next_resource = resource.wrapping_add(1).max(1);
        let surface = Surface::new(resource, width, height)?;
        let [_, _, width, height] = surface.whole();
        self.order(&commands, command::RESOURCE_CREATE_2D, &[resource, FORMAT, width, height])?;
        let surface = Arc::new(surface);
        if let Err(error) = self.attach(&commands, &surface) {
            self.give_up(&commands, surface);
            return Err(error);
        }
        let old = self.surface.lock().replace(surface);
        if let Some(old) = old {
            self.give_up(&commands, old);
        }
        Ok(())
    }

    /// Takes the memory of a screen back from the device.
    fn give_up(&self, commands: &Commands, surface: Arc<Surface>) {
        let done = self.order(commands, command::RESOURCE_UNREF, &[surface.resource, 0]);
        if let Err(error) = done
            && !self.queue.is_stopped()
        {
            log::warn!("display: {}: {error}; it keeps the memory of a screen", self.name);
            core::mem::forget(surface);
        }
    }

    fn attach(&self, commands: &Commands, surface: &Surface) -> Result<()> {
        let mut words = alloc::vec![surface.resource, surface.pieces.len() as u32];
        for piece in &surface.pieces {
            let address = piece.address().as_u64();
            words.extend([address as u32, (address >> 32) as u32, piece.len() as u32, 0]);
        }
        self.order(commands, command::RESOURCE_ATTACH_BACKING, &words)?;
        let mut words = Vec::from(surface.whole());
        words.extend([SCANOUT, surface.resource]);
        self.order(commands, command::SET_SCANOUT, &words)
    }

    /// The memory of the screen. In a panic whoever has the lock may never give it back: then there is none.
    fn surface(&self) -> Option<Arc<Surface>> {
        (0..ATTEMPTS).find_map(|_| self.surface.try_lock()).and_then(|surface| surface.clone())
    }

    fn interrupt(&self) {
        if self.queue.session().config::<u32>(EVENTS_READ) & EVENT_DISPLAY != 0 {
            self.queue.session().set_config(EVENTS_CLEAR, EVENT_DISPLAY);
            self.is_resized.store(true, Ordering::Release);
            self.news.wake_one();
        }
    }

    /// Follows the size of the window.
    fn follow(&self) {
        loop {
            let is_gone = || self.is_gone.load(Ordering::Acquire);
            self.news
                .wait_for_work(|| (is_gone() || self.is_resized.swap(false, Ordering::AcqRel)).then_some(()));
            if is_gone() {
                return;
            }
            let resized = self.wanted_size().and_then(|(width, height)| {
                if (width as usize, height as usize) == self.size() {
                    return Ok(());
                }
                self.show(width, height)
            });
            match resized {
                Ok(()) => screen::redraw(),
                Err(_) if is_gone() => return,
                Err(error) => log::warn!("display: {}: {error}", self.name),
            }
        }
    }
}

/// Writes a command into a buffer, and makes a chain of it and of the room for the answer.
fn write_command(buffer: &DmaBuffer, number: u32, words: &[u32]) -> Result<[Buffer; 2]> {
    let mut header = [0_u32; HEADER];
    header[0] = number;
    let length = (HEADER + words.len()) * 4;
    if length > ANSWER - COMMAND {
        return Err(Error::new(Errno::EINVAL, "a command for virtio-gpu is too long"));
    }
    buffer.write(COMMAND, header.as_bytes());
    buffer.write(COMMAND + HEADER * 4, words.as_bytes());
    let address = buffer.address().as_u64();
    Ok([
        Buffer::to_device(address + COMMAND as u64, length as u32),
        Buffer::from_device(address + ANSWER as u64, ANSWER_LENGTH as u32),
    ])
}

/// The words of the two commands that show a rectangle.
fn showing(surface: &Surface, rectangle: Rectangle) -> [(u32, Vec<u32>); 2] {
    let offset = surface.offset(rectangle);
    let mut transfer = Vec::from(rectangle);
    transfer.extend([offset as u32, (offset >> 32) as u32, surface.resource, 0]);
    let mut flush = Vec::from(rectangle);
    flush.extend([surface.resource, 0]);
    [(command::TRANSFER_TO_HOST_2D, transfer), (command::RESOURCE_FLUSH, flush)]
}

impl Display for Gpu {
    fn name(&self) -> &'static str {
        "virtio-gpu"
    }

    fn size(&self) -> (usize, usize) {
        self.surface().map_or((0, 0), |surface| (surface.width, surface.height))
    }

    fn write(&self, x: usize, y: usize, pixels: &[u32]) {
        if let Some(surface) = self.surface() {
            surface.write(x, y, pixels);
        }
    }

    fn flush(&self) {
        static IS_REFUSED: Once<()> = Once::new();
        let commands = self.commands.lock();
        let Some(surface) = self.surface() else { return };
        let outcome = surface.take_changes(|rectangle| {
            showing(&surface, rectangle)
                .iter()
                .try_for_each(|(number, words)| self.order(&commands, *number, words))
        });
        if let Err(error) = outcome
            && !self.is_gone.load(Ordering::Acquire)
        {
            IS_REFUSED.call_once(|| log::error!("display: {}: {error}", self.name));
        }
    }

    fn flush_in_panic(&self) {
        let Some(surface) = self.surface() else { return };
        let shown = surface.take_changes(|rectangle| {
            showing(&surface, rectangle).iter().try_for_each(|(number, words)| {
                self.queue.perform_in_panic(&write_command(&self.last_words, *number, words)?);
                Ok(())
            })
        });
        // Commands of this length are always written.
        shown.unwrap_or(());
    }
}
