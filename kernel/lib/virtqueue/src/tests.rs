//! Tests against a fake device that plays the other side by the specification, and one that lies.

extern crate std;
use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

const BASE: u64 = 0x12_3450_0000;

/// Memory that driver and device share.
#[derive(Clone, Debug)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    fn new(len: usize) -> Shared {
        Shared(Rc::new(RefCell::new(vec![0xaa; len])))
    }
    fn load<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset.is_multiple_of(N));
        self.0.borrow()[offset..offset + N].try_into().unwrap()
    }
    fn store<const N: usize>(&self, offset: usize, bytes: [u8; N]) {
        assert!(offset.is_multiple_of(N));
        self.0.borrow_mut()[offset..offset + N].copy_from_slice(&bytes);
    }
    fn load_u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.load(offset))
    }
}

impl DmaMemory for Shared {
    fn address(&self) -> u64 {
        BASE
    }
    fn len(&self) -> usize {
        self.0.borrow().len()
    }
    fn load_u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.load(offset))
    }
    fn load_u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.load(offset))
    }
    fn store_u16(&self, offset: usize, value: u16) {
        self.store(offset, value.to_le_bytes());
    }
    fn store_u32(&self, offset: usize, value: u32) {
        self.store(offset, value.to_le_bytes());
    }
    fn store_u64(&self, offset: usize, value: u64) {
        self.store(offset, value.to_le_bytes());
    }
    fn barrier(&self) {}
}

/// A device that knows the queue only by its addresses.
struct Device {
    memory: Shared,
    addresses: Addresses,
    size: u16,
    has_event_index: bool,
    available_index: u16,
    used_index: u16,
    /// The used index at which the driver was interrupted last.
    signalled_index: u16,
    pending: Vec<(u16, Vec<Buffer>)>,
}

impl Device {
    fn new(queue: &VirtQueue<Shared>, has_event_index: bool) -> Device {
        Device {
            memory: queue.memory().clone(),
            addresses: queue.addresses(),
            size: queue.size(),
            has_event_index,
            available_index: 0,
            used_index: 0,
            signalled_index: 0,
            pending: Vec::new(),
        }
    }

    fn at(&self, area: u64) -> usize {
        (area - BASE) as usize
    }

    fn chain(&self, mut offset: usize) -> Vec<Buffer> {
        let mut chain = Vec::new();
        let descriptors = self.at(self.addresses.descriptors);
        let mut base = descriptors;
        loop {
            let (address, len) = (self.memory.load_u64(offset), self.memory.load_u32(offset + 8));
            let (flags, next) = (self.memory.load_u16(offset + 12), self.memory.load_u16(offset + 14));
            if flags & 4 != 0 {
                base = self.at(address);
                offset = base;
                assert!(len.is_multiple_of(16));
                continue;
            }
            chain.push(if flags & 2 != 0 {
                Buffer::from_device(address, len)
            } else {
                Buffer::to_device(address, len)
            });
            if flags & 1 == 0 {
                return chain;
            }
            offset = base + next as usize * 16;
        }
    }

    /// Fetches all that is available.
    fn fetch(&mut self) {
        let driver = self.at(self.addresses.driver);
        while self.available_index != self.memory.load_u16(driver + 2) {
            let element = driver + 4 + 2 * (self.available_index % self.size) as usize;
            let head = self.memory.load_u16(element);
            let chain = self.chain(self.at(self.addresses.descriptors) + head as usize * 16);
            self.pending.push((head, chain));
            self.available_index = self.available_index.wrapping_add(1);
        }
        if self.has_event_index {
            let event = self.at(self.addresses.device) + 4 + 8 * self.size as usize;
            self.memory.store_u16(event, self.available_index);
        }
    }

    /// Completes a chain; returns its buffers.
    fn complete(&mut self, which: usize, written: u32) -> Vec<Buffer> {
        let (head, chain) = self.pending.remove(which);
        self.push_used(head as u32, written);
        chain
    }

    fn push_used(&mut self, id: u32, written: u32) {
        let device = self.at(self.addresses.device);
        let element = device + 4 + 8 * (self.used_index % self.size) as usize;
        self.memory.store_u32(element, id);
        self.memory.store_u32(element + 4, written);
        self.used_index = self.used_index.wrapping_add(1);
        self.memory.store_u16(device + 2, self.used_index);
    }

    /// Whether it interrupts the driver for what it has completed.
    fn interrupts(&mut self) -> bool {
        let driver = self.at(self.addresses.driver);
        let old = core::mem::replace(&mut self.signalled_index, self.used_index);
        if old == self.used_index {
            return false;
        }
        if self.has_event_index {
            let event = self.memory.load_u16(driver + 4 + 2 * self.size as usize);
            self.used_index.wrapping_sub(event).wrapping_sub(1) < self.used_index.wrapping_sub(old)
        } else {
            self.memory.load_u16(driver) & 1 == 0
        }
    }
}

