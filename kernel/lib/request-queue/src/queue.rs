//! The queue: merging, choosing, what is under way.

use crate::{Item, Kind, Limits, Priority};
use alloc::vec::Vec;

/// Names a request that was started, until [`Queue::done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(u64);

/// A request: one item, or several neighbours of the same kind.
#[derive(Debug)]
pub struct Request<T> {
    /// Its name.
    pub id: Id,
    /// What to do.
    pub kind: Kind,
    /// Where.
    pub start: u64,
    /// How much.
    pub length: u64,
    /// Whether nothing else is under way.
    pub is_alone: bool,
    /// Its items, in the order of their places on the disk.
    pub parts: Vec<T>,
    segments: usize,
    borders: (bool, bool),
    priority: Priority,
    deadline: u64,
}

impl<T> Request<T> {
    fn new(id: Id, item: Item<T>) -> Self {
        let parts = Vec::from([item.what]);
        let Item { kind, start, length, segments, borders, priority, deadline, is_alone, .. } = item;
        Self { id, kind, start, length, is_alone, parts, segments, borders, priority, deadline }
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    fn footprint(&self) -> Footprint {
        Footprint { kind: self.kind, start: self.start, end: self.end() }
    }
}

/// What a request touches.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    kind: Kind,
    start: u64,
    end: u64,
}

impl Footprint {
    /// Whether the order of the two matters.
    fn conflicts(&self, other: &Footprint) -> bool {
        let both_read = self.kind == Kind::Read && other.kind == Kind::Read;
        !both_read && self.start < other.end && other.start < self.end
    }
}

/// Where an item is put.
enum Side {
    Front,
    Back,
}

/// What is to be done and what is being done. See the crate.
#[derive(Debug)]
pub struct Queue<T> {
    limits: Limits,
    /// In the order in which they came.
    pending: Vec<Request<T>>,
    running: Vec<(Id, Footprint)>,
    /// Something that must be alone is under way.
    is_alone: bool,
    next_id: u64,
    /// Where the last request ended.
    position: u64,
    merges: u64,
}

impl<T> Queue<T> {
    /// An empty queue of a device.
    pub fn new(limits: Limits) -> Self {
        let running = Vec::with_capacity(limits.depth);
        Self { limits, pending: Vec::new(), running, is_alone: false, next_id: 0, position: 0, merges: 0 }
    }

    /// Number of requests that were not started.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether there is nothing to be started.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Number of requests under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many items became parts of others' requests.
    pub fn merges(&self) -> u64 {
        self.merges
    }

    /// Takes in something to be done. `true`: it became a part of a request that is there already.
    pub fn insert(&mut self, item: Item<T>) -> bool {
        match self.find_neighbour(&item) {
            Some((at, side)) => {
                join(&mut self.pending[at], item, side);
                self.merges += 1;
                true
            }
            None => {
                self.next_id += 1;
                self.pending.push(Request::new(Id(self.next_id), item));
                false
            }
        }
    }

    /// The youngest request that an item can join. It takes the item ahead of those that came after it, so none of
    /// them may overlap the item.
    fn find_neighbour(&self, item: &Item<T>) -> Option<(usize, Side)> {
        if !item.kind.can_merge() || item.is_alone {
            return None;
        }
        let footprint =
            Footprint { kind: item.kind, start: item.start, end: item.start.saturating_add(item.length) };
        for (at, request) in self.pending.iter().enumerate().rev() {
            if let Some(side) = self.side(request, item, footprint) {
                return Some((at, side));
            }
            if request.footprint().conflicts(&footprint) {
                return None;
            }
        }
        None
    }

    fn side(&self, request: &Request<T>, item: &Item<T>, footprint: Footprint) -> Option<Side> {
        let fits = request.kind == item.kind
            && !request.is_alone
            && request.length.saturating_add(item.length) <= self.limits.max_length
            && request.segments + item.segments <= self.limits.max_segments;
        let meet = |before: bool, after: bool| !self.limits.needs_whole_pages || (before && after);
        if !fits {
            return None;
        }
        if request.end() == footprint.start && meet(request.borders.1, item.borders.0) {
            return Some(Side::Back);
        }
        (footprint.end == request.start && meet(item.borders.1, request.borders.0)).then_some(Side::Front)
    }

