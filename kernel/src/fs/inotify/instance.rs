//! An inotify instance: its watches, and the events that wait to be read.
//!
//! Locks: `changing` (sleeping) while a watch is added, so that an inode gets one watch of an instance; `watches` and
//! `events` (spin) for the two tables.

use super::watch::{self, Event, Watch};
use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        file::{File, FileOperations, Seeking},
        io::Destination,
        poll::PollTable,
    },
    sched::wait::WaitQueue,
    sync::Mutex,
};
use abi::{
    errno::Errno,
    inotify::{InotifyEvent, InotifyMask},
    poll::PollEvents,
};
use alloc::{
    boxed::Box,
    collections::VecDeque,
    format,
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use id_map::IdMap;
use machine::sync::SpinLock;
use zerocopy::IntoBytes;

/// Events that may wait in an instance made from now on (/proc/sys/fs/inotify/max_queued_events).
pub(crate) static MAXIMUM_EVENTS: AtomicU64 = AtomicU64::new(16384);
/// Instances that a user may have (max_user_instances).
pub(crate) static MAXIMUM_INSTANCES: AtomicU64 = AtomicU64::new(128);
/// Watches that a user may have (max_user_watches).
pub(crate) static MAXIMUM_WATCHES: AtomicU64 = AtomicU64::new(65536);

/// All of them, for file systems that are unmounted.
static INSTANCES: SpinLock<Vec<Weak<Inotify>>> = SpinLock::new("inotify-instances", Vec::new());
/// What each user has.
static USERS: SpinLock<IdMap<u32, Holdings>> = SpinLock::new("inotify-users", IdMap::new());

/// What a user has.
#[derive(Clone, Copy, Default)]
struct Holdings {
    instances: u64,
    watches: u64,
}

fn count(user: u32, field: fn(&mut Holdings) -> &mut u64, maximum: &AtomicU64, errno: Errno) -> Result<()> {
    let mut users = USERS.lock();
    let held = field(users.get_or_insert_with(user, Holdings::default));
    if *held >= maximum.load(Ordering::Relaxed) {
        return Err(Error::new(errno, "the user has as much of inotify as he may"));
    }
    *held += 1;
    Ok(())
}

fn uncount(user: u32, field: fn(&mut Holdings) -> &mut u64, number: u64) {
    let mut users = USERS.lock();
    let Some(holdings) = users.get_mut(user) else { return };
    let held = field(holdings);
    *held = held.saturating_sub(number);
    if holdings.instances == 0 && holdings.watches == 0 {
        users.remove(user);
    }
}

/// An open inotify file.
pub(crate) struct Inotify {
    this: Weak<Inotify>,
    user: u32,
    changing: Mutex<()>,
    watches: SpinLock<Table>,
    events: SpinLock<Queue>,
    /// Bytes of the events that wait.
    bytes: AtomicUsize,
    arrived: WaitQueue,
}

struct Table {
    by_number: IdMap<i32, Arc<Watch>>,
    last: i32,
}

struct Queue {
    /// As they are read: a header, and a name with its padding.
    records: VecDeque<Box<[u8]>>,
    limit: usize,
    has_overflowed: bool,
}

/// Bytes of the header of an event.
const HEADER: usize = size_of::<InotifyEvent>();
/// Where the cookie stands in it.
const COOKIE: core::ops::Range<usize> = 8..12;

/// An event as it is read.
fn record(wd: i32, mask: InotifyMask, event: &Event<'_>) -> Box<[u8]> {
    // A name ends in a NUL at least, and the next event is aligned.
    let length = if event.name.is_empty() { 0 } else { (event.name.len() + 1).next_multiple_of(HEADER) };
    let header = InotifyEvent { wd, mask: mask.bits(), cookie: event.cookie, len: length as u32 };
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(event.name);
    bytes.resize(HEADER + length, 0);
    bytes.into_boxed_slice()
}

/// Whether an event says nothing that the one before has not said.
fn repeats(last: &[u8], new: &[u8]) -> bool {
    last[..COOKIE.start] == new[..COOKIE.start] && last[COOKIE.end..] == new[COOKIE.end..]
}

impl Inotify {
    /// An instance without watches, of a user; EMFILE if he has too many.
    pub(crate) fn new(user: u32) -> Result<Arc<Self>> {
        count(user, |held| &mut held.instances, &MAXIMUM_INSTANCES, Errno::EMFILE)?;
        let limit = usize::try_from(MAXIMUM_EVENTS.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let queue = Queue { records: VecDeque::new(), limit, has_overflowed: false };
        let instance = Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            user,
            changing: Mutex::new("inotify-changing", ()),
            watches: SpinLock::new("inotify-table", Table { by_number: IdMap::new(), last: 0 }),
            events: SpinLock::new("inotify-events", queue),
            bytes: AtomicUsize::new(0),
            arrived: WaitQueue::named("inotify"),
        });
        let mut instances = INSTANCES.lock();
        instances.retain(|known| known.strong_count() > 0);
        instances.push(Arc::downgrade(&instance));
        Ok(instance)
    }

    /// Watches what is at a place, or changes what is told of it; the watch's descriptor. EEXIST, ENOSPC.
    pub(crate) fn add(&self, path: &Path, wanted: InotifyMask) -> Result<i32> {
        const KEPT: InotifyMask =
            InotifyMask::IN_ALL_EVENTS.union(InotifyMask::IN_ONESHOT).union(InotifyMask::IN_EXCL_UNLINK);
        let _changing = self.changing.lock();
        let mask = wanted & KEPT;
        let inode = path.inode();
        if let Some(known) = watch::of_instance(inode, &self.this) {
            if wanted.contains(InotifyMask::IN_MASK_CREATE) {
                return Err(Errno::EEXIST.into());
            }
            let adds = wanted.contains(InotifyMask::IN_MASK_ADD);
            known.set_mask(if adds { known.mask() | mask } else { mask });
            return Ok(known.wd);
        }
        count(self.user, |held| &mut held.watches, &MAXIMUM_WATCHES, Errno::ENOSPC)?;
        let super_block = Arc::as_ptr(path.mount.super_block()).addr();
        let watch = {
            let mut table = self.watches.lock();
            let Some(wd) = table.next() else {
                drop(table);
                uncount(self.user, |held| &mut held.watches, 1);
                return Err(Error::new(Errno::ENOSPC, "all watch descriptors are used"));
            };
            let watch = Watch::new(wd, inode.clone(), super_block, self.this.clone(), mask);
            table.by_number.insert(wd, watch.clone());
            watch
        };
        watch.enter();
        Ok(watch.wd)
    }

    /// Ends a watch; EINVAL if there is no such descriptor.
    pub(crate) fn remove(&self, wd: i32) -> Result<()> {
        let watch = self.watches.lock().by_number.get(wd).cloned();
        self.end(&watch.ok_or(Errno::EINVAL)?);
        Ok(())
    }

    /// Ends a watch, unless somebody else is doing that.
    pub(super) fn end(&self, watch: &Arc<Watch>) {
        let removed = self.watches.lock().by_number.remove(watch.wd);
        if removed.is_none() {
            return;
        }
        watch.leave();
        uncount(self.user, |held| &mut held.watches, 1);
        self.queue(watch.wd, &Event::new(InotifyMask::IN_IGNORED));
    }

    /// Has an event read.
    pub(super) fn queue(&self, wd: i32, event: &Event<'_>) {
        let new = record(wd, event.mask, event);
        {
            let mut queue = self.events.lock();
            let new = if queue.records.len() < queue.limit {
                new
            } else if !queue.has_overflowed {
                queue.has_overflowed = true;
                record(-1, InotifyMask::IN_Q_OVERFLOW, &Event::new(InotifyMask::IN_Q_OVERFLOW))
            } else {
                return;
            };
            if queue.records.back().is_some_and(|last| repeats(last, &new)) {
                return;
            }
            self.bytes.fetch_add(new.len(), Ordering::Relaxed);
            queue.records.push_back(new);
        }
        self.arrived.wake_all();
    }

    /// As many events as fit into `room` bytes; `None`: there are none. EINVAL if the first does not fit.
    fn take(&self, room: usize) -> Option<Result<Vec<u8>>> {
        let mut taken = Vec::new();
        let mut queue = self.events.lock();
        while let Some(next) = queue.records.front() {
            if next.len() > room - taken.len() {
                break;
            }
            taken.extend_from_slice(next);
            self.bytes.fetch_sub(next.len(), Ordering::Relaxed);
            queue.records.pop_front();
        }
        if queue.records.len() < queue.limit {
            queue.has_overflowed = false;
        }
        match (taken.is_empty(), queue.records.is_empty()) {
            (false, _) => Some(Ok(taken)),
            (true, true) => None,
            (true, false) => Some(Err(Error::new(Errno::EINVAL, "no room for an event"))),
        }
    }

    fn list(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().by_number.values().cloned().collect()
    }
}

