//! PCI Express ports: bridges that lead to other functions, some of them with a slot in which functions come and go while
//! the system runs.
//!
//! The interrupt only notes what has happened at a slot; a thread does what follows from it, for all slots, as a device's
//! driver may sleep:
//!
//! * Something is put in: it gets power, its registers get places in what the bridge passes on, and it goes to its driver.
//! * The button is pressed (QEMU's `device_del`): the power indicator blinks for five seconds, in which another press takes
//!   it back; then the driver gives the device back, and the power goes. A driver that cannot do that keeps its device.
//! * Something is pulled out: its driver is told afterwards.
//!
//! Firmware may want to do all this itself; then [`firmware::lets_us_plug`] says so, and slots are left to
//! `firmware_events.rs`.
//!
//! Source: PCI Express Base Specification 5.0, section 6.7; PCI Hot-Plug Specification 1.1, section 3.1.

use super::coming::{self, wait_until};
use super::{BUS, Interrupts, PciDevice, PciFunction, Space, firmware};
use crate::device::bus::{Device, Driver, InService, Kept};
use crate::error::{Error, Result};
use crate::sched::{self, wait::WaitQueue};
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU16, Ordering};
use machine::irq::Handled;
use machine::sync::SpinLock;
use machine::time;
use pci_config::slot::{self, Events, Indicator, Power, Slot};
use pci_config::{Bridge, Capability, Kind, register::command};

/// Class code of a bridge to another PCI bus, without the interface.
const CLASS: u32 = 0x06_04;

/// In which time a press of the button can be taken back.
const SECOND_THOUGHTS_NS: u64 = 5_000_000_000;
/// How long the link may take to come up (section 6.6.1).
const LINK_LIMIT_NS: u64 = 1_000_000_000;
/// How long power has to be off before it may come again (section 6.7.1.8).
const REST_NS: u64 = 1_000_000_000;
/// How long the port may take for a command (section 6.7.3.2).
const COMMAND_LIMIT_NS: u64 = 1_000_000_000;

/// All slots.
static SLOTS: SpinLock<Vec<Arc<Place>>> = SpinLock::new("pci slots", Vec::new());
static NEWS: WaitQueue = WaitQueue::named("pci-hotplug");

/// The driver.
pub(crate) struct PortDriver;

impl Driver<PciDevice> for PortDriver {
    fn name(&self) -> &'static str {
        "pcieport"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        let address = device.function().address;
        device.function().class >> 8 == CLASS
            && express(device).is_some_and(|express| slot::is_port(&Space, address, express.offset))
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<Box<dyn InService>> {
        let function = device.claim(self.name())?;
        function.change_command(command::IO | command::MEMORY | command::BUS_MASTER, 0);
        let express = express(device).ok_or(Error::new(Errno::ENODEV, "no PCI Express"))?;
        let address = function.device().function().address;
        let slot = Slot::read(&Space, address, express.offset).filter(|_| firmware::lets_us_plug());
        match (slot, device.function().kind) {
            (Some(slot), Kind::Bridge(bridge)) if bridge.secondary > address.bus => {
                let place = Place::new(function, slot, bridge)?;
                log::info!("pci: {address}: slot {}, for hot-plug", slot.number());
                SLOTS.lock().push(place);
                Ok(Box::new(Kept))
            }
            _ => Ok(Box::new(Port { _function: function })),
        }
    }
}

fn express(device: &PciDevice) -> Option<Capability> {
    device.capabilities().iter().find(|capability| capability.id == Capability::PCI_EXPRESS).copied()
}

/// A port without a slot, or with one that is the firmware's.
struct Port {
    _function: PciFunction,
}

impl InService for Port {
    fn is_removable(&self) -> bool {
        false
    }

    fn remove(self: Box<Self>) {}
}

/// What is with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without power, until then at least.
    Off(u64),
    /// It gets power then, if the button is not pressed again.
    GoingOn(u64),
    /// With power; what is in it is in use.
    On,
    /// It loses power then, if the button is not pressed again.
    GoingOff(u64),
}

