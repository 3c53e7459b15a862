//! The controller: reset, administrative commands, interrupts (sections 3.1, 5 and 7.6.1).
//!
//! Administrative commands are few and given one at a time, by threads that wait and look; interrupts are those of
//! the namespaces' queues only.

use super::namespace::{MAX_DEPTH, Namespace};
use super::pair::Pair;
use super::wire::{self, ControllerDescription, DESCRIPTION, NamespaceDescription, Words, admin};
use crate::block::registry::{self, Kind};
use crate::device::pci::{Interrupts, PciFunction};
use crate::device::registers::registers;
use crate::device::registry::Node;
use crate::error::{Error, Result};
use crate::sched;
use crate::sync::Mutex;
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use machine::irq::Handled;
use machine::mm::{DmaBuffer, Mmio};
use machine::sync::Once;
use machine::{cpu, time};

registers! {
    /// The controller's registers (section 3.1).
    struct Registers (0x38) {
        0x00 => capabilities_low: u32, ReadOnly;
        0x04 => capabilities_high: u32, ReadOnly;
        0x14 => configuration: u32, ReadWrite;
        0x1c => status: u32, ReadOnly;
        0x24 => admin_places: u32, ReadWrite;
        0x28 => admin_commands_low: u32, ReadWrite;
        0x2c => admin_commands_high: u32, ReadWrite;
        0x30 => admin_completions_low: u32, ReadWrite;
        0x34 => admin_completions_high: u32, ReadWrite;
    }
}

/// Where the bells begin.
const BELLS: usize = 0x1000;

/// In `configuration`: on; pages of 4 KiB; commands of 2^6 and completions of 2^4 bytes.
const ENABLE: u32 = 1;
const ENTRY_SIZES: u32 = 6 << 16 | 4 << 20;
/// In `status`.
const READY: u32 = 1;
const FATAL: u32 = 2;

/// Places of the administrative queues and of a namespace's.
const ADMIN_PLACES: u16 = 16;
const PLACES: u16 = MAX_DEPTH as u16 + 1;
/// How long an administrative command may take.
const ADMIN_LIMIT_NS: u64 = 10_000_000_000;
/// Namespaces that are looked at.
const MAX_NAMESPACES: usize = 32;

/// What `capabilities` says.
#[derive(Clone, Copy, Debug)]
struct Capabilities {
    /// Places of a queue at most.
    max_places: u32,
    /// How long it may take to get ready.
    limit_ns: u64,
    /// From one bell to the next, in bytes.
    bell_stride: usize,
    /// The binary logarithm of the smallest page, less 12.
    page_shift: u32,
}

impl Capabilities {
    fn read(registers: &Registers) -> Self {
        let (low, high) = (registers.capabilities_low().read(), registers.capabilities_high().read());
        Self {
            max_places: (low & 0xffff) + 1,
            limit_ns: u64::from(low >> 24).max(1) * 500_000_000,
            bell_stride: 4 << (high & 0xf),
            page_shift: high >> 16 & 0xf,
        }
    }
}

/// See the module.
pub(super) struct Controller {
    registers: Registers,
    bells: Mmio,
    capabilities: Capabilities,
    admin: Mutex<Admin>,
    description: Once<ControllerDescription>,
    namespaces: Once<Vec<Arc<Namespace>>>,
    // Dropped last, in this order: no interrupts, then no access to memory any more.
    interrupts: Interrupts,
    function: PciFunction,
}

/// What administrative commands need.
struct Admin {
    pair: Pair,
    answer: DmaBuffer,
    /// The controller did not answer, and may still write into the answer.
    is_broken: bool,
    /// It is switched off for good.
    is_gone: bool,
}

