//! Timers: what is to happen at which time.
//!
//! A heap ordered by deadline over a table of slots. Expiring and cancelling take logarithmic time and never allocate,
//! so an interrupt handler can do them; inserting allocates only when there are more timers than ever before
//! ([`Timers::reserve`] does it ahead). Timers of one deadline expire in the order in which they were inserted. Times
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
    /// Deadline, and a number that orders equal deadlines.
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
}

impl<T> Default for Timers<T> {
    fn default() -> Timers<T> {
        Timers::new()
    }
}

impl<T> Timers<T> {
    /// No timers.
    pub const fn new() -> Timers<T> {
        Timers { slots: Vec::new(), free: Vec::new(), heap: Vec::new(), inserted: 0 }
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

    /// Sets a timer.
    pub fn insert(&mut self, deadline: u64, payload: T) -> TimerId {
        let order = (deadline, self.inserted);
        self.inserted += 1;
        let position = self.heap.len();
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = &mut self.slots[slot as usize];
                (place.order, place.position, place.payload) = (order, position, Some(payload));
                slot
            }
            None => {
                self.slots.push(Slot { generation: 0, order, position, payload: Some(payload) });
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
        (slot.generation == id.generation && slot.payload.is_some()).then_some(slot.order.0)
    }

    /// When the next timer expires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|&slot| self.slots[slot as usize].order.0)
    }

    /// Takes the next timer whose deadline is not after `now`, with its deadline.
    pub fn pop_expired(&mut self, now: u64) -> Option<(u64, T)> {
        let deadline = self.next_deadline().filter(|&deadline| deadline <= now)?;
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

    #[test]
    fn timers_expire_in_order_and_not_early() {
        let mut timers = Timers::new();
        for (deadline, name) in [(30, 'c'), (10, 'a'), (10, 'b'), (40, 'd')] {
            timers.insert(deadline, name);
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
    fn an_old_name_does_not_touch_a_new_timer() {
        let mut timers = Timers::new();
        let old = timers.insert(10, 1);
        assert_eq!((timers.cancel(old), timers.cancel(old)), (Some(1), None));
        let new = timers.insert(20, 2);
        assert_eq!((timers.cancel(old), timers.deadline(old), timers.deadline(new)), (None, None, Some(20)));
        assert_eq!(timers.pop_expired(u64::MAX), Some((20, 2)));
        assert_eq!(timers.cancel(new), None);
    }

    #[test]
    fn random_use_agrees_with_a_sorted_map() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut timers = Timers::new();
        let mut model: BTreeMap<(u64, u64), TimerId> = BTreeMap::new();
        let mut now = 0;
        for number in 0..100_000 {
            match random(5) {
                0 | 1 => {
                    let deadline = now + random(50);
                    model.insert((deadline, number), timers.insert(deadline, number));
                }
                2 => {
                    let from = (now + random(60), 0);
                    let Some((&key, &id)) = model.range(from..).next() else { continue };
                    assert_eq!(timers.deadline(id), Some(key.0));
                    assert_eq!(timers.cancel(id), Some(key.1));
                    model.remove(&key);
                }
                _ => {
                    now += random(4);
                    while let Some((deadline, number)) = timers.pop_expired(now) {
                        let (first, _) = model.pop_first().unwrap();
                        assert_eq!(first, (deadline, number));
                        assert!(deadline <= now);
                    }
                }
            }
            assert_eq!(timers.len(), model.len());
            assert_eq!(timers.next_deadline(), model.keys().next().map(|key| key.0));
        }
    }
}
