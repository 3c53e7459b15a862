//! inotify: telling programs what happens to files. Source: inotify(7).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what the rest of the VFS calls when something has happened |
//! | `watch.rs` | a watch, and the watches of an inode |
//! | `instance.rs` | an open inotify file: its watches and its queue of events |
//!
//! The calls cost one load of a counter while nobody watches anything. An inode that is watched stays in memory; it
//! knows its watches weakly, the instance owns them. Events about names are told with the directory lock held, so that
//! they come in the order in which the names changed. No spin lock of these modules is held while another is taken, or
//! while a reference is dropped.

mod instance;
mod watch;

pub(crate) use instance::{Inotify, MAXIMUM_EVENTS, MAXIMUM_INSTANCES, MAXIMUM_WATCHES};
pub(super) use watch::Watches;

use super::{
    dentry::{Dentry, Path},
    file_system::SuperBlock,
    inode::{AttributeChange, FileKind, Inode},
};
use abi::inotify::InotifyMask;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use watch::Event;

/// How many watches there are.
static WATCHES: AtomicUsize = AtomicUsize::new(0);

/// Whether anything is watched.
fn is_used() -> bool {
    WATCHES.load(Ordering::Relaxed) != 0
}

/// `mask` with the bit that says whether `inode` is a directory.
fn marked(mask: InotifyMask, inode: &dyn Inode) -> InotifyMask {
    if inode.kind() == FileKind::Directory { mask | InotifyMask::IN_ISDIR } else { mask }
}

/// Something was done to what is at a place: its directory's watchers hear of it by name, its own without.
pub(crate) fn tell(path: &Path, mask: InotifyMask) {
    if is_used() {
        tell_watchers(path, mask);
    }
}

#[cold]
fn tell_watchers(path: &Path, mask: InotifyMask) {
    const CONTENTS: InotifyMask = InotifyMask::IN_ACCESS.union(InotifyMask::IN_MODIFY);
    let inode = path.inode();
    // What moves through pipes and devices is not the directory's business.
    let is_stream = !matches!(inode.kind(), FileKind::Regular | FileKind::Directory);
    let is_private = path.mount.is_internal() || is_stream && CONTENTS.contains(mask);
    let mask = marked(mask, &**inode);
    if !is_private
        && let Some(parent) = path.dentry.parent()
        && let Some(directory) = parent.inode()
        && watch::is_wanted(directory, mask)
    {
        let name = path.dentry.name();
        let event = Event { name: &name, is_unlinked: path.dentry.is_detached(), ..Event::new(mask) };
        watch::send(directory, &event);
    }
    watch::send(inode, &Event::new(mask));
}

/// Attributes were set.
pub(super) fn tell_attributes(path: &Path, change: &AttributeChange) {
    let is_attribute = change.mode.is_some() || change.user.is_some() || change.group.is_some();
    let mut mask = if is_attribute { InotifyMask::IN_ATTRIB } else { InotifyMask::empty() };
    mask |= match (change.accessed.is_some(), change.modified.is_some()) {
        (true, true) => InotifyMask::IN_ATTRIB,
        (true, false) => InotifyMask::IN_ACCESS,
        (false, true) => InotifyMask::IN_MODIFY,
        (false, false) => InotifyMask::empty(),
    };
    if !mask.is_empty() {
        tell(path, mask);
    }
}

/// A name of `directory` came or went; it stands for `inode`. The directory lock is held.
fn tell_name(
    directory: &Arc<dyn Inode>,
    mask: InotifyMask,
    name: &[u8],
    inode: &Arc<dyn Inode>,
    cookie: u32,
) {
    let mask = marked(mask, &**inode);
    watch::send(directory, &Event { name, cookie, ..Event::new(mask) });
}

/// A name was made. The directory lock is held.
pub(super) fn tell_created(directory: &Arc<dyn Inode>, name: &[u8], inode: &Arc<dyn Inode>) {
    if is_used() {
        tell_name(directory, InotifyMask::IN_CREATE, name, inode, 0);
    }
}

/// An inode got another name. The directory lock is held.
pub(super) fn tell_linked(directory: &Arc<dyn Inode>, name: &[u8], inode: &Arc<dyn Inode>) {
    if is_used() {
        watch::send(inode, &Event::new(marked(InotifyMask::IN_ATTRIB, &**inode)));
        tell_name(directory, InotifyMask::IN_CREATE, name, inode, 0);
    }
}

/// A name was removed: `dentry` has just left the tree. The directory lock is held.
pub(super) fn tell_removed(directory: &Arc<dyn Inode>, name: &[u8], dentry: &Arc<Dentry>) {
    if !is_used() {
        return;
    }
    let Some(inode) = dentry.inode() else { return };
    if inode.kind() != FileKind::Directory {
        watch::send(inode, &Event::new(InotifyMask::IN_ATTRIB));
    }
    // Nobody else has it: it goes now.
    if Arc::strong_count(dentry) == 1 {
        tell_gone(inode);
    }
    tell_name(directory, InotifyMask::IN_DELETE, name, inode, 0);
}

/// A name in a directory, as [`tell_moved`] takes it.
pub(super) type Named<'a> = (&'a Arc<dyn Inode>, &'a [u8]);

/// `inode` was moved from a name to another, from which it has driven out `replaced`. The directory locks are held.
pub(super) fn tell_moved(
    from: Named<'_>,
    to: Named<'_>,
    inode: &Arc<dyn Inode>,
    replaced: Option<&Arc<dyn Inode>>,
) {
    static NEXT_COOKIE: AtomicU32 = AtomicU32::new(1);
    if !is_used() {
        return;
    }
    let cookie = NEXT_COOKIE.fetch_add(1, Ordering::Relaxed);
    tell_name(from.0, InotifyMask::IN_MOVED_FROM, from.1, inode, cookie);
    tell_name(to.0, InotifyMask::IN_MOVED_TO, to.1, inode, cookie);
    if let Some(replaced) = replaced {
        watch::send(replaced, &Event::new(marked(InotifyMask::IN_ATTRIB, &**replaced)));
    }
    watch::send(inode, &Event::new(marked(InotifyMask::IN_MOVE_SELF, &**inode)));
}

/// Nobody uses a removed name any more: if it was the last of its inode, that is gone.
pub(super) fn tell_unused(inode: &Arc<dyn Inode>) {
    if is_used() {
        tell_gone(inode);
    }
}

#[cold]
fn tell_gone(inode: &Arc<dyn Inode>) {
    if watch::is_watched(inode) && inode.metadata().links == 0 {
        watch::send(inode, &Event::new(marked(InotifyMask::IN_DELETE_SELF, &**inode)));
        watch::end_all(inode);
    }
}

/// A file system is not in use any more.
pub(super) fn tell_unmounted(super_block: &SuperBlock) {
    if is_used() {
        instance::end_of(core::ptr::from_ref(super_block).addr());
    }
}
