//! Classes, the edges between them, and the checks.

use super::{CLASSES, Class, ClassSet, Context, Held, HeldLock, Place};

/// The most edges of which the place is remembered; the others are still checked.
const PLACES: usize = 2048;

/// How several locks of one class may be held at a time, if whoever takes them does not say so with depths that grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// Not at all.
    Never,
    /// In the order of their addresses, the lowest first.
    ByAddress,
    /// From parent to child, which the owner of the class answers for.
    ParentFirst,
}

/// What is wrong with taking a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// This very lock is held already.
    Recursion {
        /// The lock.
        held: HeldLock,
    },
    /// Another lock of the class is held, and the class does not nest, or not that way.
    Nested {
        /// That one.
        held: HeldLock,
    },
    /// The class was taken before one that is held now, the other way round: [`Graph::chain`] tells how.
    Cycle {
        /// The one that is held now.
        holder: Class,
    },
    /// Interrupt handlers take the class, and others take it with interrupts enabled.
    InterruptUnsafe,
    /// A class that handlers take leads to one that others take with interrupts enabled.
    InterruptPath(InterruptPath),
}

/// The ends of a chain that an interrupt makes a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptPath {
    /// Taken by handlers.
    pub handled: Class,
    /// Taken with interrupts enabled.
    pub open: Class,
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

/// Where an edge was seen first.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    from: Class,
    to: Class,
    /// Where the one that was held had been taken; `None`: the edge was written down, not seen.
    pub(crate) held: Option<Place>,
    /// Where the other one was taken.
    pub(crate) taken: Place,
}

