//! A watch: what an instance wants to know of an inode.

use super::{WATCHES, instance::Inotify};
use crate::fs::inode::Inode;
use abi::inotify::InotifyMask;
use alloc::{
    boxed::Box,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::sync::SpinLock;

/// Something that has happened.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    /// What.
    pub(super) mask: InotifyMask,
    /// Ties the two halves of a move.
    pub(super) cookie: u32,
    /// The name in the directory that is watched; empty if it happened to what is watched itself.
    pub(super) name: &'a [u8],
    /// Whether that name is gone.
    pub(super) is_unlinked: bool,
}

impl Event<'_> {
    /// To what is watched itself.
    pub(super) fn new(mask: InotifyMask) -> Self {
        Self { mask, cookie: 0, name: b"", is_unlinked: false }
    }
}

/// A watch.
pub(super) struct Watch {
    /// Its descriptor.
    pub(super) wd: i32,
    /// What is watched.
    pub(super) inode: Arc<dyn Inode>,
    /// Address of the file system that it is on.
    pub(super) super_block: usize,
    instance: Weak<Inotify>,
    /// Events, and [`InotifyMask::IN_ONESHOT`] and [`InotifyMask::IN_EXCL_UNLINK`].
    mask: AtomicU32,
    /// A watch for one event has had it.
    is_spent: AtomicBool,
}

impl Watch {
    /// A watch that the inode does not know yet.
    pub(super) fn new(
        wd: i32,
        inode: Arc<dyn Inode>,
        super_block: usize,
        instance: Weak<Inotify>,
        mask: InotifyMask,
    ) -> Arc<Self> {
        WATCHES.fetch_add(1, Ordering::Relaxed);
        let (mask, is_spent) = (AtomicU32::new(mask.bits()), AtomicBool::new(false));
        Arc::new(Self { wd, inode, super_block, instance, mask, is_spent })
    }

    /// What it tells.
    pub(super) fn mask(&self) -> InotifyMask {
        InotifyMask::from_bits_retain(self.mask.load(Ordering::Relaxed))
    }

    /// Tells something else from now on.
    pub(super) fn set_mask(&self, mask: InotifyMask) {
        self.mask.store(mask.bits(), Ordering::Relaxed);
        let Some(watches) = watches(&self.inode) else { return };
        let mut list = watches.list.lock();
        if let Some(place) = self.place(&list) {
            list[place].1 = mask.bits();
        }
        watches.sum_up(&list);
    }

    /// Makes the inode know it.
    pub(super) fn enter(self: &Arc<Self>) {
        let watches = self.inode.state().watches.call_once(|| Box::new(Watches::new()));
        let mut list = watches.list.lock();
        list.push((Arc::downgrade(self), self.mask().bits()));
        watches.sum_up(&list);
    }

    /// Where it stands in the list of its inode.
    fn place(&self, list: &[Entry]) -> Option<usize> {
        list.iter().position(|(known, _)| core::ptr::eq(known.as_ptr(), self))
    }

    /// The inode is to forget it.
    pub(super) fn leave(&self) {
        let Some(watches) = watches(&self.inode) else { return };
        let left = {
            let mut list = watches.list.lock();
            let left = self.place(&list).map(|place| list.remove(place));
            watches.sum_up(&list);
            left
        };
        drop(left);
    }

    fn deliver(self: &Arc<Self>, event: &Event<'_>) {
        let mask = self.mask();
        if event.is_unlinked && mask.contains(InotifyMask::IN_EXCL_UNLINK) {
            return;
        }
        let is_single = mask.contains(InotifyMask::IN_ONESHOT);
        if is_single && self.is_spent.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(instance) = self.instance.upgrade() else { return };
        instance.queue(self.wd, event);
        if is_single {
            instance.end(self);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A watch and its mask.
type Entry = (Weak<Watch>, u32);

/// The watches of an inode.
pub(in crate::fs) struct Watches {
    /// All events that one of them tells.
    wanted: AtomicU32,
    list: SpinLock<Vec<Entry>>,
}

impl Watches {
    fn new() -> Self {
        Self { wanted: AtomicU32::new(0), list: SpinLock::new("inotify-watches", Vec::new()) }
    }

    fn sum_up(&self, list: &[Entry]) {
        self.wanted.store(list.iter().fold(0, |sum, (_, mask)| sum | mask), Ordering::Release);
    }

    /// Those that have not gone meanwhile. They are to be dropped without a lock: they hold inodes.
    fn all(&self) -> Vec<Arc<Watch>> {
        self.list.lock().iter().filter_map(|(watch, _)| watch.upgrade()).collect()
    }
}

fn watches(inode: &Arc<dyn Inode>) -> Option<&Watches> {
    inode.state().watches.get().map(|watches| &**watches)
}

/// Whether anybody has ever watched an inode.
pub(super) fn is_watched(inode: &Arc<dyn Inode>) -> bool {
    watches(inode).is_some()
}

/// Whether a watch of an inode tells such an event.
pub(super) fn is_wanted(inode: &Arc<dyn Inode>, mask: InotifyMask) -> bool {
    let events = mask & InotifyMask::IN_ALL_EVENTS;
    watches(inode).is_some_and(|watches| watches.wanted.load(Ordering::Acquire) & events.bits() != 0)
}

/// The watch that an instance has of an inode.
pub(super) fn of_instance(inode: &Arc<dyn Inode>, instance: &Weak<Inotify>) -> Option<Arc<Watch>> {
    let all = watches(inode)?.all();
    all.into_iter().find(|watch| Weak::ptr_eq(&watch.instance, instance))
}

/// Tells those who watch an inode of an event.
pub(super) fn send(inode: &Arc<dyn Inode>, event: &Event<'_>) {
    if !is_wanted(inode, event.mask) {
        return;
    }
    let events = event.mask & InotifyMask::IN_ALL_EVENTS;
    for watch in watches(inode).map(Watches::all).unwrap_or_default() {
        if watch.mask().intersects(events) {
            watch.deliver(event);
        }
    }
}

/// Ends all watches of an inode, which is gone.
pub(super) fn end_all(inode: &Arc<dyn Inode>) {
    for watch in watches(inode).map(Watches::all).unwrap_or_default() {
        if let Some(instance) = watch.instance.upgrade() {
            instance.end(&watch);
        }
    }
}
