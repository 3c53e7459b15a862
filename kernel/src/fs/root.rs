//! The root file system: found and mounted at boot, with /dev on top of it.

use super::{
    dentry::Path,
    file_system::Access,
    filesystems::{self, FileSystemType, Needs},
    lookup::{self, LookupFlags},
    mount::{self, Mount, MountFlags},
    page_cache::flusher,
    permission::Caller,
};
use crate::{
    block,
    cmdline::{Parameters, RootAccess},
    device::character,
    error::{Error, Result},
};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// Starts what works in the background and makes the files of the devices known so far.
pub(crate) fn init(_disks: &crate::device::Probed, _terminals: &crate::tty::Ready) -> Result<Ready> {
    flusher::start()?;
    character::make_files()?;
    Ok(Ready(()))
}

/// File systems can be mounted: [`init`] has run.
pub(crate) struct Ready(());

/// There is a root file system: [`mount_root`] has found one.
pub(crate) struct RootMounted(());

/// Mounts what `root=` names (else the first boot module, else the first disk) as the root, and /dev if
/// there is such a directory.
pub(crate) fn mount_root(parameters: &Parameters, _ready: &super::Ready) -> Result<RootMounted> {
    let access = match parameters.root_access {
        RootAccess::ReadOnly => Access::ReadOnly,
        RootAccess::ReadWrite => Access::ReadWrite,
    };
    let (source, kinds, device) = choose(parameters)?;
    let options = parameters.root_flags.as_bytes();
    let mut failures = Vec::new();
    for kind in kinds {
        match filesystems::open(kind, b"", device, options, access) {
            Ok(super_block) => {
                let flags = MountFlags::RELATIVE_ATIME;
                let root = super_block.root.clone();
                mount::set_root(Mount::new(super_block, root, flags, source.clone()));
                log::info!("fs: root is {source} ({})", kind.name);
                mount_devices()?;
                return Ok(RootMounted(()));
            }
            Err(error) => failures.push(format!("{}: {error}", kind.name)),
        }
    }
    log::error!("fs: cannot mount {source} as root ({})", failures.join(", "));
    Err(Error::new(Errno::ENODEV, "no root file system"))
}

/// Source, types to be tried, device.
fn choose(parameters: &Parameters) -> Result<(String, Vec<&'static FileSystemType>, Option<DeviceNumber>)> {
    let named = match &parameters.root_type {
        Some(name) => Some(filesystems::find(name.as_bytes()).ok_or_else(|| {
            log::error!("fs: rootfstype={name}: unknown type");
            Error::new(Errno::ENODEV, "unknown type of root file system")
        })?),
        None => None,
    };
    if parameters.root.as_deref() == Some("tmpfs") || named.is_some_and(|kind| kind.needs == Needs::Nothing) {
        let kind = named.or(filesystems::find(b"tmpfs")).ok_or(Errno::ENODEV)?;
        return Ok((kind.name.to_string(), alloc::vec![kind], None));
    }
    let disk = match &parameters.root {
        Some(name) => block::registry::resolve(name),
        None => block::registry::find("ram0")
            .or_else(|| block::registry::all().first().cloned())
            .ok_or(Error::new(Errno::ENODEV, "no disk and no boot module")),
    };
    let disk = disk.inspect_err(|_| {
        let wanted = parameters.root.as_deref().unwrap_or("(not given)");
        let known: Vec<String> = block::registry::all().iter().map(|disk| disk.name().to_string()).collect();
        log::error!("fs: root={wanted} is not there; disks: {}", known.join(" "));
    })?;
    let kinds = match named {
        Some(kind) => alloc::vec![kind],
        None => filesystems::TYPES.iter().filter(|kind| kind.needs == Needs::Device).collect(),
    };
    Ok((format!("/dev/{}", disk.name()), kinds, Some(disk.number())))
}

/// The directory /dev, if there is one.
fn find_dev() -> Result<Option<Path>> {
    let caller = Caller::kernel()?;
    let found = lookup::lookup(&caller, &caller.root, b"/dev", LookupFlags::FOLLOW | LookupFlags::DIRECTORY);
    Ok(found.ok())
}

/// Mounts devtmpfs on /dev.
fn mount_devices() -> Result<()> {
    let Some(place) = find_dev()? else {
        log::warn!("fs: the root file system has no /dev");
        return Ok(());
    };
    let kind = filesystems::find(b"devtmpfs").ok_or(Errno::ENODEV)?;
    let super_block = filesystems::open(kind, b"", None, b"", Access::ReadWrite)?;
    let root = super_block.root.clone();
    mount::attach(
        Mount::new(super_block, root, MountFlags::NO_SUID | MountFlags::RELATIVE_ATIME, "devtmpfs".into()),
        place,
    )
}

/// Makes an empty directory in memory the root, if nothing else is.
fn make_root() -> Result<()> {
    if mount::root().is_some() {
        return Ok(());
    }
    let kind = filesystems::find(b"tmpfs").ok_or(Errno::ENODEV)?;
    let super_block = filesystems::open(kind, b"", None, b"", Access::ReadWrite)?;
    let root = super_block.root.clone();
    mount::set_root(Mount::new(super_block, root, MountFlags::RELATIVE_ATIME, "none".into()));
    Ok(())
}

/// Puts another file system over the root, for the kernel's monitor: the type of that name, on a disk if it needs one.
/// /dev is mounted in it, if it has one.
///
/// # Errors
/// What mounting says.
pub(crate) fn cover(kind: &str, disk: Option<&block::Disk>) -> Result<RootMounted> {
    make_root()?;
    let kind = filesystems::find(kind.as_bytes()).ok_or(Errno::ENODEV)?;
    let access = match disk.map(|disk| disk.access()) {
        Some(block::Access::ReadOnly) => Access::ReadOnly,
        Some(block::Access::ReadWrite) | None => Access::ReadWrite,
    };
    let super_block = filesystems::open(kind, b"", disk.map(|disk| disk.number()), b"", access)?;
    let source = disk.map_or(kind.name.to_string(), |disk| format!("/dev/{}", disk.name()));
    let root = super_block.root.clone();
    let below = Caller::kernel()?.root;
    mount::attach(Mount::new(super_block, root, MountFlags::RELATIVE_ATIME, source), below)?;
    if find_dev()?.is_some() && kind.needs == Needs::Device {
        mount_devices()?;
    }
    Ok(RootMounted(()))
}

/// Takes away what [`cover`] put over the root last, written to its disk.
///
/// # Errors
/// EINVAL if there is nothing; what writing says.
pub(crate) fn uncover() -> Result<()> {
    let root = mount::root().filter(|root| root.mount.mount_point().is_some());
    let root = root.ok_or(Error::new(Errno::EINVAL, "no other root file system was mounted"))?;
    root.mount.super_block().file_system.sync()?;
    mount::unmount(root, mount::Unmount::Detach)
}
