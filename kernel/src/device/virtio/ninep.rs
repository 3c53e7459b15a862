//! virtio-9p: the way to a folder that the host shares (virtio 1.2 reserves the number; the device is QEMU's: a tag in its
//! configuration, and one queue).
//!
//! A request is a message, and room for the answer. Data that is read or written has buffers of its own between or behind
//! them, so that it moves between the server and page frames with no copy. What the messages say is not looked at here
//! but for their frame: `fs/ninep` speaks the protocol.
//!
//! When the device goes, all that is asked of the folder from then on fails; it can be mounted again when a device with its tag
//! comes.
//!
//! Whoever mounts a folder [claims](claim) its channel. Messages go through a few [slots](Slot) of memory, made once, so that
//! pages can be written back when there is no memory left.

use super::queue::{Buffer, RequestQueue};
use super::{Transport, VirtioDevice, kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::error::{Error, Result};
use crate::sched::wait::WaitQueue;
use abi::errno::Errno;
use alloc::{boxed::Box, string::String, sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::addr::PAGE_SIZE;
use machine::mm::{DmaBuffer, Frame};
use machine::sync::SpinLock;
use p9::Header;

/// The feature: the configuration has a tag.
const MOUNT_TAG: u64 = 1;
/// Offsets in the configuration: the length of the tag, and the tag.
const TAG_LENGTH: usize = 0;
const TAG: usize = 2;
/// The longest tag that is read.
const TAG_MAX: usize = 255;

/// Requests that are under way at a time.
const SLOTS: usize = 8;
/// Bytes of a request, without data.
pub(crate) const REQUEST_MAX: usize = 8 * 1024;
/// Bytes of an answer, without data.
pub(crate) const ANSWER_MAX: usize = 24 * 1024;
/// Frames of data of a request, as many as fit into its descriptors with the messages.
pub(crate) const DATA_FRAMES: usize = 32;
/// A request that takes longer is given up, and with it the folder, until it is mounted again. Long, since the host may have a slow disk to write to.
const TIME_LIMIT_NS: u64 = 300_000_000_000;

static CHANNELS: SpinLock<Vec<Arc<Channel>>> = SpinLock::new("9p-channels", Vec::new());

/// The driver.
pub(crate) struct NinepDriver;

impl Driver<VirtioDevice> for NinepDriver {
    fn name(&self) -> &'static str {
        "9pnet_virtio"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::NINEP
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let queue = RequestQueue::start(device, "virtio-9p", MOUNT_TAG)?;
        let session = queue.session();
        let tag = session.has(MOUNT_TAG).then(|| {
            read_tag(session.config::<u16>(TAG_LENGTH), |offset| session.config::<u8>(TAG + offset))
        });
        let tag = tag.ok_or(Error::new(Errno::ENODEV, "the folder has no tag"))?;
        log::info!("9p: {} has the folder '{tag}'", device.node().name());
        let (is_claimed, limit_ns) = (AtomicBool::new(false), AtomicU64::new(TIME_LIMIT_NS));
        let queue = SpinLock::new("9p-queue", Some(queue));
        let channel = Arc::new(Channel { queue, tag, is_claimed, limit_ns });
        CHANNELS.lock().push(channel.clone());
        Ok(Box::new(InUse(channel)))
    }
}

struct InUse(Arc<Channel>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        CHANNELS.lock().retain(|known| !Arc::ptr_eq(known, &self.0));
        let queue = self.0.queue.lock().take();
        if let Some(queue) = queue {
            queue.remove();
            wait_until_alone(&queue);
        }
    }
}

