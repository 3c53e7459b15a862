//! Advisory locks on files: record locks (fcntl, owned by a process or by an open file) and flock(2).
//!
//! Both kinds do not know of each other. A table hangs on the inode from its first lock on; all tables are registered for
//! /proc/locks. Source: fcntl(2) "Advisory record locking" and "Open file description locks", flock(2).

use super::file::{Blocking, File};
use crate::{
    error::{Error, Result},
    sched::wait::WaitQueue,
};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicU64, Ordering};
use id_map::IdMap;
use machine::sync::SpinLock;

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A process, by the id of its descriptor table.
    Process(u64),
    /// An open file description, by address.
    Description(usize),
}

impl Owner {
    /// The open file description itself.
    pub(crate) fn description(file: &File) -> Self {
        Self::Description(core::ptr::from_ref(file).addr())
    }
}

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Others may have it too.
    Shared,
    /// Only the owner.
    Exclusive,
}

/// A lock on a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who holds it.
    pub(crate) owner: Owner,
    /// The process to name to others; -1 for a description's record lock.
    pub(crate) pid: i32,
    /// Shared or exclusive.
    pub(crate) kind: LockKind,
    /// First byte.
    pub(crate) start: u64,
    /// Last byte; `u64::MAX` is the end of the file, wherever it is.
    pub(crate) last: u64,
}

impl Record {
    fn overlaps(&self, other: &Record) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    fn conflicts(&self, other: &Record) -> bool {
        let is_exclusive = self.kind == LockKind::Exclusive || other.kind == LockKind::Exclusive;
        self.owner != other.owner && is_exclusive && self.overlaps(other)
    }
}

/// Who waits for whom, to refuse a wait that would never end.
static WAITS: SpinLock<Vec<(Owner, Owner)>> = SpinLock::new("lock-waits", Vec::new());

/// All tables, by their numbers.
static TABLES: SpinLock<IdMap<u64, Weak<LockTable>>> = SpinLock::new("lock-tables", IdMap::new());

/// The locks on one file.
pub(crate) struct LockTable {
    /// Which of all tables.
    number: u64,
    device: DeviceNumber,
    inode: u64,
    inner: SpinLock<Inner>,
    changed: WaitQueue,
}

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    /// Locks of whole files.
    flocks: Vec<Record>,
    /// Those who wait, the first come first.
    waiting: Vec<(Api, Record)>,
}

/// How a lock was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// fcntl(2).
    Record,
    /// flock(2).
    Flock,
}

/// A lock that somebody holds, for /proc/locks.
pub(crate) struct Report {
    /// The file system of the file.
    pub(crate) device: DeviceNumber,
    /// The file.
    pub(crate) inode: u64,
    /// How it was asked for.
    pub(crate) api: Api,
    /// The lock.
    pub(crate) held: Record,
    /// What is wanted and has to wait for it.
    pub(crate) waiting: Vec<Record>,
}

/// All locks on all files.
pub(crate) fn all() -> Vec<Report> {
    // Dropped only when their lock is not held.
    let tables: Vec<Arc<LockTable>> = TABLES.lock().values().filter_map(Weak::upgrade).collect();
    tables.iter().flat_map(|table| table.reports()).collect()
}

impl Drop for LockTable {
    fn drop(&mut self) {
        TABLES.lock().remove(self.number);
    }
}