/// A slot in service. Its state is changed by the one thread.
struct Place {
    function: PciFunction,
    slot: Slot,
    bridge: Bridge,
    state: SpinLock<State>,
    /// What has happened and was not looked at yet.
    events: AtomicU16,
    interrupts: Interrupts,
}

impl Place {
    fn new(function: PciFunction, slot: Slot, bridge: Bridge) -> Result<Arc<Self>> {
        let interrupts = function.interrupts(slot.message() + 1)?;
        let is_on = slot.is_occupied(&Space) && slot.is_powered(&Space);
        let state = SpinLock::new("pci slot", if is_on { State::On } else { State::Off(0) });
        let place = Arc::new(Self { function, slot, bridge, state, events: AtomicU16::new(0), interrupts });
        let weak = Arc::downgrade(&place);
        let handler = move || weak.upgrade().map_or(Handled::No, |place| place.interrupt());
        // With fewer messages than it says all arrive at the last one.
        let index = slot.message().min(place.interrupts.count() - 1);
        place.interrupts.set_handler(index, "pciehp", Box::new(handler));
        Ok(place)
    }

    /// Notes what has happened. In interrupt context.
    fn interrupt(&self) -> Handled {
        let mut handled = Handled::No;
        loop {
            let events = self.slot.take_events(&Space);
            if events.bits() == 0 {
                return handled;
            }
            self.events.fetch_or(events.bits(), Ordering::AcqRel);
            NEWS.wake_all();
            handled = Handled::Yes;
        }
    }

    fn number(&self) -> u32 {
        self.slot.number()
    }

    fn state(&self) -> State {
        *self.state.lock()
    }

    fn set_state(&self, state: State) {
        *self.state.lock() = state;
    }

    /// Whether there is something to do now.
    fn is_due(&self, now: u64) -> bool {
        self.events.load(Ordering::Acquire) != 0 || self.wake_at().is_some_and(|time| time <= now)
    }

    /// When there is something to do if nothing happens.
    fn wake_at(&self) -> Option<u64> {
        match self.state() {
            State::GoingOn(time) | State::GoingOff(time) => Some(time),
            State::Off(_) | State::On => None,
        }
    }

    /// Does what follows from what has happened, and from the time. Sleeps.
    fn look(&self, now: u64) {
        let events = Events::from_bits(self.events.swap(0, Ordering::AcqRel));
        if events.has_power_fault() {
            log::error!("pci: slot {}: the power has failed", self.number());
            self.slot.set_attention(&Space, Indicator::On);
        }
        let is_usable = self.slot.is_occupied(&Space) && self.slot.is_linked(&Space);
        match self.state() {
            State::On | State::GoingOff(_) if events.has_change() && !is_usable => {
                log::warn!("pci: slot {}: what was in it is gone", self.number());
                self.switch_off();
            }
            // What is put in is wanted; the link comes with the power.
            State::Off(rest) | State::GoingOn(rest)
                if events.has_change() && self.slot.is_occupied(&Space) =>
            {
                self.set_state(State::GoingOn(rest.min(now + REST_NS)));
            }
            State::GoingOn(_) if events.has_change() => self.set_state(State::Off(now)),
            State::On if events.has_button() => {
                log::info!("pci: slot {}: what is in it is to go", self.number());
                self.command(Power::On, Indicator::Blinking);
                self.set_state(State::GoingOff(now + SECOND_THOUGHTS_NS));
            }
            State::GoingOff(_) if events.has_button() => {
                log::info!("pci: slot {}: it stays", self.number());
                self.command(Power::On, Indicator::On);
                self.set_state(State::On);
            }
            State::Off(_) if events.has_button() => {
                self.command(Power::Off, Indicator::Blinking);
                self.set_state(State::GoingOn(now + SECOND_THOUGHTS_NS));
            }
            State::GoingOn(_) if events.has_button() => {
                self.command(Power::Off, Indicator::Off);
                self.set_state(State::Off(now));
            }
            _ => {}
        }
        match self.state() {
            State::GoingOff(time) if time <= now => self.give_back(),
            State::GoingOn(time) if time <= now => self.switch_on(),
            _ => {}
        }
    }