fn read_tag(length: u16, byte: impl Fn(usize) -> u8) -> String {
    let bytes: Vec<u8> = (0..usize::from(length).min(TAG_MAX)).map(byte).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The tag of a device that nobody has taken yet, for /sys.
pub(super) fn tag(transport: &dyn Transport) -> String {
    let has_tag = transport.device_features() & MOUNT_TAG != 0;
    let Some(config) = transport.config().filter(|config| has_tag && config.len() > TAG) else {
        return String::new();
    };
    let length = config.read::<u16>(TAG_LENGTH).min(u16::try_from(config.len() - TAG).unwrap_or(u16::MAX));
    read_tag(length, |offset| config.read::<u8>(TAG + offset))
}

/// A device, which shares one folder.
struct Channel {
    /// `None`: the device is gone.
    queue: SpinLock<Option<Arc<RequestQueue>>>,
    tag: String,
    is_claimed: AtomicBool,
    /// How long a request may take.
    limit_ns: AtomicU64,
}

impl Channel {
    fn queue(&self) -> Result<Arc<RequestQueue>> {
        self.queue.lock().clone().ok_or(Error::new(Errno::EIO, "the folder's device is gone"))
    }
}

/// The data of a request.
pub(crate) enum Data<'a> {
    /// There is none.
    None,
    /// So many bytes of these frames are sent.
    Sent(&'a [Frame], usize),
    /// What comes fills these frames.
    Received(&'a [Frame]),
}

/// An answer, copied to where the device cannot change it.
pub(crate) struct Answer {
    /// Its type.
    pub(crate) kind: u8,
    /// What stands behind the header, without data.
    pub(crate) body: Vec<u8>,
    /// Bytes of data that have come; the answer says how many there are.
    pub(crate) received: usize,
}

/// A channel in use, by one file system. Its drop lets others use it.
pub(crate) struct Claim {
    channel: Arc<Channel>,
    slots: Vec<DmaBuffer>,
    /// Slots that nobody uses.
    free: SpinLock<Vec<usize>>,
    /// Woken when one is free again.
    room: WaitQueue,
}

/// Claims the channel of a tag.
///
/// # Errors
/// ENOENT if there is none, EBUSY if somebody has it, ENOMEM.
pub(crate) fn claim(tag: &[u8]) -> Result<Claim> {
    let channels = CHANNELS.lock().clone();
    let mut is_there = false;
    for channel in channels.into_iter().filter(|channel| channel.tag.as_bytes() == tag) {
        is_there = true;
        if channel.is_claimed.swap(true, Ordering::AcqRel) {
            continue;
        }
        // Who had it before may have given it up.
        let revived = channel.queue().and_then(|queue| queue.revive());
        let mut claim = Claim {
            channel,
            slots: Vec::new(),
            free: SpinLock::new("9p-slots", Vec::new()),
            room: WaitQueue::new(),
        };
        revived?;
        for _ in 0..SLOTS {
            match DmaBuffer::allocate(REQUEST_MAX + ANSWER_MAX) {
                Ok(slot) => claim.slots.push(slot),
                // One is enough.
                Err(_) if !claim.slots.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        claim.free = SpinLock::new("9p-slots", (0..claim.slots.len()).collect());
        return Ok(claim);
    }
    Err(match is_there {
        true => Error::new(Errno::EBUSY, "the folder is mounted"),
        false => Error::new(Errno::ENOENT, "the host shares no folder with this tag"),
    })
}

/// What tests need to play the server of a folder.
#[cfg(feature = "tests")]
pub(crate) mod playing {
    use super::super::played::{Played, Script};
    use super::*;

    /// A device with a tag.
    pub(crate) fn share(tag: &str, script: Script) -> Arc<Played> {
        let device = Played::new(kind::NINEP, MOUNT_TAG, script);
        device.config().write(TAG_LENGTH, tag.len() as u16);
        device.config().write_all(TAG, tag.as_bytes());
        NinepDriver.attach(&device.on_bus()).expect("the driver takes it");
        device
    }

    /// Requests to the folder of a tag may take so long.
    pub(crate) fn set_limit(tag: &str, limit_ns: u64) {
        let channels = CHANNELS.lock();
        let of_tag = channels.iter().filter(|channel| channel.tag == tag);
        of_tag.for_each(|channel| channel.limit_ns.store(limit_ns, Ordering::Relaxed));
    }

    /// The device of a tag is no more.
    pub(crate) fn forget(tag: &str) {
        let gone = {
            let mut channels = CHANNELS.lock();
            let place = channels.iter().position(|channel| channel.tag == tag);
            place.map(|place| channels.swap_remove(place))
        };
        drop(gone);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.channel.is_claimed.store(false, Ordering::Release);
    }
}

/// A slot in use; its number is the tag of the message.
struct Slot<'a> {
    claim: &'a Claim,
    number: usize,
}

impl Slot<'_> {
    fn memory(&self) -> &DmaBuffer {
        &self.claim.slots[self.number]
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.claim.free.lock().push(self.number);
        self.claim.room.wake_one();
    }
}

impl Claim {
    /// Waits for a free slot. Who has one waits for nothing but the device, so that there will be one.
    fn slot(&self) -> Slot<'_> {
        let number = self.room.wait(|| self.free.lock().pop());
        Slot { claim: self, number }
    }

    /// Sends a request and waits for the answer. Data are at most [`DATA_FRAMES`] frames.
    ///
    /// # Errors
    /// EIO if the device does not work as it should, or answers something else.
    pub(crate) fn exchange(&self, mut request: Vec<u8>, data: &Data<'_>) -> Result<Answer> {
        let data_length = match data {
            Data::Sent(_, length) => *length,
            Data::None | Data::Received(_) => 0,
        };
        let slot = self.slot();
        let tag = p9::seal(&mut request, data_length, slot.number as u16).map_err(broken)?;
        if request.len() > REQUEST_MAX {
            return Err(Error::new(Errno::ENAMETOOLONG, "a request that is longer than a message"));
        }
        slot.memory().write(0, &request);
        let chain = chain(slot.memory(), request.len(), data);
        let written =
            self.channel.queue()?.perform_within(&chain, self.channel.limit_ns.load(Ordering::Relaxed))?
                as usize;
        read_answer(slot.memory(), tag, written, data)
    }
}

/// The buffers of a request.
fn chain(memory: &DmaBuffer, request_length: usize, data: &Data<'_>) -> Vec<Buffer> {
    let address = memory.address().as_u64();
    let mut chain = Vec::with_capacity(2 + DATA_FRAMES);
    chain.push(Buffer::to_device(address, request_length as u32));
    if let Data::Sent(frames, length) = data {
        let parts = frames.iter().zip((0..*length).step_by(PAGE_SIZE));
        chain.extend(parts.map(|(frame, start)| {
            Buffer::to_device(frame.address().as_u64(), (length - start).min(PAGE_SIZE) as u32)
        }));
    }
    let room = if matches!(data, Data::Received(_)) { p9::READ_HEADER } else { ANSWER_MAX };
    chain.push(Buffer::from_device(address + REQUEST_MAX as u64, room as u32));
    if let Data::Received(frames) = data {
        let whole = |frame: &Frame| Buffer::from_device(frame.address().as_u64(), PAGE_SIZE as u32);
        chain.extend(frames.iter().map(whole));
    }
    chain
}

/// Copies an answer out and checks its frame.
fn read_answer(memory: &DmaBuffer, tag: u16, written: usize, data: &Data<'_>) -> Result<Answer> {
    let room = if matches!(data, Data::Received(_)) { p9::READ_HEADER } else { ANSWER_MAX };
    let mut bytes = vec![0; written.min(room)];
    memory.read(REQUEST_MAX, &mut bytes);
    let header = Header::read(&bytes, written).map_err(broken)?;
    if header.tag != tag {
        return Err(broken(p9::Error::Broken("an answer to another request")));
    }
    bytes.truncate(header.length);
    let received = header.length - bytes.len();
    bytes.drain(..p9::HEADER_LENGTH);
    Ok(Answer { kind: header.kind, body: bytes, received })
}

/// What a program gets to see of a server that breaks the protocol.
pub(crate) fn broken(error: p9::Error) -> Error {
    match error {
        p9::Error::TooLong => Error::new(Errno::ENAMETOOLONG, "too long for 9P"),
        p9::Error::Broken(what) => Error::new(Errno::EIO, what),
    }
}