impl LockTable {
    /// No locks, for a file of a device.
    pub(crate) fn new(device: DeviceNumber, inode: u64) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let inner = SpinLock::new("file-locks", Inner::default());
        let table = Arc::new(Self { number, device, inode, inner, changed: WaitQueue::named("file lock") });
        TABLES.lock().insert(number, Arc::downgrade(&table));
        table
    }

    fn reports(&self) -> Vec<Report> {
        let inner = self.inner.lock();
        let held =
            |api, list: &Vec<Record>| list.iter().map(move |record| (api, *record)).collect::<Vec<_>>();
        let all = [held(Api::Record, &inner.records), held(Api::Flock, &inner.flocks)].concat();
        let mut waiting = inner.waiting.clone();
        let report = |(api, held): (Api, Record)| {
            // Who waits for several is told of once.
            let blocks = |(wanted_api, wanted): &(Api, Record)| *wanted_api == api && held.conflicts(wanted);
            let blocked = waiting.iter().filter(|entry| blocks(entry)).map(|(_, wanted)| *wanted).collect();
            waiting.retain(|entry| !blocks(entry));
            Report { device: self.device, inode: self.inode, api, held, waiting: blocked }
        };
        all.into_iter().map(report).collect()
    }

    /// Notes that somebody waits; until the answer is dropped.
    fn note(&self, api: Api, wanted: Record) -> Waiting<'_> {
        self.inner.lock().waiting.push((api, wanted));
        Waiting { table: self, entry: (api, wanted) }
    }

    /// The first lock that `wanted` would have to wait for (F_GETLK).
    pub(crate) fn conflict(&self, wanted: &Record) -> Option<Record> {
        self.inner.lock().records.iter().find(|record| record.conflicts(wanted)).copied()
    }

    /// Sets a record lock. EAGAIN if it conflicts and `blocking` forbids to wait; EDEADLK.
    pub(crate) fn set(&self, wanted: Record, blocking: Blocking) -> Result<()> {
        let attempt = || {
            let mut inner = self.inner.lock();
            match inner.records.iter().find(|record| record.conflicts(&wanted)) {
                Some(conflict) => Err(conflict.owner),
                None => {
                    inner.replace(&wanted, Some(wanted));
                    Ok(())
                }
            }
        };
        let Err(holder) = attempt() else {
            self.changed.wake_all();
            return Ok(());
        };
        if blocking == Blocking::Never {
            return Err(Errno::EAGAIN.into());
        }
        self.wait_for(wanted, holder, attempt)
    }

    fn wait_for(
        &self,
        wanted: Record,
        holder: Owner,
        attempt: impl Fn() -> core::result::Result<(), Owner>,
    ) -> Result<()> {
        let owner = wanted.owner;
        note_wait(owner, holder)?;
        let _waiting = self.note(Api::Record, wanted);
        let mut deadlock = None;
        let outcome = self.changed.wait_interruptible(
            || match attempt() {
                Ok(()) => Some(()),
                Err(holder) => {
                    deadlock = note_wait(owner, holder).err();
                    deadlock.map(|_| ())
                }
            },
            None,
        );
        WAITS.lock().retain(|wait| wait.0 != owner);
        outcome?;
        match deadlock {
            Some(error) => Err(error),
            None => {
                self.changed.wake_all();
                Ok(())
            }
        }
    }

    /// Releases a range of an owner's locks.
    pub(crate) fn clear(&self, owner: Owner, start: u64, last: u64) {
        let range = Record { owner, pid: 0, kind: LockKind::Shared, start, last };
        self.inner.lock().replace(&range, None);
        self.changed.wake_all();
    }

    /// A process closed a descriptor of the file or ended.
    pub(super) fn release_process(&self, table: u64) {
        self.clear(Owner::Process(table), 0, u64::MAX);
    }

    /// An open file description is gone.
    pub(super) fn release_description(&self, file: &File) {
        let owner = Owner::description(file);
        self.inner.lock().flocks.retain(|lock| lock.owner != owner);
        self.clear(owner, 0, u64::MAX);
    }

    /// flock(2) by the process `pid`: `None` releases. A change of kind gives the old lock up first, as the manual says.
    pub(crate) fn flock(
        &self,
        file: &File,
        pid: i32,
        kind: Option<LockKind>,
        blocking: Blocking,
    ) -> Result<()> {
        let owner = Owner::description(file);
        let wanted = kind.map(|kind| Record { owner, pid, kind, start: 0, last: u64::MAX });
        let attempt = || {
            let mut inner = self.inner.lock();
            inner.flocks.retain(|lock| lock.owner != owner || Some(lock.kind) == kind);
            let Some(wanted) = wanted else { return true };
            let is_free = !inner.flocks.iter().any(|lock| lock.conflicts(&wanted));
            if is_free && !inner.flocks.iter().any(|lock| lock.owner == owner) {
                inner.flocks.push(wanted);
            }
            is_free
        };
        let is_done = attempt();
        // Releasing, or giving up the old kind, may let others in.
        self.changed.wake_all();
        match (is_done, blocking, wanted) {
            (true, ..) | (_, _, None) => Ok(()),
            (false, Blocking::Never, _) => Err(Errno::EAGAIN.into()),
            (false, Blocking::Allowed, Some(wanted)) => {
                let _waiting = self.note(Api::Flock, wanted);
                self.changed.wait_interruptible(|| attempt().then_some(()), None)
            }
        }
    }
}

/// Somebody waits for a lock.
struct Waiting<'a> {
    table: &'a LockTable,
    entry: (Api, Record),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.table.inner.lock();
        if let Some(index) = inner.waiting.iter().position(|entry| *entry == self.entry) {
            inner.waiting.remove(index);
        }
    }
}

impl Inner {
    /// Takes the range of `range` from its owner's locks, splitting them, and puts `new` there.
    fn replace(&mut self, range: &Record, new: Option<Record>) {
        let mut kept = Vec::with_capacity(self.records.len() + 2);
        for record in self.records.drain(..) {
            if record.owner != range.owner || !record.overlaps(range) {
                kept.push(record);
                continue;
            }
            if record.start < range.start {
                kept.push(Record { last: range.start - 1, ..record });
            }
            if record.last > range.last {
                kept.push(Record { start: range.last + 1, ..record });
            }
        }
        if let Some(mut new) = new {
            // Neighbours of the same kind become one.
            kept.retain(|record| {
                let is_mergeable = record.owner == new.owner && record.kind == new.kind;
                let touches = record.last.checked_add(1) == Some(new.start)
                    || new.last.checked_add(1) == Some(record.start);
                if is_mergeable && touches {
                    new.start = new.start.min(record.start);
                    new.last = new.last.max(record.last);
                }
                !(is_mergeable && touches)
            });
            kept.push(new);
        }
        kept.sort_by_key(|record| record.start);
        self.records = kept;
    }
}

/// Records that `owner` waits for `holder`; EDEADLK if `holder` waits for `owner`.
fn note_wait(owner: Owner, holder: Owner) -> Result<()> {
    let mut waits = WAITS.lock();
    let mut next = holder;
    for _ in 0..=waits.len() {
        if next == owner {
            waits.retain(|wait| wait.0 != owner);
            return Err(Error::new(Errno::EDEADLK, "both wait for the other"));
        }
        match waits.iter().find(|wait| wait.0 == next) {
            Some(&(_, further)) => next = further,
            None => break,
        }
    }
    waits.retain(|wait| wait.0 != owner);
    waits.push((owner, holder));
    Ok(())
}
