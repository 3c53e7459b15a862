//! A slot behind a PCI Express port into which devices are put and from which they are taken while the machine runs
//! ("hot-plug": PCI Express Base Specification 5.0, sections 6.7 and 7.5.3).
//!
//! The registers only; what is done in which order is the kernel's. Events are noted by the slot until they are
//! [taken](Slot::take_events), and raise the port's interrupt while one is noted that is [let in](Slot::let_events_in).

use crate::{Address, ConfigSpace};

/// Registers of the PCI Express capability.
mod register {
    pub(super) const CAPABILITIES: u16 = 0x02;
    pub(super) const LINK_CAPABILITIES: u16 = 0x0c;
    pub(super) const LINK_STATUS: u16 = 0x12;
    pub(super) const SLOT_CAPABILITIES: u16 = 0x14;
    pub(super) const SLOT_CONTROL: u16 = 0x18;
    pub(super) const SLOT_STATUS: u16 = 0x1a;
}

/// In the capabilities register: the kind of port, a slot is there, which message interrupts are.
const KIND_SHIFT: u16 = 4;
const KIND_MASK: u16 = 0xf;
const HAS_SLOT: u16 = 1 << 8;
const MESSAGE_SHIFT: u16 = 9;
const MESSAGE_MASK: u16 = 0x1f;
/// In the link's capabilities and status: it tells whether it works, and does.
const REPORTS_LINK: u32 = 1 << 20;
const LINK_WORKS: u16 = 1 << 13;

/// In the slot's capabilities.
mod ability {
    pub(super) const BUTTON: u32 = 1 << 0;
    pub(super) const POWER: u32 = 1 << 1;
    pub(super) const HOT_PLUG: u32 = 1 << 6;
    pub(super) const NO_COMPLETION: u32 = 1 << 18;
    pub(super) const NUMBER_SHIFT: u32 = 19;
}

/// In the slot's control register.
mod control {
    pub(super) const BUTTON: u16 = 1 << 0;
    pub(super) const POWER_FAULT: u16 = 1 << 1;
    pub(super) const PRESENCE: u16 = 1 << 3;
    pub(super) const INTERRUPT: u16 = 1 << 5;
    pub(super) const ATTENTION_SHIFT: u16 = 6;
    pub(super) const INDICATOR_SHIFT: u16 = 8;
    pub(super) const INDICATOR_MASK: u16 = 3;
    pub(super) const POWER_OFF: u16 = 1 << 10;
    pub(super) const LINK: u16 = 1 << 12;
}

/// In the slot's status register.
mod status {
    pub(super) const BUTTON: u16 = 1 << 0;
    pub(super) const POWER_FAULT: u16 = 1 << 1;
    pub(super) const PRESENCE_CHANGED: u16 = 1 << 3;
    pub(super) const COMMAND_DONE: u16 = 1 << 4;
    pub(super) const PRESENT: u16 = 1 << 6;
    pub(super) const LINK_CHANGED: u16 = 1 << 8;
    pub(super) const EVENTS: u16 = BUTTON | POWER_FAULT | PRESENCE_CHANGED | COMMAND_DONE | LINK_CHANGED;
}

/// What an indicator shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indicator {
    /// It is lit.
    On = 1,
    /// It blinks.
    Blinking = 2,
    /// It is dark.
    Off = 3,
}

/// Whether the slot gives power to what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// What has happened at a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u16);

impl Events {
    /// From what [`bits`](Self::bits) gave.
    pub fn from_bits(bits: u16) -> Events {
        Events(bits)
    }

    /// Something came or went.
    pub const CHANGE: Events = Events(status::PRESENCE_CHANGED);

    /// As a number, for atomics. 0: nothing has happened.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Somebody pressed the attention button.
    pub fn has_button(self) -> bool {
        self.0 & status::BUTTON != 0
    }

    /// The power failed.
    pub fn has_power_fault(self) -> bool {
        self.0 & status::POWER_FAULT != 0
    }

    /// Something came or went, or its link did.
    pub fn has_change(self) -> bool {
        self.0 & (status::PRESENCE_CHANGED | status::LINK_CHANGED) != 0
    }
}

/// A slot for hot-plug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    address: Address,
    /// Offset of the PCI Express capability.
    offset: u16,
    abilities: u32,
    reports_link: bool,
    message: u16,
}

/// Whether a PCI Express capability is that of a port to which something is connected: root, upstream, downstream port.
pub fn is_port(space: &dyn ConfigSpace, address: Address, capability: u16) -> bool {
    let kind = space.read_u16(address, capability + register::CAPABILITIES) >> KIND_SHIFT & KIND_MASK;
    matches!(kind, 4..=6)
}

