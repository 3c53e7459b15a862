//! epoll: a set of files, and those among them that are ready. Source: epoll(7).
//!
//! Every file in the set has an [`Interest`], whose waiter is registered with the file's queues for as long as the
//! interest lives; a wake-up puts the interest into the ready list. That is only a hint: epoll_wait asks the file
//! itself. Level-triggered interests that are ready stay in the list, edge-triggered ones leave it.
//!
//! Locks: `interests` (sleeping) for changes of the set; `ready` (spin, taken in interrupts) inside of the queues
//! of the files. Both the list's room and the interests are allocated when a file is added, none in interrupts.

use crate::{
    error::{Error, Result},
    fs::{
        file::{File, FileOperations, Seeking},
        inode::FileKind,
        poll::PollTable,
    },
    sched::wait::{WaitQueue, Waiter},
    sync::Mutex,
};
use abi::{
    errno::Errno,
    poll::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP, EpollEvent, PollEvents},
};
use alloc::{
    collections::VecDeque,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, Ordering};
use id_map::BytesMap;
use machine::sync::{IrqSpinLock, Once, SpinLock};

/// How deep epoll files may contain others.
const MAXIMUM_DEPTH: usize = 5;

/// What a program wants to know of a file.
#[derive(Clone, Copy)]
struct Wanted {
    events: PollEvents,
    /// `EPOLLET` and the like.
    flags: u32,
    data: u64,
}