impl Controller {
    /// Takes a controller into service, as far as asking it what it is.
    pub(super) fn start(function: PciFunction) -> Result<Arc<Self>> {
        let bar = function.map_bar(0)?;
        let outside = Error::new(Errno::ENODEV, "too few registers");
        let registers = Registers::new(&bar, 0).ok_or(outside)?;
        let capabilities = Capabilities::read(&registers);
        if capabilities.page_shift != 0 {
            return Err(Error::new(Errno::ENODEV, "the controller wants larger pages"));
        }
        let bells =
            bar.len().checked_sub(BELLS).and_then(|length| bar.slice(BELLS, length)).ok_or(outside)?;
        let bell = |index| bells.slice(index * capabilities.bell_stride, 4).ok_or(outside);
        let pair = Pair::new(ADMIN_PLACES, bell(0)?, bell(1)?)?;
        let admin =
            Admin { pair, answer: DmaBuffer::allocate(DESCRIPTION)?, is_broken: false, is_gone: false };
        let interrupts = function.interrupts(cpu::count())?;
        function.enable_bus_mastering();
        let controller = Arc::new(Self {
            registers,
            bells,
            capabilities,
            admin: Mutex::new("nvme admin", admin),
            description: Once::new(),
            namespaces: Once::new(),
            interrupts,
            function,
        });
        controller.enable()?;
        let mut answer = vec![0; DESCRIPTION];
        controller.identify(admin::IDENTIFY_CONTROLLER, 0, &mut answer)?;
        let description = ControllerDescription::read(&answer, capabilities.page_shift);
        controller.description.call_once(|| description);
        Ok(controller)
    }

    /// What it says of itself.
    pub(super) fn description(&self) -> &ControllerDescription {
        self.description.get().expect("`start` has asked before anybody can see the controller")
    }

    /// Resets the controller, and gives it the administrative queues.
    fn enable(&self) -> Result<()> {
        let registers = &self.registers;
        registers.configuration().write(0);
        self.wait_ready(0)?;
        let mut admin = self.admin.lock();
        if admin.is_gone {
            return Err(Error::new(Errno::EIO, "the controller is gone"));
        }
        admin.pair.restart();
        admin.is_broken = false;
        let (commands, completions) = admin.pair.addresses();
        let places = u32::from(ADMIN_PLACES) - 1;
        registers.admin_places().write(places << 16 | places);
        registers.admin_commands_low().write(commands as u32);
        registers.admin_commands_high().write((commands >> 32) as u32);
        registers.admin_completions_low().write(completions as u32);
        registers.admin_completions_high().write((completions >> 32) as u32);
        registers.configuration().write(ENTRY_SIZES | ENABLE);
        drop(admin);
        self.wait_ready(READY)
    }

    fn wait_ready(&self, wanted: u32) -> Result<()> {
        let deadline = time::monotonic_ns() + self.capabilities.limit_ns;
        loop {
            let status = self.registers.status().read();
            if status & READY == wanted {
                return Ok(());
            }
            let now = time::monotonic_ns();
            if now > deadline || (wanted == READY && status & FATAL != 0) || status == u32::MAX {
                return Err(Error::new(Errno::EIO, "the controller does not get ready"));
            }
            sched::sleep_until(now + 1_000_000);
        }
    }

    /// Has the controller do an administrative command; returns its result. The answer, if there is one, stays in
    /// `admin.answer`.
    fn command(&self, admin: &mut Admin, words: &Words) -> Result<u32> {
        if admin.is_broken {
            return Err(Error::new(Errno::EIO, "the controller does not answer"));
        }
        admin.pair.push(words);
        admin.pair.ring();
        let deadline = time::monotonic_ns() + ADMIN_LIMIT_NS;
        loop {
            if let Some(completion) = admin.pair.pop() {
                admin.pair.acknowledge();
                return match completion.status.is_success() {
                    true => Ok(completion.result),
                    false => Err(Error::new(Errno::EIO, "the controller refuses a command")),
                };
            }
            let now = time::monotonic_ns();
            if now > deadline {
                admin.is_broken = true;
                return Err(Error::new(Errno::EIO, "the controller does not answer"));
            }
            sched::yield_now();
        }
    }

