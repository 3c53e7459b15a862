//! Terminals and pseudo-terminals.

use std::mem::zeroed;

use super::files::{Fd, ioctl_int, ioctl_set_int, open};
use super::{Result, call};

/// The kernel's `struct termios` for `TCGETS`; the C libraries' own is larger.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Modes {
    pub(crate) input: u32,
    pub(crate) output: u32,
    pub(crate) control: u32,
    pub(crate) local: u32,
    pub(crate) line: u8,
    pub(crate) characters: [u8; 19],
}

/// Opens a new pseudo-terminal: the controlling end and the terminal end.
pub(crate) fn open_pair() -> Result<(Fd, Fd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    let master = open("/dev/ptmx", flags, 0)?;
    ioctl_set_int(*master, libc::TIOCSPTLCK as u64, 0)?;
    let number = ioctl_int(*master, libc::TIOCGPTN as u64)?;
    let slave = open(&format!("/dev/pts/{number}"), flags, 0)?;
    Ok((master, slave))
}

pub(crate) fn modes(fd: i32) -> Result<Modes> {
    // SAFETY: all fields are numbers.
    let mut modes: Modes = unsafe { zeroed() };
    call!(SYS_ioctl, fd, libc::TCGETS as u64, &raw mut modes)?;
    Ok(modes)
}

pub(crate) fn set_modes(fd: i32, modes: &Modes) -> Result<()> {
    call!(SYS_ioctl, fd, libc::TCSETS as u64, std::ptr::from_ref(modes)).map(drop)
}

/// Rows and columns.
pub(crate) fn window(fd: i32) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    call!(SYS_ioctl, fd, libc::TIOCGWINSZ as u64, &raw mut size)?;
    Ok((size.ws_row, size.ws_col))
}

pub(crate) fn set_window(fd: i32, (rows, columns): (u16, u16)) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    call!(SYS_ioctl, fd, libc::TIOCSWINSZ as u64, &raw const size).map(drop)
}

/// Makes it the controlling terminal of this session.
pub(crate) fn control(fd: i32) -> Result<()> {
    call!(SYS_ioctl, fd, libc::TIOCSCTTY as u64, 0).map(drop)
}

pub(crate) fn foreground(fd: i32) -> Result<i32> {
    ioctl_int(fd, libc::TIOCGPGRP as u64)
}

pub(crate) fn set_foreground(fd: i32, group: i32) -> Result<()> {
    ioctl_set_int(fd, libc::TIOCSPGRP as u64, group)
}

pub(crate) fn session(fd: i32) -> Result<i32> {
    ioctl_int(fd, libc::TIOCGSID as u64)
}
