//! virtio-rng: random bytes from the host, for the kernel's generator (virtio 1.2, section 5.4).

use super::queue::{Buffer, RequestQueue};
use super::{VirtioDevice, kind};
use crate::device::bus::{Device, Driver};
use crate::device::random;
use crate::error::{Error, Result};
use crate::{sched, sync::Mutex};
use abi::errno::Errno;
use alloc::{sync::Arc, vec};
use machine::mm::DmaBuffer;
use machine::sync::Once;
use machine::time;

/// Bytes that are asked for to seed the generator.
const SEED: usize = 64;
/// How often it is seeded anew.
const PERIOD_NS: u64 = 300_000_000_000;

static SOURCE: Once<Arc<Source>> = Once::new();

/// The driver.
pub(crate) struct EntropyDriver;

impl Driver<VirtioDevice> for EntropyDriver {
    fn name(&self) -> &'static str {
        "virtio_rng"
    }

    fn matches(&self, device: &VirtioDevice) -> bool {
        device.kind() == kind::ENTROPY
    }

    fn attach(&self, device: &Arc<VirtioDevice>) -> Result<()> {
        let queue = RequestQueue::start(device, "virtio-rng", 0)?;
        let buffer = Mutex::new("virtio-rng", DmaBuffer::allocate(SEED)?);
        let source = Arc::new(Source { queue, buffer });
        log::info!("random: {} is a source", device.node().name());
        let feeder = source.clone();
        sched::spawn("virtio-rng", move || feeder.feed())?;
        SOURCE.call_once(|| source);
        Ok(())
    }
}

/// A device with its buffer.
struct Source {
    queue: Arc<RequestQueue>,
    buffer: Mutex<DmaBuffer>,
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
            match self.read(&mut seed) {
                Ok(count) => random::absorb(&seed[..count], 8 * count as u32),
                Err(error) => return log::warn!("random: virtio-rng failed: {error}"),
            }
            sched::sleep_until(time::monotonic_ns() + PERIOD_NS);
        }
    }
}

/// Fills `output` by the first virtio-rng device; ENODEV if there is none.
pub(crate) fn read(output: &mut [u8]) -> Result<()> {
    let source = SOURCE.get().ok_or(Error::new(Errno::ENODEV, "there is no virtio-rng device"))?;
    let mut filled = 0;
    while filled < output.len() {
        filled += source.read(&mut output[filled..])?;
    }
    Ok(())
}
