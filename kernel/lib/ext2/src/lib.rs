//! The second extended file system, all of it, on any block device.
//!
//! A [`FileSystem`] stands on three things that its user supplies: a [`BlockIo`] (the disk, as bytes, usually with
//! a cache in front), a family of sleeping [`Locks`], and a [`Context`] (the clock and the caller's rights). It
//! does no path walking and keeps no open files: that is the VFS's work. It never panics, loops or allocates
//! without bound because of what a disk contains; a broken structure is [`Error::Corrupt`] with the reason.
//!
//! # Caching
//! Superblock, group descriptors, bitmaps, inodes and the indirect blocks last used are kept in memory and written
//! by [`FileSystem::sync`]; directory blocks go to the `BlockIo` at once. File data passes straight through, in
//! runs as long as the blocks on disk are contiguous.
//!
//! # What a crash leaves
//! With a journal (`journal/`), the state between two operations, with all that was synced; the next mount, or
//! `e2fsck`, puts it in place. Without, a freed block or inode number is not used again before everything that
//! pointed to it has reached the disk (`space/freed.rs`), a block of a directory loses names to others only after these
//! have (`dir/split.rs`), and an insertion changes one sector (`dir/block.rs`). So whatever the order in which the cache
//! below writes, `e2fsck` never takes one file's data for another's indirect block, and what
//! [`FileSystem::sync_inode`] acknowledged stays.
//!
//! # Locking
//! From the outside in; a lock is only taken while holding locks further left:
//!
//! `commit` -> `operations` -> writing of inodes, `rename` (never nested) -> inodes (a directory before its children, an ancestor before a descendant,
//! else the lower number first) -> attribute blocks -> node table, superblock, space, fault (never nested in each
//! other) -> journal, dirty inodes, listings (the leaves).
//!
//! Each inode has a lock of its own, held across its disk I/O, so that operations on different files run side by
//! side; only the search in bitmaps is serialised by `space`.
//!
//! # Sources
//! On-disk structures follow "The Second Extended File System: Internal Layout" (D. Poirier), section names given in
//! `layout.rs`; newer fields follow the ext4 wiki's "Ext4 Disk Layout".

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod attributes;
mod block_map;
mod create;
mod dir;
mod error;
mod features;
mod file;
mod geometry;
mod inode;
mod io;
mod journal;
mod layout;
mod locks;
mod mount;
mod node;
mod orphan;
mod preallocate;
mod rename;
mod space;
mod superblock;
mod symlink;
mod sync;
mod time;
mod truncate;
mod unlink;
mod xattr;

pub use attributes::{Attributes, DeviceNumber, FileKind, SetAttributes};
pub use block_map::Mapping;
pub use create::{NewInode, NewKind};
pub use dir::{DirEntry, NAME_MAX};
pub use error::{Error, MountError};
pub use file::Seek;
pub use geometry::{Block, Ino, Run};
pub use io::{BlockIo, IoError, Patience};
pub use locks::{ExclusiveLock, Locks, Place, SharedLock};
pub use mount::{ErrorPolicy, FileSystem, MountOptions, Statistics};
pub use rename::RenameMode;
pub use space::{BlockFinder, FreeSpace, NearGoal, Request};
pub use time::{Context, Timestamp};
pub use unlink::Unlinked;
pub use xattr::{XATTR_NAME_MAX, XattrMode};
