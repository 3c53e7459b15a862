//! What happens that the firmware's code has to look at: a device is put in or is to go, the power button is pressed.
//!
//! The chipset interrupts when an event has happened (the "SCI"). The interrupt only notes which; the thread that has the
//! code runs the method of each event, which finds out what it means and notifies devices:
//!
//! * A slot of PCI is to be looked at: what is in it now and was not goes to its driver, what is not there any more is taken from it.
//! * What is in a slot is to go (QEMU's `device_del`): its driver gives it back, and the firmware lets it go (`_EJ0`). A driver
//!   that cannot do that keeps its device.
//! * The power button was pressed (QEMU's `system_powerdown`): the first process is asked to switch the machine off.
//!
//! An event without a method is never let in. One that comes all the time is not listened to any more.
//!
//! Source: ACPI Specification 6.5, sections 4.8.2 (power button), 5.6.4 (events), 6.3 (removal and insertion).

use super::{BUS, Device, PciDevice, Space, coming};
use crate::process::{signal::send_to_process, tree};
use crate::sched::wait::WaitQueue;
use abi::signal::{SI_KERNEL, SigInfo, Signal};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use aml::events::{EventMethod, Notification, notice};
use aml::{Interpreter, NodeId};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::acpi;
use machine::io::acpi_events::{Event, EventRegisters};
use machine::irq::{Claim, Handled, IrqLine, Trigger};
use machine::time;
use pci_config::{Bridge, Kind, functions_of};

/// An event that comes more often within a second is switched off.
const MOST_PER_SECOND: u32 = 100;
const SECOND_NS: u64 = 1_000_000_000;

/// All functions that were there at boot have their drivers.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static NEWS: WaitQueue = WaitQueue::named("acpi-events");
/// What has happened and was not looked at: a bit for each general-purpose event; the power button.
static GENERAL: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static IS_PRESSED: AtomicBool = AtomicBool::new(false);

/// Events may be looked at from now on.
pub(super) fn begin() {
    HAS_BEGUN.store(true, Ordering::Release);
    NEWS.wake_all();
}

/// Looks after events, as long as the system runs if there are any. May sleep.
pub(super) fn serve(interpreter: &mut Interpreter<'_>) {
    NEWS.wait_for_work(|| HAS_BEGUN.load(Ordering::Acquire).then_some(()));
    let Some(registers) = acpi::platform().events.as_ref() else { return };
    registers.disarm_all();
    if !registers.take_over() {
        return log::warn!("acpi: the firmware keeps its events to itself");
    }
    let line = match claim(registers) {
        Ok(line) => line,
        Err(error) => return log::warn!("acpi: no interrupt for events: {error:?}"),
    };
    line.set_handler("acpi", Box::new(move || interrupt(registers)));
    let wake = interpreter.wake_events();
    let mut methods = interpreter.event_methods();
    methods.retain(|method| !wake.contains(&method.number));
    // What happened before anybody listened was seen by whoever looked for devices.
    interpreter.take_notifications();
    for event in methods.iter().map(|method| Event::General(method.number)).chain([Event::PowerButton]) {
        registers.forget(event);
        registers.arm(event);
    }
    log::debug!("acpi: {} events have methods", methods.len());
    Server { registers, methods: methods.into_iter().map(|method| (method, Pace::default())).collect() }
        .run(interpreter);
}

/// The interrupt: a level, active low unless the firmware says otherwise.
fn claim(registers: &EventRegisters) -> Result<IrqLine, machine::irq::IrqError> {
    let number = registers.interrupt();
    let is_told = |irq: u8| acpi::platform().interrupts.overrides.iter().any(|told| told.isa_irq == irq);
    match u8::try_from(number) {
        Ok(irq) if is_told(irq) => IrqLine::claim_isa(irq, Claim::Shared),
        _ => IrqLine::claim_wired(number.into(), Trigger::LowLevel, Claim::Shared),
    }
}

/// Notes what has happened. In interrupt context.
fn interrupt(registers: &EventRegisters) -> Handled {
    let mut handled = Handled::No;
    registers.take(&mut |event| {
        handled = Handled::Yes;
        match event {
            Event::PowerButton => IS_PRESSED.store(true, Ordering::Release),
            Event::General(number) => {
                GENERAL[usize::from(number / 64)].fetch_or(1 << (number % 64), Ordering::AcqRel);
            }
        }
    });
    if handled == Handled::Yes {
        NEWS.wake_all();
    }
    handled
}

fn take_general(number: u8) -> bool {
    let bit = 1 << (number % 64);
    GENERAL[usize::from(number / 64)].fetch_and(!bit, Ordering::AcqRel) & bit != 0
}

/// How often an event came lately.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    since: u64,
    count: u32,
}

impl Pace {
    /// It came once more: whether that is too often.
    fn is_too_much(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.since) > SECOND_NS {
            *self = Pace { since: now, count: 0 };
        }
        self.count += 1;
        self.count > MOST_PER_SECOND
    }
}

struct Server<'r> {
    registers: &'r EventRegisters,
    methods: Vec<(EventMethod, Pace)>,
}

