//! Watching files: `inotify`. Source: inotify(7).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// The flags of `inotify_init1`.
    InotifyFlags: u32, like libc;
    IN_NONBLOCK = 0o4000, "Never sleep.";
    IN_CLOEXEC = 0o2000000, "Close on exec.";
}

flags! {
    /// What happened, what is to be told, and how `inotify_add_watch` takes it.
    InotifyMask: u32, like libc;
    IN_ACCESS = 0x1, "It was read.";
    IN_MODIFY = 0x2, "Its contents have changed.";
    IN_ATTRIB = 0x4, "Its attributes have changed.";
    IN_CLOSE_WRITE = 0x8, "It was closed, having been open for writing.";
    IN_CLOSE_NOWRITE = 0x10, "It was closed, not having been open for writing.";
    IN_OPEN = 0x20, "It was opened.";
    IN_MOVED_FROM = 0x40, "A name was moved away from the directory.";
    IN_MOVED_TO = 0x80, "A name was moved into the directory.";
    IN_CREATE = 0x100, "A name was made in the directory.";
    IN_DELETE = 0x200, "A name was removed from the directory.";
    IN_DELETE_SELF = 0x400, "It was removed itself.";
    IN_MOVE_SELF = 0x800, "It was moved itself.";
    IN_ALL_EVENTS = 0xfff, "All of these.";
    IN_UNMOUNT = 0x2000, "Its file system was unmounted.";
    IN_Q_OVERFLOW = 0x4000, "Events were lost.";
    IN_IGNORED = 0x8000, "The watch is gone.";
    IN_ONLYDIR = 0x0100_0000, "Only if it is a directory.";
    IN_DONT_FOLLOW = 0x0200_0000, "A symbolic link is watched itself.";
    IN_EXCL_UNLINK = 0x0400_0000, "Nothing of files that have lost their name in the directory.";
    IN_MASK_CREATE = 0x1000_0000, "Only if it is not watched yet.";
    IN_MASK_ADD = 0x2000_0000, "In addition to what is told already.";
    IN_ISDIR = 0x4000_0000, "It happened to a directory.";
    IN_ONESHOT = 0x8000_0000, "The watch goes after one event.";
}

/// `struct inotify_event`, 16 bytes; `len` bytes with a name follow, padded with NULs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are those of inotify(7)")]
pub struct InotifyEvent {
    pub wd: i32,
    pub mask: u32,
    pub cookie: u32,
    pub len: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<InotifyEvent>(), size_of::<libc::inotify_event>());
        assert_eq!(offset_of!(InotifyEvent, cookie), offset_of!(libc::inotify_event, cookie));
        assert_eq!(offset_of!(InotifyEvent, len), offset_of!(libc::inotify_event, len));
    }
}
