//! A virtio device that a test plays, and that may lie: the other side of the rings, by the specification, with what it says
//! of the buffers left to the test.
//!
//! A driver takes it as any other. When it tells of new buffers, and when the test says so, the test's [`Act`] is asked what
//! to do with each chain; what it does not want to answer yet stays with the device.

use super::{Handler, QueueAddresses, Transport, VirtioDevice};
use crate::device::registry::Node;
use crate::error::Result;
use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec, vec::Vec};
use machine::mm::{DmaBuffer, Mmio, read_as_device, write_as_device};
use machine::sync::{IrqSpinLock, SpinLock};

/// A part of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    address: u64,
    length: usize,
    is_for_device: bool,
}

/// A chain of buffers that the device has.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) queue: u16,
    head: u16,
    parts: Vec<Part>,
}

impl Chain {
    /// What the driver says.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for part in self.parts.iter().filter(|part| part.is_for_device) {
            let mut bytes = vec![0; part.length];
            assert!(read_as_device(part.address, &mut bytes), "a driver gives memory that is not its own");
            all.extend(bytes);
        }
        all
    }

    /// Whether a device may use all of it.
    fn is_there(&self) -> bool {
        self.parts.iter().all(|part| read_as_device(part.address, &mut vec![0; part.length]))
    }

    /// Room for an answer.
    pub(crate) fn room(&self) -> usize {
        self.parts.iter().filter(|part| !part.is_for_device).map(|part| part.length).sum()
    }

    /// Writes an answer, as much of it as there is room; `false` if the memory is not there for a device any more.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> bool {
        for part in self.parts.iter().filter(|part| !part.is_for_device) {
            let (first, rest) = bytes.split_at(part.length.min(bytes.len()));
            if !write_as_device(part.address, first) {
                return false;
            }
            bytes = rest;
        }
        true
    }
}

/// What a device does with a chain.
pub(crate) enum Act {
    /// It is done; the device says that it wrote so many bytes.
    Done(u32),
    /// It says that another chain is done.
    Other(u32, u32),
    /// Not yet: it comes again when the test [resumes](Played::resume).
    Keep,
}

/// What a test has the device do.
pub(crate) type Script = Box<dyn FnMut(&Chain) -> Act + Send>;

struct Ring {
    addresses: QueueAddresses,
    size: u16,
    seen: u16,
    used: u16,
}

struct State {
    status: u8,
    rings: Vec<Option<Ring>>,
    handler: Option<Handler>,
    kept: VecDeque<Chain>,
    script: Script,
    /// It was pulled out: its registers are all ones, and it does nothing.
    is_gone: bool,
    /// It was kept from memory.
    is_cut_off: bool,
    /// At a reset the memory of a chain that was kept was somebody else's already.
    was_robbed: bool,
}

/// The device.
pub(crate) struct Played {
    kind: u32,
    features: u64,
    config: Mmio,
    state: IrqSpinLock<State>,
}

/// Queues of a device, and descriptors of each.
const QUEUES: u16 = 4;
const SIZE: u16 = 64;

fn load_u16(address: u64) -> u16 {
    let mut bytes = [0; 2];
    assert!(read_as_device(address, &mut bytes), "a queue is not where the driver said");
    u16::from_le_bytes(bytes)
}

impl Played {
    /// A device that offers these features, its configuration all zeros.
    pub(crate) fn new(kind: u32, features: u64, script: Script) -> Arc<Self> {
        let memory = DmaBuffer::allocate(1).expect("a page");
        let config = Mmio::played(memory).expect("RAM can be mapped");
        let rings = (0..QUEUES).map(|_| None).collect();
        let kept = VecDeque::new();
        let state = State {
            status: 0,
            rings,
            handler: None,
            kept,
            script,
            is_gone: false,
            is_cut_off: false,
            was_robbed: false,
        };
        let features = features | super::session::feature::VERSION_1;
        Arc::new(Self { kind, features, config, state: IrqSpinLock::new("played device", state) })
    }

    /// As the bus has it.
    pub(crate) fn on_bus(self: &Arc<Self>) -> Arc<VirtioDevice> {
        let transport: Box<dyn Transport> = Box::new(Registers(self.clone()));
        let transport = SpinLock::new("virtio device", Some(transport));
        let node = Node::new("virtio-played".into(), "virtio", Vec::new());
        Arc::new(VirtioDevice { node, kind: self.kind, transport })
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &Mmio {
        &self.config
    }

    /// Interrupts, for a change of the configuration.
    pub(crate) fn interrupt(&self) {
        let handler = self.state.lock().handler.clone();
        if let Some(handler) = handler {
            handler();
        }
    }

    /// Whether the driver has reset it.
    pub(crate) fn is_reset(&self) -> bool {
        self.state.lock().status == 0
    }

    /// It is pulled out, with whatever it has.
    pub(crate) fn vanish(&self) {
        self.state.lock().is_gone = true;
    }

    /// Whether it was kept from memory, as one that does not answer has to be.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.state.lock().is_cut_off
    }

