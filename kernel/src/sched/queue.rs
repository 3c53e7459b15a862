//! The run queue of one CPU: threads that could run and do not.
//!
//! Real-time threads stand in order of priority, fair ones in order of their virtual clocks. The queue has a clock of
//! its own that follows the least of them and never goes back; sleepers are placed by it.

use super::policy::is_before;
use super::thread::Thread;
use alloc::collections::{BinaryHeap, VecDeque};
use alloc::sync::Arc;
use core::cmp::Ordering;

/// Where a real-time thread is put among its equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Before them: it was preempted and keeps its turn.
    Front,
    /// Behind them.
    Back,
}

/// See the module.
#[derive(Default)]
pub(super) struct RunQueue {
    real_time: VecDeque<Arc<Thread>>,
    fair: BinaryHeap<Fair>,
    clock_ns: u64,
    sequence: u64,
}

/// A fair thread in the queue, with the clock it was queued with. The greatest of the heap is the next to run.
struct Fair {
    virtual_ns: u64,
    sequence: u64,
    thread: Arc<Thread>,
}

impl Ord for Fair {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.virtual_ns == other.virtual_ns, is_before(self.virtual_ns, other.virtual_ns)) {
            (true, _) => other.sequence.cmp(&self.sequence),
            (false, true) => Ordering::Greater,
            (false, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Fair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Fair {}

impl RunQueue {
    /// How many threads wait in it.
    pub(super) fn len(&self) -> usize {
        self.real_time.len() + self.fair.len()
    }

    /// Whether nobody waits in it.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its clock, for placing those who wake up.
    pub(super) fn clock_ns(&self) -> u64 {
        self.clock_ns
    }

    /// Adds a thread.
    pub(super) fn push(&mut self, thread: Arc<Thread>, position: Position) {
        if thread.policy().is_real_time() {
            let priority = thread.policy().priority();
            let index = self.real_time.partition_point(|other| match position {
                Position::Front => other.policy().priority() > priority,
                Position::Back => other.policy().priority() >= priority,
            });
            self.real_time.insert(index, thread);
        } else {
            self.sequence += 1;
            let virtual_ns = thread.policy().virtual_ns();
            self.fair.push(Fair { virtual_ns, sequence: self.sequence, thread });
        }
    }

    /// Takes the thread that is to run next.
    pub(super) fn pop(&mut self) -> Option<Arc<Thread>> {
        if let Some(thread) = self.real_time.pop_front() {
            return Some(thread);
        }
        let next = self.fair.pop()?;
        if is_before(self.clock_ns, next.virtual_ns) {
            self.clock_ns = next.virtual_ns;
        }
        Some(next.thread)
    }

    /// Takes the first thread that another CPU could run.
    pub(super) fn steal(&mut self, suits: impl Fn(&Thread) -> bool) -> Option<Arc<Thread>> {
        if let Some(index) = self.real_time.iter().position(|thread| suits(thread)) {
            return self.real_time.remove(index);
        }
        let mut stolen = None;
        let mut kept = core::mem::take(&mut self.fair).into_vec();
        if let Some(index) = kept.iter().position(|entry| suits(&entry.thread)) {
            stolen = Some(kept.swap_remove(index).thread);
        }
        self.fair = kept.into();
        stolen
    }

    /// Takes a certain thread out and puts it back, since its attributes have changed. `false`: it is not here.
    pub(super) fn requeue(&mut self, thread: &Arc<Thread>) -> bool {
        let Some(found) = self.steal(|other| core::ptr::eq(other, Arc::as_ptr(thread))) else { return false };
        self.push(found, Position::Back);
        true
    }
}
