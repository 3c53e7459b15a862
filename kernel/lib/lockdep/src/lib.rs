//! The order in which locks are taken, watched at run time.
//!
//! Each lock belongs to a class. Whoever takes a lock of class B while holding one of class A adds the edge A -> B to a
//! graph. If the graph already leads from B to A, two tasks could wait for each other for ever: that is reported at the
//! first time both orders have been *seen*, long before it happens. Taking a class twice is reported too, and so is a
//! class that interrupt handlers take but others take with interrupts enabled.
//!
//! Nothing is allocated: this runs inside every lock. The caller guards the [`Graph`] with something that is not
//! watched, and keeps one [`Held`] for each task or CPU.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;
use core::panic::Location;

/// The most classes.
pub const CLASSES: usize = 128;
/// The most locks held at a time that are remembered.
pub const DEPTH: usize = 24;
/// The most edges of which the place is remembered; the others are still checked.
const PLACES: usize = 512;

/// Where a lock was taken.
pub type Place = &'static Location<'static>;

/// A class of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

/// What the CPU is doing when it takes a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A task, and interrupts may come.
    InterruptsEnabled,
    /// A task, and the lock (or somebody before it) disabled interrupts.
    InterruptsDisabled,
    /// An interrupt handler.
    Interrupt,
}

/// The locks that a task or CPU holds, the first taken first.
#[derive(Clone, Debug)]
pub struct Held {
    locks: [Option<(Class, Place)>; DEPTH],
    /// May exceed the depth; what does is not remembered.
    count: usize,
}

impl Default for Held {
    fn default() -> Held {
        Held::new()
    }
}

impl Held {
    /// None.
    pub const fn new() -> Held {
        Held { locks: [None; DEPTH], count: 0 }
    }

    /// Number of locks held.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none is held.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The locks, the first taken first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Class, Place)> {
        self.locks.iter().flatten().copied()
    }

    /// Notes a lock that was taken.
    pub fn push(&mut self, class: Class, place: Place) {
        if let Some(slot) = self.locks.get_mut(self.count) {
            *slot = Some((class, place));
        }
        self.count += 1;
    }

    /// Notes that the lock of this class that was taken last was released; any order of releases is fine.
    pub fn release(&mut self, class: Class) {
        if self.count > DEPTH {
            // Most likely one of those that are not remembered: the last taken goes first.
            self.count -= 1;
            return;
        }
        let known = self.count;
        let found = self.locks[..known].iter().rposition(|lock| lock.is_some_and(|(held, _)| held == class));
        if let Some(at) = found {
            self.locks[at..known].rotate_left(1);
            self.locks[known - 1] = None;
            self.count -= 1;
        }
    }
}

/// What is wrong with taking a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The class is held already, since this place.
    Recursion {
        /// Where it was taken.
        held: Place,
    },
    /// The class was taken before one that is held now, the other way round: [`Graph::chain`] tells how.
    Cycle {
        /// The one that is held now.
        holder: Class,
    },
    /// Interrupt handlers take the class, and others take it with interrupts enabled.
    InterruptUnsafe,
}

/// Classes that were taken one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    classes: [Class; CLASSES],
    len: usize,
}

impl Chain {
    /// The classes in the order in which they were taken.
    pub fn classes(&self) -> &[Class] {
        &self.classes[..self.len]
    }
}

/// No more classes can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyClasses;

#[derive(Clone, Copy)]
struct EdgePlace {
    from: Class,
    to: Class,
    taken: Place,
}

/// Which class was taken while which was held.
pub struct Graph {
    names: [&'static str; CLASSES],
    count: usize,
    /// Bit b of word a: b was taken while a was held.
    edges: [u128; CLASSES],
    places: [Option<EdgePlace>; PLACES],
    place_count: usize,
    in_interrupt: u128,
    with_interrupts: u128,
}

impl Default for Graph {
    fn default() -> Graph {
        Graph::new()
    }
}

impl Graph {
    /// No classes.
    pub const fn new() -> Graph {
        Graph {
            names: [""; CLASSES],
            count: 0,
            edges: [0; CLASSES],
            places: [None; PLACES],
            place_count: 0,
            in_interrupt: 0,
            with_interrupts: 0,
        }
    }

    /// The class of this name; a new one if there is none.
    pub fn class(&mut self, name: &'static str) -> Result<Class, TooManyClasses> {
        if let Some(index) = self.names[..self.count].iter().position(|known| *known == name) {
            return Ok(Class(index as u8));
        }
        let slot = self.names.get_mut(self.count).ok_or(TooManyClasses)?;
        *slot = name;
        self.count += 1;
        Ok(Class((self.count - 1) as u8))
    }

    /// The name of a class.
    pub fn name(&self, class: Class) -> &'static str {
        self.names[class.0 as usize % CLASSES]
    }

    /// The classes, in the order in which they were made.
    pub fn classes(&self) -> impl Iterator<Item = (Class, &'static str)> {
        (0..self.count).map(|index| (Class(index as u8), self.names[index]))
    }

