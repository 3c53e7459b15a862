//! The order of locks, as the checks of debug builds know it: the table that the module above explains.
//!
//! Classes that stand in no row have no written place; whatever order they are first taken in holds for them.

use machine::sync::{Nesting, declare_nesting, declare_order};

/// A lock of a row is never taken while one of a later row is held.
const ORDER: &[&[&str]] = &[
    // Sleeping locks: from the tree of names to the disk, then memory.
    &["mount-changes", "overlay-moving-above", "file-offset"],
    &["overlay-directory-above"],
    &["overlay-copying-above"],
    &["overlay-moving"],
    &["overlay-directory"],
    &["overlay-copying"],
    &["fs-moving"],
    &["fs-directory", "pipe", "socket", "tty-writing", "synthetic-text"],
    &["page-cache-writing"],
    &["page-cache-writing-back"],
    &["page-cache-transfer"],
    &["ext2-resizing"],
    &["ext2 commit"],
    &["ext2 operations", "fat volume"],
    &["ext2 writing inodes"],
    &["ext2 inode"],
    &["ext2 space", "ext2 superblock"],
    &["ext2 journal"],
    &["block-cache-writing"],
    &["cached-block"],
    &["block-cache"],
    &["address space"],
    // Spin locks: from processes to the scheduler, then what all of them use.
    &["telling of news", "futex"],
    &["processes"],
    &["thread group", "irq claims"],
    &["thread signals", "irq line", "tty input"],
    &["wait queue", "keyboard controller"],
    &["run queue", "timer"],
    &["entity", "current thread", "timers"],
    &["heap magazine"],
    &["heap"],
    &["frame cache"],
    &["frames"],
    &["log"],
    &["log position", "serial output", "virtio-console output", "virtual console", "ioapic"],
];

/// Classes of which several are held at a time.
const NESTED: &[(&str, Nesting)] = &[
    // A watcher's queue (epoll) inside the queue of what it watches; that there is no circle is epoll's to see to.
    ("wait queue", Nesting::ParentFirst),
    // Of two CPUs, by `machine::sync::lock_both`.
    ("run queue", Nesting::ByAddress),
];

/// Tells the checks. The first step of boot.
pub(crate) fn declare() {
    declare_order(ORDER);
    for (class, nesting) in NESTED {
        declare_nesting(class, *nesting);
    }
}
