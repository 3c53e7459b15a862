//! Fair tasks that wait, by virtual deadline, in a tree that finds the first *eligible* one fast.
//!
//! A treap: a search tree by deadline whose nodes are a heap by a pseudo-random priority, so its depth is logarithmic
//! in expectation. Each node knows the least virtual time below it; that is what lets the search for "the earliest
//! deadline among those whose virtual time is not ahead" leave out whole subtrees.
//!
//! Nodes lie in a vector and refer to each other by index, so after [`DeadlineTree::try_reserve`] nothing allocates.

use crate::entity::{Entity, VirtualTime};
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// No node.
const NONE: u32 = u32::MAX;

/// Deadline, and a number that orders equal deadlines by arrival.
pub(crate) type Key = (VirtualTime, u64);

#[derive(Clone, Debug)]
struct Node<K> {
    /// `None` while the node is free.
    task: Option<(K, Entity)>,
    key: Key,
    virtual_time: VirtualTime,
    /// The least virtual time of this node and those below it.
    least: VirtualTime,
    priority: u64,
    /// While the node is free: the next free one.
    left: u32,
    right: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineTree<K> {
    nodes: Vec<Node<K>>,
    root: u32,
    free: u32,
    len: usize,
    arrivals: u64,
}

impl<K> DeadlineTree<K> {
    pub(crate) const fn new() -> Self {
        DeadlineTree { nodes: Vec::new(), root: NONE, free: NONE, len: 0, arrivals: 0 }
    }

    /// Makes room for so many tasks in all.
    pub(crate) fn try_reserve(&mut self, tasks: usize) -> Result<(), TryReserveError> {
        self.nodes.try_reserve(tasks.saturating_sub(self.nodes.len()))
    }

    /// Gives back room for more than so many tasks, if none is there: indices are not to change.
    pub(crate) fn shrink(&mut self, tasks: usize) {
        let mut nodes = Vec::new();
        if self.is_empty() && self.nodes.capacity() > tasks && nodes.try_reserve_exact(tasks).is_ok() {
            (self.nodes, self.free) = (nodes, NONE);
        }
    }

    /// For how many tasks there is room.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.nodes.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// Adds a task.
    pub(crate) fn insert(&mut self, item: K, entity: Entity) {
        self.arrivals += 1;
        let node = Node {
            key: (entity.deadline, self.arrivals),
            virtual_time: entity.virtual_time,
            least: entity.virtual_time,
            priority: scrambled(self.arrivals),
            task: Some((item, entity)),
            left: NONE,
            right: NONE,
        };
        let key = node.key;
        let new = if self.free == NONE {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let new = self.free;
            self.free = self.nodes[new as usize].left;
            self.nodes[new as usize] = node;
            new
        };
        let (before, after) = self.split(self.root, key);
        let before = self.merge(before, new);
        self.root = self.merge(before, after);
        self.len += 1;
    }

    /// Takes out the task with a key that [`first_eligible`](Self::first_eligible) or [`last_where`](Self::last_where)
    /// told.
    pub(crate) fn remove(&mut self, key: Key) -> Option<(K, Entity)> {
        let (before, rest) = self.split(self.root, key);
        let (found, after) = self.split(rest, (key.0, key.1 + 1));
        self.root = self.merge(before, after);
        let node = self.nodes.get_mut(found as usize)?;
        let task = node.task.take();
        node.left = self.free;
        self.free = found;
        self.len -= 1;
        task
    }

    /// The task with the earliest deadline among those whose virtual time is at most `sum / weight`: its key.
    pub(crate) fn first_eligible(&self, sum: VirtualTime, weight: u64) -> Option<Key> {
        let is_eligible = |time: VirtualTime| time * VirtualTime::from(weight) <= sum;
        let mut at = self.root;
        while let Some(node) = self.nodes.get(at as usize) {
            match self.nodes.get(node.left as usize) {
                Some(left) if is_eligible(left.least) => at = node.left,
                _ if is_eligible(node.virtual_time) => return Some(node.key),
                _ => at = node.right,
            }
        }
        None
    }

    /// The one with the latest deadline that `suits`: its key.
    pub(crate) fn last_where(&self, suits: &mut dyn FnMut(&K, &Entity) -> bool) -> Option<Key> {
        self.last_below(self.root, suits)
    }

    fn last_below(&self, at: u32, suits: &mut dyn FnMut(&K, &Entity) -> bool) -> Option<Key> {
        let node = self.nodes.get(at as usize)?;
        if let Some(key) = self.last_below(node.right, suits) {
            return Some(key);
        }
        if node.task.as_ref().is_some_and(|(item, entity)| suits(item, entity)) {
            return Some(node.key);
        }
        self.last_below(node.left, suits)
    }

    /// All tasks, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Entity)> {
        self.nodes.iter().filter_map(|node| node.task.as_ref()).map(|(item, entity)| (item, entity))
    }

    /// Divides a subtree into the nodes before `key` and the rest.
    fn split(&mut self, at: u32, key: Key) -> (u32, u32) {
        let Some(node) = self.nodes.get(at as usize) else { return (NONE, NONE) };
        if node.key < key {
            let (before, after) = self.split(node.right, key);
            self.nodes[at as usize].right = before;
            self.update(at);
            (at, after)
        } else {
            let (before, after) = self.split(node.left, key);
            self.nodes[at as usize].left = after;
            self.update(at);
            (before, at)
        }
    }

    /// Joins two subtrees, all of the first before all of the second.
    fn merge(&mut self, before: u32, after: u32) -> u32 {
        let (Some(first), Some(second)) = (self.nodes.get(before as usize), self.nodes.get(after as usize))
        else {
            return if before == NONE { after } else { before };
        };
        if first.priority >= second.priority {
            let right = self.merge(first.right, after);
            self.nodes[before as usize].right = right;
            self.update(before);
            before
        } else {
            let left = self.merge(before, second.left);
            self.nodes[after as usize].left = left;
            self.update(after);
            after
        }
    }

    fn update(&mut self, at: u32) {
        let least = |child: u32| self.nodes.get(child as usize).map_or(VirtualTime::MAX, |node| node.least);
        let node = &self.nodes[at as usize];
        let least = node.virtual_time.min(least(node.left)).min(least(node.right));
        self.nodes[at as usize].least = least;
    }
}

/// Spreads consecutive numbers over all 64 bits. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014 (the mixing function).
const fn scrambled(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
