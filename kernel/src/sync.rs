//! Sleeping locks, and the order in which locks are taken.
//!
//! # Which lock
//! * `machine::sync::SpinLock`: short, never slept under; `IrqSpinLock` if an interrupt handler takes it as well.
//! * [`Mutex`], [`RwLock`]: held while sleeping (disk, user memory); never taken by interrupt handlers or under a spin lock.
//! * [`Condvar`], `sched::wait::WaitQueue`: waiting for something other than a lock.
//!
//! # The order
//! A thread that holds a lock takes only locks below it. Spin locks are below all sleeping ones. A name is the class
//! given at creation.
//!
//! | sleeping lock | guards | owner |
//! |---|---|---|
//! | mount tree, directory, inode, page cache, file position | from the outer to the inner file | fs |
//! | address space | areas and page table of a program | mm |
//! | block cache, block device | | block |
//!
//! | spin lock | guards | owner |
//! |---|---|---|
//! | telling of news | one process's news for its parent: SIGCHLD goes out before a wait finds them | process |
//! | processes | pids, parents, children, groups, sessions | process |
//! | thread group | threads of a process, its shared signals, stop and exit state | process |
//! | signal actions, thread signals, limits, credentials | one field group each | process |
//! | wait queue | who waits; a watcher's queue (epoll) nests inside a file's | sched |
//! | timer, then timers | one timer, then a CPU's queue of timers | sched |
//! | run queue, then current thread | | sched |
//! | irq claims, then irq line, then ioapic | who has a line; a line, while its handlers run | machine |
//! | serial output | the ring of a serial line | machine |
//! | heap, frames | | machine |
//! | log, serial | any code may log | log |
//!
//! Locks of the same class are nested only where the table says so, by address or from parent to child.

use crate::sched::{self, wait::WaitQueue};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::SpinLock;
use spin::mutex::{SpinMutex, SpinMutexGuard};
use spin::rwlock::{RwLock as RawRwLock, RwLockReadGuard as RawReadGuard, RwLockWriteGuard as RawWriteGuard};

/// The id of no thread.
const NOBODY: u64 = 0;

/// A lock whose waiters sleep. It knows who holds it.
pub(crate) struct Mutex<T: ?Sized> {
    holder: AtomicU64,
    waiters: WaitQueue,
    /// Only ever tried, never spun on: it is the cell that the lock is made of.
    cell: SpinMutex<T>,
}

impl<T> Mutex<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        Self { holder: AtomicU64::new(NOBODY), waiters: WaitQueue::named(class), cell: SpinMutex::new(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes it; sleeps while somebody else has it.
    ///
    /// # Panics
    /// If the caller holds it already.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_slowly())
    }

    /// Takes it if it is free.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = self.cell.try_lock()?;
        self.holder.store(sched::current_id(), Ordering::Relaxed);
        Some(MutexGuard { mutex: self, guard: Some(guard) })
    }

    /// [`Thread::id`](sched::Thread::id) of the holder, 0 if there is none.
    pub(crate) fn holder(&self) -> u64 {
        self.holder.load(Ordering::Relaxed)
    }

    #[cold]
    fn lock_slowly(&self) -> MutexGuard<'_, T> {
        let holder = self.holder();
        assert!(
            holder == NOBODY || holder != sched::current_id(),
            "a mutex is taken twice by the same thread"
        );
        self.waiters.wait_for_holder(holder, || self.try_lock())
    }
}

/// A held [`Mutex`].
#[must_use]
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    guard: Option<SpinMutexGuard<'a, T>>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.holder.store(NOBODY, Ordering::Relaxed);
        self.guard = None;
        self.mutex.waiters.wake_one();
    }
}

/// A lock with one writer or many readers, whose waiters sleep. Readers wait for waiting writers, so a
/// thread must not take it for reading twice.
pub(crate) struct RwLock<T: ?Sized> {
    entrance: SpinLock<Entrance>,
    waiters: WaitQueue,
    /// Only ever tried, by those whom the entrance has let in: it never refuses them.
    cell: RawRwLock<T>,
}

