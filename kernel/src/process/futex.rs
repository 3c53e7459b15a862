//! User-space locks: waiting for a word in a program's memory to change, and waking who waits.
//!
//! Who waits is in a bucket, found by the word's key: address space and address for words of one process,
//! frame and offset for words that are shared. The word is compared under the bucket's lock, so no
//! wake-up between comparing and sleeping is lost. The lock is a spin lock, under which no page can be brought
//! in: a word that is not there is brought in without it, and all begins anew.
//!
//! Source: futex(2), get_robust_list(2); "A futex overview and update" (LWN 360699) for the rules of requeueing.

use crate::{
    error::{Error, Result},
    mm::{AddressSpace, user::UserPtr},
    sched::{Thread, timer::Deadline, wait::WaitQueue},
};
use abi::{
    errno::Errno,
    futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, ROBUST_LIST_LIMIT, RobustListHead, WakeOp},
};
use alloc::{collections::VecDeque, sync::Arc};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::{
    addr::PAGE_SIZE,
    mm::{Frame, user},
    sync::{Preemption, SpinGuard, SpinLock},
    upcalls::Access,
};

/// Matches every waiter.
pub(crate) const MATCH_ANY: u32 = u32::MAX;

const BUCKETS: usize = 256;

static TABLE: [SpinLock<VecDeque<Arc<Waiter>>>; BUCKETS] =
    [const { SpinLock::new("futex", VecDeque::new()) }; BUCKETS];

/// Whether a word may be in memory that several processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// FUTEX_PRIVATE_FLAG: it is of this process alone.
    Private,
    /// It may be shared.
    Shared,
}

/// What identifies a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Of an address space, by the address of its object, which lives as long as one of its threads waits.
    Private(usize, u64),
    /// By frame and offset; the waiter keeps the frame.
    Shared(u64),
}

