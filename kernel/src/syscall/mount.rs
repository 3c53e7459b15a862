//! mount and umount2. Source: mount(2), umount(2).

use super::{Call, at::At};
use crate::{
    block,
    error::{Error, Result},
    fs::{
        dentry::Path,
        file_system::Access,
        filesystems::{self, Needs},
        inode::FileKind,
        lookup::LookupFlags,
        mount::{self, BindExtent, Mount, Unmount},
    },
    mm::user,
    process::credentials::capability,
};
use abi::{
    errno::Errno,
    mount::{MountFlags, UmountFlags},
    stat::DeviceNumber,
};
use alloc::{string::String, vec::Vec};
use machine::addr::PAGE_SIZE;

/// Flags that belong to a mount, as the bits of `statfs`.
fn mount_flags(flags: MountFlags) -> mount::MountFlags {
    use mount::MountFlags as Own;
    let table = [
        (MountFlags::MS_RDONLY, Own::READ_ONLY),
        (MountFlags::MS_NOSUID, Own::NO_SUID),
        (MountFlags::MS_NODEV, Own::NO_DEV),
        (MountFlags::MS_NOEXEC, Own::NO_EXEC),
        (MountFlags::MS_NOATIME, Own::NO_ATIME),
        (MountFlags::MS_NODIRATIME, Own::NO_DIR_ATIME),
    ];
    let mut own = Own::empty();
    for (_, bit) in table.iter().filter(|(flag, _)| flags.contains(*flag)) {
        own |= *bit;
    }
    if !flags.intersects(MountFlags::MS_NOATIME | MountFlags::MS_STRICTATIME) {
        own |= Own::RELATIVE_ATIME;
    }
    own
}

fn access(flags: MountFlags) -> Access {
    if flags.contains(MountFlags::MS_RDONLY) { Access::ReadOnly } else { Access::ReadWrite }
}

/// A string argument of up to a page; empty for NULL.
fn read_text(address: Option<u64>) -> Result<Vec<u8>> {
    match address {
        None => Ok(Vec::new()),
        Some(address) => Ok(user::read_string(address, PAGE_SIZE)?.ok_or(Errno::EINVAL)?),
    }
}

fn check_privilege(call: &Call<'_>) -> Result<()> {
    if call.process().credentials().has(capability::SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM.into()) }
}

/// mount(source, target, type, flags, data)
pub(super) fn mount(call: &mut Call<'_>) -> Result<u64> {
    let flags = MountFlags::from_argument(call.arg(3));
    let target = At::current(call, call.arg(1))?;
    let path = target.lookup(LookupFlags::FOLLOW)?;
    check_privilege(call)?;
    let propagation =
        MountFlags::MS_SHARED | MountFlags::MS_PRIVATE | MountFlags::MS_SLAVE | MountFlags::MS_UNBINDABLE;
    if flags.contains(MountFlags::MS_REMOUNT) {
        remount(call, &path, flags)?;
    } else if flags.contains(MountFlags::MS_BIND) {
        let source = At::current(call, call.arg(0))?.lookup(LookupFlags::FOLLOW)?;
        let extent = if flags.contains(MountFlags::MS_REC) { BindExtent::Tree } else { BindExtent::Mount };
        mount::bind(&source, path, extent)?;
    } else if flags.intersects(propagation) {
        change_propagation(&path, flags)?;
    } else if flags.contains(MountFlags::MS_MOVE) {
        let source = At::current(call, call.arg(0))?.lookup(LookupFlags::FOLLOW)?;
        mount::relocate(&source, path)?;
    } else {
        mount_new(call, path, flags)?;
    }
    Ok(0)
}

/// All mounts are private here: that can be asked for, anything else cannot.
fn change_propagation(path: &Path, flags: MountFlags) -> Result<()> {
    if !path.is_mount_root() {
        return Err(Errno::EINVAL.into());
    }
    if flags.intersects(MountFlags::MS_SHARED | MountFlags::MS_UNBINDABLE) {
        return Err(Error::new(Errno::EINVAL, "mounts do not propagate"));
    }
    // A private mount has nobody to be a slave of, which Linux answers with success too.
    Ok(())
}

fn mount_new(call: &Call<'_>, path: Path, flags: MountFlags) -> Result<()> {
    let kind = read_text(call.address(2))?;
    let source = read_text(call.address(0))?;
    let options = read_text(call.address(4))?;
    if path.dentry.is_detached() {
        return Err(Errno::ENOENT.into());
    }
    let kind = filesystems::find(&kind).ok_or(Error::new(Errno::ENODEV, "no such type of file system"))?;
    let device = match kind.needs {
        Needs::Nothing => None,
        Needs::Device => Some(device_of(call)?),
    };
    let super_block = filesystems::open(kind, &source, device, &options, access(flags))?;
    let name = String::from_utf8_lossy(&source).into_owned();
    let root = super_block.root.clone();
    mount::attach(Mount::new(super_block, root, mount_flags(flags), name), path)
}

/// The block device that the source names.
fn device_of(call: &Call<'_>) -> Result<DeviceNumber> {
    let source = At::current(call, call.arg(0))?.lookup(LookupFlags::FOLLOW)?;
    let inode = source.inode();
    if inode.kind() != FileKind::Block {
        return Err(Errno::ENOTBLK.into());
    }
    let number = inode.metadata().special;
    if block::registry::find_by_number(number).is_none() {
        return Err(Errno::ENXIO.into());
    }
    Ok(number)
}

/// MS_REMOUNT: with MS_BIND the flags of this mount only, else of the file system too.
fn remount(call: &Call<'_>, path: &Path, flags: MountFlags) -> Result<()> {
    if !path.is_mount_root() {
        return Err(Errno::EINVAL.into());
    }
    if !flags.contains(MountFlags::MS_BIND) {
        let super_block = path.mount.super_block();
        super_block.file_system.reconfigure(&read_text(call.address(4))?)?;
        if super_block.is_read_only() != flags.contains(MountFlags::MS_RDONLY) {
            super_block.set_access(access(flags))?;
        }
    }
    path.mount.set_flags(mount_flags(flags))
}

fn unmount(call: &Call<'_>, flags: UmountFlags) -> Result<u64> {
    check_privilege(call)?;
    let mut lookup = LookupFlags::empty();
    if !flags.contains(UmountFlags::UMOUNT_NOFOLLOW) {
        lookup |= LookupFlags::FOLLOW;
    }
    let path = At::current(call, call.arg(0))?.lookup(lookup)?;
    let how = if flags.contains(UmountFlags::MNT_DETACH) { Unmount::Detach } else { Unmount::IfUnused };
    mount::unmount(path, how)?;
    Ok(0)
}

/// umount2(target, flags)
pub(super) fn umount2(call: &mut Call<'_>) -> Result<u64> {
    let flags = UmountFlags::from_bits(call.uint(1)).ok_or(Errno::EINVAL)?;
    if flags.contains(UmountFlags::MNT_EXPIRE) {
        return Err(Error::new(Errno::EINVAL, "mounts do not expire"));
    }
    unmount(call, flags)
}
