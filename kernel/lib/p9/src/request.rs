//! Requests.

use crate::{Error, wire::Writer};
use alloc::vec::Vec;

/// No fid: who attaches has not proved who he is.
pub const NO_FID: u32 = u32::MAX;
/// No number of a user.
pub const NO_USER: u32 = u32::MAX;
/// The version of the protocol.
pub const VERSION: &[u8] = b"9P2000.L";

/// Flags of opening: to read, to write, both; a directory; fail if it is there. (The protocol has Linux's numbers.)
pub const OPEN_READ: u32 = 0;
/// To write.
pub const OPEN_WRITE: u32 = 1;
/// To read and write.
pub const OPEN_READ_WRITE: u32 = 2;
/// Fail if the file is there.
pub const OPEN_EXCLUSIVE: u32 = 0o200;
/// It is a directory.
pub const OPEN_DIRECTORY: u32 = 0o200000;

/// The flag of [`Request::Unlink`] for directories.
pub const REMOVE_DIRECTORY: u32 = 0x200;
/// What stat(2) tells, as the mask of [`Request::GetAttributes`].
pub const ATTRIBUTES_BASIC: u64 = 0x7ff;

/// Bits of Tsetattr.
mod change {
    pub(super) const MODE: u32 = 1;
    pub(super) const USER: u32 = 2;
    pub(super) const GROUP: u32 = 4;
    pub(super) const SIZE: u32 = 8;
    pub(super) const ACCESSED: u32 = 0x10;
    pub(super) const MODIFIED: u32 = 0x20;
    pub(super) const ACCESSED_SET: u32 = 0x80;
    pub(super) const MODIFIED_SET: u32 = 0x100;
}

/// A change of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChange {
    /// To what the server's clock says.
    Now,
    /// To so many seconds and nanoseconds since 1970.
    To(i64, u32),
}

/// What is to be changed of a file; `None` leaves a value alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub user: Option<u32>,
    /// Group.
    pub group: Option<u32>,
    /// Length.
    pub size: Option<u64>,
    /// Time of the last read.
    pub accessed: Option<TimeChange>,
    /// Time of the last change of the contents.
    pub modified: Option<TimeChange>,
}