impl Key {
    fn bucket(self) -> usize {
        let bits = match self {
            Key::Private(space, address) => space as u64 ^ address,
            Key::Shared(address) => address,
        };
        // Words are aligned to 4 and often lie at the same place of a page: mix all bits.
        (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % BUCKETS
    }
}

/// A word, and what keeps its key valid.
struct Word {
    address: u64,
    key: Key,
    _frame: Option<Frame>,
}

impl Word {
    /// EINVAL if the address is not aligned, EFAULT if nothing is there.
    fn find(space: &Arc<AddressSpace>, address: u64, scope: Scope) -> Result<Word> {
        if !address.is_multiple_of(4) {
            return Err(Error::new(Errno::EINVAL, "a futex is not aligned"));
        }
        if address >= machine::addr::USER_END {
            return Err(Errno::EFAULT.into());
        }
        if scope == Scope::Private || !space.is_shared_at(address) {
            let key = Key::Private(Arc::as_ptr(space).addr(), address);
            return Ok(Word { address, key, _frame: None });
        }
        let frame = space.frame_at(address, Access::Read)?;
        let key = Key::Shared(frame.address().as_u64() + address % PAGE_SIZE as u64);
        Ok(Word { address, key, _frame: Some(frame) })
    }
}

/// A thread that waits.
struct Waiter {
    /// Changed by requeueing, with both buckets locked.
    key: SpinLock<Key>,
    mask: u32,
    woken: AtomicBool,
    queue: WaitQueue,
}

impl Waiter {
    fn is_for(&self, key: Key, mask: u32) -> bool {
        *self.key.lock() == key && self.mask & mask != 0
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.queue.wake_one();
    }
}

type Bucket = SpinGuard<'static, VecDeque<Arc<Waiter>>, Preemption>;

fn lock(key: Key) -> Bucket {
    TABLE[key.bucket()].lock()
}

/// Calls `action` under the locks of the buckets of both keys; the second is `None` if they have the same.
fn with_both<R>(first: Key, second: Key, action: impl FnOnce(&mut Bucket, Option<&mut Bucket>) -> R) -> R {
    match first.bucket().cmp(&second.bucket()) {
        core::cmp::Ordering::Equal => action(&mut lock(first), None),
        core::cmp::Ordering::Less => {
            let mut low = lock(first);
            let mut high = lock(second);
            action(&mut low, Some(&mut high))
        }
        core::cmp::Ordering::Greater => {
            let mut low = lock(second);
            let mut high = lock(first);
            action(&mut high, Some(&mut low))
        }
    }
}

/// Brings in a word that could not be read or written under a lock. EFAULT if that cannot be.
fn bring_in(space: &AddressSpace, address: u64, access: Access) -> Result<()> {
    space.handle_fault(address, access).map_err(|_| Error::new(Errno::EFAULT, "a futex is not there"))
}

/// Waits until somebody wakes this thread, if the word has the expected value.
///
/// # Errors
/// EAGAIN: it has another value. ETIMEDOUT; a restartable EINTR; EFAULT; EINVAL.
pub(crate) fn wait(
    space: &Arc<AddressSpace>,
    address: u64,
    scope: Scope,
    expected: u32,
    mask: u32,
    deadline: Option<Deadline>,
) -> Result<()> {
    if mask == 0 {
        return Err(Error::new(Errno::EINVAL, "a mask that matches nothing"));
    }
    let (word, waiter) = loop {
        let word = Word::find(space, address, scope)?;
        let waiter = Arc::new(Waiter {
            key: SpinLock::new("futex key", word.key),
            mask,
            woken: AtomicBool::new(false),
            queue: WaitQueue::named("futex"),
        });
        let mut bucket = lock(word.key);
        match load(address) {
            Ok(value) if value != expected => {
                return Err(Error::new(Errno::EAGAIN, "the futex has another value"));
            }
            Ok(_) => {
                bucket.push_back(waiter.clone());
                break (word, waiter);
            }
            Err(user::Fault) => {
                drop(bucket);
                bring_in(space, address, Access::Read)?;
            }
        }
    };
    let is_woken = || waiter.woken.load(Ordering::Acquire).then_some(());
    let outcome = waiter.queue.wait_interruptible_until(is_woken, deadline);
    drop(word);
    if outcome.is_err() && !leave(&waiter) {
        // Somebody woke it all the same: that wake-up must not be lost.
        return Ok(());
    }
    outcome
}

/// Takes a waiter out of its bucket. `false`: somebody has woken it.
fn leave(waiter: &Arc<Waiter>) -> bool {
    loop {
        let key = *waiter.key.lock();
        let mut bucket = lock(key);
        if *waiter.key.lock() != key {
            continue;
        }
        let position = bucket.iter().position(|other| Arc::ptr_eq(other, waiter));
        return position.and_then(|position| bucket.remove(position)).is_some();
    }
}

/// Wakes up to `limit` of those who wait with a mask that has a bit in common; returns how many.
pub(crate) fn wake(
    space: &Arc<AddressSpace>,
    address: u64,
    scope: Scope,
    limit: u32,
    mask: u32,
) -> Result<u32> {
    if mask == 0 {
        return Err(Error::new(Errno::EINVAL, "a mask that matches nothing"));
    }
    let word = Word::find(space, address, scope)?;
    Ok(wake_in(&mut lock(word.key), word.key, limit, mask))
}

fn wake_in(bucket: &mut Bucket, key: Key, limit: u32, mask: u32) -> u32 {
    let mut woken = 0;
    let mut position = 0;
    while woken < limit && position < bucket.len() {
        if !bucket[position].is_for(key, mask) {
            position += 1;
        } else if let Some(waiter) = bucket.remove(position) {
            waiter.wake();
            woken += 1;
        }
    }
    woken
}

/// What [`requeue`] does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requeue {
    /// How many are woken.
    pub(crate) wake: u32,
    /// How many of the others are moved.
    pub(crate) movable: u32,
    /// The value that the first word must have, if any.
    pub(crate) expected: Option<u32>,
}

/// Wakes some who wait for the first word, and lets others wait for the second instead. Returns how many were woken
/// and moved.
///
/// # Errors
/// EAGAIN: the first word has another value than expected. EFAULT, EINVAL.
pub(crate) fn requeue(
    space: &Arc<AddressSpace>,
    from: u64,
    to: u64,
    scope: Scope,
    what: Requeue,
) -> Result<(u32, u32)> {
    loop {
        let (source, target) = (Word::find(space, from, scope)?, Word::find(space, to, scope)?);
        let outcome = with_both(source.key, target.key, |bucket, other| {
            if let Some(expected) = what.expected {
                match load(source.address) {
                    Ok(value) if value == expected => {}
                    Ok(_) => return Some(Err(Error::new(Errno::EAGAIN, "the futex has another value"))),
                    Err(user::Fault) => return None,
                }
            }
            let woken = wake_in(bucket, source.key, what.wake, MATCH_ANY);
            Some(Ok((woken, move_waiters(bucket, other, source.key, target.key, what.movable))))
        });
        match outcome {
            Some(result) => return result,
            None => bring_in(space, from, Access::Read)?,
        }
    }
}

/// Moves up to `limit` waiters to another key.
fn move_waiters(bucket: &mut Bucket, mut other: Option<&mut Bucket>, from: Key, to: Key, limit: u32) -> u32 {
    let mut moved = 0;
    let mut position = 0;
    while from != to && moved < limit && position < bucket.len() {
        if !bucket[position].is_for(from, MATCH_ANY) {
            position += 1;
            continue;
        }
        moved += 1;
        *bucket[position].key.lock() = to;
        match &mut other {
            None => position += 1,
            Some(other) => other.extend(bucket.remove(position)),
        }
    }
    moved
}

