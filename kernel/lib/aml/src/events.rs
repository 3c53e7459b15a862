//! What happens while the machine runs. An event of the chipset has a method in `\_GPE`: `_Lxx` if it is raised for as long as
//! its reason lasts, `_Exx` if once, with the event's number in hexadecimal. Such a method finds out what has happened and
//! says it to a device by `Notify`, which is noted here and [taken](Interpreter::take_notifications) by whoever
//! has evaluated the method.
//!
//! Source: ACPI Specification 6.5, 5.6.4 (events), 5.6.6 (values of notifications), 6.3.3 (_EJx), 7.3.13 (_PRW).

use crate::machine::Interpreter;
use crate::namespace::{NodeId, Object};
use crate::stacks::Target;
use crate::value::{Reference, Value};
use crate::{Error, segment};
use alloc::vec::Vec;

/// Notifications that are not taken yet at most.
const MAX_NOTIFICATIONS: usize = 1024;

/// Values of notifications that every device may get.
pub mod notice {
    /// What is behind the device may have changed.
    pub const BUS_CHECK: u64 = 0;
    /// The device may have come or gone.
    pub const DEVICE_CHECK: u64 = 1;
    /// The device is to go.
    pub const EJECT: u64 = 3;
    /// The power button was pressed.
    pub const PRESSED: u64 = 0x80;
}

/// PNP0C0C, a power button, as the compressed identifier that a number is.
const POWER_BUTTON: u64 = 0x0c0c_d041;

/// Something was said to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The device.
    pub node: NodeId,
    /// What it is told.
    pub value: u64,
}

/// The method of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMethod {
    /// The event.
    pub number: u8,
    /// The method.
    pub method: NodeId,
    /// It is raised once; else as long as its reason lasts.
    pub is_edge: bool,
}

impl Interpreter<'_> {
    /// The methods of events, by number.
    pub fn event_methods(&self) -> Vec<EventMethod> {
        let Some(scope) = self.child(self.root(), segment("_GPE")) else { return Vec::new() };
        let is_method = |node: &NodeId| matches!(self.namespace.object(*node), Some(Object::Method(_)));
        let nodes = self.nodes().into_iter();
        let methods = nodes.filter(|node| *node != scope && self.parent(*node) == scope).filter(is_method);
        let mut methods: Vec<_> = methods
            .filter_map(|method| {
                let [b'_', kind @ (b'E' | b'L'), high, low] = self.namespace.name(method)? else {
                    return None;
                };
                let number = u8::from_str_radix(core::str::from_utf8(&[high, low]).ok()?, 16).ok()?;
                Some(EventMethod { number, method, is_edge: kind == b'E' })
            })
            .collect();
        methods.sort_by_key(|method| method.number);
        methods
    }

    /// Events that only wake the machine from sleep, as far as devices say so.
    pub fn wake_events(&mut self) -> Vec<u8> {
        let mut events = Vec::new();
        for device in self.devices() {
            let told = self.evaluate_child(device, segment("_PRW"), &[]);
            let Ok(Some(told)) = told else { continue };
            let first = told.as_elements().and_then(|elements| elements.first()?.as_integer());
            events.extend(first.and_then(|number| u8::try_from(number).ok()));
        }
        events
    }

    /// What was said to devices since this was asked before, in order.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        let count = self.namespace.len();
        let mut notifications = core::mem::take(&mut self.notifications);
        // What a method had made has gone with it.
        notifications.retain(|notification| (notification.node.0 as usize) < count);
        notifications
    }

    pub(crate) fn note(&mut self, target: &Target, value: u64) -> Result<(), Error> {
        let node = match target {
            Target::Place(Reference::Node(node)) => *node,
            target => match self.variable(target)? {
                Value::Reference(Reference::Node(node)) => *node,
                _ => return Err(Error::Type("Notify")),
            },
        };
        if self.notifications.len() >= MAX_NOTIFICATIONS {
            return Err(Error::TooMuch("notifications"));
        }
        self.notifications.push(Notification { node, value });
        Ok(())
    }

    /// Bus and device of a node that stands for a function of PCI, or for a slot.
    pub fn pci_place(&mut self, node: NodeId) -> Option<(u8, u8)> {
        let address = self.evaluate_child(node, segment("_ADR"), &[]).ok()??.as_integer()?;
        let bus = self.bus_of(self.parent(node)).ok()?;
        let device = u8::try_from(address >> 16).ok().filter(|device| *device < 32)?;
        Some((bus, device))
    }

    /// Takes the power from a device, and lets it go.
    ///
    /// # Errors
    /// That of the method.
    pub fn eject(&mut self, node: NodeId) -> Result<(), Error> {
        self.evaluate_child(node, segment("_EJ0"), &[Value::Integer(1)]).map(drop)
    }

    /// Whether a node is a power button.
    pub fn is_power_button(&mut self, node: NodeId) -> bool {
        let id = self.evaluate_child(node, segment("_HID"), &[]).ok().flatten();
        id.is_some_and(|id| {
            id.as_integer() == Some(POWER_BUTTON) || id.as_text().is_some_and(|text| text == b"PNP0C0C")
        })
    }
}
