//! The adapter against devices that tests play: one that does what it should, and others.

use super::super::played::{Act, Chain, Played, Script};
use super::wire::{ANSWER, REQUEST};
use super::*;
use crate::block::{Disk, Durability, registry};
use abi::errno::Errno;
use alloc::{vec, vec::Vec};
use machine::sync::IrqSpinLock;
use machine::time;
use test_macro::kernel_test;

const BLOCKS: usize = 64;
const BLOCK: usize = 512;
const CONTROL: u16 = 0;
const EVENTS: u16 = 1;
/// No status, but the wish that the target lies.
const LIE: u8 = 0xff;

/// A target with units, each a disk with the same blocks.
struct Target {
    blocks: Vec<u8>,
    units: Vec<u8>,
    /// What a read or write of this block answers: status and sense key.
    fault: Option<(u64, u8, u8)>,
    /// Nothing of reads and writes is answered.
    is_stuck: bool,
    /// It comes back before the answer to the wish for a reset.
    resets: usize,
}

type Shared = Arc<IrqSpinLock<Target>>;

fn target(units: &[u8]) -> Shared {
    let blocks = (0..BLOCKS * BLOCK).map(|at| (at / BLOCK) as u8).collect();
    let target = Target { blocks, units: units.into(), fault: None, is_stuck: false, resets: 0 };
    Arc::new(IrqSpinLock::new("played target", target))
}

/// An answer: how it ended, sense data, and data.
fn answer(chain: &Chain, response: u8, status: u8, sense: &[u8], data: &[u8]) -> Act {
    let mut bytes = vec![0; ANSWER];
    bytes[0] = sense.len() as u8;
    (bytes[10], bytes[11]) = (status, response);
    bytes[12..12 + sense.len()].copy_from_slice(sense);
    let room = chain.room() - ANSWER;
    bytes.extend_from_slice(&data[..data.len().min(room)]);
    chain.write(&bytes);
    Act::Done(bytes.len() as u32)
}

fn sense(key: u8, code: u8) -> [u8; 14] {
    [0x70, 0, key, 0, 0, 0, 0, 6, 0, 0, 0, 0, code, 0]
}

fn honest(shared: &Shared) -> Script {
    let shared = shared.clone();
    Box::new(move |chain: &Chain| shared.lock().serve(chain))
}

impl Target {
    fn serve(&mut self, chain: &Chain) -> Act {
        match chain.queue {
            CONTROL => {
                self.resets += 1;
                chain.write(&[0]);
                return Act::Done(1);
            }
            EVENTS => return Act::Keep,
            _ => {}
        }
        let request = chain.read();
        let (number, command) = (request[1], &request[19..REQUEST]);
        if number != 0 {
            return answer(chain, 3, 0, &[], &[]);
        }
        let big = |at: usize, length: usize| {
            command[at..at + length].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let good = |data: &[u8]| answer(chain, 0, 0, &[], data);
        let illegal = || answer(chain, 0, 2, &sense(5, 0x20), &[]);
        match command[0] {
            0x00 | 0x35 => good(&[]),
            0xa0 => {
                let mut list = vec![0, 0, 0, 8 * self.units.len() as u8, 0, 0, 0, 0];
                self.units.iter().for_each(|unit| list.extend([0, *unit, 0, 0, 0, 0, 0, 0]));
                good(&list)
            }
            0x12 if command[1] == 0 => {
                let mut data = [b' '; 36];
                data[..8].fill(0);
                good(&data)
            }
            0x12 if command[2] == 0x80 => {
                good(&[0, 0x80, 0, 7, b'p', b'l', b'a', b'y', b'e', b'd', b'0' + request[3]])
            }
            0x9e => {
                let mut data = [0; 32];
                (data[7], data[10]) = (BLOCKS as u8 - 1, 2);
                good(&data)
            }
            0x88 | 0x8a => {
                let (block, count) = (big(2, 8), big(10, 4) as usize);
                if self.is_stuck {
                    return Act::Keep;
                }
                if let Some((fault, status, key)) = self.fault
                    && (block..block + count as u64).contains(&fault)
                {
                    if status == LIE {
                        // All is well, but nothing was read.
                        chain.write(&[0; ANSWER]);
                        return Act::Done(ANSWER as u32);
                    }
                    return answer(chain, 0, status, &sense(key, 0x11), &[]);
                }
                let bytes = block as usize * BLOCK..(block as usize + count) * BLOCK;
                if command[0] == 0x8a {
                    self.blocks[bytes].copy_from_slice(&request[REQUEST..]);
                    return good(&[]);
                }
                let data = self.blocks[bytes].to_vec();
                good(&data)
            }
            _ => illegal(),
        }
    }
}

fn adapter(script: Script) -> Arc<Played> {
    let device = Played::new(kind::SCSI, 0, script);
    let config = device.config();
    config.write(0, 1_u32);
    config.write(4, 62_u32);
    config.write(8, 0xffff_u32);
    config.write(12, 16_u32);
    config.write(30, 1_u16);
    device
}

fn find(serial: &str) -> Option<Arc<Disk>> {
    registry::all().into_iter().find(|disk| disk.identify().serial.as_deref() == Some(serial))
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = time::monotonic_ns() + 20_000_000_000;
    while !condition() {
        assert!(time::monotonic_ns() < deadline, "still waiting: {what}");
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
}

fn errno(outcome: Result<()>) -> core::result::Result<(), Errno> {
    outcome.map_err(|error| error.errno)
}

#[kernel_test]
fn units_are_disks_and_what_fails_fails_alone() {
    let shared = target(&[0, 3]);
    let device = adapter(honest(&shared));
    let service = ScsiDriver.attach(&device.on_bus()).expect("the driver takes it");
    let disk = find("played3").expect("unit 3 is there");
    assert_eq!((disk.size_bytes(), disk.block_size()), ((BLOCKS * BLOCK) as u64, 512));
    let mut bytes = vec![0; 4 * BLOCK];
    disk.read(5 * BLOCK as u64, &mut bytes).expect("it works");
    assert!(bytes.chunks(BLOCK).zip(5..).all(|(block, number)| block.iter().all(|byte| *byte == number)));
    disk.write(0, &[7; BLOCK], Durability::Safe).expect("it works");
    assert_eq!(shared.lock().blocks[..BLOCK], [7; BLOCK]);
    // A block that cannot be read, and what may work later but never does.
    for (status, key) in [(LIE, 0), (2, 3), (2, 4), (2, 6), (8, 0), (0x30, 0), (2, 11)] {
        shared.lock().fault = Some((9, status, key));
        assert_eq!(
            errno(disk.read(9 * BLOCK as u64, &mut bytes[..BLOCK])),
            Err(Errno::EIO),
            "{status} {key}"
        );
        assert_eq!(errno(disk.read(10 * BLOCK as u64, &mut bytes[..BLOCK])), Ok(()));
    }
    shared.lock().fault = Some((9, 2, 5));
    assert!(disk.write(9 * BLOCK as u64, &[1; BLOCK], Durability::Cached).is_err());
    shared.lock().fault = None;
    assert_eq!(errno(disk.flush()), Ok(()));
    drop(disk);
    service.remove();
    assert!(find("played0").is_none() && find("played3").is_none() && device.is_reset());
}

#[kernel_test]
fn units_come_and_go_when_the_adapter_says_so() {
    let shared = target(&[0]);
    let device = adapter(honest(&shared));
    let service = ScsiDriver.attach(&device.on_bus()).expect("the driver takes it");
    assert!(find("played0").is_some() && find("played2").is_none());
    let tell = |event: u32, unit: u8, reason: u32| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&event.to_le_bytes());
        bytes[4..8].copy_from_slice(&[1, 0, 0x40, unit]);
        bytes[12..].copy_from_slice(&reason.to_le_bytes());
        let (mut is_told, mut then) = (false, honest(&shared));
        device.resume(Box::new(move |chain| {
            if chain.queue == EVENTS && !core::mem::replace(&mut is_told, true) {
                chain.write(&bytes);
                return Act::Done(16);
            }
            then(chain)
        }));
    };
    shared.lock().units = vec![0, 2];
    tell(1, 2, 1);
    wait_for("unit 2 to come", || find("played2").is_some());
    tell(1, 0, 2);
    wait_for("unit 0 to go", || find("played0").is_none());
    // Events were missed: all are looked at.
    shared.lock().units = vec![0, 5];
    tell(1 << 31, 0, 0);
    wait_for("the others", || {
        find("played0").is_some() && find("played5").is_some() && find("played2").is_none()
    });
    service.remove();
    assert!(find("played0").is_none() && find("played5").is_none());
}