    fn identify(&self, what: u32, namespace: u32, answer: &mut [u8]) -> Result<()> {
        let mut admin = self.admin.lock();
        let mut words = wire::command(admin::IDENTIFY, 0, namespace);
        wire::set_wide(&mut words, wire::FIRST_POINTER, admin.answer.address().as_u64());
        words[10] = what;
        self.command(&mut admin, &words)?;
        admin.answer.read(0, answer);
        Ok(())
    }

    /// Finds the namespaces, gives them their queues and makes them known as disks of controller `number`,
    /// which is this in the tree of devices.
    pub(super) fn serve(self: &Arc<Self>, number: u32, node: &Arc<Node>) {
        let namespaces = match self.find_namespaces() {
            Ok(namespaces) => self.namespaces.call_once(|| namespaces),
            Err(error) => return log::error!("nvme{number}: its namespaces cannot be found: {error}"),
        };
        for index in 0..self.interrupts.count() {
            let weak = Arc::downgrade(self);
            let handler =
                move || weak.upgrade().map_or(Handled::No, |controller| controller.interrupt(index));
            self.interrupts.set_handler(index, "nvme", Box::new(handler));
            if self.interrupts.count() > 1 {
                self.interrupts.prefer_cpu(index, index);
            }
        }
        for namespace in namespaces {
            let queue = Namespace::serve(namespace, self);
            let kind = Kind::Nvme { controller: number, namespace: namespace.number() };
            if let Err(error) =
                self.create_queues(namespace).and_then(|()| registry::add(kind, queue, Some(node.clone())))
            {
                log::error!("nvme{number}n{}: cannot be used: {error}", namespace.number());
            }
        }
    }

