//! Methods of events, and what they notify.

use super::Machine;
use super::assembler::*;
use super::routing::BRIDGE_ID;
use crate::events::{EventMethod, Notification, notice};
use crate::{Error, Interpreter, Limits, Space};
use alloc::vec::Vec;

fn notify(target: &[u8], value: &[u8]) -> Vec<u8> {
    operation(&[0x86], &[target, value])
}

const NOTHING: [u8; 1] = [0xa3];

/// A slot of PCI as QEMU has it, device 3 behind a bridge; a power button; and methods of events.
fn table() -> Vec<u8> {
    let slot = [name("_ADR", &double(0x0003_0000)), method("_EJ0", 1, &store(&argument(0), &path("GONE")))];
    let behind = [name("_ADR", &double(0x0002_0000)), device("S18_", &slot.concat())];
    let root_bridge = [name("_HID", &double(BRIDGE_ID)), device("S10_", &behind.concat())];
    let button = [name("_HID", &double(0x0c0c_d041)), name("_PRW", &package(&[byte(0x0b), byte(4)]))];
    let tell = |value: u8| call("\\_SB_.PCI0.TEL_", &[byte(value)]);
    let events = [
        method("_E01", 0, &[tell(1), tell(3)].concat()),
        method("_L1F", 0, &[name("MINE", &zero()), notify(&path("MINE"), &one())].concat()),
        method("_E0B", 0, &while_(&one(), &notify(&path("\\_SB_.PWRB"), &byte(0x80)))),
        method("_X02", 0, &NOTHING),
        method("_E0G", 0, &NOTHING),
        name("_E03", &zero()),
    ];
    let slot = [b"^", &path("S10_.S18_")[..]].concat();
    let through = method("TEL_", 1, &notify(&slot, &argument(0)));
    [
        name("GONE", &zero()),
        scope(
            "_SB_",
            &[
                device("PCI0", &[&root_bridge.concat()[..], &through].concat()),
                device("PWRB", &button.concat()),
            ]
            .concat(),
        ),
        scope("\\_GPE", &events.concat()),
    ]
    .concat()
}

#[test]
fn methods_of_events_notify_slots_which_let_go() {
    let mut machine = Machine::default();
    machine.set(Space::PciConfig { bus: 0, device: 2, function: 0 }, 0x19, &[5]);
    let mut interpreter = Interpreter::new(&mut machine, Limits::USUAL);
    interpreter.load(&table()).expect("it is well made");
    let methods = interpreter.event_methods();
    let told: Vec<_> =
        methods.iter().map(|EventMethod { number, is_edge, .. }| (*number, *is_edge)).collect();
    assert_eq!(told, [(0x01, true), (0x0b, true), (0x1f, false)]);
    assert_eq!(interpreter.wake_events(), [0x0b]);
    interpreter.evaluate(methods[0].method, &[]).expect("it can be evaluated");
    let notifications = interpreter.take_notifications();
    let [Notification { node, value: notice::DEVICE_CHECK }, second] = notifications[..] else {
        panic!("{notifications:?}");
    };
    assert_eq!(second, Notification { node, value: notice::EJECT });
    assert_eq!(interpreter.take_notifications(), []);
    assert_eq!(interpreter.path(node), "\\_SB.PCI0.S10.S18");
    assert_eq!(interpreter.pci_place(node), Some((5, 3)));
    assert!(!interpreter.is_power_button(node));
    let root = interpreter.root();
    let gone = |interpreter: &mut Interpreter<'_>| {
        interpreter.evaluate_child(root, *b"GONE", &[]).ok().flatten().and_then(|gone| gone.as_integer())
    };
    assert_eq!(gone(&mut interpreter), Some(0));
    interpreter.eject(node).expect("it can be evaluated");
    assert_eq!(gone(&mut interpreter), Some(1));
}

#[test]
fn what_a_method_made_is_not_notified_and_notifications_have_an_end() {
    let mut machine = Machine::default();
    let mut interpreter = Interpreter::new(&mut machine, Limits::USUAL);
    interpreter.load(&table()).expect("it is well made");
    let methods = interpreter.event_methods();
    interpreter.evaluate(methods[2].method, &[]).expect("it can be evaluated");
    assert_eq!(interpreter.take_notifications(), []);
    let endless = interpreter.evaluate(methods[1].method, &[]).map(|_| ());
    assert_eq!(endless, Err(Error::TooMuch("notifications")));
    let notifications = interpreter.take_notifications();
    assert_eq!(notifications.len(), 1024);
    let Notification { node, value } = notifications[7];
    assert_eq!(value, notice::PRESSED);
    assert!(interpreter.is_power_button(node));
    assert_eq!(interpreter.pci_place(node), None);
}