#[kernel_test]
fn an_adapter_that_is_pulled_out_takes_its_disks_along() {
    let shared = target(&[0]);
    let device = adapter(honest(&shared));
    let service = ScsiDriver.attach(&device.on_bus()).expect("the driver takes it");
    let disk = find("played0").expect("it is there");
    shared.lock().is_stuck = true;
    let reader = disk.clone();
    let is_over = Arc::new(IrqSpinLock::new("played reader", None));
    let outcome = is_over.clone();
    sched::spawn("reader", move || *outcome.lock() = Some(errno(reader.read(0, &mut [0; BLOCK]))))
        .expect("there is memory");
    // All that is kept besides are the buffers for events.
    wait_for("the read to be under way", || device.kept() > 64);
    device.vanish();
    service.remove();
    wait_for("the read to end", || is_over.lock().is_some());
    assert_eq!(*is_over.lock(), Some(Err(Errno::EIO)));
    assert!(device.is_cut_off() && find("played0").is_none());
    assert_eq!(errno(disk.read(0, &mut [0; BLOCK])), Err(Errno::EIO));
}

#[kernel_test]
fn an_adapter_that_says_anything_is_survived() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..40 {
        let shared = target(&[0, 1]);
        let mut lie = honest(&shared);
        let mut numbers: Vec<u64> = (0..512).map(|_| next()).collect();
        let device = adapter(Box::new(move |chain: &Chain| {
            if matches!(chain.queue, EVENTS) {
                return Act::Keep;
            }
            let number = numbers.pop().unwrap_or(round);
            match number % 5 {
                // What is right, now and then, so that it comes further; and the answer of a good one, with any data.
                0..=2 => lie(chain),
                3 => {
                    let mut bytes: Vec<u8> =
                        (0..chain.room()).map(|at| (number >> (at % 57)) as u8).collect();
                    bytes[..12.min(chain.room())].fill(0);
                    chain.write(&bytes);
                    Act::Done(bytes.len() as u32)
                }
                _ => {
                    let bytes: Vec<u8> = (0..chain.room()).map(|at| (number >> (at % 59)) as u8).collect();
                    chain.write(&bytes);
                    // At times more than there is room for: then it has broken the rules.
                    Act::Done((number >> 32) as u32 % (bytes.len() as u32 + 1 + u32::from(number % 25 == 4)))
                }
            }
        }));
        if let Ok(service) = ScsiDriver.attach(&device.on_bus()) {
            for disk in ["played0", "played1"].into_iter().filter_map(find) {
                // Well or not, but it ends.
                let _ = disk.read(0, &mut [0; BLOCK]);
            }
            service.remove();
        }
        assert!(device.is_reset(), "round {round}");
        assert!(!device.was_robbed());
    }
}
