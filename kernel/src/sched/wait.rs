//! Waiting for a condition, and telling those who wait.
//!
//! The waiter's side: [`WaitQueue::wait`] and its relatives call a closure until it gives a value. The closure is called
//! again after every wake-up, needed or not; it may take locks but must not sleep.
//! The waker's side: make the condition true first, then [`WaitQueue::wake_one`] or [`WaitQueue::wake_all`], from
//! anywhere, interrupt handlers included.
//!
//! `wake_one` wakes the thread that has waited longest. If that one gives up instead (a signal, its time is over), it
//! passes the wake-up on, so none is lost. Whoever watches several queues at a time (poll, epoll) registers a [`Waiter`] with
//! each; every wake-up reaches all of them.

use super::thread::Thread;
use super::timer::{Deadline, Timeout};
use super::wake::Hint;
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use machine::sync::{IrqSpinLock, Place};
use machine::time;

/// What a thread waits for, for reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// The name of the queue or the class of the lock.
    pub(crate) what: &'static str,
    /// Since when, in nanoseconds of the monotonic clock.
    pub(crate) since_ns: u64,
    /// Who holds it, for locks.
    pub(crate) holder: Option<Holder>,
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    /// [`Thread::id`] of the thread; 0 if that is not known.
    pub(crate) thread: u64,
    /// Where it took the lock.
    pub(crate) since: Option<Place>,
}

/// What may end a wait before its condition is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Nothing.
    Endless,
    /// Nothing, and that is not worrying.
    Idle,
    /// The end of the process.
    UntilKilled,
    /// Any signal.
    UntilSignal,
}

/// Runs what waits itself where the thread may be about to wait for something else, as in a condition: that wait goes on as it
/// was, with one more look at the condition.
pub(crate) fn inside_condition<R>(run: impl FnOnce() -> R) -> R {
    let thread = super::current();
    let (waiting, interruptible) = (thread.waiting(), thread.is_interruptible());
    let result = run();
    thread.set_waiting(waiting);
    thread.set_interruptible(interruptible);
    // What was taken may have been the token of the other wait.
    thread.unpark();
    result
}

/// A place where threads wait. See the module.
pub(crate) struct WaitQueue {
    name: &'static str,
    /// Number of entries in `lists`, so that waking nobody costs no lock.
    count: AtomicUsize,
    lists: IrqSpinLock<Lists>,
}

struct Lists {
    threads: VecDeque<(u64, Arc<Thread>)>,
    watchers: Vec<Weak<Waiter>>,
    next_key: u64,
    /// Length of `watchers` at which dead ones are looked for.
    sweep_at: usize,
}