    /// Checks the taking of a lock, before it is taken; then call [`Held::push`]. A violation is remembered and comes
    /// only once for an edge.
    pub fn acquire(
        &mut self,
        held: &Held,
        class: Class,
        context: Context,
        place: Place,
    ) -> Result<(), Violation> {
        if let Some((_, since)) = held.iter().find(|&(other, _)| other == class) {
            return Err(Violation::Recursion { held: since });
        }
        let mut result = self.note_context(class, context);
        for (holder, _) in held.iter() {
            if !self.has_edge(holder, class) {
                let is_cycle = self.chain(class, holder).is_some();
                self.add_edge(holder, class, place);
                result = result.and(if is_cycle { Err(Violation::Cycle { holder }) } else { Ok(()) });
            }
        }
        result
    }

    /// Checks the attempt to take a lock without waiting: it cannot deadlock, but what is taken while it is held can.
    pub fn try_acquire(&mut self, class: Class, context: Context) -> Result<(), Violation> {
        self.note_context(class, context)
    }

    /// Where `to` was first taken while `from` was held, if that is remembered.
    pub fn place_of_edge(&self, from: Class, to: Class) -> Option<Place> {
        let known = self.places[..self.place_count].iter().flatten();
        known.clone().find(|edge| edge.from == from && edge.to == to).map(|edge| edge.taken)
    }