impl Slot {
    /// The slot of the port whose PCI Express capability is at `offset`; `None`: it has none, or not for hot-plug.
    pub fn read(space: &dyn ConfigSpace, address: Address, offset: u16) -> Option<Slot> {
        let capabilities = space.read_u16(address, offset + register::CAPABILITIES);
        let abilities = space.read(address, offset + register::SLOT_CAPABILITIES);
        let is_root_or_downstream = matches!(capabilities >> KIND_SHIFT & KIND_MASK, 4 | 6);
        if !is_root_or_downstream || capabilities & HAS_SLOT == 0 || abilities & ability::HOT_PLUG == 0 {
            return None;
        }
        let reports_link = space.read(address, offset + register::LINK_CAPABILITIES) & REPORTS_LINK != 0;
        let message = capabilities >> MESSAGE_SHIFT & MESSAGE_MASK;
        Some(Slot { address, offset, abilities, reports_link, message })
    }

    /// Its number on the machine's case.
    pub fn number(&self) -> u32 {
        self.abilities >> ability::NUMBER_SHIFT
    }

    /// Which of the port's interrupt messages tells of its events.
    pub fn message(&self) -> usize {
        self.message.into()
    }

    /// Whether its power can be switched.
    pub fn has_power_switch(&self) -> bool {
        self.abilities & ability::POWER != 0
    }

    /// Whether commands take time, until [`is_command_done`](Self::is_command_done).
    pub fn has_slow_commands(&self) -> bool {
        self.abilities & ability::NO_COMPLETION == 0
    }

    /// Whether the last command was carried out. Says it once.
    pub fn is_command_done(&self, space: &dyn ConfigSpace) -> bool {
        let is_done = self.status(space) & status::COMMAND_DONE != 0;
        if is_done {
            self.acknowledge(space, status::COMMAND_DONE);
        }
        is_done
    }

    /// Whether something is in it. A port that is gone itself has nothing.
    pub fn is_occupied(&self, space: &dyn ConfigSpace) -> bool {
        let status = self.status(space);
        status != u16::MAX && status & status::PRESENT != 0
    }

    /// Whether what is in it can be talked to, as far as the port tells.
    pub fn is_linked(&self, space: &dyn ConfigSpace) -> bool {
        let link = space.read_u16(self.address, self.offset + register::LINK_STATUS);
        !self.reports_link || (link != u16::MAX && link & LINK_WORKS != 0)
    }

    /// Whether what is in it has power.
    pub fn is_powered(&self, space: &dyn ConfigSpace) -> bool {
        !self.has_power_switch() || self.control(space) & control::POWER_OFF == 0
    }

    /// What has happened since this was asked before. In any context.
    pub fn take_events(&self, space: &dyn ConfigSpace) -> Events {
        let status = self.status(space);
        if status == u16::MAX {
            return Events::default();
        }
        // That a command is done is for who gave it.
        let events = status & status::EVENTS & !status::COMMAND_DONE;
        if events != 0 {
            self.acknowledge(space, events);
        }
        Events(events)
    }

    /// Has all events raise the interrupt; what has happened before is forgotten.
    pub fn let_events_in(&self, space: &dyn ConfigSpace) {
        self.acknowledge(space, status::EVENTS);
        let button = if self.abilities & ability::BUTTON != 0 { control::BUTTON } else { 0 };
        let fault = if self.has_power_switch() { control::POWER_FAULT } else { 0 };
        let link = if self.reports_link { control::LINK } else { 0 };
        let wanted = button | fault | link | control::PRESENCE | control::INTERRUPT;
        self.set_control(space, self.control(space) | wanted);
    }

    /// A command: switches the power, if that can be switched, and shows it.
    pub fn set_power(&self, space: &dyn ConfigSpace, power: Power, indicator: Indicator) {
        let switch = if power == Power::Off && self.has_power_switch() { control::POWER_OFF } else { 0 };
        let kept =
            self.control(space) & !(control::POWER_OFF | control::INDICATOR_MASK << control::INDICATOR_SHIFT);
        self.set_control(space, kept | switch | (indicator as u16) << control::INDICATOR_SHIFT);
    }

    /// A command: shows whether somebody should look after the slot.
    pub fn set_attention(&self, space: &dyn ConfigSpace, indicator: Indicator) {
        let kept = self.control(space) & !(control::INDICATOR_MASK << control::ATTENTION_SHIFT);
        self.set_control(space, kept | (indicator as u16) << control::ATTENTION_SHIFT);
    }

    fn control(&self, space: &dyn ConfigSpace) -> u16 {
        space.read_u16(self.address, self.offset + register::SLOT_CONTROL)
    }

    fn set_control(&self, space: &dyn ConfigSpace, value: u16) {
        space.write_u16(self.address, self.offset + register::SLOT_CONTROL, value);
    }

