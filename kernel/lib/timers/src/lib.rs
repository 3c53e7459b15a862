//! Timers: what is to happen at which time.
//!
//! A timer has a deadline, before which it never expires, and a slack, by which it may be late. The clock has to be looked
//! at when the first timer's slack is over; whoever looks takes along what is within its slack as well, so that timers
//! whose spans overlap share an interrupt.
//!
//! A heap ordered by the end of the span over a table of slots. Expiring and cancelling take logarithmic time and never
//! allocate, so an interrupt handler can do them; inserting allocates only when there are more timers than ever before
//! ([`Timers::reserve`] does it ahead). Timers of one span expire in the order in which they were inserted. Times
//! are plain numbers in the caller's unit, nanoseconds say.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

/// Names a timer until it expires or is cancelled; after that it names nothing, even if its slot is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// Not before this.
    deadline: u64,
    /// Not after this, and a number that orders equal ends.
    order: (u64, u64),
    /// Place in the heap.
    position: usize,
    payload: Option<T>,
}

/// A set of timers, each with a payload.
#[derive(Debug)]
pub struct Timers<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// Slots, the earliest first: parent of `i` is `(i - 1) / 2`.
    heap: Vec<u32>,
    inserted: u64,
    /// Exchanges in the heap so far.
    #[cfg(test)]
    swaps: usize,
}

impl<T> Default for Timers<T> {
    fn default() -> Timers<T> {
        Timers::new()
    }
}

impl<T> Timers<T> {
    /// No timers.
    pub const fn new() -> Timers<T> {
        Timers {
            slots: Vec::new(),
            free: Vec::new(),
            heap: Vec::new(),
            inserted: 0,
            #[cfg(test)]
            swaps: 0,
        }
    }

    /// Number of timers that are set.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Makes room for so many more timers.
    pub fn reserve(&mut self, additional: usize) {
        self.slots.reserve(additional);
        self.heap.reserve(additional);
        self.free.reserve(self.slots.capacity() - self.free.len());
    }

