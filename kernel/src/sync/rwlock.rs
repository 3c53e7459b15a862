//! The sleeping lock for one writer or many readers.

use crate::sched::{
    self,
    wait::{Holder, WaitQueue},
};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::panic::Location;
use machine::sync::{Kind, Place, SpinLock, Taking, Watch, assert_may_sleep};
use spin::rwlock::{RwLock as Cell, RwLockReadGuard as CellReadGuard, RwLockWriteGuard as CellWriteGuard};

/// A lock with one writer or many readers, whose waiters sleep. Readers wait for waiting writers, so a
/// thread must not take it for reading twice.
pub(crate) struct RwLock<T: ?Sized> {
    watch: Watch,
    entrance: SpinLock<Entrance>,
    waiters: WaitQueue,
    /// Only ever tried, by those whom the entrance has let in: it never refuses them.
    cell: Cell<T>,
}

/// Who is inside, and who wants to be.
struct Entrance {
    readers: u32,
    /// The id of the writing thread, and where it came in.
    writer: u64,
    since: Option<Place>,
    waiting_writers: u32,
}

impl<T> RwLock<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        let entrance = Entrance { readers: 0, writer: super::NOBODY, since: None, waiting_writers: 0 };
        Self {
            watch: Watch::new(class),
            entrance: SpinLock::new("entrance of a lock", entrance),
            waiters: WaitQueue::named(class),
            cell: Cell::new(value),
        }
    }
}

fn taking(place: Place) -> Taking {
    Taking { kind: Kind::Sleeping, depth: 0, place }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes it for reading.
    #[track_caller]
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        let taking = taking(Location::caller());
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        let guard = self.enter_reading().unwrap_or_else(|| {
            self.watch.contended();
            self.waiters.wait_for_holder(self.holder(), || self.enter_reading())
        });
        self.watch.locked(taking);
        guard
    }

    /// Takes it for writing.
    ///
    /// # Panics
    /// If the caller holds it for writing already.
    #[track_caller]
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        let taking = taking(Location::caller());
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        let guard = self.enter_writing(taking.place).unwrap_or_else(|| self.wait_to_write(taking.place));
        self.watch.locked(taking);
        guard
    }

    /// Takes it for reading if nobody writes or waits to write.
    #[track_caller]
    pub(crate) fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let guard = self.enter_reading()?;
        self.watch.locked_at_once(taking(Location::caller()));
        Some(guard)
    }

    /// Takes it for writing if it is free.
    #[track_caller]
    pub(crate) fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        let place = Location::caller();
        let guard = self.enter_writing(place)?;
        self.watch.locked_at_once(taking(place));
        Some(guard)
    }

    #[cold]
    fn wait_to_write(&self, place: Place) -> WriteGuard<'_, T> {
        self.watch.contended();
        let holder = self.holder();
        super::refuse_twice(self.watch.name(), holder, place);
        self.entrance.lock().waiting_writers += 1;
        let guard = self.waiters.wait_for_holder(holder, || self.enter_writing(place));
        self.entrance.lock().waiting_writers -= 1;
        guard
    }

    /// Goes in to read if nobody writes or waits to write.
    fn enter_reading(&self) -> Option<ReadGuard<'_, T>> {
        {
            let mut entrance = self.entrance.lock();
            if entrance.writer != super::NOBODY || entrance.waiting_writers != 0 {
                return None;
            }
            entrance.readers += 1;
        }
        let cell = self.cell.try_read().expect("the entrance lets in readers only while nobody writes");
        Some(ReadGuard { lock: self, cell: Some(cell), this_thread: PhantomData })
    }

    /// Goes in to write if nobody is inside.
    fn enter_writing(&self, place: Place) -> Option<WriteGuard<'_, T>> {
        {
            let mut entrance = self.entrance.lock();
            if entrance.writer != super::NOBODY || entrance.readers != 0 {
                return None;
            }
            // During early boot there are no threads, and only one flow.
            entrance.writer = sched::current_id().max(1);
            entrance.since = Some(place);
        }
        let cell = self.cell.try_write().expect("the entrance lets in a writer only when nobody is inside");
        Some(WriteGuard { lock: self, cell: Some(cell), this_thread: PhantomData })
    }

    /// Who writes.
    fn holder(&self) -> Holder {
        let entrance = self.entrance.lock();
        Holder { thread: entrance.writer, since: entrance.since }
    }
}

/// A [`RwLock`] held for reading.
#[must_use]
pub(crate) struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    cell: Option<CellReadGuard<'a, T>>,
    this_thread: PhantomData<*mut ()>,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.cell.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.watch.unlocked(Kind::Sleeping);
        self.cell = None;
        self.lock.entrance.lock().readers -= 1;
        self.lock.waiters.wake_all();
    }
}

/// A [`RwLock`] held for writing.
#[must_use]
pub(crate) struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    cell: Option<CellWriteGuard<'a, T>>,
    this_thread: PhantomData<*mut ()>,
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.cell.as_ref().expect("held until dropped")
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.cell.as_mut().expect("held until dropped")
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.watch.unlocked(Kind::Sleeping);
        self.cell = None;
        self.lock.entrance.lock().writer = super::NOBODY;
        self.lock.waiters.wake_all();
    }
}