    /// The request to be started now, which counts as under way; `None` if nothing can be.
    pub fn next(&mut self, now: u64) -> Option<Request<T>> {
        if self.is_alone || self.running.len() >= self.limits.depth {
            return None;
        }
        let at = self.choose(now)?;
        if self.pending[at].is_alone && !self.running.is_empty() {
            // Nothing is started in its place, so that its time comes.
            return None;
        }
        let request = self.pending.remove(at);
        self.is_alone = request.is_alone;
        self.running.push((request.id, request.footprint()));
        if request.length > 0 {
            self.position = request.end();
        }
        Some(request)
    }

    fn choose(&self, now: u64) -> Option<usize> {
        let expired = (0..self.pending.len()).filter(|&at| self.pending[at].deadline <= now);
        if let Some(at) = expired.min_by_key(|&at| self.pending[at].deadline) {
            let first = self.first_of_chain(at);
            if !self.waits_for_running(first) {
                return Some(first);
            }
        }
        let has_room = self.running.len() < (self.limits.depth * 3 / 4).max(1);
        let allowed = |at: &usize| has_room || self.pending[*at].priority != Priority::Background;
        let startable = |at: &usize| self.first_of_chain(*at) == *at && !self.waits_for_running(*at);
        // What has to wait lends its urgency to what it waits for.
        let rank = |at: usize| (self.urgency(at), !self.pending[at].is_alone, self.distance(at));
        (0..self.pending.len()).filter(allowed).filter(startable).min_by_key(|&at| rank(at))
    }

    /// How far upwards from the last request; those below come after all above.
    fn distance(&self, at: usize) -> u64 {
        self.pending[at].start.wrapping_sub(self.position)
    }

    /// The most urgent of a request and of those that came later and overlap it.
    fn urgency(&self, at: usize) -> Priority {
        let footprint = self.pending[at].footprint();
        let later = self.pending[at + 1..].iter().filter(|later| later.footprint().conflicts(&footprint));
        later.map(|later| later.priority).fold(self.pending[at].priority, Priority::min)
    }

    /// A request that came before `at`, or `at` itself, that waits for none that came earlier, and without which
    /// `at` cannot start.
    fn first_of_chain(&self, mut at: usize) -> usize {
        loop {
            let footprint = self.pending[at].footprint();
            match self.pending[..at].iter().position(|earlier| earlier.footprint().conflicts(&footprint)) {
                Some(earlier) => at = earlier,
                None => return at,
            }
        }
    }

    fn waits_for_running(&self, at: usize) -> bool {
        let footprint = self.pending[at].footprint();
        self.running.iter().any(|(_, running)| running.conflicts(&footprint))
    }

    /// A request that [`next`](Self::next) gave has ended, well or not.
    pub fn done(&mut self, id: Id) {
        if let Some(at) = self.running.iter().position(|(running, _)| *running == id) {
            self.running.swap_remove(at);
            self.is_alone = false;
        }
    }

    /// A request that [`next`](Self::next) gave was not started after all. It is the first of all again.
    pub fn put_back(&mut self, request: Request<T>) {
        self.done(request.id);
        self.pending.insert(0, request);
    }

    /// A request that [`next`](Self::next) gave failed for no reason of its own: its items come again, each by itself and
    /// before all others.
    pub fn retry(&mut self, request: Request<T>, mut item_of: impl FnMut(T) -> Item<T>) {
        self.done(request.id);
        for (at, part) in request.parts.into_iter().enumerate() {
            self.next_id += 1;
            let item = Item { is_alone: true, ..item_of(part) };
            self.pending.insert(at, Request::new(Id(self.next_id), item));
        }
    }

    /// Takes out all that was not started.
    pub fn drain(&mut self) -> Vec<Request<T>> {
        core::mem::take(&mut self.pending)
    }
}

fn join<T>(request: &mut Request<T>, item: Item<T>, side: Side) {
    request.length += item.length;
    request.segments += item.segments;
    request.priority = request.priority.min(item.priority);
    request.deadline = request.deadline.min(item.deadline);
    match side {
        Side::Back => {
            request.parts.push(item.what);
            request.borders.1 = item.borders.1;
        }
        Side::Front => {
            request.parts.insert(0, item.what);
            request.start = item.start;
            request.borders.0 = item.borders.0;
        }
    }
}