/// A request. Data to be written follows the encoded request and is not in it.
#[expect(missing_docs, reason = "the variants tell what their fields are")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Begins a session: the longest message, and the protocol. All fids of an earlier one are gone.
    Version { message_size: u32 },
    /// Makes `fid` the root of the exported tree `tree`.
    Attach { fid: u32, user: &'a [u8], tree: &'a [u8], user_number: u32 },
    /// Makes `new_fid` what `names`, 16 at most, lead to from `fid`.
    Walk { fid: u32, new_fid: u32, names: &'a [&'a [u8]] },
    /// Opens `fid`.
    Open { fid: u32, flags: u32 },
    /// Makes a regular file in the directory `fid`, which is that file, opened, from then on.
    Create { fid: u32, name: &'a [u8], flags: u32, mode: u32, group: u32 },
    /// Makes a symbolic link.
    Symlink { directory: u32, name: &'a [u8], target: &'a [u8], group: u32 },
    /// Makes a device file, FIFO or socket, as the type bits of `mode` say.
    MakeNode { directory: u32, name: &'a [u8], mode: u32, major: u32, minor: u32, group: u32 },
    /// Makes a directory.
    MakeDirectory { directory: u32, name: &'a [u8], mode: u32, group: u32 },
    /// Gives the file `fid` another name.
    Link { directory: u32, fid: u32, name: &'a [u8] },
    /// Moves a name.
    Rename { old_directory: u32, old_name: &'a [u8], new_directory: u32, new_name: &'a [u8] },
    /// Removes a name.
    Unlink { directory: u32, name: &'a [u8], flags: u32 },
    /// Reads a symbolic link.
    ReadLink { fid: u32 },
    /// Asks for attributes.
    GetAttributes { fid: u32, mask: u64 },
    /// Changes attributes.
    SetAttributes { fid: u32, change: Change },
    /// Asks for names of the open directory `fid` from `offset` on, `count` bytes at most.
    ReadDirectory { fid: u32, offset: u64, count: u32 },
    /// Reads.
    Read { fid: u32, offset: u64, count: u32 },
    /// Writes the `count` bytes that follow.
    Write { fid: u32, offset: u64, count: u32 },
    /// Has the server write a file to its disk.
    Sync { fid: u32, is_data_only: bool },
    /// Asks for figures of the file system.
    Space { fid: u32 },
    /// Makes `new_fid` the extended attribute `name` of `fid`, to be read; all their names if it is empty.
    AttributeWalk { fid: u32, new_fid: u32, name: &'a [u8] },
    /// Makes `fid` its own extended attribute, to be written with `size` bytes. It is there when `fid` is given back.
    AttributeCreate { fid: u32, name: &'a [u8], size: u64, flags: u32 },
    /// Gives `fid` back.
    Clunk { fid: u32 },
}

impl Request<'_> {
    /// The type of the message. That of its answer is one more.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Space { .. } => 8,
            Self::Open { .. } => 12,
            Self::Create { .. } => 14,
            Self::Symlink { .. } => 16,
            Self::MakeNode { .. } => 18,
            Self::ReadLink { .. } => 22,
            Self::GetAttributes { .. } => 24,
            Self::SetAttributes { .. } => 26,
            Self::AttributeWalk { .. } => 30,
            Self::AttributeCreate { .. } => 32,
            Self::ReadDirectory { .. } => 40,
            Self::Sync { .. } => 50,
            Self::Link { .. } => 70,
            Self::MakeDirectory { .. } => 72,
            Self::Rename { .. } => 74,
            Self::Unlink { .. } => 76,
            Self::Version { .. } => 100,
            Self::Attach { .. } => 104,
            Self::Walk { .. } => 110,
            Self::Read { .. } => 116,
            Self::Write { .. } => 118,
            Self::Clunk { .. } => 120,
        }
    }

    /// The message, with neither length nor tag: [`seal`](crate::seal) gives it both.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(64);
        let mut to = Writer::new(&mut bytes);
        to.u32(0).u8(self.kind()).u16(0);
        match *self {
            Self::Version { message_size } => to.u32(message_size).string(VERSION)?,
            Self::Attach { fid, user, tree, user_number } => {
                to.u32(fid).u32(NO_FID).string(user)?.string(tree)?.u32(user_number)
            }
            Self::Walk { fid, new_fid, names } => {
                to.u32(fid).u32(new_fid).u16(u16::try_from(names.len()).map_err(|_| Error::TooLong)?);
                for name in names {
                    to.string(name)?;
                }
                &mut to
            }
            Self::Open { fid, flags } => to.u32(fid).u32(flags),
            Self::Create { fid, name, flags, mode, group } => {
                to.u32(fid).string(name)?.u32(flags).u32(mode).u32(group)
            }
            Self::Symlink { directory, name, target, group } => {
                to.u32(directory).string(name)?.string(target)?.u32(group)
            }
            Self::MakeNode { directory, name, mode, major, minor, group } => {
                to.u32(directory).string(name)?.u32(mode).u32(major).u32(minor).u32(group)
            }
            Self::MakeDirectory { directory, name, mode, group } => {
                to.u32(directory).string(name)?.u32(mode).u32(group)
            }
            Self::Link { directory, fid, name } => to.u32(directory).u32(fid).string(name)?,
            Self::Rename { old_directory, old_name, new_directory, new_name } => {
                to.u32(old_directory).string(old_name)?.u32(new_directory).string(new_name)?
            }
            Self::Unlink { directory, name, flags } => to.u32(directory).string(name)?.u32(flags),
            Self::ReadLink { fid } | Self::Space { fid } | Self::Clunk { fid } => to.u32(fid),
            Self::GetAttributes { fid, mask } => to.u32(fid).u64(mask),
            Self::SetAttributes { fid, change } => {
                to.u32(fid);
                write_change(&mut to, &change);
                &mut to
            }
            Self::ReadDirectory { fid, offset, count }
            | Self::Read { fid, offset, count }
            | Self::Write { fid, offset, count } => to.u32(fid).u64(offset).u32(count),
            Self::Sync { fid, is_data_only } => to.u32(fid).u32(is_data_only.into()),
            Self::AttributeWalk { fid, new_fid, name } => to.u32(fid).u32(new_fid).string(name)?,
            Self::AttributeCreate { fid, name, size, flags } => {
                to.u32(fid).string(name)?.u64(size).u32(flags)
            }
        };
        Ok(bytes)
    }
}

fn write_change(to: &mut Writer<'_>, change: &Change) {
    let time = |time: Option<TimeChange>, which: u32, is_set: u32| match time {
        None => (0, 0, 0),
        Some(TimeChange::Now) => (which, 0, 0),
        Some(TimeChange::To(seconds, nanoseconds)) => (which | is_set, seconds as u64, nanoseconds.into()),
    };
    let accessed = time(change.accessed, change::ACCESSED, change::ACCESSED_SET);
    let modified = time(change.modified, change::MODIFIED, change::MODIFIED_SET);
    let mut valid = accessed.0 | modified.0;
    for (is_there, bit) in [
        (change.mode.is_some(), change::MODE),
        (change.user.is_some(), change::USER),
        (change.group.is_some(), change::GROUP),
        (change.size.is_some(), change::SIZE),
    ] {
        valid |= if is_there { bit } else { 0 };
    }
    to.u32(valid).u32(change.mode.unwrap_or(0)).u32(change.user.unwrap_or(0)).u32(change.group.unwrap_or(0));
    to.u64(change.size.unwrap_or(0));
    to.u64(accessed.1).u64(accessed.2).u64(modified.1).u64(modified.2);
}
