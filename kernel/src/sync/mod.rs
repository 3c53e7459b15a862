//! Sleeping locks, and the order in which locks are taken.
//!
//! # Which lock
//! * `machine::sync::SpinLock`: short, never slept under; `IrqSpinLock` if an interrupt handler takes it as well.
//! * [`Mutex`], [`RwLock`]: held while sleeping (disk, user memory); never taken by interrupt handlers or under a spin lock.
//! * [`Condvar`], `sched::wait::WaitQueue`: waiting for something other than a lock.
//!
//! # The order
//! A thread that holds a lock takes only locks below it. Spin locks are below all sleeping ones. A name is the class
//! given at creation. The principal classes stand in `order.rs`, which debug builds check; what they guard:
//!
//! | sleeping lock | guards | owner |
//! |---|---|---|
//! | mount changes, moves, file position | who changes the tree of mounts, moves directories, reads from a position | fs |
//! | directory | the names in it; of two, the ancestor first (depth 1, or 2 for one that is removed) | fs |
//! | pipe, socket, terminal, text made by the kernel | what is on its way from one program to another | fs, net, tty |
//! | page cache: writing, transfer; commit | what goes to the disk, what comes from it | fs |
//! | ext2 inode, then space and superblock | inodes, parent first (depths); bitmaps | fs |
//! | writing of a block cache, cached block, block cache | who writes; one block; which there are | block |
//! | address space | areas and page table of a program | mm |
//!
//! | spin lock | guards | owner |
//! |---|---|---|
//! | telling of news | one process's news for its parent: SIGCHLD goes out before a wait finds them | process |
//! | futex | who waits for a word of memory | process |
//! | processes | pids, parents, children, groups, sessions | process |
//! | thread group | threads of a process, its shared signals, stop and exit state | process |
//! | signal actions, thread signals, limits, credentials | one field group each | process |
//! | irq claims, then irq line | who has a line; a line, while its handlers run | machine |
//! | terminal input | what was typed and not yet read | tty |
//! | wait queue | who waits; a watcher's queue (epoll) nests inside a file's | sched |
//! | timer, then timers | one timer, then a CPU's queue of timers | sched |
//! | run queue, then current thread and entity | of two run queues, by address | sched |
//! | heap magazine, heap, frame cache, frames | a CPU's objects at hand, then everybody's; the same for frames | machine |
//! | log, then its position | any code may log, so nobody allocates under it | log |
//! | serial output, virtual console, ioapic | the ring of a line, a screen, a chip's registers | machine, tty |
//!
//! Locks of the same class are nested only where the table says so. `docs/decisions/0008-locking.md` says why all this
//! cannot deadlock. The mount table and the load averages are read without a lock (`machine::sync::{Rcu, SequenceLock}`).
//!
//! # What is reported
//! Debug builds check all of it as locks are taken (see `machine::sync`). In every build `report.rs` lists who waits for which lock
//! and who holds it: in panics, and for `echo d > /proc/sysrq-trigger`.

mod condvar;
mod mutex;
mod order;
mod report;
mod rwlock;
#[cfg(feature = "tests")]
mod tests;

#[cfg_attr(not(feature = "tests"), expect(unused_imports, reason = "stands ready for who needs it"))]
pub(crate) use condvar::Condvar;
pub(crate) use mutex::{Mutex, MutexGuard, RawMutex};
pub(crate) use order::declare;
pub(crate) use report::{log_held, write_held};
pub(crate) use rwlock::{RawRwLock, ReadGuard, RwLock, WriteGuard};

use crate::sched::{self, wait::Holder};
use machine::sync::Place;

/// The id of no thread.
const NOBODY: u64 = 0;

/// A thread that waits for a lock which it holds would wait for ever.
fn refuse_twice(class: &str, holder: Holder, place: Place) {
    if holder.thread == NOBODY || holder.thread != sched::current_id() {
        return;
    }
    match holder.since {
        Some(since) => panic!("`{class}` taken twice by the same thread: at {place}, held since {since}"),
        None => panic!("`{class}` taken twice by the same thread: at {place}"),
    }
}
