//! devtmpfs: device files that the kernel makes, on the core of tmpfs. There is one instance; every mount
//! shows it. Programs may add names of their own.

use super::{
    file_system::{FileSystem, NameCaching},
    filesystems::MountRequest,
    inode::{Inode, NewInode, NewKind},
    tmpfs::{Node, Options, TmpFs},
};
use crate::error::Result;
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::sync::Arc;
use machine::sync::Lazy;

/// `st_dev` of the instance.
const DEVICE: DeviceNumber = DeviceNumber::new(0, 5);

static INSTANCE: Lazy<Arc<TmpFs>> = Lazy::new(|| {
    let instance = TmpFs::new("devtmpfs", NameCaching::Revalidate, DEVICE, &Options::for_devices())
        .expect("the first inode of a file system is within its limit");
    for (name, target) in LINKS {
        let made = make(&instance, name, NewKind::Link(target.as_bytes().to_vec()), 0o777);
        debug_assert!(made.is_ok(), "a name that is there twice");
    }
    for name in DIRECTORIES {
        let made = make(&instance, name, NewKind::Directory, 0o755);
        debug_assert!(made.is_ok(), "a name that is there twice");
    }
    instance
});

/// Links that every program expects.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Mount points that every init expects.
const DIRECTORIES: [&str; 2] = ["pts", "shm"];

/// Shows the instance.
pub(super) fn mount(_request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    Ok(INSTANCE.clone())
}

/// Makes a device file, and the directories above it. `path` is relative to /dev; a name that exists is
/// replaced. Can be called before anything is mounted.
pub(crate) fn add(path: &str, kind: NewKind, mode: u32) -> Result<()> {
    make(&INSTANCE, path, kind, mode)
}

/// Removes a device file that was made by [`add`], if it is still there.
pub(crate) fn remove(path: &str) -> Result<()> {
    let (directory, name) = find_directory(&INSTANCE, path)?;
    let _names = directory.state().directory.lock();
    match directory.lookup(name) {
        Ok(known) => directory.unlink(name, &known),
        Err(_) => Ok(()),
    }
}

fn make(instance: &Arc<TmpFs>, path: &str, kind: NewKind, mode: u32) -> Result<()> {
    let (directory, name) = find_directory(instance, path)?;
    let _names = directory.state().directory.lock();
    if let Ok(known) = directory.lookup(name) {
        directory.unlink(name, &known)?;
    }
    directory.create(name, &NewInode { kind, mode, user: 0, group: 0 })?;
    Ok(())
}

/// The directory that the last name of a path is in, made if need be, and that name.
fn find_directory<'a>(instance: &Arc<TmpFs>, path: &'a str) -> Result<(Arc<Node>, &'a [u8])> {
    let mut directory = instance.root_node().clone();
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() {
        return Err(Errno::EINVAL.into());
    }
    for component in above.split('/').filter(|component| !component.is_empty()) {
        let next = {
            let _names = directory.state().directory.lock();
            match directory.lookup(component.as_bytes()) {
                Ok(found) => found,
                Err(_) => {
                    let new = NewInode { kind: NewKind::Directory, mode: 0o755, user: 0, group: 0 };
                    directory.create(component.as_bytes(), &new)?
                }
            }
        };
        directory = super::inode::downcast_arc(&next).ok_or(Errno::ENOTDIR)?;
    }
    Ok((directory, name.as_bytes()))
}
