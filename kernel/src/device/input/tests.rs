//! Tests of input devices: whatever a device says, programs get what its description allows, once.

use super::description::{Axis, Description, code, kind};
use super::evdev::EventFile;
use super::events::EventDevice;
use crate::device::character::CharacterDevice;
use crate::fs::file::{FileOperations, OpenFlags};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use test_macro::kernel_test;

const BUTTON: u16 = code::BTN_LEFT;

fn tablet() -> Arc<EventDevice> {
    let mut description = Description { name: "a tablet of a test".into(), ..Description::default() };
    description.add_all(kind::KEY, [BUTTON]);
    description.add_all(kind::ABS, [0, 1]);
    // Axis 1 is not described.
    description.axes.push((0, Axis { maximum: 1000, ..Axis::default() }));
    EventDevice::register(description, Box::new(|_| ()))
}

fn open(device: &Arc<EventDevice>) -> Arc<dyn FileOperations> {
    EventFile(device.clone()).open(OpenFlags::empty()).expect("there is memory")
}

/// Kind, code, value of all events that wait.
fn take(device: &EventDevice) -> Vec<(u16, u16, i32)> {
    let open = device.state.lock().open_files.iter().find_map(alloc::sync::Weak::upgrade);
    open.expect("a file is open").take_all()
}

#[kernel_test]
fn only_what_a_device_has_and_what_is_new_is_reported() {
    let device = tablet();
    let _file = open(&device);
    let syn = (kind::SYN, code::SYN_REPORT, 0);
    device.event(kind::KEY, BUTTON, 1);
    device.event(kind::KEY, BUTTON, 1);
    device.event(kind::KEY, BUTTON, 77);
    device.event(kind::KEY, BUTTON + 1, 1);
    device.event(kind::ABS, 0, 500);
    device.event(kind::ABS, 0, 500);
    device.event(kind::ABS, 1, 500);
    device.event(kind::REL, 0, 5);
    assert_eq!(take(&device), [], "nothing is said before it is complete");
    device.event(kind::SYN, 0, 0);
    device.event(kind::SYN, 0, 0);
    assert_eq!(take(&device), [(kind::KEY, BUTTON, 1), (kind::ABS, 0, 500), syn]);
    for number in [0, 2, 0x1f, 0x20, 0x2ff, 0x300, u16::MAX] {
        for other in [0, BUTTON, 0x2ff, 0x300, u16::MAX] {
            device.event(number, other, i32::MIN);
        }
    }
    assert_eq!(take(&device), []);
}

#[kernel_test]
fn who_does_not_read_in_time_is_told() {
    let device = tablet();
    let _file = open(&device);
    for value in 1..2000 {
        device.event(kind::ABS, 0, value);
        device.event(kind::SYN, 0, 0);
    }
    let all = take(&device);
    assert!(all.len() <= 256 && all[0] == (kind::SYN, code::SYN_DROPPED, 0));
    assert_eq!(all[all.len() - 2], (kind::ABS, 0, 1999));
    // More than a packet holds comes in parts, and complete.
    for value in 0..100 {
        device.event(kind::ABS, 0, value);
    }
    device.event(kind::SYN, 0, 0);
    assert_eq!(take(&device).iter().filter(|event| event.0 == kind::ABS).count(), 100);
}