    fn status(&self, space: &dyn ConfigSpace) -> u16 {
        space.read_u16(self.address, self.offset + register::SLOT_STATUS)
    }

    /// Bits of the status go when they are written as ones.
    fn acknowledge(&self, space: &dyn ConfigSpace, bits: u16) {
        space.write_u16(self.address, self.offset + register::SLOT_STATUS, bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{FakeSpace, at};
    use std::cell::Cell;

    const PORT: Address = at(0, 3, 0);
    const OFFSET: u16 = 0x54;

    /// A port with a slot, whose status goes bit by bit as it is acknowledged.
    struct Port {
        space: FakeSpace,
        status: Cell<u16>,
    }

    impl ConfigSpace for Port {
        fn read(&self, address: Address, offset: u16) -> u32 {
            let value = self.space.read(address, offset);
            if offset == OFFSET + 0x18 { value & 0xffff | u32::from(self.status.get()) << 16 } else { value }
        }

        fn write(&self, address: Address, offset: u16, value: u32) {
            self.space.write(address, offset, value);
        }

        fn write_u16(&self, address: Address, offset: u16, value: u16) {
            match offset - OFFSET {
                0x1a => self.status.set(self.status.get() & !(value & status::EVENTS)),
                0x18 => self.space.write(address, offset, value.into()),
                other => panic!("nothing else is written: {other:#x}"),
            }
        }
    }

    fn port(capabilities: u32, abilities: u32) -> Port {
        let space = FakeSpace::default();
        space.add(PORT, 0x000c_1b36, 0x0604_0000, 1);
        space.set(PORT, OFFSET, capabilities << 16 | 0x10, 0);
        space.set(PORT, OFFSET + 0x0c, 1 << 20, 0);
        space.set(PORT, OFFSET + 0x10, 0, 0);
        space.set(PORT, OFFSET + 0x14, abilities, 0);
        space.set(PORT, OFFSET + 0x18, 0x07c0, 0xffff);
        Port { space, status: Cell::new(0) }
    }

    #[test]
    fn only_slots_for_hot_plug_of_ports_count() {
        let find = |capabilities, abilities| Slot::read(&port(capabilities, abilities), PORT, OFFSET);
        let slot = find(0x0742, 5 << 19 | 0x4b).expect("a root port's");
        assert_eq!((slot.number(), slot.message()), (5, 3));
        assert!(find(0x0162, 0x4b).is_some(), "a downstream port's");
        assert!(find(0x0152, 0x4b).is_none(), "an upstream port has none");
        assert!(find(0x0042, 0x4b).is_none(), "no slot");
        assert!(find(0x0142, 0x0b).is_none(), "not while the machine runs");
        assert!(is_port(&port(0x0152, 0), PORT, OFFSET));
        assert!(!is_port(&port(0x0102, 0), PORT, OFFSET), "an endpoint");
    }

    #[test]
    fn events_are_told_once_and_others_kept() {
        let port = port(0x0142, 0x4b);
        let slot = Slot::read(&port, PORT, OFFSET).expect("it is one");
        port.status.set(!(1 << 15));
        slot.let_events_in(&port);
        assert_eq!(port.space.read_u16(PORT, OFFSET + 0x18), 0x17eb);
        assert_eq!(slot.take_events(&port), Events::default());
        port.status.set(status::BUTTON | status::PRESENCE_CHANGED | status::COMMAND_DONE | status::PRESENT);
        let events = slot.take_events(&port);
        assert!(events.has_button() && events.has_change() && !events.has_power_fault());
        assert_eq!(slot.take_events(&port).bits(), 0);
        assert!(slot.is_command_done(&port) && !slot.is_command_done(&port));
        assert!(slot.is_occupied(&port));
    }

    #[test]
    fn power_and_what_it_shows_change_at_once() {
        let port = port(0x0142, 0x4b);
        let slot = Slot::read(&port, PORT, OFFSET).expect("it is one");
        assert!(!slot.is_powered(&port));
        slot.set_power(&port, Power::On, Indicator::Blinking);
        assert_eq!(port.space.read_u16(PORT, OFFSET + 0x18), 0x02c0);
        assert!(slot.is_powered(&port));
        slot.set_power(&port, Power::Off, Indicator::Off);
        slot.set_attention(&port, Indicator::On);
        assert_eq!(port.space.read_u16(PORT, OFFSET + 0x18), 0x0740);
    }

    #[test]
    fn a_port_that_is_gone_has_nothing() {
        let port = port(0x0142, 0x4b);
        let slot = Slot::read(&port, PORT, OFFSET).expect("it is one");
        port.status.set(0xffff);
        port.space.set(PORT, OFFSET + 0x10, u32::MAX, 0);
        assert!(!slot.is_occupied(&port) && !slot.is_linked(&port));
        assert_eq!(slot.take_events(&port), Events::default());
    }
}
