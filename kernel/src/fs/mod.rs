//! The virtual file system and the file systems under it.
//!
//! | file | what |
//! |---|---|
//! | `inode.rs`, `file_system.rs` | what a file system implements |
//! | `dentry.rs`, `dentry_cache.rs` | names in memory, places in the tree |
//! | `mount.rs`, `unmount.rs` | what is mounted where |
//! | `lookup.rs`, `open.rs`, `names.rs` | path walking, open, and create, link, remove, rename |
//! | `permission.rs`, `acl.rs`, `context.rs` | who may; access control lists; working directory, root, umask |
//! | `xattr.rs` | extended attributes: who may see and change which |
//! | `file.rs`, `fd.rs` | open files and the descriptors that refer to them |
//! | `io.rs` | cursors over memory that data moves to or from |
//! | `page_cache/` | the contents of files in memory |
//! | `regular.rs`, `directory.rs`, `pipe.rs`, `anonymous.rs` | what open files of each type do |
//! | `poll.rs`, `lock.rs`, `event/` | waiting for files, locking them, files that stand for events |
//! | `inotify/` | telling programs what happens to files |
//! | `filesystems.rs` | the list of types: ext2, FAT, ISO 9660, 9P, overlay, tmpfs, devtmpfs, procfs, sysfs |
//! | `root.rs` | mounting the first one |
//!
//! Locks, from the outer to the inner: mount changes; `moving` of a file system; directories (ancestor first); the
//! position of an open file; `writing`, `writing_back` and then `transfer` of a page cache; locks of the file system
//! below; spin locks.

pub(crate) mod acl;
pub(crate) mod anonymous;
mod context;
pub(crate) mod dentry;
pub(crate) mod dentry_cache;
pub(crate) mod devpts;
pub(crate) mod devtmpfs;
mod directory;
pub(crate) mod event;
mod ext2;
mod fat;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod file_system;
pub(crate) mod filesystems;
pub(crate) mod inode;
pub(crate) mod inotify;
pub(crate) mod io;
mod iso9660;
pub(crate) mod lock;
pub(crate) mod lookup;
pub(crate) mod memory_file;
pub(crate) mod mount;
pub(crate) mod names;
mod ninep;
pub(crate) mod open;
mod overlay;
pub(crate) mod page_cache;
pub(crate) mod permission;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod procfs;
pub(crate) mod regular;
mod root;
mod seals;
pub(crate) mod signals;
mod synthetic;
mod sysfs;
#[cfg(feature = "tests")]
mod tests;
mod time;
mod tmpfs;
mod unmount;
mod write_gate;
pub(crate) mod xattr;

pub(crate) use context::FsContext;
pub(crate) use permission::Caller;
pub(crate) use root::{Ready, RootMounted, cover, init, mount_root, uncover};
