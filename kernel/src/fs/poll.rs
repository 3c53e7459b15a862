//! Waiting for several files at once: what poll, select and epoll hand to a file.

use crate::sched::wait::{WaitQueue, Waiter};
use alloc::sync::Arc;

/// Given to [`FileOperations::poll`](super::file::FileOperations::poll): registers the one who waits with every
/// queue that wakes when the answer may have changed.
pub(crate) struct PollTable<'a> {
    waiter: Option<&'a Arc<Waiter>>,
}

impl<'a> PollTable<'a> {
    /// For a question without waiting.
    pub(crate) fn none() -> Self {
        Self { waiter: None }
    }

    /// For one who will wait.
    pub(crate) fn new(waiter: &'a Arc<Waiter>) -> Self {
        Self { waiter: Some(waiter) }
    }

    /// A change will be told by `queue`. To be called before the state is looked at, or a change between
    /// the two is missed.
    pub(crate) fn watch(&mut self, queue: &WaitQueue) {
        if let Some(waiter) = self.waiter {
            queue.register(waiter);
        }
    }
}
