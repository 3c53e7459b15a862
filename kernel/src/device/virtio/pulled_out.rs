//! Tests of disks that vanish without a word: what is under way and what comes later ends with EIO, and everything comes back.

use super::block::BlockDriver;
use super::kind;
use super::played::{Act, Chain, Played, Script};
use crate::block::{Disk, Durability, registry};
use crate::device::bus::Driver;
use crate::sched;
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::time;
use test_macro::kernel_test;

const SECTORS: u64 = 64;
const READ: u32 = 0;

/// A disk of zeros with this serial number; `read` says what becomes of reads.
fn disk_of_zeros(serial: &'static [u8], mut read: impl FnMut() -> bool + Send + 'static) -> Script {
    Box::new(move |chain: &Chain| {
        let kind = chain.read().first_chunk::<4>().map_or(u32::MAX, |kind| u32::from_le_bytes(*kind));
        if kind == READ && !read() {
            return Act::Keep;
        }
        // The last byte is the status: it went well.
        let mut answer = vec![0; chain.room()];
        if kind == 8 {
            answer[..serial.len()].copy_from_slice(serial);
        }
        chain.write(&answer);
        Act::Done(answer.len() as u32)
    })
}

fn find(serial: &str) -> Option<Arc<Disk>> {
    registry::all().into_iter().find(|disk| disk.identify().serial.as_deref() == Some(serial))
}

#[kernel_test]
fn a_disk_that_is_pulled_out_ends_what_is_under_way_and_others_go_on() {
    let limit = time::monotonic_ns() + 20_000_000_000;
    let lost = Played::new(kind::BLOCK, 0, disk_of_zeros(b"lost", || true));
    lost.config().write(0, SECTORS);
    let other = Played::new(kind::BLOCK, 0, disk_of_zeros(b"other", || true));
    other.config().write(0, SECTORS);
    let service = BlockDriver.attach(&lost.on_bus()).expect("the driver takes it");
    let other_service = BlockDriver.attach(&other.on_bus()).expect("the driver takes it");
    let disk = find("lost").expect("it is there");
    lost.resume(disk_of_zeros(b"lost", || false));
    let ended = Arc::new(AtomicUsize::new(0));
    for index in 0..4_u64 {
        let (disk, ended) = (disk.clone(), ended.clone());
        sched::spawn("reader", move || {
            let outcome = disk.read(index * 4096, &mut [0; 512]).map_err(|error| error.errno);
            assert_eq!(outcome, Err(Errno::EIO));
            drop(disk);
            ended.fetch_add(1, Ordering::AcqRel);
        })
        .expect("there is memory");
    }
    while lost.kept() < 4 {
        assert!(time::monotonic_ns() < limit, "{} requests are with the device", lost.kept());
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
    lost.vanish();
    service.remove();
    assert!(lost.is_cut_off(), "whatever it still does, it reaches no memory");
    while ended.load(Ordering::Acquire) < 4 {
        assert!(time::monotonic_ns() < limit, "readers wait for a disk that is gone");
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
    assert!(find("lost").is_none());
    let after = [disk.read(0, &mut [0; 512]), disk.write(0, &[1; 512], Durability::Cached), disk.flush()];
    assert_eq!(after.map(|outcome| outcome.map_err(|error| error.errno)), [Err(Errno::EIO); 3]);
    drop(disk);
    let other_disk = find("other").expect("it is there still");
    let mut bytes = vec![1; 4096];
    assert!(other_disk.read(4096, &mut bytes).is_ok());
    assert_eq!(bytes, Vec::from([0; 4096]));
    drop(other_disk);
    other_service.remove();
    assert!(find("other").is_none());
}