impl WaitQueue {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self::named("event")
    }

    /// An empty queue with a name for reports (/proc/PID/wchan).
    pub(crate) const fn named(name: &'static str) -> Self {
        let lists = Lists { threads: VecDeque::new(), watchers: Vec::new(), next_key: 0, sweep_at: 8 };
        Self { name, count: AtomicUsize::new(0), lists: IrqSpinLock::new("wait queue", lists) }
    }

    /// Waits until `condition` gives a value; nothing else ends the wait.
    pub(crate) fn wait<R>(&self, condition: impl FnMut() -> Option<R>) -> R {
        match self.wait_with(Patience::Endless, None, None, condition) {
            Ok(value) => value,
            Err(_) => unreachable!("an endless wait ends with a value only"),
        }
    }

    /// For threads of the kernel that wait for something to do: nobody misses them meanwhile.
    pub(crate) fn wait_for_work<R>(&self, condition: impl FnMut() -> Option<R>) -> R {
        match self.wait_with(Patience::Idle, None, None, condition) {
            Ok(value) => value,
            Err(_) => unreachable!("an endless wait ends with a value only"),
        }
    }

    /// [`wait_for_work`](Self::wait_for_work) until the deadline passes (monotonic clock).
    ///
    /// # Errors
    /// ETIMEDOUT.
    pub(crate) fn wait_for_work_until<R>(
        &self,
        deadline_ns: u64,
        condition: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        self.wait_with(Patience::Idle, Some(Deadline::monotonic(deadline_ns)), None, condition)
    }

    /// Waits for a value until a signal comes or the deadline passes (monotonic clock).
    ///
    /// # Errors
    /// A restartable EINTR, or ETIMEDOUT.
    pub(crate) fn wait_interruptible<R>(
        &self,
        condition: impl FnMut() -> Option<R>,
        deadline_ns: Option<u64>,
    ) -> Result<R> {
        self.wait_with(Patience::UntilSignal, deadline_ns.map(Deadline::monotonic), None, condition)
    }

    /// [`wait_interruptible`](Self::wait_interruptible) with a deadline of any clock.
    ///
    /// # Errors
    /// A restartable EINTR, or ETIMEDOUT.
    pub(crate) fn wait_interruptible_until<R>(
        &self,
        condition: impl FnMut() -> Option<R>,
        deadline: Option<Deadline>,
    ) -> Result<R> {
        self.wait_with(Patience::UntilSignal, deadline, None, condition)
    }

    /// Waits for a value until the process is to end, or the deadline passes.
    ///
    /// # Errors
    /// EINTR (which nobody will see), or ETIMEDOUT.
    pub(crate) fn wait_killable<R>(
        &self,
        condition: impl FnMut() -> Option<R>,
        deadline_ns: Option<u64>,
    ) -> Result<R> {
        self.wait_with(Patience::UntilKilled, deadline_ns.map(Deadline::monotonic), None, condition)
    }

    /// Waits for a value until the deadline passes; signals do not matter.
    ///
    /// # Errors
    /// ETIMEDOUT.
    pub(crate) fn wait_until<R>(&self, deadline_ns: u64, condition: impl FnMut() -> Option<R>) -> Result<R> {
        self.wait_with(Patience::Endless, Some(Deadline::monotonic(deadline_ns)), None, condition)
    }

    /// For locks: an endless wait for something that `holder` has.
    pub(crate) fn wait_for_holder<R>(&self, holder: Holder, condition: impl FnMut() -> Option<R>) -> R {
        match self.wait_with(Patience::Endless, None, Some(holder), condition) {
            Ok(value) => value,
            Err(_) => unreachable!("an endless wait ends with a value only"),
        }
    }

    fn wait_with<R>(
        &self,
        patience: Patience,
        deadline: Option<Deadline>,
        holder: Option<Holder>,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R> {
        if let Some(value) = condition() {
            return Ok(value);
        }
        let mut value = None;
        self.wait_until_true(patience, deadline, holder, &mut || {
            value = condition();
            value.is_some()
        })?;
        Ok(value.expect("the wait was successful: the condition gave a value"))
    }

    /// [`wait_with`](Self::wait_with) once the condition was seen to be false; compiled once for all conditions.
    fn wait_until_true(
        &self,
        patience: Patience,
        deadline: Option<Deadline>,
        holder: Option<Holder>,
        condition: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let thread = super::current();
        let timeout = deadline.map(|deadline| Timeout::new(deadline, thread.clone()));
        thread.set_waiting(Some(Waiting { what: self.name, since_ns: time::monotonic_ns(), holder }));
        thread.set_interruptible(matches!(patience, Patience::UntilSignal | Patience::Idle));
        let mut was_woken = false;
        let result = loop {
            let key = self.enlist(&thread);
            let outcome =
                if condition() { Some(Ok(())) } else { give_up(&thread, patience, deadline).map(Err) };
            if let Some(outcome) = outcome {
                // A wake-up that came for this thread and was not needed belongs to the next one.
                let came_now = !self.delist(key);
                if came_now || (was_woken && outcome.is_err()) {
                    self.wake_one();
                }
                break outcome;
            }
            super::park();
            was_woken = !self.delist(key);
        };
        thread.set_waiting(None);
        drop(timeout);
        result
    }

    /// Wakes the thread that has waited longest, and all watchers.
    pub(crate) fn wake_one(&self) {
        self.wake(1);
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        self.wake(usize::MAX);
    }

    /// [`wake_all`](Self::wake_all) by a thread that will wait itself very soon, for what those it wakes do.
    pub(crate) fn hand_over(&self) {
        self.wake_with(usize::MAX, Hint::WakerSleeps);
    }

    /// Wakes up to `limit` threads, those that have waited longest, and all watchers.
    pub(crate) fn wake(&self, limit: usize) {
        self.wake_with(limit, Hint::None);
    }

    fn wake_with(&self, limit: usize, hint: Hint) {
        // Either the waiter's check sees what the waker did, or the waker sees the waiter in the count.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut lists = self.lists.lock();
        for _ in 0..limit {
            let Some((_, thread)) = lists.threads.pop_front() else { break };
            thread.unpark_with(hint);
        }
        for watcher in &lists.watchers {
            if let Some(watcher) = watcher.upgrade() {
                watcher.wake();
            }
        }
        self.update_count(&lists);
    }

    /// Has `waiter` woken by every wake-up from now on, until it is dropped.
    pub(crate) fn register(&self, waiter: &Arc<Waiter>) {
        let mut lists = self.lists.lock();
        if lists.watchers.len() >= lists.sweep_at {
            lists.watchers.retain(|watcher| watcher.strong_count() != 0);
            lists.sweep_at = (lists.watchers.len() * 2).max(8);
        }
        lists.watchers.push(Arc::downgrade(waiter));
        self.update_count(&lists);
        drop(lists);
        fence(Ordering::SeqCst);
    }

    fn enlist(&self, thread: &Arc<Thread>) -> u64 {
        let mut lists = self.lists.lock();
        let key = lists.next_key;
        lists.next_key += 1;
        lists.threads.push_back((key, thread.clone()));
        self.update_count(&lists);
        drop(lists);
        fence(Ordering::SeqCst);
        key
    }

    /// `false`: a waker has taken the entry out already.
    fn delist(&self, key: u64) -> bool {
        let mut lists = self.lists.lock();
        let Some(index) = lists.threads.iter().position(|entry| entry.0 == key) else { return false };
        lists.threads.remove(index);
        self.update_count(&lists);
        true
    }

    fn update_count(&self, lists: &Lists) {
        self.count.store(lists.threads.len() + lists.watchers.len(), Ordering::Relaxed);
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

fn give_up(thread: &Thread, patience: Patience, deadline: Option<Deadline>) -> Option<Error> {
    let is_over = match patience {
        Patience::Endless | Patience::Idle => false,
        Patience::UntilKilled => thread.is_killed(),
        Patience::UntilSignal => thread.is_interrupted(),
    };
    if is_over {
        return Some(Error::interrupted());
    }
    deadline.is_some_and(Deadline::has_passed).then(|| Error::new(Errno::ETIMEDOUT, "nothing came in time"))
}

/// Something that many queues can wake at a time: the current thread, or a function.
///
/// Register it with the queues first, then look at the conditions, then [`wait`](Self::wait). Dropping it ends all registrations.
pub(crate) struct Waiter {
    is_woken: AtomicBool,
    action: WaiterAction,
}

enum WaiterAction {
    Unpark(Arc<Thread>),
    Call(Box<dyn Fn() + Send + Sync>),
}

impl Waiter {
    /// A waiter for the current thread.
    pub(crate) fn new() -> Arc<Waiter> {
        let action = WaiterAction::Unpark(super::current().clone());
        Arc::new(Waiter { is_woken: AtomicBool::new(false), action })
    }

    /// A waiter that calls a function at each wake-up. It runs under the lock of the queue, maybe in interrupt context.
    pub(crate) fn calling(call: impl Fn() + Send + Sync + 'static) -> Arc<Waiter> {
        Arc::new(Waiter { is_woken: AtomicBool::new(false), action: WaiterAction::Call(Box::new(call)) })
    }

    /// Waits until one of the queues wakes it; a wake-up since the last call counts.
    ///
    /// # Errors
    /// A restartable EINTR, or ETIMEDOUT.
    pub(crate) fn wait(&self, deadline_ns: Option<u64>) -> Result<()> {
        let thread = super::current();
        let timeout = deadline_ns.map(|deadline_ns| Timeout::new(deadline_ns, thread.clone()));
        thread.set_waiting(Some(Waiting { what: "poll", since_ns: time::monotonic_ns(), holder: None }));
        thread.set_interruptible(true);
        let result = loop {
            if self.is_woken.swap(false, Ordering::SeqCst) {
                break Ok(());
            }
            if let Some(error) = give_up(&thread, Patience::UntilSignal, deadline_ns.map(Deadline::monotonic))
            {
                break Err(error);
            }
            super::park();
        };
        thread.set_waiting(None);
        drop(timeout);
        result
    }

    /// Wakes it.
    pub(crate) fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        match &self.action {
            WaiterAction::Unpark(thread) => thread.unpark(),
            WaiterAction::Call(call) => call(),
        }
    }
}
