//! Which interrupt a pin of a PCI function raises, by what the tables tell: `_PRT` of the root bridges, and of bridges that
//! have one.
//!
//! An entry names a device on the bus, a pin, and either a global interrupt or a link: a device of the chipset that is set
//! to an interrupt by a register (`_CRS` tells which, `_PRS` which it can have, `_SRS` sets it).
//!
//! Source: ACPI Specification 6.5, 6.2.13 (_PRT), 5.8.1 (_PIC); PCI Firmware Specification 3.3, 4.2.

use crate::machine::Interpreter;
use crate::resource::{Interrupt, choose, interrupts};
use crate::value::{Reference, Value};
use crate::{Error, NodeId, Space, segment};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where a pin arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The bus, in segment 0.
    pub bus: u8,
    /// 0-31.
    pub device: u8,
    /// 0 = INTA to 3 = INTD.
    pub pin: u8,
    /// The interrupt.
    pub interrupt: Interrupt,
}

/// What the tables tell.
#[derive(Debug, Default)]
pub struct Routing {
    /// All pins that arrive somewhere.
    pub routes: Vec<Route>,
    /// The buses that have a table. A pin that is not in it arrives nowhere.
    pub buses: Vec<u8>,
    /// What was wrong, for the log.
    pub problems: Vec<String>,
}

/// Most entries that are read of all tables.
const MAX_ENTRIES: usize = 4096;
/// After so many the tables are given up.
const MAX_PROBLEMS: usize = 16;