impl Table {
    /// A descriptor that is not in use: the next one, so that an old one is not soon taken for another watch.
    fn next(&mut self) -> Option<i32> {
        for _ in 0..=self.by_number.values().count() {
            self.last = if self.last == i32::MAX { 1 } else { self.last + 1 };
            if !self.by_number.contains_key(self.last) {
                return Some(self.last);
            }
        }
        None
    }
}

/// Ends the watches of a file system, which stood at this address.
pub(super) fn end_of(super_block: usize) {
    let instances: Vec<Arc<Inotify>> = INSTANCES.lock().iter().filter_map(Weak::upgrade).collect();
    for instance in instances {
        for watch in instance.list().iter().filter(|watch| watch.super_block == super_block) {
            instance.queue(watch.wd, &Event::new(InotifyMask::IN_UNMOUNT));
            instance.end(watch);
        }
    }
}

impl FileOperations for Inotify {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        let room = to.remaining();
        let taken = match self.take(room) {
            Some(taken) => taken?,
            None if file.is_nonblocking() => return Err(Errno::EAGAIN.into()),
            None => self.arrived.wait_interruptible(|| self.take(room), None)??,
        };
        to.write(&taken)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.arrived);
        let has_events = !self.events.lock().records.is_empty();
        if has_events { PollEvents::POLLIN | PollEvents::POLLRDNORM } else { PollEvents::empty() }
    }

    fn available(&self, _file: &File) -> Option<usize> {
        Some(self.memory())
    }

    fn memory(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn details(&self) -> String {
        let mut text = String::new();
        for watch in self.list() {
            let metadata = watch.inode.metadata();
            text.push_str(&format!(
                "inotify wd:{:x} ino:{:x} sdev:{:x} mask:{:x} ignored_mask:0\n",
                watch.wd,
                metadata.number,
                metadata.device.to_raw(),
                watch.mask().bits()
            ));
        }
        text
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let table = core::mem::replace(&mut *self.watches.lock(), Table { by_number: IdMap::new(), last: 0 });
        let mut ended = 0;
        for watch in table.by_number.into_values() {
            watch.leave();
            ended += 1;
        }
        uncount(self.user, |held| &mut held.watches, ended);
        uncount(self.user, |held| &mut held.instances, 1);
    }
}
