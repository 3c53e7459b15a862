//! What tables want to be done before anything else of them is evaluated: `_INI` and `_REG`.
//!
//! In this order, which is Linux's too (tables are tested with it):
//!
//! 1. `\_INI`, if there is one (tables for Windows), and `\_SB._INI`, which code of the others may need;
//! 2. `_REG` where a region in configuration space of PCI is declared: it can be reached from now on. Memory and ports
//!    always can, and need not be told of; other kinds of regions cannot, and code that was not told does without them;
//! 3. `_INI` of devices, processors and thermal zones, those outside before those inside. First `_STA` is asked: what is
//!    neither there nor works is left alone, with all that is inside; what is not there but works has its inside done.
//!
//! What is wrong with one does not keep the others from being done. What all of them may take is bounded, see [`SHARES`].
//!
//! Source: ACPI Specification 6.5, 6.3.7 (_STA), 6.5.1 (_INI), 6.5.4 (_REG).

use crate::field::PCI_CONFIG;
use crate::machine::Interpreter;
use crate::namespace::{NodeId, Object};
use crate::value::Value;
use crate::{Error, Segment, segment};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// All of this together may take as many steps, and wait as long, as so many evaluations.
const SHARES: usize = 8;
/// After so many problems the rest is left.
const MAX_PROBLEMS: usize = 16;
/// The second argument of `_REG`: the region can be reached from now on.
const CONNECT: u64 = 1;

/// What was done.
#[derive(Debug, Default)]
pub struct Initialization {
    /// How many `_INI` were evaluated to their ends.
    pub devices: usize,
    /// How many `_REG`.
    pub regions: usize,
    /// What was wrong, for the log.
    pub problems: Vec<String>,
}

/// `_STA`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status(u64);

impl Status {
    /// Of a device that does not say.
    const GOOD: Status = Status(0xf);

    pub(crate) fn is_present(self) -> bool {
        self.0 & 1 != 0
    }

    pub(crate) fn is_functioning(self) -> bool {
        self.0 & 8 != 0
    }
}

/// What was done, and what it took.
#[derive(Default)]
struct Progress {
    done: Initialization,
    steps: usize,
    bytes: usize,
    waited_us: u64,
    is_over: bool,
}

impl Interpreter<'_> {
    /// Does what tables want to be done when all of them are loaded. Once, and before anything else is evaluated.
    pub fn initialize(&mut self) -> Initialization {
        let mut progress = Progress::default();
        self.take_spent();
        let root = self.root();
        let system = self.child(root, segment("_SB"));
        for scope in [Some(root), system].into_iter().flatten() {
            progress.done.devices += self.run_one(&mut progress, scope, "_INI", &[]);
        }
        for scope in self.scopes_of_configuration_space() {
            let arguments = [Value::Integer(PCI_CONFIG.into()), Value::Integer(CONNECT)];
            progress.done.regions += self.run_one(&mut progress, scope, "_REG", &arguments);
        }
        self.initialize_devices(system, &mut progress);
        progress.done
    }

    /// Whether a device is there, and works. One without `_STA` is and does.
    pub(crate) fn status(&mut self, device: NodeId) -> Result<Status, Error> {
        match self.evaluate_child(device, segment("_STA"), &[])? {
            Some(status) => self.integer(&status).map(Status),
            None => Ok(Status::GOOD),
        }
    }

    fn initialize_devices(&mut self, system: Option<NodeId>, progress: &mut Progress) {
        let is_on_the_way = self.ways_to(segment("_INI"));
        let children = self.namespace.children_of_all();
        // A stack, so that what is inside comes before what is beside.
        let mut next = vec![self.root()];
        while let Some(node) = next.pop()
            && !progress.is_over
        {
            if !is_on_the_way.contains(&node) {
                continue;
            }
            if self.has_status(node) && !self.initialize_device(node, system, progress) {
                continue;
            }
            next.extend(children.get(&node).into_iter().flatten().rev());
        }
    }

    /// Runs a device's `_INI` if it is there; whether what is inside is looked at too.
    fn initialize_device(&mut self, device: NodeId, system: Option<NodeId>, progress: &mut Progress) -> bool {
        let status = self.status(device);
        let path = self.path(device);
        let status = progress.note(&path, "_STA", status);
        self.account(progress);
        // What is inside says for itself.
        let Some(status) = status else { return true };
        if status.is_present() && system != Some(device) {
            progress.done.devices += self.run_one(progress, device, "_INI", &[]);
        }
        status.is_present() || status.is_functioning()
    }

    /// Evaluates a method of a node, if there is one; how many were.
    fn run_one(&mut self, progress: &mut Progress, scope: NodeId, name: &str, arguments: &[Value]) -> usize {
        if progress.is_over {
            return 0;
        }
        let done = self.evaluate_child(scope, segment(name), arguments);
        let path = self.path(scope);
        let done = progress.note(&path, name, done);
        self.account(progress);
        usize::from(done.flatten().is_some())
    }

    /// Adds up what the last evaluation has taken.
    fn account(&mut self, progress: &mut Progress) {
        let (steps, bytes, waited_us) = self.take_spent();
        progress.steps = progress.steps.saturating_add(steps);
        progress.bytes = progress.bytes.saturating_add(bytes);
        progress.waited_us = progress.waited_us.saturating_add(waited_us);
        // What is stored in names stays, so that of memory all have as much as one.
        let is_too_much = progress.steps > self.limits.steps.saturating_mul(SHARES)
            || progress.waited_us > self.limits.wait_us.saturating_mul(SHARES as u64)
            || progress.bytes > self.limits.bytes;
        if is_too_much && !progress.is_over {
            progress.give_up("takes too much");
        }
    }

    /// Nodes with `_REG` in which a region in configuration space is declared, each once.
    fn scopes_of_configuration_space(&self) -> Vec<NodeId> {
        let mut seen = BTreeSet::new();
        let regions = self.namespace.all().filter(|node| {
            matches!(self.namespace.object(*node), Some(Object::Region(region)) if region.space == PCI_CONFIG)
        });
        let scopes = regions.map(|region| self.parent(region));
        scopes.filter(|scope| self.child(*scope, segment("_REG")).is_some() && seen.insert(*scope)).collect()
    }

    /// All nodes that have a node of this name somewhere inside.
    fn ways_to(&self, name: Segment) -> BTreeSet<NodeId> {
        let mut marked = BTreeSet::new();
        for node in self.namespace.all().filter(|node| self.namespace.name(*node) == Some(name)) {
            let mut around = self.parent(node);
            // What is around a marked node is marked.
            while marked.insert(around) {
                around = self.parent(around);
            }
        }
        marked
    }

    fn has_status(&self, node: NodeId) -> bool {
        matches!(self.namespace.object(node), Some(Object::Device | Object::Processor | Object::ThermalZone))
    }
}

impl Progress {
    fn note<T>(&mut self, path: &str, name: &str, done: Result<T, Error>) -> Option<T> {
        if let Err(error) = &done {
            self.done.problems.push(format!("{path}: {name}: {error}"));
            if self.done.problems.len() >= MAX_PROBLEMS {
                self.give_up("has too many problems");
            }
        }
        done.ok()
    }

    fn give_up(&mut self, why: &str) {
        self.is_over = true;
        self.done.problems.push(format!("initialisation {why}; the rest is left out"));
    }
}