/// Who is inside, and who wants to be.
struct Entrance {
    readers: u32,
    /// The id of the writing thread.
    writer: u64,
    waiting_writers: u32,
}

impl<T> RwLock<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        let entrance = Entrance { readers: 0, writer: NOBODY, waiting_writers: 0 };
        Self {
            entrance: SpinLock::new("entrance of a lock", entrance),
            waiters: WaitQueue::named(class),
            cell: RawRwLock::new(value),
        }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes it for reading.
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        self.try_read().unwrap_or_else(|| self.waiters.wait_for_holder(self.writer(), || self.try_read()))
    }

    /// Takes it for writing.
    ///
    /// # Panics
    /// If the caller holds it for writing already.
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        if let Some(guard) = self.try_write() {
            return guard;
        }
        let holder = self.writer();
        assert!(
            holder == NOBODY || holder != sched::current_id(),
            "a lock is taken twice by the same thread"
        );
        self.entrance.lock().waiting_writers += 1;
        let guard = self.waiters.wait_for_holder(holder, || self.try_write());
        self.entrance.lock().waiting_writers -= 1;
        guard
    }

    /// Takes it for reading if nobody writes or waits to write.
    pub(crate) fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        {
            let mut entrance = self.entrance.lock();
            if entrance.writer != NOBODY || entrance.waiting_writers != 0 {
                return None;
            }
            entrance.readers += 1;
        }
        let guard = self.cell.try_read().expect("the entrance lets in readers only while nobody writes");
        Some(ReadGuard { lock: self, guard: Some(guard) })
    }

    /// Takes it for writing if it is free.
    pub(crate) fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        {
            let mut entrance = self.entrance.lock();
            if entrance.writer != NOBODY || entrance.readers != 0 {
                return None;
            }
            // During early boot there are no threads, and only one flow.
            entrance.writer = sched::current_id().max(1);
        }
        let guard = self.cell.try_write().expect("the entrance lets in a writer only when nobody is inside");
        Some(WriteGuard { lock: self, guard: Some(guard) })
    }

    fn writer(&self) -> u64 {
        self.entrance.lock().writer
    }
}

/// A [`RwLock`] held for reading.
#[must_use]
pub(crate) struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    guard: Option<RawReadGuard<'a, T>>,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.guard = None;
        self.lock.entrance.lock().readers -= 1;
        self.lock.waiters.wake_all();
    }
}

/// A [`RwLock`] held for writing.
#[must_use]
pub(crate) struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    guard: Option<RawWriteGuard<'a, T>>,
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.guard.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.guard = None;
        self.lock.entrance.lock().writer = NOBODY;
        self.lock.waiters.wake_all();
    }
}

/// Waiting, under a [`Mutex`], for something that another thread does under it.
pub(crate) struct Condvar {
    /// Number of notifications so far.
    turn: AtomicU64,
    waiters: WaitQueue,
}

impl Condvar {
    /// A condition; `name` is for reports.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { turn: AtomicU64::new(0), waiters: WaitQueue::named(name) }
    }

    /// Gives the lock back, waits for a notification, takes the lock again. It may return for no reason: call it in
    /// a loop on the condition.
    pub(crate) fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex;
        let turn = self.turn.load(Ordering::Acquire);
        drop(guard);
        self.waiters.wait(|| (self.turn.load(Ordering::Acquire) != turn).then_some(()));
        mutex.lock()
    }

    /// Wakes all waiters.
    pub(crate) fn notify_all(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
        self.waiters.wake_all();
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell.try_lock() {
            Some(value) => f.debug_tuple("Mutex").field(&*value).finish(),
            None => write!(f, "Mutex(held by thread {})", self.holder()),
        }
    }
}