impl Wanted {
    fn from_event(event: EpollEvent) -> Self {
        const FLAGS: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
        let bits = event.events;
        let events = PollEvents::from_bits_retain(bits & !FLAGS) | PollEvents::POLLERR | PollEvents::POLLHUP;
        Self { events, flags: bits & FLAGS, data: event.data }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A file in the set.
struct Interest {
    file: Weak<File>,
    wanted: SpinLock<Wanted>,
    is_listed: AtomicBool,
    waiter: Once<Arc<Waiter>>,
}

/// By descriptor and address of the file: a descriptor may be used again for another one.
type Key = [u8; 16];

/// An epoll file.
pub(crate) struct Epoll {
    interests: Mutex<BytesMap<Arc<Interest>>>,
    list: Arc<ReadyList>,
}

/// What wakers reach.
struct ReadyList {
    ready: IrqSpinLock<VecDeque<Arc<Interest>>>,
    queue: WaitQueue,
}

impl ReadyList {
    fn push(&self, interest: &Arc<Interest>) {
        if !interest.is_listed.swap(true, Ordering::AcqRel) {
            self.ready.lock().push_back(interest.clone());
        }
    }

    /// Makes room for one more interest, so that no waker has to.
    fn reserve(&self, interests: usize) {
        // Allocated outside of the lock.
        let mut larger = VecDeque::with_capacity((interests + 1).next_power_of_two());
        let mut ready = self.ready.lock();
        if ready.capacity() > interests {
            return;
        }
        larger.append(&mut ready);
        let smaller = core::mem::replace(&mut *ready, larger);
        drop(ready);
        drop(smaller);
    }
}

fn key(fd: i32, file: &Arc<File>) -> Key {
    let address = Arc::as_ptr(file).addr() as u64;
    (u128::from(fd as u32) << 64 | u128::from(address)).to_be_bytes()
}

impl Epoll {
    /// An empty set.
    pub(crate) fn new() -> Self {
        let list = ReadyList {
            ready: IrqSpinLock::new("epoll ready", VecDeque::new()),
            queue: WaitQueue::named("epoll"),
        };
        Self { interests: Mutex::new("epoll", BytesMap::new()), list: Arc::new(list) }
    }

    /// Adds a file. EEXIST, EPERM for files that are always ready, ELOOP.
    pub(crate) fn add(&self, fd: i32, file: &Arc<File>, event: EpollEvent) -> Result<()> {
        if matches!(file.inode().kind(), FileKind::Regular | FileKind::Directory) {
            return Err(Error::new(Errno::EPERM, "this file is always ready"));
        }
        if let Some(other) = file.operations_as::<Epoll>() {
            self.check_nesting(other)?;
        }
        let mut interests = self.interests.lock();
        // Now and then, so that it costs each addition the same.
        if interests.len().is_power_of_two() {
            interests.retain(|_, interest| interest.file.strong_count() > 0);
        }
        let known = interests.get(&key(fd, file));
        if known.is_some_and(|known| known.file.strong_count() > 0) {
            return Err(Errno::EEXIST.into());
        }
        self.list.reserve(interests.len() + 1);
        let interest = Arc::new(Interest {
            file: Arc::downgrade(file),
            wanted: SpinLock::new("epoll interest", Wanted::from_event(event)),
            is_listed: AtomicBool::new(false),
            waiter: Once::new(),
        });
        let (weak, list) = (Arc::downgrade(&interest), Arc::downgrade(&self.list));
        let waiter = interest.waiter.call_once(|| {
            Waiter::calling(move || {
                if let (Some(interest), Some(list)) = (weak.upgrade(), list.upgrade()) {
                    list.push(&interest);
                    list.queue.wake_all();
                }
            })
        });
        let happened = file.poll(&mut PollTable::new(waiter));
        interests.insert(Arc::new(key(fd, file)), interest.clone());
        drop(interests);
        self.note(&interest, happened);
        Ok(())
    }

    /// Changes what is wanted of a file; ENOENT.
    pub(crate) fn modify(&self, fd: i32, file: &Arc<File>, event: EpollEvent) -> Result<()> {
        let wanted = Wanted::from_event(event);
        let interest = self.interests.lock().get(&key(fd, file)).cloned().ok_or(Errno::ENOENT)?;
        if wanted.has(EPOLLEXCLUSIVE) || interest.wanted.lock().has(EPOLLEXCLUSIVE) {
            return Err(Errno::EINVAL.into());
        }
        *interest.wanted.lock() = wanted;
        self.note(&interest, file.poll(&mut PollTable::none()));
        Ok(())
    }

    /// Removes a file; ENOENT.
    pub(crate) fn remove(&self, fd: i32, file: &Arc<File>) -> Result<()> {
        let removed = self.interests.lock().remove(&key(fd, file)).ok_or(Errno::ENOENT)?;
        // What is still in the ready list finds nothing wanted.
        removed.wanted.lock().events = PollEvents::empty();
        Ok(())
    }

    fn note(&self, interest: &Arc<Interest>, happened: PollEvents) {
        if happened.intersects(interest.wanted.lock().events) {
            self.list.push(interest);
            self.list.queue.wake_all();
        }
    }

    /// ELOOP if `other` contains this file or too many others.
    fn check_nesting(&self, other: &Epoll) -> Result<()> {
        if core::ptr::eq(self, other) {
            return Err(Errno::EINVAL.into());
        }
        if other.contains(self, MAXIMUM_DEPTH) { Err(Errno::ELOOP.into()) } else { Ok(()) }
    }

    fn contains(&self, wanted: &Epoll, depth: usize) -> bool {
        if depth == 0 {
            return true;
        }
        let files: Vec<Arc<File>> = self.interests.lock().values().filter_map(|i| i.file.upgrade()).collect();
        files
            .iter()
            .filter_map(|file| file.operations_as::<Epoll>())
            .any(|inner| core::ptr::eq(inner, wanted) || inner.contains(wanted, depth - 1))
    }

    /// Up to `limit` files that are ready.
    fn collect(&self, limit: usize) -> Vec<EpollEvent> {
        let mut events = Vec::new();
        let mut kept = Vec::new();
        let rounds = self.list.ready.lock().len();
        for _ in 0..rounds {
            if events.len() >= limit {
                break;
            }
            let Some(interest) = self.list.ready.lock().pop_front() else { break };
            interest.is_listed.store(false, Ordering::Release);
            let Some(file) = interest.file.upgrade() else { continue };
            let wanted = *interest.wanted.lock();
            let happened = file.poll(&mut PollTable::none()) & wanted.events;
            if happened.is_empty() {
                continue;
            }
            events.push(EpollEvent { events: happened.bits(), data: wanted.data });
            if wanted.has(EPOLLONESHOT) {
                interest.wanted.lock().events = PollEvents::empty();
            } else if !wanted.has(EPOLLET) {
                kept.push(interest);
            }
        }
        for interest in &kept {
            self.list.push(interest);
        }
        events
    }

    /// Waits for files to be ready: up to `limit` of them, until a point of the monotonic clock.
    pub(crate) fn wait(&self, limit: usize, deadline_ns: Option<u64>) -> Result<Vec<EpollEvent>> {
        loop {
            let events = self.collect(limit);
            if !events.is_empty() || deadline_ns == Some(0) {
                return Ok(events);
            }
            let has_some = || (!self.list.ready.lock().is_empty()).then_some(());
            match self.list.queue.wait_interruptible(has_some, deadline_ns) {
                Ok(()) => {}
                Err(error) if error.errno == Errno::ETIMEDOUT => return Ok(self.collect(limit)),
                Err(error) => return Err(error.restarting(None)),
            }
        }
    }
}

impl FileOperations for Epoll {
    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        table.watch(&self.list.queue);
        let listed: Vec<Arc<Interest>> = self.list.ready.lock().iter().cloned().collect();
        let is_ready = listed.iter().any(|interest| {
            let wanted = interest.wanted.lock().events;
            interest.file.upgrade().is_some_and(|file| file.poll(&mut PollTable::none()).intersects(wanted))
        });
        if is_ready { PollEvents::POLLIN | PollEvents::POLLRDNORM } else { PollEvents::empty() }
    }
}
