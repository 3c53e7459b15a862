//! Files without a name in any directory: pipes, eventfd, epoll and the like. They live in a file system of
//! their own that is never in the tree, so that everything that is open has a path.

use super::{
    dentry::{Dentry, Path},
    file::{File, FileOperations, OpenFlags},
    file_system::{FileSystem, Statistics},
    inode::{FileKind, Inode, InodeState, Metadata},
    mount::Mount,
    time,
};
use crate::error::Result;
use abi::{
    stat::{ANON_INODE_FS_MAGIC, DeviceNumber},
    time::Timespec,
};
use alloc::{format, sync::Arc};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::Lazy;

/// `st_dev` of everything here.
pub(super) const DEVICE: DeviceNumber = DeviceNumber::new(0, 1);

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(2);
static MOUNT: Lazy<Arc<Mount>> = Lazy::new(|| Mount::new_internal(Arc::new(Home)));

/// A new inode number.
pub(super) fn next_number() -> u64 {
    NEXT_NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// The path of an inode without a name; /proc shows it as `name`.
pub(super) fn path_of(inode: Arc<dyn Inode>, name: &str) -> Path {
    let mount = MOUNT.clone();
    let dentry = Dentry::new_unnamed(mount.root(), name.as_bytes(), inode);
    Path { mount, dentry }
}

/// An open file that is nothing but its operations; /proc shows it as `anon_inode:NAME`.
pub(crate) fn open(name: &str, operations: Arc<dyn FileOperations>, flags: OpenFlags) -> Arc<File> {
    let inode = Arc::new(Anonymous {
        state: InodeState::new(),
        number: next_number(),
        kind: FileKind::Anonymous,
        created: time::now(),
    });
    File::new(path_of(inode, &format!("anon_inode:{name}")), operations, flags)
}

/// An open socket; /proc shows it as `socket:[NUMBER]`.
pub(crate) fn open_socket(operations: Arc<dyn FileOperations>, flags: OpenFlags) -> Arc<File> {
    let number = next_number();
    let inode = Arc::new(Anonymous {
        state: InodeState::new(),
        number,
        kind: FileKind::Socket,
        created: time::now(),
    });
    File::new(path_of(inode, &format!("socket:[{number}]")), operations, flags)
}

/// The file system.
struct Home;

impl FileSystem for Home {
    fn kind(&self) -> &'static str {
        "anon_inodefs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::new(Anonymous {
            state: InodeState::new(),
            number: 1,
            kind: FileKind::Directory,
            created: time::now(),
        })
    }

    fn device(&self) -> DeviceNumber {
        DEVICE
    }

    fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics {
            magic: ANON_INODE_FS_MAGIC as u64,
            block_size: 4096,
            name_length: 255,
            ..Statistics::default()
        })
    }
}

/// An inode that has nothing but a number.
struct Anonymous {
    state: InodeState,
    number: u64,
    kind: FileKind,
    created: Timespec,
}

impl Inode for Anonymous {
    fn metadata(&self) -> Metadata {
        let mode = if self.kind == FileKind::Socket { 0o777 } else { 0o600 };
        Metadata { mode, ..metadata(self.number, self.kind, self.created) }
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn state(&self) -> &InodeState {
        &self.state
    }
}

/// What stat(2) tells of a nameless file.
pub(super) fn metadata(number: u64, kind: FileKind, time: Timespec) -> Metadata {
    Metadata {
        device: DEVICE,
        number,
        kind,
        mode: 0o600,
        links: 1,
        user: 0,
        group: 0,
        special: DeviceNumber::default(),
        size: 0,
        block_size: 4096,
        blocks: 0,
        accessed: time,
        modified: time,
        changed: time,
        created: None,
    }
}
