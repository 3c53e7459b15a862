//! The list of file systems, and mounting one by the name of its type.

use super::{
    devpts, devtmpfs, ext2, fat,
    file_system::{Access, FileSystem, SuperBlock},
    iso9660, mount, ninep, overlay, procfs, sysfs, tmpfs,
};
use crate::error::{Error, Result};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

/// What a file system is asked to mount.
pub(super) struct MountRequest<'a> {
    /// The block device; `None` for types without one.
    pub(super) device: Option<DeviceNumber>,
    /// What mount(2) was given to mount, for types that are neither on a device nor made of nothing.
    pub(super) source: &'a [u8],
    /// The options of the type, separated by commas.
    pub(super) options: &'a [u8],
    /// Whether it may be changed.
    pub(super) access: Access,
}

/// Whether a type of file system stands on a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// It does.
    Device,
    /// It does not ("nodev" in /proc/filesystems).
    Nothing,
}

/// A type of file system.
pub(crate) struct FileSystemType {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it stands on.
    pub(crate) needs: Needs,
    mount: fn(&MountRequest<'_>) -> Result<Arc<dyn FileSystem>>,
}

/// All types.
#[rustfmt::skip]
pub(crate) const TYPES: &[FileSystemType] = &[
    FileSystemType { name: "ext2",     needs: Needs::Device,  mount: ext2::mount },
    FileSystemType { name: "ext3",     needs: Needs::Device,  mount: ext2::mount_journaled },
    FileSystemType { name: "vfat",     needs: Needs::Device,  mount: fat::mount },
    FileSystemType { name: "iso9660",  needs: Needs::Device,  mount: iso9660::mount },
    FileSystemType { name: "9p",       needs: Needs::Nothing, mount: ninep::mount },
    FileSystemType { name: "overlay",  needs: Needs::Nothing, mount: overlay::mount },
    FileSystemType { name: "tmpfs",    needs: Needs::Nothing, mount: tmpfs::mount },
    FileSystemType { name: "ramfs",    needs: Needs::Nothing, mount: tmpfs::mount },
    FileSystemType { name: "devtmpfs", needs: Needs::Nothing, mount: devtmpfs::mount },
    FileSystemType { name: "devpts",   needs: Needs::Nothing, mount: devpts::mount },
    FileSystemType { name: "proc",     needs: Needs::Nothing, mount: procfs::mount },
    FileSystemType { name: "sysfs",    needs: Needs::Nothing, mount: sysfs::mount },
];

/// A device number for a file system without a device, as Linux makes them: major 0.
pub(super) fn new_device() -> DeviceNumber {
    static NEXT_MINOR: AtomicU32 = AtomicU32::new(16);
    DeviceNumber::new(0, NEXT_MINOR.fetch_add(1, Ordering::Relaxed))
}

/// The type of a name.
pub(crate) fn find(name: &[u8]) -> Option<&'static FileSystemType> {
    TYPES.iter().find(|kind| kind.name.as_bytes() == name)
}

/// Puts a file system into use, or shares one that is in use already on the same device.
pub(crate) fn open(
    kind: &FileSystemType,
    source: &[u8],
    device: Option<DeviceNumber>,
    options: &[u8],
    access: Access,
) -> Result<Arc<SuperBlock>> {
    if kind.needs == Needs::Device {
        let device =
            device.ok_or(Error::new(Errno::ENOTBLK, "this type of file system needs a block device"))?;
        if let Some(known) = mount::find_super_block(device) {
            let is_same_access = known.is_read_only() == (access == Access::ReadOnly);
            return if is_same_access {
                Ok(known)
            } else {
                Err(Error::new(Errno::EBUSY, "mounted elsewhere otherwise"))
            };
        }
    }
    let device = device.filter(|_| kind.needs == Needs::Device);
    let file_system = (kind.mount)(&MountRequest { device, source, options, access })?;
    if let Some(known) = mount::find_super_block(file_system.device()) {
        return Ok(known);
    }
    Ok(SuperBlock::new(file_system, access))
}