    /// Functions that are in the slot, bridges after what is behind them.
    fn devices(&self) -> Vec<Arc<PciDevice>> {
        let buses = self.bridge.secondary..=self.bridge.subordinate;
        let mut devices = BUS.devices();
        devices.retain(|device| buses.contains(&device.function().address.bus));
        devices.reverse();
        devices
    }

    /// Takes the devices from their drivers and the power from them, unless a driver cannot do without.
    fn give_back(&self) {
        if let Some(device) = coming::that_stays(&self.devices()) {
            let (name, driver) = (device.node().name(), device.node().driver().unwrap_or("nobody"));
            log::warn!("pci: slot {}: {name} stays: {driver} cannot give it back", self.number());
            self.command(Power::On, Indicator::On);
            return self.set_state(State::On);
        }
        self.switch_off();
    }

    fn switch_off(&self) {
        coming::take_out(self.devices());
        self.command(Power::Off, Indicator::Off);
        self.set_state(State::Off(time::monotonic_ns() + REST_NS));
    }

    /// Gives power to what is in the slot and has it taken into service.
    fn switch_on(&self) {
        self.slot.set_attention(&Space, Indicator::Off);
        self.command(Power::On, Indicator::Blinking);
        match self.take_in() {
            Ok(count) => {
                log::info!("pci: slot {}: {count} functions have come", self.number());
                self.command(Power::On, Indicator::On);
                self.set_state(State::On);
            }
            Err(error) => {
                log::error!("pci: slot {}: what is in it cannot be used: {error}", self.number());
                self.slot.set_attention(&Space, Indicator::On);
                self.command(Power::Off, Indicator::Off);
                self.set_state(State::Off(time::monotonic_ns() + REST_NS));
            }
        }
    }

    /// Waits for the link, then for what is in the slot. Tells how many functions there are.
    fn take_in(&self) -> Result<usize> {
        if !wait_until(LINK_LIMIT_NS, || self.slot.is_linked(&Space)) {
            return Err(Error::new(Errno::ENODEV, "the link does not come up"));
        }
        coming::take_in(self.function.device(), self.bridge, 0)
    }

    /// Gives the slot a command, when the one before is done.
    fn command(&self, power: Power, indicator: Indicator) {
        self.slot.set_power(&Space, power, indicator);
        if self.slot.has_slow_commands()
            && !wait_until(COMMAND_LIMIT_NS, || self.slot.is_command_done(&Space))
        {
            log::debug!("pci: slot {}: a command takes too long", self.number());
        }
    }
}

/// Begins to look after the slots, if there are any. All functions that are there have been found.
///
/// # Errors
/// ENOMEM.
pub(super) fn start() -> Result<()> {
    let slots = SLOTS.lock().clone();
    if slots.is_empty() {
        return Ok(());
    }
    sched::spawn("pci-hotplug", run)?;
    for place in slots {
        place.slot.let_events_in(&Space);
        // What came or went while the system was starting.
        let is_there = place.slot.is_occupied(&Space);
        if is_there != (place.state() == State::On) {
            place.events.fetch_or(Events::CHANGE.bits(), Ordering::AcqRel);
            NEWS.wake_all();
        }
    }
    Ok(())
}

fn run() {
    loop {
        let slots = SLOTS.lock().clone();
        let wake_at = slots.iter().filter_map(|place| place.wake_at()).min().unwrap_or(u64::MAX);
        let is_due = || {
            let now = time::monotonic_ns();
            slots.iter().any(|place| place.is_due(now)).then_some(())
        };
        // When the time is over it looks again as well.
        let _ = NEWS.wait_for_work_until(wake_at, is_due);
        slots.iter().for_each(|place| place.look(time::monotonic_ns()));
    }
}