fn queue(size: u16, features: Features) -> VirtQueue<Shared> {
    let len = Layout::new(size, features).unwrap().len;
    VirtQueue::new(Shared::new(len), size, features).unwrap()
}

#[test]
fn areas_are_aligned_and_do_not_overlap() {
    for size in [1, 2, 8, 256, 32_768] {
        let features = Features { event_index: true, indirect: 4 };
        let layout = Layout::new(size, features).unwrap();
        let count = size as usize;
        assert!(layout.used.is_multiple_of(4) && layout.indirect.is_multiple_of(16));
        assert!(layout.used >= layout.available + 6 + 2 * count);
        assert!(layout.indirect >= layout.used + 6 + 8 * count);
        assert_eq!(layout.len, layout.indirect + count * 64);
    }
    assert_eq!(Layout::new(3, Features::default()), Err(LayoutError::BadSize(3)));
    assert_eq!(Layout::new(0, Features::default()), Err(LayoutError::BadSize(0)));
    assert_eq!(VirtQueue::new(Shared::new(100), 8, Features::default()).unwrap_err(), LayoutError::BadMemory);
}

#[test]
fn chains_arrive_as_they_were_added() {
    for indirect in [0, 3] {
        let mut queue = queue(4, Features { event_index: false, indirect });
        let mut device = Device::new(&queue, false);
        let chain =
            [Buffer::to_device(0x1000, 16), Buffer::from_device(0x2000, 512), Buffer::from_device(0x3000, 1)];
        let token = queue.add(&chain).unwrap();
        assert_eq!(queue.free_descriptors(), if indirect == 0 { 1 } else { 3 });
        assert!(queue.should_notify() && !queue.should_notify());
        device.fetch();
        assert_eq!(queue.pop_used(), Ok(None));
        assert_eq!(device.complete(0, 513), chain);
        assert!(queue.has_used());
        assert_eq!(queue.pop_used(), Ok(Some(Used { token, written: 513 })));
        assert_eq!((queue.free_descriptors(), queue.in_flight()), (4, 0));
    }
}

#[test]
fn bad_chains_are_refused() {
    let mut queue = queue(2, Features::default());
    let (read, write) = (Buffer::to_device(0x1000, 1), Buffer::from_device(0x1000, 1));
    assert_eq!(queue.add(&[]), Err(AddError::Empty));
    assert_eq!(queue.add(&[Buffer::to_device(0, 0)]), Err(AddError::Empty));
    assert_eq!(queue.add(&[write, read]), Err(AddError::BadOrder));
    assert_eq!(queue.add(&[read, read, write]), Err(AddError::TooLong));
    assert_eq!(queue.add(&[Buffer::to_device(0, u32::MAX), write]), Err(AddError::TooLong));
    queue.add(&[read]).unwrap();
    assert_eq!(queue.add(&[read, write]), Err(AddError::Full));
    assert_eq!(queue.in_flight_tokens().count(), 1);
}

#[test]
fn lies_break_the_queue_for_good() {
    let lie = |act: fn(&mut Device)| {
        let mut queue = queue(8, Features::default());
        let mut device = Device::new(&queue, false);
        queue.add(&[Buffer::from_device(0x1000, 512)]).unwrap();
        act(&mut device);
        let error = loop {
            match queue.pop_used() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the lie was believed"),
                Err(error) => break error,
            }
        };
        assert_eq!(queue.pop_used(), Err(DeviceError::Broken));
        assert_eq!(queue.add(&[Buffer::to_device(0, 1)]), Err(AddError::Broken));
        assert!(!queue.has_used());
        error
    };
    assert_eq!(lie(|device| device.push_used(0, 513)), DeviceError::BadLength { written: 513, room: 512 });
    assert_eq!(lie(|device| device.push_used(1, 0)), DeviceError::BadToken(1));
    assert_eq!(lie(|device| device.push_used(0x1_0000, 0)), DeviceError::BadToken(0x1_0000));
    assert_eq!(lie(|device| device.push_used(u32::MAX, 0)), DeviceError::BadToken(u32::MAX));
    let too_far = lie(|device| {
        device.used_index = 7;
        device.push_used(0, 0);
    });
    assert_eq!(too_far, DeviceError::BadIndex { index: 8, expected_from: 0 });
    // The same chain twice, the second time after the first was believed.
    let mut queue = queue(8, Features::default());
    let mut device = Device::new(&queue, false);
    queue.add(&[Buffer::from_device(0x1000, 512)]).unwrap();
    queue.add(&[Buffer::from_device(0x1000, 512)]).unwrap();
    device.push_used(0, 0);
    device.push_used(0, 0);
    assert!(queue.pop_used().unwrap().is_some());
    assert_eq!(queue.pop_used(), Err(DeviceError::BadToken(0)));
}