impl Server<'_> {
    fn run(&mut self, interpreter: &mut Interpreter<'_>) {
        let has_news = || {
            let is_raised = GENERAL.iter().any(|word| word.load(Ordering::Acquire) != 0);
            (is_raised || IS_PRESSED.load(Ordering::Acquire)).then_some(())
        };
        loop {
            NEWS.wait_for_work(has_news);
            if IS_PRESSED.swap(false, Ordering::AcqRel) {
                end_system();
            }
            for index in 0..self.methods.len() {
                if take_general(self.methods[index].0.number) {
                    self.handle(interpreter, index);
                }
            }
        }
    }

    /// Runs the method of an event, and does what it says.
    fn handle(&mut self, interpreter: &mut Interpreter<'_>, index: usize) {
        let (EventMethod { number, method, is_edge }, pace) = &mut self.methods[index];
        if pace.is_too_much(time::monotonic_ns()) {
            return log::error!("acpi: event {number:#x} comes all the time; it is not listened to any more");
        }
        let event = Event::General(*number);
        // What is raised once may come again while it is looked at; what lasts is over only then.
        if *is_edge {
            self.registers.forget(event);
        }
        if let Err(error) = interpreter.evaluate(*method, &[]) {
            log::warn!("acpi: {}: {error}", interpreter.path(*method));
        }
        if !*is_edge {
            self.registers.forget(event);
        }
        self.registers.arm(event);
        for notification in interpreter.take_notifications() {
            obey(interpreter, notification);
        }
    }
}

/// Does what a device was notified of.
fn obey(interpreter: &mut Interpreter<'_>, Notification { node, value }: Notification) {
    match value {
        notice::BUS_CHECK | notice::DEVICE_CHECK => look(interpreter, node),
        notice::EJECT => give_back(interpreter, node),
        notice::PRESSED if interpreter.is_power_button(node) => end_system(),
        _ => log::debug!("acpi: {} is told {value:#x}", interpreter.path(node)),
    }
}

/// The bridge to a bus, in service.
fn bridge_to(bus: u8) -> Option<(Arc<PciDevice>, Bridge)> {
    BUS.devices().into_iter().find_map(|device| match device.function().kind {
        Kind::Bridge(bridge) if bridge.secondary == bus => Some((device, bridge)),
        _ => None,
    })
}

/// Functions of a device that are in service.
fn known(bus: u8, device: u8) -> Vec<Arc<PciDevice>> {
    let mut known = BUS.devices();
    known.retain(|known| {
        let address = known.function().address;
        (address.bus, address.device) == (bus, device)
    });
    known
}

/// What is in a slot may have changed, or, of a bridge, what is behind it.
fn look(interpreter: &mut Interpreter<'_>, node: NodeId) {
    let Some((bus, device)) = interpreter.pci_place(node) else {
        return log::debug!("acpi: {} is no slot of PCI", interpreter.path(node));
    };
    let bridge = known(bus, device).iter().find_map(|known| match known.function().kind {
        Kind::Bridge(bridge) => Some(bridge.secondary),
        _ => None,
    });
    match bridge {
        Some(behind) => (0..32).for_each(|device| look_at(behind, device)),
        None => look_at(bus, device),
    }
}

fn look_at(bus: u8, device: u8) {
    let (known, is_there) = (known(bus, device), !functions_of(&Space, bus, device).is_empty());
    if is_there && known.is_empty() {
        let taken = match bridge_to(bus) {
            Some((above, bridge)) => coming::take_in(&above, bridge, device),
            None => return log::warn!("pci: bus {bus} has no bridge with addresses for what has come"),
        };
        match taken {
            Ok(count) => log::info!("pci: bus {bus} device {device}: {count} functions have come"),
            Err(error) => log::error!("pci: bus {bus} device {device}: it cannot be used: {error}"),
        }
    } else if !is_there && !known.is_empty() {
        log::warn!("pci: bus {bus} device {device}: what was there is gone");
        coming::take_out(known);
    }
}

/// What is in a slot is to go.
fn give_back(interpreter: &mut Interpreter<'_>, node: NodeId) {
    let Some((bus, device)) = interpreter.pci_place(node) else { return };
    let known = known(bus, device);
    if let Some(stays) = coming::that_stays(&known) {
        let (name, driver) = (stays.node().name(), stays.node().driver().unwrap_or("nobody"));
        return log::warn!("pci: {name} stays: {driver} cannot give it back");
    }
    log::info!("pci: bus {bus} device {device}: what is there is to go");
    coming::take_out(known);
    if let Err(error) = interpreter.eject(node) {
        log::error!("acpi: {}._EJ0: {error}", interpreter.path(node));
    }
}

/// Asks the first process to switch the machine off, as `poweroff` does.
fn end_system() {
    log::info!("acpi: the power button was pressed");
    match tree::find(1) {
        // A standard signal always finds room.
        Some(init) => {
            send_to_process(&init, Signal::SIGUSR2, SigInfo::new(Signal::SIGUSR2, SI_KERNEL)).unwrap_or(());
        }
        None => log::warn!("acpi: there is no process to end the system"),
    }
}
