//! Waiting for descriptors: `poll`, `select`, `epoll`. Source: poll(2), select(2), epoll_ctl(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// What can be waited for and what happened; epoll uses the same bits.
    PollEvents: u32, like linux_raw_sys::general;
    POLLIN = 0x1, "Reading does not block.";
    POLLPRI = 0x2, "There is urgent data.";
    POLLOUT = 0x4, "Writing does not block.";
    POLLERR = 0x8, "An error; always reported.";
    POLLHUP = 0x10, "Hung up; always reported.";
    POLLNVAL = 0x20, "Not an open descriptor; always reported.";
    POLLRDNORM = 0x40, "As `POLLIN`.";
    POLLRDBAND = 0x80, "Priority data can be read.";
    POLLWRNORM = 0x100, "As `POLLOUT`.";
    POLLWRBAND = 0x200, "Priority data can be written.";
    POLLMSG = 0x400, "Unused.";
    POLLRDHUP = 0x2000, "The peer writes no more.";
}

impl PollEvents {
    /// Reported whether asked for or not.
    pub const ALWAYS: PollEvents = PollEvents::POLLERR.union(PollEvents::POLLHUP).union(PollEvents::POLLNVAL);
    /// What makes a descriptor readable for `select`.
    pub const SELECT_READ: PollEvents = PollEvents::POLLIN
        .union(PollEvents::POLLRDNORM)
        .union(PollEvents::POLLRDBAND)
        .union(PollEvents::POLLHUP)
        .union(PollEvents::POLLERR);
    /// What makes a descriptor writable for `select`.
    pub const SELECT_WRITE: PollEvents = PollEvents::POLLOUT
        .union(PollEvents::POLLWRNORM)
        .union(PollEvents::POLLWRBAND)
        .union(PollEvents::POLLERR);
    /// What is exceptional for `select`.
    pub const SELECT_EXCEPT: PollEvents = PollEvents::POLLPRI;
}

/// `struct pollfd`, 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PollFd {
    /// Descriptor; negative ones are skipped.
    pub fd: i32,
    /// Wanted [`PollEvents`].
    pub events: u16,
    /// What happened.
    pub revents: u16,
}

/// The most descriptors of a `select`'s set in the C library; the kernel takes any number.
pub const FD_SETSIZE: usize = 1024;

/// Words of 64 bits that a set of `count` descriptors takes.
pub const fn fd_set_words(count: usize) -> usize {
    count.div_ceil(64)
}

/// Whether the descriptor is in the set.
pub fn fd_is_set(set: &[u64], fd: usize) -> bool {
    set.get(fd / 64).is_some_and(|word| word >> (fd % 64) & 1 != 0)
}

/// Puts the descriptor into the set; one beyond its end is left out.
pub fn fd_set(set: &mut [u64], fd: usize) {
    if let Some(word) = set.get_mut(fd / 64) {
        *word |= 1 << (fd % 64);
    }
}

/// The sixth argument of `pselect6`: a signal mask and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigMaskArgument {
    /// Address of the mask; 0 means none.
    pub mask: u64,
    /// Its size in bytes: 8.
    pub size: u64,
}

/// `struct epoll_event`, packed to 12 bytes on x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// [`PollEvents`] and `EPOLL*` flags.
    pub events: u32,
    /// The program's own value.
    pub data: u64,
}

constants! { u32, like libc;
    EPOLLEXCLUSIVE = 1 << 28, "Wake one waiter only.";
    EPOLLWAKEUP = 1 << 29, "Keep the machine awake.";
    EPOLLONESHOT = 1 << 30, "Once, then disabled.";
    EPOLLET = 1 << 31, "Edge triggered.";
    EPOLL_CTL_ADD = 1, "Add a descriptor.";
    EPOLL_CTL_DEL = 2, "Remove a descriptor.";
    EPOLL_CTL_MOD = 3, "Change a descriptor.";
    EPOLL_CLOEXEC = 0o2000000, "Close on exec.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<PollFd>(), size_of::<libc::pollfd>());
        assert_eq!(size_of::<EpollEvent>(), size_of::<libc::epoll_event>());
    }

    #[test]
    fn descriptor_sets_ignore_what_is_beyond_their_end() {
        let mut set = [0; 2];
        fd_set(&mut set, 65);
        fd_set(&mut set, 128);
        assert!(fd_is_set(&set, 65) && !fd_is_set(&set, 64) && !fd_is_set(&set, 128));
        assert_eq!((fd_set_words(0), fd_set_words(64), fd_set_words(65)), (0, 1, 2));
    }
}