    /// Sets a timer, which may be `slack` late.
    pub fn insert(&mut self, deadline: u64, slack: u64, payload: T) -> TimerId {
        let order = (deadline.saturating_add(slack), self.inserted);
        self.inserted += 1;
        let position = self.heap.len();
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = &mut self.slots[slot as usize];
                (place.deadline, place.order) = (deadline, order);
                (place.position, place.payload) = (position, Some(payload));
                slot
            }
            None => {
                self.slots.push(Slot { generation: 0, deadline, order, position, payload: Some(payload) });
                // Cancelling must not allocate: there is room for each slot.
                self.free.reserve(self.slots.capacity());
                (self.slots.len() - 1) as u32
            }
        };
        self.heap.push(slot);
        self.rise(position);
        TimerId { slot, generation: self.slots[slot as usize].generation }
    }

    /// Takes a timer away; `None` if it has expired or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.deadline(id)?;
        self.take(self.slots[id.slot as usize].position)
    }

    /// When a timer expires; `None` if it has expired or was cancelled.
    pub fn deadline(&self, id: TimerId) -> Option<u64> {
        let slot = self.slots.get(id.slot as usize)?;
        (slot.generation == id.generation && slot.payload.is_some()).then_some(slot.deadline)
    }

    /// Whether no timer has to expire before this one.
    pub fn is_first(&self, id: TimerId) -> bool {
        self.heap.first() == Some(&id.slot) && self.deadline(id).is_some()
    }

    /// When the clock has to be looked at: the end of the first timer's span.
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|&slot| self.slots[slot as usize].order.0)
    }

    /// Takes the next timer if its deadline is not after `now`, with its deadline.
    pub fn pop_expired(&mut self, now: u64) -> Option<(u64, T)> {
        let first = *self.heap.first()?;
        let deadline = Some(self.slots[first as usize].deadline).filter(|&deadline| deadline <= now)?;
        Some((deadline, self.take(0)?))
    }

    /// Takes the timer at a place of the heap.
    fn take(&mut self, position: usize) -> Option<T> {
        let slot = self.heap.swap_remove(position);
        if let Some(&moved) = self.heap.get(position) {
            self.slots[moved as usize].position = position;
            self.sink(position);
            self.rise(position);
        }
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        place.payload.take()
    }

    fn order(&self, position: usize) -> (u64, u64) {
        self.slots[self.heap[position] as usize].order
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        #[cfg(test)]
        {
            self.swaps += 1;
        }
        for position in [one, other] {
            self.slots[self.heap[position] as usize].position = position;
        }
    }

    /// Moves a timer up until its parent is earlier.
    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.order(parent) <= self.order(position) {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    /// Moves a timer down until its children are later.
    fn sink(&mut self, mut position: usize) {
        loop {
            let children = 2 * position + 1..(2 * position + 3).min(self.heap.len());
            let Some(earliest) = children.min_by_key(|&child| self.order(child)) else { return };
            if self.order(position) <= self.order(earliest) {
                return;
            }
            self.swap(position, earliest);
            position = earliest;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;

    fn random(state: &mut u64, below: u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    #[test]
    fn timers_expire_in_order_and_not_early() {
        let mut timers = Timers::new();
        for (deadline, name) in [(30, 'c'), (10, 'a'), (10, 'b'), (40, 'd')] {
            timers.insert(deadline, 0, name);
        }
        assert_eq!(timers.next_deadline(), Some(10));
        assert_eq!(timers.pop_expired(9), None);
        assert_eq!(timers.pop_expired(35), Some((10, 'a')));
        assert_eq!(timers.pop_expired(35), Some((10, 'b')));
        assert_eq!(timers.pop_expired(35), Some((30, 'c')));
        assert_eq!(timers.pop_expired(35), None);
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn timers_with_slack_share_a_look_at_the_clock() {
        let mut timers = Timers::new();
        let late = timers.insert(100, 50, "slack");
        let exact = timers.insert(120, 0, "exact");
        assert_eq!((timers.is_first(late), timers.is_first(exact)), (false, true));
        assert_eq!((timers.next_deadline(), timers.deadline(late)), (Some(120), Some(100)));
        assert_eq!(timers.pop_expired(99), None);
        assert_eq!(timers.pop_expired(120), Some((120, "exact")));
        assert_eq!(timers.pop_expired(120), Some((100, "slack")));
        timers.insert(u64::MAX - 1, u64::MAX, "for ever");
        assert_eq!((timers.next_deadline(), timers.pop_expired(u64::MAX - 2)), (Some(u64::MAX), None));
    }

    #[test]
    fn an_old_name_does_not_touch_a_new_timer() {
        let mut timers = Timers::new();
        let old = timers.insert(10, 0, 1);
        assert_eq!((timers.cancel(old), timers.cancel(old)), (Some(1), None));
        let new = timers.insert(20, 0, 2);
        assert_eq!((timers.cancel(old), timers.deadline(old), timers.deadline(new)), (None, None, Some(20)));
        assert!(timers.is_first(new) && !timers.is_first(old));
        assert_eq!(timers.pop_expired(u64::MAX), Some((20, 2)));
        assert_eq!((timers.cancel(new), timers.is_first(new)), (None, false));
    }

    #[test]
    fn random_use_agrees_with_a_sorted_map() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut timers = Timers::new();
        // By the end of the span and the number; with the deadline.
        let mut model: BTreeMap<(u64, u64), (u64, TimerId)> = BTreeMap::new();
        let mut now = 0;
        for number in 0..100_000 {
            match random(&mut state, 5) {
                0 | 1 => {
                    let (deadline, slack) = (now + random(&mut state, 50), random(&mut state, 3) * 7);
                    model.insert(
                        (deadline + slack, number),
                        (deadline, timers.insert(deadline, slack, number)),
                    );
                }
                2 => {
                    let from = (now + random(&mut state, 60), 0);
                    let Some((&key, &(deadline, id))) = model.range(from..).next() else { continue };
                    assert_eq!(timers.deadline(id), Some(deadline));
                    assert_eq!(timers.cancel(id), Some(key.1));
                    model.remove(&key);
                }
                _ => {
                    now += random(&mut state, 4);
                    while let Some((deadline, number)) = timers.pop_expired(now) {
                        let ((_, first), (expected, _)) = model.pop_first().unwrap();
                        assert_eq!((expected, first), (deadline, number));
                        assert!(deadline <= now);
                    }
                    assert!(model.keys().next().is_none_or(|key| key.0 > now), "nothing is late");
                }
            }
            assert_eq!(timers.len(), model.len());
            assert_eq!(timers.next_deadline(), model.keys().next().map(|key| key.0));
        }
    }

    #[test]
    fn a_hundred_thousand_timers_cost_a_logarithm_each() {
        const COUNT: usize = 100_000;
        const LOGARITHM: usize = 17;
        let mut state = 42;
        let mut timers = Timers::new();
        let ids: Vec<_> =
            (0..COUNT).map(|number| timers.insert(random(&mut state, 1 << 40), 50_000, number)).collect();
        assert!(timers.swaps <= COUNT * LOGARITHM, "{} for insertion", timers.swaps);
        let capacity = (timers.slots.capacity(), timers.free.capacity(), timers.heap.capacity());
        timers.swaps = 0;
        for id in ids.iter().step_by(2) {
            assert!(timers.cancel(*id).is_some());
        }
        assert!(timers.swaps <= COUNT / 2 * LOGARITHM, "{} for cancelling", timers.swaps);
        timers.swaps = 0;
        let mut end = 0;
        while let Some((deadline, _)) = timers.pop_expired(u64::MAX) {
            assert!(deadline >= end);
            end = deadline;
        }
        assert!(timers.is_empty() && timers.swaps <= COUNT / 2 * LOGARITHM, "{} for expiring", timers.swaps);
        assert_eq!(capacity, (timers.slots.capacity(), timers.free.capacity(), timers.heap.capacity()));
    }
}
