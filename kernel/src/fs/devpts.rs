//! devpts: the device files of pseudo-terminal slaves, on the core of tmpfs. There is one instance; `tty::pty` adds and
//! removes the files. The usual mount options (`gid=`, `mode=`, `ptmxmode=`) are taken and have no effect: a
//! slave belongs to whoever opened its master, with mode 0620.

use super::{
    file_system::{FileSystem, NameCaching},
    filesystems::MountRequest,
    inode::{Inode, NewInode, NewKind},
    tmpfs::{Options, TmpFs},
};
use crate::error::Result;
use abi::stat::DeviceNumber;
use alloc::{format, sync::Arc};
use machine::sync::Lazy;

/// `st_dev` of the instance.
const DEVICE: DeviceNumber = DeviceNumber::new(0, 6);
/// The master's file, as in /dev.
const MULTIPLEXER: DeviceNumber = DeviceNumber::new(5, 2);
const SLAVE_MODE: u32 = 0o620;

static INSTANCE: Lazy<Arc<TmpFs>> = Lazy::new(|| {
    let instance = TmpFs::new("devpts", NameCaching::Revalidate, DEVICE, &Options::for_devices())
        .expect("the first inode of a file system is within its limit");
    let new = NewInode { kind: NewKind::Character(MULTIPLEXER), mode: 0o666, user: 0, group: 0 };
    let made = create(&instance, b"ptmx", &new);
    debug_assert!(made.is_ok(), "an empty directory takes a name");
    instance
});

/// Shows the instance.
pub(super) fn mount(_request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    Ok(INSTANCE.clone())
}

/// Adds the file of slave `number`, for this user.
pub(crate) fn add(number: u32, device: DeviceNumber, user: u32, group: u32) -> Result<()> {
    let new = NewInode { kind: NewKind::Character(device), mode: SLAVE_MODE, user, group };
    create(&INSTANCE, format!("{number}").as_bytes(), &new)
}

/// Removes it.
pub(crate) fn remove(number: u32) {
    let directory = INSTANCE.root_node();
    let name = format!("{number}");
    let _names = directory.state().directory.lock();
    if let Ok(known) = directory.lookup(name.as_bytes()) {
        // A file that is open stays until it is closed; its name goes at once.
        let _ = directory.unlink(name.as_bytes(), &known);
    }
}

fn create(instance: &Arc<TmpFs>, name: &[u8], new: &NewInode) -> Result<()> {
    let directory = instance.root_node();
    let _names = directory.state().directory.lock();
    directory.create(name, new).map(drop)
}
