//! Servers that do not answer, or too late, and devices that break the rules.

use super::*;
use crate::fs::tests::{errno, find};
use crate::sched;
use abi::errno::Errno;
use machine::time;
use test_macro::kernel_test;

const LIMIT_NS: u64 = 50_000_000;

/// Waits until the driver has reset the device.
fn wait_for_reset(device: &Played) {
    let deadline = time::monotonic_ns() + 20_000_000_000;
    while !device.is_reset() {
        assert!(time::monotonic_ns() < deadline, "the device is not stopped");
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
}

#[kernel_test]
fn a_request_that_is_given_up_leaves_the_device_nothing_to_write_to() {
    let share = Share::honest();
    let caller = share.caller();
    playing::set_limit(&share.tag, LIMIT_NS);
    share.device.resume(Box::new(|_| Act::Keep));
    assert_eq!(errno(names(&caller, 9)), Some(Errno::EIO));
    // Whoever got his error can use the memory again: it was the device's until it was reset.
    assert!(share.device.is_reset() && !share.device.was_robbed());
    assert_eq!(share.device.kept(), 1);
    // The answer comes now, and reaches nobody.
    share.device.resume(script(&share.server));
    assert_eq!(errno(find(&caller, "file")), Some(Errno::EIO));
    // Mounted anew, the folder is there again.
    assert_eq!(errno(share.mount()), Some(Errno::EBUSY));
    drop(caller);
    let caller = share.caller();
    assert_eq!(names(&caller, 9).expect("there they are").len(), 3);
    assert!(find(&caller, "directory").is_ok());
}

#[kernel_test]
fn all_who_wait_for_a_silent_server_get_their_error() {
    let share = Share::honest();
    let caller = share.caller();
    playing::set_limit(&share.tag, LIMIT_NS);
    share.device.resume(Box::new(|_| Act::Keep));
    let failed = Arc::new(AtomicU32::new(0));
    for _ in 0..20 {
        let (root, failed) = (caller.root.clone(), failed.clone());
        let body = move || {
            // More of them than slots for messages.
            let outcome = root.inode().lookup(b"file");
            failed.fetch_add(u32::from(errno(outcome) == Some(Errno::EIO)), Ordering::Relaxed);
        };
        sched::spawn("ninep-test", body).expect("a thread");
    }
    let deadline = time::monotonic_ns() + 20_000_000_000;
    while failed.load(Ordering::Relaxed) < 20 {
        assert!(time::monotonic_ns() < deadline, "{failed:?} of 20 have got their error");
        sched::sleep_until(time::monotonic_ns() + 1_000_000);
    }
    assert!(share.device.is_reset() && !share.device.was_robbed());
}

#[kernel_test]
fn a_device_that_breaks_the_rules_of_queues_is_stopped() {
    let lies: [fn(&Chain) -> Act; 3] =
        [|chain| Act::Done(chain.room() as u32 + 1), |_| Act::Other(40, 7), |_| Act::Other(u32::MAX, 0)];
    for lie in lies {
        let share = Share::honest();
        let caller = share.caller();
        share.device.resume(Box::new(lie));
        assert_eq!(errno(names(&caller, 9)), Some(Errno::EIO));
        wait_for_reset(&share.device);
        assert!(!share.device.was_robbed());
    }
}
