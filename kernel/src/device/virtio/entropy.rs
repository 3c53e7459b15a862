//! virtio-rng: random bytes from the host, for the kernel's generator (virtio 1.2, section 5.4).

use super::queue::{Buffer, RequestQueue};
use super::{VirtioDevice, kind};
use crate::device::bus::{Device, Driver, InService, wait_until_alone};
use crate::device::random;
use crate::error::{Error, Result};
use crate::sched::{self, wait::WaitQueue};
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::mm::DmaBuffer;
use machine::sync::SpinLock;
use machine::time;

/// Bytes that are asked for to seed the generator.
const SEED: usize = 64;
/// How often it is seeded anew.
const PERIOD_NS: u64 = 300_000_000_000;

/// Those in service.
static SOURCES: SpinLock<Vec<Arc<Source>>> = SpinLock::new("virtio-rng sources", Vec::new());

/// The driver.
pub(crate) struct EntropyDriver;

impl Driver<VirtioDevice> for EntropyDriver {
    fn name(&self) -> &'static str {
        "virtio_rng"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::ENTROPY
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<Box<dyn InService>> {
        let queue = RequestQueue::start(device, "virtio-rng", 0)?;
        let buffer = Mutex::new("virtio-rng", DmaBuffer::allocate(SEED)?);
        let (is_gone, leaving) = (AtomicBool::new(false), WaitQueue::named("virtio-rng"));
        let source = Arc::new(Source { queue, buffer, is_gone, leaving });
        log::info!("random: {} is a source", device.node().name());
        let feeder = source.clone();
        sched::spawn("virtio-rng", move || feeder.feed())?;
        SOURCES.lock().push(source.clone());
        Ok(Box::new(InUse(source)))
    }
}

struct InUse(Arc<Source>);

impl InService for InUse {
    fn remove(self: Box<Self>) {
        let InUse(source) = *self;
        SOURCES.lock().retain(|known| !Arc::ptr_eq(known, &source));
        source.is_gone.store(true, Ordering::Release);
        source.queue.remove();
        source.leaving.wake_all();
        wait_until_alone(&source);
    }
}

/// A device with its buffer.
struct Source {
    queue: Arc<RequestQueue>,
    buffer: Mutex<DmaBuffer>,
    is_gone: AtomicBool,
    /// Woken when it is.
    leaving: WaitQueue,
}

impl Source {
    /// Gets some bytes, at least one unless `output` is empty.
    fn read(&self, output: &mut [u8]) -> Result<usize> {
        let buffer = self.buffer.lock();
        let wanted = output.len().min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let chain = [Buffer::from_device(buffer.address().as_u64(), wanted as u32)];
        let count = (self.queue.perform(&chain)? as usize).min(wanted);
        if count == 0 {
            return Err(Error::new(Errno::EIO, "the device gave no bytes"));
        }
        buffer.read(0, &mut output[..count]);
        Ok(count)
    }

    /// Feeds the generator now and then.
    fn feed(&self) {
        loop {
            let mut seed = vec![0; SEED];
            let is_gone = || self.is_gone.load(Ordering::Acquire).then_some(());
            match self.read(&mut seed) {
                Ok(count) => random::absorb(&seed[..count], 8 * count as u32),
                Err(_) if is_gone().is_some() => return,
                Err(error) => return log::warn!("random: virtio-rng failed: {error}"),
            }
            if self.leaving.wait_for_work_until(time::monotonic_ns() + PERIOD_NS, is_gone).is_ok() {
                return;
            }
        }
    }
}

/// Fills `output` by the first virtio-rng device; ENODEV if there is none.
pub(crate) fn read(output: &mut [u8]) -> Result<()> {
    let source = SOURCES.lock().first().cloned();
    let source = source.ok_or(Error::new(Errno::ENODEV, "there is no virtio-rng device"))?;
    let mut filled = 0;
    while filled < output.len() {
        filled += source.read(&mut output[filled..])?;
    }
    Ok(())
}