impl Interpreter<'_> {
    /// When the tables are [initialized](Self::initialize): tells them that I/O APICs are used, and reads the routes of all buses. Links that are not set are set. All of
    /// this together may take what one evaluation may.
    pub fn pci_routing(&mut self) -> Routing {
        self.within_one_budget(Self::read_routing)
    }

    /// The host bridges of PCI, those without a bus among them.
    pub fn pci_root_bridges(&mut self) -> Vec<NodeId> {
        let mut bridges = self.devices();
        bridges.retain(|device| self.root_bus(*device).is_some());
        bridges
    }

    fn read_routing(&mut self) -> Routing {
        let mut routing = Routing::default();
        let root = self.root();
        // Tables that do not care have none.
        let done = self.evaluate_child(root, segment("_PIC"), &[Value::Integer(1)]);
        routing.note("_PIC", done);
        let mut links = BTreeMap::new();
        for device in self.devices() {
            if routing.problems.len() >= MAX_PROBLEMS {
                break;
            }
            let Some(table) = self.child(device, segment("_PRT")) else { continue };
            let path = self.path(device);
            if !self.is_present(device, &mut routing) {
                continue;
            }
            let read = self.bus_of(device).and_then(|bus| Ok((bus, self.evaluate(table, &[])?)));
            let Some((bus, Value::Package(entries))) = routing.note(&path, read.map(Some)) else { continue };
            if routing.buses.contains(&bus) {
                routing.problems.push(format!("{path}: bus {bus} has two tables"));
                continue;
            }
            routing.buses.push(bus);
            let entries = entries.borrow().clone();
            for entry in entries.iter().take(MAX_ENTRIES.saturating_sub(routing.routes.len())) {
                if routing.problems.len() >= MAX_PROBLEMS {
                    break;
                }
                let route = self.route(device, bus, entry, &mut links);
                let route = routing.note(&path, route);
                routing.routes.extend(route);
            }
        }
        routing
    }

    fn is_present(&mut self, device: NodeId, routing: &mut Routing) -> bool {
        let status = self.status(device).map(Some);
        let path = self.path(device);
        routing.note(&path, status).is_none_or(|status| status.is_present())
    }

    /// The bus that a bridge with a table leads to.
    pub(crate) fn bus_of(&mut self, bridge: NodeId) -> Result<u8, Error> {
        if self.root_bus_id(bridge)? {
            let bus = self.evaluate_child(bridge, segment("_BBN"), &[])?;
            return Ok(bus.and_then(|bus| bus.as_integer()).unwrap_or(0) as u8);
        }
        let parent = self.parent(bridge);
        if parent == self.root() {
            return Err(Error::Unsupported("a table of a device that is no PCI bridge"));
        }
        let address = self.number_of(bridge, "_ADR").ok_or(Error::Type("_ADR"))?;
        // Bridges nest less deeply than names do; each level of this is a level of the namespace.
        let mut way = Vec::from([address]);
        let mut above = parent;
        while !self.root_bus_id(above)? {
            way.push(self.number_of(above, "_ADR").ok_or(Error::Type("_ADR"))?);
            above = self.parent(above);
            if above == self.root() {
                return Err(Error::Unsupported("a table of a device that is no PCI bridge"));
            }
        }
        let bus = self.evaluate_child(above, segment("_BBN"), &[])?;
        let mut bus = bus.and_then(|bus| bus.as_integer()).unwrap_or(0) as u8;
        for address in way.iter().rev() {
            let (device, function) = ((address >> 16) as u8 & 0x1f, *address as u8 & 7);
            bus = self.secondary_bus(Space::PciConfig { bus, device, function })?;
        }
        if bus == 0 { Err(Error::Unsupported("a table of a bridge that is not set up")) } else { Ok(bus) }
    }

    fn root_bus_id(&mut self, node: NodeId) -> Result<bool, Error> {
        Ok(self.root_bus(node).is_some())
    }

    /// An entry; `None`: its link cannot be set to anything.
    fn route(
        &mut self,
        scope: NodeId,
        bus: u8,
        entry: &Value,
        links: &mut BTreeMap<NodeId, Option<Interrupt>>,
    ) -> Result<Option<Route>, Error> {
        let wrong = Error::Type("_PRT");
        let Some(fields) = entry.as_elements() else { return Err(wrong) };
        let [address, pin, source, index, ..] = &fields[..] else { return Err(wrong) };
        let (address, pin) = (self.integer(address)?, self.integer(pin)?);
        let device = u8::try_from(address >> 16).ok().filter(|device| *device < 32);
        let (Some(device), 0..4) = (device, pin) else { return Err(Error::OutOfRange("an entry of _PRT")) };
        let interrupt = match self.link(scope, source)? {
            Some(link) => {
                let known = links.get(&link).copied();
                match known {
                    Some(interrupt) => interrupt,
                    None => {
                        let interrupt = self.link_interrupt(link)?;
                        links.insert(link, interrupt);
                        interrupt
                    }
                }
            }
            // As PCI has it.
            None => {
                let number =
                    u32::try_from(self.integer(index)?).map_err(|_| Error::OutOfRange("an interrupt"))?;
                Some(Interrupt { number, is_level: true, is_active_low: true })
            }
        };
        Ok(interrupt.map(|interrupt| Route { bus, device, pin: pin as u8, interrupt }))
    }

    /// The link that an entry names; `None`: it has an interrupt itself.
    fn link(&mut self, scope: NodeId, source: &Value) -> Result<Option<NodeId>, Error> {
        match source {
            Value::Name(name) => {
                let node = self.named(name);
                node.map(Some).ok_or_else(|| self.namespace.unknown(name.scope, &name.path))
            }
            Value::Reference(Reference::Node(node)) => Ok(Some(*node)),
            Value::String(name) => {
                let name = name.borrow();
                let mut segment = *b"____";
                if name.len() > segment.len() {
                    return Err(Error::Unsupported("a link by a path in a string"));
                }
                segment.iter_mut().zip(name.iter()).for_each(|(to, from)| *to = *from);
                let path = crate::code::Path { is_absolute: false, up: 0, segments: [segment].into() };
                let node = self.namespace.find(scope, &path);
                node.map(Some).ok_or_else(|| self.namespace.unknown(scope, &path))
            }
            Value::Integer(0) | Value::Uninitialized => Ok(None),
            _ => Err(Error::Type("_PRT")),
        }
    }

    /// What a link is set to; it is set to the first that it can have if it is set to nothing.
    fn link_interrupt(&mut self, link: NodeId) -> Result<Option<Interrupt>, Error> {
        let status = self.status(link)?;
        if !status.is_present() && !status.is_functioning() {
            return Ok(None);
        }
        if let Some(interrupt) = self.current_interrupt(link)? {
            return Ok(Some(interrupt));
        }
        let possible = self.evaluate_child(link, segment("_PRS"), &[])?;
        let Some(possible) = possible.and_then(|list| list.as_bytes()) else { return Ok(None) };
        // Of the numbers that ISA devices do not usually have, then of all.
        let numbers = interrupts(&possible);
        let is_free = |interrupt: &&Interrupt| interrupt.number >= 9 && !(12..16).contains(&interrupt.number);
        let best = numbers.iter().find(is_free).or(numbers.first()).copied();
        let Some((best, list)) = best.and_then(|best| Some((best, choose(&possible, best.number)?))) else {
            return Ok(None);
        };
        self.evaluate_child(link, segment("_SRS"), &[Value::buffer(list)])?;
        // Some links do not tell what they were set to.
        Ok(self.current_interrupt(link)?.or(Some(best)))
    }

    fn current_interrupt(&mut self, link: NodeId) -> Result<Option<Interrupt>, Error> {
        let list = self.evaluate_child(link, segment("_CRS"), &[])?;
        let list = list.and_then(|list| list.as_bytes()).unwrap_or_default();
        Ok(interrupts(&list).first().copied().filter(|interrupt| interrupt.number != 0))
    }
}

impl Routing {
    fn note<T>(&mut self, what: &str, done: Result<Option<T>, Error>) -> Option<T> {
        done.unwrap_or_else(|error| {
            self.problems.push(format!("{what}: {error}"));
            None
        })
    }

    /// Where a pin arrives, if its bus has a table; the inner `None`: nowhere.
    pub fn find(&self, bus: u8, device: u8, pin: u8) -> Option<Option<Interrupt>> {
        if !self.buses.contains(&bus) {
            return None;
        }
        let is_meant = |route: &&Route| (route.bus, route.device, route.pin) == (bus, device, pin);
        Some(self.routes.iter().find(is_meant).map(|route| route.interrupt))
    }
}