    /// Writes what is wrong, with both chains.
    pub fn report(
        &self,
        out: &mut dyn fmt::Write,
        violation: &Violation,
        held: &Held,
        class: Class,
        place: Place,
    ) -> fmt::Result {
        let name = self.name(class);
        match violation {
            Violation::Recursion { held } => {
                writeln!(out, "lockdep: `{name}` taken at {place} is held already, since {held}")
            }
            Violation::InterruptUnsafe => {
                writeln!(
                    out,
                    "lockdep: `{name}` (at {place}) is taken by interrupt handlers and with interrupts enabled"
                )
            }
            Violation::Cycle { holder } => {
                writeln!(out, "lockdep: `{name}` taken at {place} in the wrong order; now:")?;
                for (class, place) in held.iter() {
                    writeln!(out, "  `{}` held since {place}", self.name(class))?;
                }
                writeln!(out, "  `{name}` wanted; before:")?;
                let chain = self.chain(class, *holder);
                let classes = chain.as_ref().map_or(&[][..], Chain::classes);
                for pair in classes.windows(2) {
                    write!(out, "  `{}` held, `{}` taken", self.name(pair[0]), self.name(pair[1]))?;
                    match self.place_of_edge(pair[0], pair[1]) {
                        Some(place) => writeln!(out, " at {place}")?,
                        None => writeln!(out)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn note_context(&mut self, class: Class, context: Context) -> Result<(), Violation> {
        let bit = 1 << class.0;
        let was_safe = self.in_interrupt & self.with_interrupts & bit == 0;
        match context {
            Context::Interrupt => self.in_interrupt |= bit,
            Context::InterruptsEnabled => self.with_interrupts |= bit,
            Context::InterruptsDisabled => {}
        }
        let is_safe = self.in_interrupt & self.with_interrupts & bit == 0;
        if was_safe && !is_safe { Err(Violation::InterruptUnsafe) } else { Ok(()) }
    }

    fn has_edge(&self, from: Class, to: Class) -> bool {
        self.edges[from.0 as usize] >> to.0 & 1 != 0
    }

    fn add_edge(&mut self, from: Class, to: Class, taken: Place) {
        self.edges[from.0 as usize] |= 1 << to.0;
        if let Some(slot) = self.places.get_mut(self.place_count) {
            *slot = Some(EdgePlace { from, to, taken });
            self.place_count += 1;
        }
    }

    /// The shortest way from one class to another along the edges (breadth first).
    pub fn chain(&self, from: Class, to: Class) -> Option<Chain> {
        let mut queue = [from; CLASSES];
        let mut parents = [from; CLASSES];
        let (mut seen, mut done, mut end) = (1u128 << from.0, 0, 1);
        while done < end {
            let class = queue[done];
            done += 1;
            if class == to {
                return Some(way_back(&parents, from, to));
            }
            let mut new = self.edges[class.0 as usize] & !seen;
            seen |= new;
            while new != 0 {
                let next = Class(new.trailing_zeros() as u8);
                new &= new - 1;
                parents[next.0 as usize] = class;
                queue[end] = next;
                end += 1;
            }
        }
        None
    }
}

/// The chain that the parents of a search describe.
fn way_back(parents: &[Class; CLASSES], from: Class, to: Class) -> Chain {
    let mut chain = Chain { classes: [to; CLASSES], len: 1 };
    let mut class = to;
    while class != from {
        class = parents[class.0 as usize];
        chain.classes[chain.len] = class;
        chain.len += 1;
    }
    chain.classes[..chain.len].reverse();
    chain
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use Context::*;
    use std::format;
    use std::string::String;

    /// A task that takes locks of these classes and releases them.
    fn take(graph: &mut Graph, names: &[&'static str]) -> Result<(), (Violation, String)> {
        let mut held = Held::new();
        for name in names {
            let class = graph.class(name).unwrap();
            let place = Location::caller();
            if let Err(violation) = graph.acquire(&held, class, InterruptsDisabled, place) {
                let mut text = String::new();
                graph.report(&mut text, &violation, &held, class, place).unwrap();
                return Err((violation, text));
            }
            held.push(class, place);
        }
        Ok(())
    }

    #[test]
    fn one_order_is_fine() {
        let mut graph = Graph::new();
        for names in [&["a", "b", "c"][..], &["a", "c"], &["b", "c"], &["c"]] {
            assert_eq!(take(&mut graph, names), Ok(()));
        }
    }

    #[test]
    fn both_orders_are_a_cycle_with_both_chains() {
        let mut graph = Graph::new();
        take(&mut graph, &["a", "b"]).unwrap();
        take(&mut graph, &["b", "c"]).unwrap();
        let (violation, text) = take(&mut graph, &["c", "a"]).unwrap_err();
        let Violation::Cycle { holder } = violation else { panic!("{violation:?}") };
        let wanted = graph.class("a").unwrap();
        let chain = graph.chain(wanted, holder).unwrap();
        let names: std::vec::Vec<_> = chain.classes().iter().map(|&class| graph.name(class)).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for part in ["`a` taken at", "`c` held since", "`a` held, `b` taken at", "`b` held, `c` taken at"] {
            assert!(text.contains(part), "{text}");
        }
        // Once is enough.
        assert_eq!(take(&mut graph, &["c", "a"]), Ok(()));
    }

    #[test]
    fn taking_a_class_twice_is_reported() {
        let mut graph = Graph::new();
        assert!(matches!(take(&mut graph, &["a", "b", "a"]), Err((Violation::Recursion { .. }, _))));
    }

    #[test]
    fn interrupt_handlers_need_locks_that_disable_interrupts() {
        let mut graph = Graph::new();
        let held = Held::new();
        let (good, bad) = (graph.class("good").unwrap(), graph.class("bad").unwrap());
        let mut acquire = |class, context| graph.acquire(&held, class, context, Location::caller());
        assert_eq!(acquire(good, InterruptsDisabled), Ok(()));
        assert_eq!(acquire(good, Interrupt), Ok(()));
        assert_eq!(acquire(bad, InterruptsEnabled), Ok(()));
        assert_eq!(acquire(bad, Interrupt), Err(Violation::InterruptUnsafe));
        assert_eq!(acquire(bad, Interrupt), Ok(()));
    }

    #[test]
    fn releases_come_in_any_order() {
        let mut graph = Graph::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| graph.class(name).unwrap());
        let mut held = Held::new();
        for class in [a, b, c] {
            held.push(class, Location::caller());
        }
        held.release(a);
        assert!(held.iter().map(|(class, _)| class).eq([b, c]));
        held.release(a);
        held.release(c);
        assert!(held.iter().map(|(class, _)| class).eq([b]));
        for _ in 0..100 {
            held.push(a, Location::caller());
        }
        assert_eq!(held.len(), 101);
        for _ in 0..100 {
            held.release(a);
        }
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn classes_run_out_with_an_error() {
        let mut graph = Graph::new();
        for number in 0..CLASSES {
            let name: &'static str = std::boxed::Box::leak(format!("{number}").into_boxed_str());
            assert_eq!(graph.class(name).map(|class| graph.name(class)), Ok(name));
        }
        assert_eq!(graph.class("one more"), Err(TooManyClasses));
        assert!(graph.class("5").is_ok());
    }

    /// Chains exist exactly where a search by hand finds a way.
    #[test]
    fn chains_are_ways_along_edges() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..200 {
            let mut graph = Graph::new();
            let names = ["a", "b", "c", "d", "e", "f", "g"];
            let classes = names.map(|name| graph.class(name).unwrap());
            let mut reach = [[false; 7]; 7];
            for _ in 0..9 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let (from, to) = (state as usize % 7, (state >> 8) as usize % 7);
                graph.add_edge(classes[from], classes[to], Location::caller());
                reach[from][to] = true;
            }
            let direct = reach;
            for middle in 0..7 {
                for from in 0..7 {
                    for to in 0..7 {
                        reach[from][to] |= reach[from][middle] && reach[middle][to];
                    }
                }
            }
            for from in 0..7 {
                for to in 0..7 {
                    let chain = graph.chain(classes[from], classes[to]);
                    assert_eq!(chain.is_some(), reach[from][to] || from == to);
                    let Some(chain) = chain else { continue };
                    assert!(
                        chain.classes().windows(2).all(|pair| direct[pair[0].0 as usize][pair[1].0 as usize])
                    );
                    assert_eq!(
                        (chain.classes()[0], *chain.classes().last().unwrap()),
                        (classes[from], classes[to])
                    );
                }
            }
        }
    }
}