    fn find_namespaces(self: &Arc<Self>) -> Result<Vec<Arc<Namespace>>> {
        let mut answer = vec![0; DESCRIPTION];
        self.identify(admin::IDENTIFY_ACTIVE, 0, &mut answer)?;
        let numbers = answer.chunks(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let numbers: Vec<_> = numbers.take_while(|number| *number != 0).take(MAX_NAMESPACES).collect();
        let wanted = (cpu::count() * numbers.len()).clamp(1, 0xffff);
        let granted = self.set_queue_count(wanted)?;
        let lanes = (granted / numbers.len().max(1)).clamp(1, cpu::count());
        let mut namespaces = Vec::new();
        for number in numbers {
            if (namespaces.len() + 1) * lanes > granted {
                log::warn!("nvme: namespace {number}: the controller has no queue left for it");
                break;
            }
            self.identify(admin::IDENTIFY_NAMESPACE, number, &mut answer)?;
            let Some(description) = NamespaceDescription::read(&answer) else {
                log::warn!("nvme: namespace {number} has blocks that cannot be used");
                continue;
            };
            let first = namespaces.len() * lanes + 1;
            let pairs = (first..first + lanes).map(|id| self.new_pair(id)).collect::<Result<Vec<_>>>()?;
            namespaces.push(Namespace::new(number, description, Arc::downgrade(self), pairs)?);
        }
        Ok(namespaces)
    }

    fn new_pair(&self, id: usize) -> Result<Pair> {
        let outside = Error::new(Errno::ENODEV, "too few registers");
        let bell = |index| self.bells.slice(index * self.capabilities.bell_stride, 4).ok_or(outside);
        let places = self.capabilities.max_places.min(PLACES.into()) as u16;
        Pair::new(places, bell(2 * id)?, bell(2 * id + 1)?)
    }

    /// Asks for so many pairs of queues; tells how many there are.
    fn set_queue_count(&self, wanted: usize) -> Result<usize> {
        let mut words = wire::command(admin::SET_FEATURES, 0, 0);
        let count = wanted as u32 - 1;
        words[10] = admin::FEATURE_QUEUES;
        words[11] = count << 16 | count;
        let granted = self.command(&mut self.admin.lock(), &words)?;
        Ok(((granted & 0xffff).min(granted >> 16) as usize + 1).min(wanted))
    }

    /// The number of a namespace's first pair.
    fn first_pair(&self, namespace: &Namespace) -> usize {
        let namespaces = self.namespaces.get().map_or(&[][..], |namespaces| namespaces);
        let before = namespaces.iter().take_while(|other| other.number() != namespace.number());
        1 + before.map(|other| other.lanes()).sum::<usize>()
    }

    /// Makes a namespace's queues known to the controller, and opens it.
    fn create_queues(&self, namespace: &Namespace) -> Result<()> {
        let first = self.first_pair(namespace);
        namespace.restart_pairs(&mut |lane, (commands, completions), places| {
            let id = (first + lane) as u32;
            let interrupt = self.interrupt_of(lane) as u32;
            let mut admin = self.admin.lock();
            for (operation, address, flags) in [
                (
                    admin::CREATE_COMPLETION,
                    completions,
                    admin::QUEUE_CONTIGUOUS | admin::QUEUE_INTERRUPTS | interrupt << 16,
                ),
                (admin::CREATE_SUBMISSION, commands, admin::QUEUE_CONTIGUOUS | id << 16),
            ] {
                let mut words = wire::command(operation, 0, 0);
                wire::set_wide(&mut words, wire::FIRST_POINTER, address);
                words[10] = u32::from(places - 1) << 16 | id;
                words[11] = flags;
                self.command(&mut admin, &words)?;
            }
            Ok(())
        })?;
        namespace.open();
        Ok(())
    }

    /// The interrupt of a lane.
    fn interrupt_of(&self, lane: usize) -> usize {
        lane.min(self.interrupts.count() - 1)
    }

    fn interrupt(&self, index: usize) -> Handled {
        let namespaces = self.namespaces.get().map_or(&[][..], |namespaces| namespaces);
        let mut was_any = false;
        for namespace in namespaces {
            let lanes = (0..namespace.lanes()).filter(|lane| self.interrupt_of(*lane) == index);
            lanes.for_each(|lane| was_any |= namespace.complete(lane));
        }
        // Messages are nobody else's; administrative commands make some too.
        if was_any || self.interrupts.are_numbered() { Handled::Yes } else { Handled::No }
    }

    /// Resets the controller because namespace `culprit` wants it. What other namespaces have under way begins again.
    pub(super) fn reset(&self, culprit: u32) -> Result<()> {
        let namespaces = self.namespaces.get().map_or(&[][..], |namespaces| namespaces);
        namespaces.iter().for_each(|namespace| namespace.close());
        let outcome = self.enable().and_then(|()| {
            let lanes: usize = namespaces.iter().map(|namespace| namespace.lanes()).sum();
            match self.set_queue_count(lanes.max(1))? >= lanes {
                true => Ok(()),
                false => Err(Error::new(Errno::EIO, "the controller has fewer queues than before")),
            }
        });
        if outcome.is_err() {
            self.function.disable_bus_mastering();
        }
        let others = namespaces.iter().filter(|namespace| namespace.number() != culprit);
        others.filter_map(|namespace| namespace.request_queue()).for_each(|queue| queue.abort_all());
        outcome?;
        for namespace in namespaces {
            self.create_queues(namespace)?;
            if let Some(queue) = namespace.request_queue().filter(|_| namespace.number() != culprit) {
                (0..namespace.lanes()).for_each(|lane| queue.resume(lane));
            }
        }
        Ok(())
    }
}

impl Controller {
    /// Switches it off for good: it touches memory no more.
    pub(super) fn stop(&self) {
        let mut admin = self.admin.lock();
        if !core::mem::replace(&mut admin.is_gone, true) {
            admin.is_broken = true;
            self.registers.configuration().write(0);
            // One that does not get ready is kept from memory all the same.
            let _ = self.wait_ready(0);
            self.function.disable_bus_mastering();
        }
    }

    /// It goes, and its disks with it.
    pub(super) fn remove(&self) {
        for namespace in self.namespaces.get().map_or(&[][..], |namespaces| namespaces) {
            if let Some(queue) = namespace.request_queue() {
                queue.remove();
            }
        }
        self.stop();
        self.interrupts.silence();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.registers.configuration().write(0);
        self.function.disable_bus_mastering();
    }
}