#[test]
fn interrupts_are_asked_for_and_not() {
    for event_index in [false, true] {
        let mut queue = queue(8, Features { event_index, indirect: 0 });
        let mut device = Device::new(&queue, event_index);
        let mut once = |queue: &mut VirtQueue<Shared>| {
            queue.add(&[Buffer::to_device(0x1000, 1)]).unwrap();
            device.fetch();
            device.complete(0, 0);
            device.interrupts()
        };
        assert!(once(&mut queue));
        queue.pop_used().unwrap();
        queue.disable_interrupts();
        assert!(!once(&mut queue));
        assert!(queue.enable_interrupts(), "a completion waits");
        queue.pop_used().unwrap();
        assert!(!queue.enable_interrupts());
        assert!(once(&mut queue));
    }
}

/// Random chains, completed in random order, far beyond the wrap of the 16-bit indices; no completion is lost and no
/// wake-up forgotten.
#[test]
fn two_hundred_thousand_requests_come_back() {
    for (event_index, indirect) in [(false, 0), (true, 0), (true, 5), (false, 5)] {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut queue = queue(16, Features { event_index, indirect });
        let mut device = Device::new(&queue, event_index);
        let mut requests: Vec<Option<(Vec<Buffer>, u32)>> = vec![None; 16];
        let (mut added, mut done) = (0u64, 0u64);
        let (mut notified, mut interrupted) = (true, true);
        while done < 200_000 {
            for _ in 0..random(6) {
                let reads = random(4);
                let chain: Vec<_> = (0..reads + random(3))
                    .map(|index| {
                        let (address, len) = (random(1 << 40), random(4096) as u32 + 1);
                        if index < reads {
                            Buffer::to_device(address, len)
                        } else {
                            Buffer::from_device(address, len)
                        }
                    })
                    .collect();
                match queue.add(&chain) {
                    Ok(token) => {
                        let room: u32 = chain
                            .iter()
                            .filter(|buffer| buffer.direction == Direction::FromDevice)
                            .map(|buffer| buffer.len)
                            .sum();
                        let written = random(room as u64 + 1) as u32;
                        assert!(requests[token.index()].replace((chain, written)).is_none());
                        added += 1;
                    }
                    Err(AddError::Empty) => assert!(chain.is_empty()),
                    Err(error) => assert_eq!(error, AddError::Full),
                }
            }
            notified |= queue.should_notify();
            // The device looks only when it was told to.
            if core::mem::take(&mut notified) {
                device.fetch();
            }
            for _ in 0..random(6).min(device.pending.len() as u64) {
                let which = random(device.pending.len() as u64) as usize;
                let head = device.pending[which].0 as usize;
                let (chain, written) = requests[head].clone().unwrap();
                assert_eq!(device.complete(which, written), chain);
            }
            interrupted |= device.interrupts();
            // The driver looks only when it was interrupted.
            if core::mem::take(&mut interrupted) {
                loop {
                    while let Some(used) = queue.pop_used().unwrap() {
                        let (_, written) = requests[used.token.index()].take().expect("a request in flight");
                        assert_eq!(used.written, written);
                        done += 1;
                    }
                    if !queue.enable_interrupts() {
                        break;
                    }
                }
            }
            assert_eq!(added - done, queue.in_flight() as u64);
        }
    }
}

/// A device that writes anything anywhere makes errors, no panic.
#[test]
fn noise_in_shared_memory_is_harmless() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..3000 {
        let mut queue = queue(8, Features { event_index: round % 2 == 0, indirect: round as u16 % 3 });
        for _ in 0..40 {
            let chain = [Buffer::to_device(0x1000, 16), Buffer::from_device(0x2000, 16)];
            let _ = queue.add(&chain[..random(3) as usize]);
            let len = queue.memory().len() as u64;
            let (offset, noise) = (random(len / 2) as usize * 2, random(12) as u16);
            queue.memory().store_u16(offset, noise);
            if random(3) == 0 {
                let used_index = (queue.addresses().device - BASE) as usize + 2;
                queue.memory().store_u16(used_index, random(6) as u16);
            }
            queue.should_notify();
            let _ = queue.pop_used();
        }
    }
}

#[test]
fn lengths_that_are_too_long_can_be_cut() {
    let mut queue = queue(8, Features::default());
    queue.cut_lengths();
    queue.restart();
    let mut device = Device::new(&queue, false);
    for (claimed, believed) in [(u32::MAX, 512), (513, 512), (512, 512), (7, 7)] {
        let token = queue.add(&[Buffer::to_device(0x2000, 64), Buffer::from_device(0x1000, 512)]).unwrap();
        device.push_used(token.index() as u32, claimed);
        assert_eq!(queue.pop_used().map(|used| used.map(|used| used.written)), Ok(Some(believed)));
    }
}