/// Which class was taken while which was held.
pub struct Graph {
    names: [&'static str; CLASSES],
    nesting: [Nesting; CLASSES],
    count: usize,
    /// The classes taken under each class, and those under which each was taken.
    after: [ClassSet; CLASSES],
    before: [ClassSet; CLASSES],
    edge_count: usize,
    places: [Option<Edge>; PLACES],
    place_count: usize,
    /// Taken by handlers; taken with interrupts enabled; with the place of the first time.
    handled: ClassSet,
    open: ClassSet,
    handled_at: [Option<Place>; CLASSES],
    open_at: [Option<Place>; CLASSES],
    /// Classes of which wrong nesting has been reported.
    nested: ClassSet,
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
            nesting: [Nesting::Never; CLASSES],
            count: 0,
            after: [ClassSet::EMPTY; CLASSES],
            before: [ClassSet::EMPTY; CLASSES],
            edge_count: 0,
            places: [None; PLACES],
            place_count: 0,
            handled: ClassSet::EMPTY,
            open: ClassSet::EMPTY,
            handled_at: [None; CLASSES],
            open_at: [None; CLASSES],
            nested: ClassSet::EMPTY,
        }
    }

    /// The class of this name; a new one if there is none.
    pub fn class(&mut self, name: &'static str) -> Result<Class, TooManyClasses> {
        let names = &self.names[..self.count];
        // Mostly the very same string, so that no byte needs a look.
        let same = names.iter().position(|known| core::ptr::eq(*known, name));
        if let Some(index) = same.or_else(|| names.iter().position(|known| *known == name)) {
            return Ok(Class(index as u8));
        }
        let slot = self.names.get_mut(self.count).ok_or(TooManyClasses)?;
        *slot = name;
        self.count += 1;
        Ok(Class((self.count - 1) as u8))
    }

    /// The name of a class.
    pub fn name(&self, class: Class) -> &'static str {
        self.names[class.index()]
    }

    /// The classes, in the order in which they were made.
    pub fn classes(&self) -> impl Iterator<Item = (Class, &'static str)> {
        (0..self.count).map(|index| (Class(index as u8), self.names[index]))
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.edge_count
    }

    /// The classes that were taken while this one was held.
    pub fn taken_under(&self, class: Class) -> &ClassSet {
        &self.after[class.index()]
    }

    /// The classes under which this one was taken.
    pub fn held_over(&self, class: Class) -> &ClassSet {
        &self.before[class.index()]
    }

    /// The classes that handlers take, and those that others take with interrupts enabled.
    pub fn usage(&self) -> (&ClassSet, &ClassSet) {
        (&self.handled, &self.open)
    }

    /// Says how locks of a class nest.
    pub fn set_nesting(&mut self, class: Class, nesting: Nesting) {
        self.nesting[class.index()] = nesting;
    }

    /// Writes down that locks of class `to` are taken after those of class `from`.
    ///
    /// # Errors
    /// The graph says the opposite already.
    pub fn declare(&mut self, from: Class, to: Class, place: Place) -> Result<(), Violation> {
        if self.chain(to, from).is_some() {
            return Err(Violation::Cycle { holder: from });
        }
        if !self.after[from.index()].contains(to) {
            self.add_edge(from, to, None, place);
        }
        Ok(())
    }

    /// Checks the taking of a lock, before it is taken; then call [`Held::push`]. `held`: what the caller holds. A
    /// violation is remembered and comes only once for an edge, a class or a pair of ends; recursion comes always.
    pub fn acquire(&mut self, held: &[&Held], wanted: HeldLock, context: Context) -> Result<(), Violation> {
        let class = wanted.class;
        let locks = || held.iter().flat_map(|held| held.iter());
        let mut result = self.check_nesting(held, wanted);
        if matches!(result, Err(Violation::Recursion { .. })) {
            return result;
        }
        result = result.and(self.note_context(class, context, wanted.place));
        for lock in locks().filter(|lock| lock.class != class) {
            if !self.after[lock.class.index()].contains(class) {
                let is_cycle = self.chain(class, lock.class).is_some();
                self.add_edge(lock.class, class, Some(lock.place), wanted.place);
                let cycle = if is_cycle { Err(Violation::Cycle { holder: lock.class }) } else { Ok(()) };
                result = result.and(cycle).and_then(|()| self.check_interrupts(lock.class, class));
            }
        }
        result
    }

    /// Notes the success of an attempt to take a lock without waiting: it cannot deadlock, but what is taken while it
    /// is held can; and who waits for it can, if an interrupt comes meanwhile.
    pub fn try_acquire(&mut self, class: Class, context: Context, place: Place) -> Result<(), Violation> {
        match context {
            Context::Interrupt => Ok(()),
            _ => self.note_context(class, context, place),
        }
    }

    fn check_nesting(&mut self, held: &[&Held], wanted: HeldLock) -> Result<(), Violation> {
        for lock in held.iter().flat_map(|held| held.iter()).filter(|lock| lock.class == wanted.class) {
            if lock.address == wanted.address {
                return Err(Violation::Recursion { held: *lock });
            }
            let is_allowed = match self.nesting[wanted.class.index()] {
                _ if lock.depth < wanted.depth => true,
                Nesting::Never => false,
                Nesting::ByAddress => lock.address < wanted.address,
                Nesting::ParentFirst => true,
            };
            if !is_allowed && self.nested.insert(wanted.class) {
                return Err(Violation::Nested { held: *lock });
            }
        }
        Ok(())
    }

    fn note_context(&mut self, class: Class, context: Context, place: Place) -> Result<(), Violation> {
        let is_new = match context {
            Context::Interrupt => {
                self.handled_at[class.index()].get_or_insert(place);
                self.handled.insert(class)
            }
            Context::InterruptsEnabled => {
                self.open_at[class.index()].get_or_insert(place);
                self.open.insert(class)
            }
            Context::InterruptsDisabled => false,
        };
        match is_new {
            true if self.handled.contains(class) && self.open.contains(class) => {
                Err(Violation::InterruptUnsafe)
            }
            true => self.check_interrupts(class, class),
            false => Ok(()),
        }
    }

    /// Whether a chain through the edge `from` -> `to`, or through a class, leads from what handlers take to what is
    /// taken with interrupts enabled.
    fn check_interrupts(&self, from: Class, to: Class) -> Result<(), Violation> {
        let handled = reach(&self.before, from).intersection(&self.handled);
        let open = reach(&self.after, to).intersection(&self.open);
        // A class that is both has been reported as such.
        let both = self.handled.intersection(&self.open);
        match (handled.difference(&both).iter().next(), open.difference(&both).iter().next()) {
            (Some(handled), Some(open)) => Err(Violation::InterruptPath(InterruptPath { handled, open })),
            _ => Ok(()),
        }
    }

    /// Where `to` was first taken while `from` was held, if that is remembered.
    pub(crate) fn edge(&self, from: Class, to: Class) -> Option<Edge> {
        let known = &self.places[..self.place_count];
        known.iter().flatten().find(|edge| edge.from == from && edge.to == to).copied()
    }

    /// Where a class was first taken by a handler, and with interrupts enabled.
    pub(crate) fn context_places(&self, class: Class) -> (Option<Place>, Option<Place>) {
        (self.handled_at[class.index()], self.open_at[class.index()])
    }

    pub(crate) fn add_edge(&mut self, from: Class, to: Class, held: Option<Place>, taken: Place) {
        self.after[from.index()].insert(to);
        self.before[to.index()].insert(from);
        self.edge_count += 1;
        if let Some(slot) = self.places.get_mut(self.place_count) {
            *slot = Some(Edge { from, to, held, taken });
            self.place_count += 1;
        }
    }

    /// The shortest way from one class to another along the edges (breadth first).
    pub fn chain(&self, from: Class, to: Class) -> Option<Chain> {
        let mut queue = [from; CLASSES];
        let mut parents = [from; CLASSES];
        let mut seen = ClassSet::EMPTY;
        seen.insert(from);
        let (mut done, mut end) = (0, 1);
        while done < end {
            let class = queue[done];
            done += 1;
            if class == to {
                return Some(way_back(&parents, from, to));
            }
            let new = self.after[class.index()].difference(&seen);
            seen.extend(&new);
            for next in new.iter() {
                parents[next.index()] = class;
                queue[end] = next;
                end += 1;
            }
        }
        None
    }
}

/// A class and all that the edges lead to from it.
fn reach(edges: &[ClassSet; CLASSES], from: Class) -> ClassSet {
    let mut reached = ClassSet::EMPTY;
    reached.insert(from);
    let mut new = reached;
    while !new.is_empty() {
        let mut next = ClassSet::EMPTY;
        for class in new.iter() {
            next.extend(&edges[class.index()]);
        }
        new = next.difference(&reached);
        reached.extend(&new);
    }
    reached
}

/// The chain that the parents of a search describe.
fn way_back(parents: &[Class; CLASSES], from: Class, to: Class) -> Chain {
    let mut chain = Chain { classes: [to; CLASSES], len: 1 };
    let mut class = to;
    while class != from {
        class = parents[class.index()];
        chain.classes[chain.len] = class;
        chain.len += 1;
    }
    chain.classes[..chain.len].reverse();
    chain
}
