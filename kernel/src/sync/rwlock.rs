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

/// A lock around nothing with one writer or many readers, whose waiters sleep. Readers wait for waiting writers, so a
/// thread must not take it for reading twice.
///
/// It is what a [`RwLock`] is made of, without its type; for those who cannot have a guard.
pub(crate) struct RawRwLock {
    watch: Watch,
    entrance: SpinLock<Entrance>,
    waiters: WaitQueue,
}

/// Who is inside, and who wants to be.
struct Entrance {
    readers: u32,
    /// The id of the writing thread, and where it came in.
    writer: u64,
    since: Option<Place>,
    waiting_writers: u32,
}

fn taking(place: Place) -> Taking {
    Taking { kind: Kind::Sleeping, depth: 0, place }
}

impl RawRwLock {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str) -> Self {
        let entrance = Entrance { readers: 0, writer: super::NOBODY, since: None, waiting_writers: 0 };
        Self {
            watch: Watch::new(class),
            entrance: SpinLock::new("entrance of a lock", entrance),
            waiters: WaitQueue::named(class),
        }
    }

    /// Takes it for reading, in the name of the code at `place`.
    pub(crate) fn read(&self, place: Place) {
        let taking = taking(place);
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        if !self.enter_reading() {
            self.watch.contended();
            self.waiters.wait_for_holder(self.holder(), || self.enter_reading().then_some(()));
        }
        self.watch.locked(taking);
    }

    /// Takes it for writing.
    ///
    /// # Panics
    /// If the caller holds it for writing already.
    pub(crate) fn write(&self, place: Place) {
        let taking = taking(place);
        assert_may_sleep(self.watch.name());
        self.watch.will_lock(taking);
        if !self.enter_writing(place) {
            self.wait_to_write(place);
        }
        self.watch.locked(taking);
    }

    /// Takes it for reading if nobody writes or waits to write; tells whether it did.
    fn try_read(&self, place: Place) -> bool {
        let is_taken = self.enter_reading();
        if is_taken {
            self.watch.locked_at_once(taking(place));
        }
        is_taken
    }

    /// Takes it for writing if it is free; tells whether it did.
    fn try_write(&self, place: Place) -> bool {
        let is_taken = self.enter_writing(place);
        if is_taken {
            self.watch.locked_at_once(taking(place));
        }
        is_taken
    }

    /// Ends what [`read`](Self::read) began, in the same thread.
    pub(crate) fn end_reading(&self) {
        self.watch.unlocked(Kind::Sleeping);
        self.entrance.lock().readers -= 1;
        self.waiters.wake_all();
    }

    /// Ends what [`write`](Self::write) began, in the same thread.
    pub(crate) fn end_writing(&self) {
        self.watch.unlocked(Kind::Sleeping);
        self.entrance.lock().writer = super::NOBODY;
        self.waiters.wake_all();
    }

    #[cold]
    fn wait_to_write(&self, place: Place) {
        self.watch.contended();
        let holder = self.holder();
        super::refuse_twice(self.watch.name(), holder, place);
        self.entrance.lock().waiting_writers += 1;
        self.waiters.wait_for_holder(holder, || self.enter_writing(place).then_some(()));
        self.entrance.lock().waiting_writers -= 1;
    }

    /// Goes in to read if nobody writes or waits to write.
    fn enter_reading(&self) -> bool {
        let mut entrance = self.entrance.lock();
        let is_let_in = entrance.writer == super::NOBODY && entrance.waiting_writers == 0;
        entrance.readers += u32::from(is_let_in);
        is_let_in
    }

    /// Goes in to write if nobody is inside.
    fn enter_writing(&self, place: Place) -> bool {
        let mut entrance = self.entrance.lock();
        let is_let_in = entrance.writer == super::NOBODY && entrance.readers == 0;
        if is_let_in {
            // During early boot there are no threads, and only one flow.
            entrance.writer = sched::current_id().max(1);
            entrance.since = Some(place);
        }
        is_let_in
    }

    /// Who writes.
    fn holder(&self) -> Holder {
        let entrance = self.entrance.lock();
        Holder { thread: entrance.writer, since: entrance.since }
    }
}

/// A lock around a `T` with one writer or many readers, whose waiters sleep. Readers wait for waiting writers, so a
/// thread must not take it for reading twice.
pub(crate) struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    /// Only ever tried, by those whom the lock has let in: it never refuses them.
    cell: Cell<T>,
}

impl<T> RwLock<T> {
    /// A free lock; `class` names it in reports.
    pub(crate) const fn new(class: &'static str, value: T) -> Self {
        Self { raw: RawRwLock::new(class), cell: Cell::new(value) }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes it for reading.
    #[track_caller]
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        self.raw.read(Location::caller());
        self.read_guard()
    }

    /// Takes it for writing.
    ///
    /// # Panics
    /// If the caller holds it for writing already.
    #[track_caller]
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        self.raw.write(Location::caller());
        self.write_guard()
    }

    /// Takes it for reading if nobody writes or waits to write.
    #[track_caller]
    pub(crate) fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.raw.try_read(Location::caller()).then(|| self.read_guard())
    }

    /// Takes it for writing if it is free.
    #[track_caller]
    pub(crate) fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.raw.try_write(Location::caller()).then(|| self.write_guard())
    }

    /// For who was let in to read.
    fn read_guard(&self) -> ReadGuard<'_, T> {
        let cell = self.cell.try_read().expect("readers are let in only while nobody writes");
        ReadGuard { lock: self, cell: Some(cell), this_thread: PhantomData }
    }

    /// For who was let in to write.
    fn write_guard(&self) -> WriteGuard<'_, T> {
        let cell = self.cell.try_write().expect("a writer is let in only when nobody is inside");
        WriteGuard { lock: self, cell: Some(cell), this_thread: PhantomData }
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
        self.cell = None;
        self.lock.raw.end_reading();
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
        self.cell = None;
        self.lock.raw.end_writing();
    }
}
