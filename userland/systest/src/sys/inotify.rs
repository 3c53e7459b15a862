//! Watching files.

use super::files::Fd;
use super::{Result, call, path};

/// An event; the name without its padding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) watch: i32,
    pub(crate) mask: u32,
    pub(crate) cookie: u32,
    pub(crate) name: String,
}

pub(crate) fn init(flags: i32) -> Result<Fd> {
    call!(SYS_inotify_init1, flags).map(Fd::own)
}

pub(crate) fn add(fd: i32, name: &str, mask: u32) -> Result<i32> {
    call!(SYS_inotify_add_watch, fd, &path(name)?, mask).map(|watch| watch as i32)
}

pub(crate) fn remove(fd: i32, watch: i32) -> Result<()> {
    call!(SYS_inotify_rm_watch, fd, watch).map(drop)
}

/// The events in what was read.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (name, behind) = behind.split_at((word(12) as usize).min(behind.len()));
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let name = String::from_utf8_lossy(&name[..end]).into_owned();
        events.push(Event { watch: word(0) as i32, mask: word(4), cookie: word(8), name });
        rest = behind;
    }
    events
}