/// Changes the second word, wakes who waits for the first, and who waits for the second if its old value says so.
/// Returns how many were woken.
pub(crate) fn wake_op(
    space: &Arc<AddressSpace>,
    first: u64,
    second: u64,
    scope: Scope,
    limits: (u32, u32),
    operation: WakeOp,
) -> Result<u32> {
    loop {
        let (word, changed) = (Word::find(space, first, scope)?, Word::find(space, second, scope)?);
        let woken = with_both(word.key, changed.key, |bucket, other| {
            let old = change(changed.address, |old| operation.apply(old)).ok()?;
            let mut woken = wake_in(bucket, word.key, limits.0, MATCH_ANY);
            if operation.is_wake(old) {
                woken += wake_in(other.unwrap_or(bucket), changed.key, limits.1, MATCH_ANY);
            }
            Some(woken)
        });
        match woken {
            Some(woken) => return Ok(woken),
            None => bring_in(space, second, Access::Write)?,
        }
    }
}

/// Reads a word. The caller holds a bucket's lock, so a page that is absent is brought in without it, and all is done again.
fn load(address: u64) -> core::result::Result<u32, user::Fault> {
    user::without_faults(|| user::load_u32(address))
}

/// Changes a word atomically; returns what it was. For the caller and its locks see [`load`].
fn change(address: u64, new: impl Fn(u32) -> u32) -> core::result::Result<u32, user::Fault> {
    user::without_faults(|| {
        let mut old = user::load_u32(address)?;
        loop {
            match user::compare_exchange_u32(address, old, new(old))? {
                found if found == old => return Ok(old),
                found => old = found,
            }
        }
    })
}

/// A thread ends: its robust futexes are released, and whoever waits for its end is told. Runs in that thread.
pub(crate) fn exit(thread: &Arc<Thread>) {
    let Some(user) = thread.user() else { return };
    let Some(space) = user.process.try_address_space() else { return };
    let head = user.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        // A program that has damaged its list hurts only itself.
        let _ = release_robust(&space, head, user.tid() as u32);
    }
    let clear = user.clear_child_tid.swap(0, Ordering::Relaxed);
    // This function's own reference, and the process's.
    let is_shared = Arc::strong_count(&space) > 2 || user.process.thread_count() > 1;
    if clear != 0 && is_shared {
        // As on Linux, a word that is gone is nobody's concern.
        let _ = UserPtr::<u32>::new(clear).write(&0);
        let _ = wake(&space, clear, Scope::Shared, 1, MATCH_ANY);
    }
}

/// Marks the futexes of a list of which this thread is the owner, and wakes one who waits for each.
fn release_robust(space: &Arc<AddressSpace>, head: u64, tid: u32) -> Result<()> {
    const PRIORITY_INHERITANCE: u64 = 1;
    let list = UserPtr::<RobustListHead>::new(head).read()?;
    let word_of = |entry: u64| (entry & !PRIORITY_INHERITANCE).wrapping_add_signed(list.futex_offset);
    let pending = list.list_op_pending;
    let mut entry = list.list;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry & !PRIORITY_INHERITANCE == head {
            break;
        }
        // The entry may be given to somebody else as soon as it is released: read on first.
        let next = UserPtr::<u64>::new(entry & !PRIORITY_INHERITANCE).read();
        if entry != pending {
            release_one(space, word_of(entry), tid, IsPending::No)?;
        }
        entry = next?;
    }
    if pending != 0 {
        release_one(space, word_of(pending), tid, IsPending::Yes)?;
    }
    Ok(())
}

/// Whether the thread was about to take or release a futex.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsPending {
    Yes,
    No,
}

fn release_one(space: &Arc<AddressSpace>, address: u64, tid: u32, pending: IsPending) -> Result<()> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL.into());
    }
    let mut value = UserPtr::<u32>::new(address).read()?;
    loop {
        if value & FUTEX_TID_MASK == 0 && pending == IsPending::Yes {
            // It had released the word, but perhaps not woken anybody yet.
            wake(space, address, Scope::Shared, 1, MATCH_ANY)?;
        }
        if value & FUTEX_TID_MASK != tid {
            return Ok(());
        }
        let new = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        match user::compare_exchange_u32(address, value, new)? {
            found if found == value => break,
            found => value = found,
        }
    }
    if value & FUTEX_WAITERS != 0 {
        wake(space, address, Scope::Shared, 1, MATCH_ANY)?;
    }
    Ok(())
}