    /// Whether the memory of a chain that the device had was taken away before it was reset.
    pub(crate) fn was_robbed(&self) -> bool {
        self.state.lock().was_robbed
    }

    /// How many chains the device has kept.
    pub(crate) fn kept(&self) -> usize {
        self.state.lock().kept.len()
    }

    /// Has another script from now on, also for what was kept.
    pub(crate) fn resume(&self, script: Script) {
        let mut state = self.state.lock();
        state.script = script;
        let kept = core::mem::take(&mut state.kept);
        kept.into_iter().for_each(|chain| state.act(chain));
        drop(state);
        self.interrupt();
    }

    fn serve(&self, queue: u16) {
        let mut state = self.state.lock();
        if state.is_gone {
            return;
        }
        while let Some(chain) = state.next_chain(queue) {
            state.act(chain);
        }
        drop(state);
        self.interrupt();
    }
}

impl State {
    fn next_chain(&mut self, queue: u16) -> Option<Chain> {
        let ring = self.rings.get_mut(usize::from(queue))?.as_mut()?;
        let available = ring.addresses.available;
        if ring.seen == load_u16(available + 2) {
            return None;
        }
        let head = load_u16(available + 4 + 2 * u64::from(ring.seen % ring.size));
        ring.seen = ring.seen.wrapping_add(1);
        let mut parts = Vec::new();
        let mut next = Some(head);
        while let Some(index) = next {
            let mut descriptor = [0; 16];
            let at = ring.addresses.descriptors + 16 * u64::from(index);
            assert!(read_as_device(at, &mut descriptor), "a queue is not where the driver said");
            let (address, rest) = descriptor.split_at(8);
            let address = u64::from_le_bytes(address.try_into().expect("eight bytes"));
            let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            let flags = u16::from_le_bytes([rest[4], rest[5]]);
            parts.push(Part { address, length, is_for_device: flags & 2 == 0 });
            next = (flags & 1 != 0).then(|| u16::from_le_bytes([rest[6], rest[7]]));
        }
        Some(Chain { queue, head, parts })
    }

    fn act(&mut self, chain: Chain) {
        let (head, written) = match (self.script)(&chain) {
            Act::Done(written) => (chain.head.into(), written),
            Act::Other(head, written) => (head, written),
            Act::Keep => return self.kept.push_back(chain),
        };
        // It was reset meanwhile.
        let Some(ring) = self.rings[usize::from(chain.queue)].as_mut() else { return };
        let at = ring.addresses.used + 4 + 8 * u64::from(ring.used % ring.size);
        ring.used = ring.used.wrapping_add(1);
        let is_there = write_as_device(at, &head.to_le_bytes())
            && write_as_device(at + 4, &written.to_le_bytes())
            && write_as_device(ring.addresses.used + 2, &ring.used.to_le_bytes());
        assert!(is_there, "a queue is not where the driver said");
    }
}

/// The driver's way to the device.
struct Registers(Arc<Played>);

impl Transport for Registers {
    fn status(&self) -> u8 {
        let state = self.0.state.lock();
        if state.is_gone { u8::MAX } else { state.status }
    }

    fn set_status(&self, status: u8) {
        let mut state = self.0.state.lock();
        if state.is_gone {
            return;
        }
        state.status = status;
        if status == 0 {
            let is_there = |chain: &Chain| chain.is_there();
            state.was_robbed |= !state.kept.iter().all(is_there);
            state.rings.iter_mut().for_each(|ring| *ring = None);
        }
    }

    fn device_features(&self) -> u64 {
        self.0.features
    }

    fn set_driver_features(&self, _features: u64) {}

    fn max_queue_size(&self, queue: u16) -> u16 {
        if queue < QUEUES { SIZE } else { 0 }
    }

    fn enable_queue(&self, queue: u16, size: u16, addresses: QueueAddresses) -> Result<()> {
        self.0.state.lock().rings[usize::from(queue)] = Some(Ring { addresses, size, seen: 0, used: 0 });
        Ok(())
    }

    fn notify(&self, queue: u16) {
        self.0.serve(queue);
    }

    fn set_handler(&self, _name: &'static str, handler: Handler) {
        self.0.state.lock().handler = Some(handler);
    }

    fn interrupts(&self) -> usize {
        1
    }

    fn set_handler_of(&self, _index: usize, name: &'static str, handler: Handler) {
        self.set_handler(name, handler);
    }

    fn silence(&self) {
        self.0.state.lock().handler = None;
    }

    fn config(&self) -> Option<&Mmio> {
        Some(&self.0.config)
    }

    fn cut_off(&self) {
        self.0.state.lock().is_cut_off = true;
        self.set_status(0);
    }

    fn config_generation(&self) -> u8 {
        0
    }
}
