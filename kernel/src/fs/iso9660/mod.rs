//! ISO 9660 under the VFS: joins the crate `iso9660` with a disk's block cache. It can only be read.
//!
//! Options, as Linux has them: `norock` and `nojoliet` leave extensions aside; `uid=`, `gid=` set the owner of all files,
//! `mode=` and `dmode=` the permissions of files and directories without Rock Ridge, with `overriderockperm` of all.

mod inode;

use super::{
    file_system::{Access, FileSystem, NameCaching, Statistics},
    filesystems::MountRequest,
    inode::Inode,
};
use crate::{
    block::{self, cache::BlockCache},
    error::{Error, Result},
};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, ISOFS_SUPER_MAGIC},
};
use alloc::{
    format,
    string::String,
    sync::{Arc, Weak},
};
use id_map::IdMap;
use inode::Node;
use iso9660::{Extensions, Names};
use machine::sync::SpinLock;

/// The disk.
struct DiskBytes(Arc<BlockCache>);

impl iso9660::Disk for DiskBytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.0.read(offset, buffer).is_ok()
    }
}

/// A mounted ISO 9660.
struct Volume {
    core: iso9660::Volume<DiskBytes>,
    device: DeviceNumber,
    options: Options,
    /// The inodes that somebody holds, by number.
    nodes: SpinLock<IdMap<u64, Weak<Node>>>,
    /// Keeps others from writing to the disk, until it is unmounted.
    claim: SpinLock<Option<block::Claim>>,
}

/// The file system, as the VFS holds it; inodes hold the volume.
struct Iso9660 {
    volume: Arc<Volume>,
    root: Arc<Node>,
}

/// Mounts the ISO 9660 on a disk; EACCES if it is to be written to, whereupon programs try again.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let device = request.device.ok_or(Errno::ENOTBLK)?;
    let disk = block::registry::find_by_number(device).ok_or(Errno::ENXIO)?;
    let options = Options::parse(request.options)?;
    let claim = disk.claim()?;
    let core =
        iso9660::Volume::new(DiskBytes(disk.cache().clone()), options.extensions).map_err(|error| {
            if error != iso9660::Error::NotIso {
                log::warn!("iso9660: {}: {error}", disk.name());
            }
            Error::new(Errno::EINVAL, "no ISO 9660 there")
        })?;
    if request.access != Access::ReadOnly {
        return Err(Error::new(Errno::EACCES, "an ISO 9660 can only be read"));
    }
    let nodes = SpinLock::new("iso9660-nodes", IdMap::new());
    let claim = SpinLock::new("iso9660-claim", Some(claim));
    let volume = Arc::new(Volume { core, device, options, nodes, claim });
    let root = volume.core.root().map_err(convert)?;
    let root = volume.node(root);
    Ok(Arc::new(Iso9660 { volume, root }))
}

/// Mount options.
struct Options {
    extensions: Extensions,
    user: Option<u32>,
    group: Option<u32>,
    /// Permissions of files, and of directories.
    mode: Option<u32>,
    directory_mode: Option<u32>,
    /// They hold for files whose permissions Rock Ridge tells, too.
    overrides: bool,
}

impl Options {
    fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self {
            extensions: Extensions { rock_ridge: true, joliet: true },
            user: None,
            group: None,
            mode: None,
            directory_mode: None,
            overrides: false,
        };
        let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let mode = || u32::from_str_radix(value, 8).map(|mode| mode & 0o7777).map_err(|_| Errno::EINVAL);
            match name {
                "norock" => options.extensions.rock_ridge = false,
                "nojoliet" => options.extensions.joliet = false,
                "uid" => options.user = Some(value.parse().map_err(|_| Errno::EINVAL)?),
                "gid" => options.group = Some(value.parse().map_err(|_| Errno::EINVAL)?),
                "mode" => options.mode = Some(mode()?),
                "dmode" => options.directory_mode = Some(mode()?),
                "overriderockperm" => options.overrides = true,
                "ro" | "utf8" | "iocharset" if value.is_empty() || value == "utf8" => {}
                _ => return Err(Error::new(Errno::EINVAL, "unknown option of iso9660")),
            }
        }
        Ok(options)
    }
}

/// What Linux answers where the crate failed.
fn convert(error: iso9660::Error) -> Error {
    use iso9660::Error as Core;
    match error {
        Core::NotFound => Errno::ENOENT.into(),
        Core::NotADirectory => Errno::ENOTDIR.into(),
        Core::Read => Error::new(Errno::EIO, "the disk failed"),
        Core::NotIso => Error::new(Errno::EINVAL, "no ISO 9660 there"),
        Core::Corrupt(why) | Core::Unsupported(why) => {
            log::debug!("iso9660: {error}");
            Error::new(Errno::EIO, why)
        }
    }
}

impl Volume {
    /// The inode of a file: the one that somebody holds, or a new one.
    fn node(self: &Arc<Self>, core: iso9660::Node) -> Arc<Node> {
        let number = core.number;
        if let Some(known) = self.nodes.lock().get(number).and_then(Weak::upgrade) {
            return known;
        }
        let node = Node::new(self.clone(), core);
        let mut nodes = self.nodes.lock();
        // Somebody else may have been faster.
        if let Some(known) = nodes.get(number).and_then(Weak::upgrade) {
            drop(nodes);
            return known;
        }
        nodes.insert(number, Arc::downgrade(&node));
        node
    }

    /// Nobody holds the inode any more.
    fn forget(&self, number: u64, node: &Node) {
        let mut nodes = self.nodes.lock();
        if nodes.get(number).is_some_and(|known| core::ptr::eq(known.as_ptr(), node)) {
            nodes.remove(number);
        }
    }
}

impl FileSystem for Iso9660 {
    fn kind(&self) -> &'static str {
        "iso9660"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn name_caching(&self) -> NameCaching {
        if self.volume.core.names() == Names::Joliet { NameCaching::Spellings } else { NameCaching::Full }
    }

    fn statistics(&self) -> Result<Statistics> {
        let (block_size, blocks) = self.volume.core.size();
        Ok(Statistics {
            magic: ISOFS_SUPER_MAGIC as u64,
            block_size: block_size.into(),
            blocks: blocks.into(),
            name_length: super::inode::NAME_MAX as u64,
            id: self.volume.device.to_raw(),
            ..Statistics::default()
        })
    }

    fn set_access(&self, access: Access) -> Result<()> {
        match access {
            Access::ReadOnly => Ok(()),
            Access::ReadWrite => Err(Error::new(Errno::EROFS, "an ISO 9660 can only be read")),
        }
    }

    fn unmount(&self) -> Result<()> {
        let claim = self.volume.claim.lock().take();
        drop(claim);
        Ok(())
    }

    fn options(&self) -> String {
        let options = &self.volume.options;
        let mut text = String::new();
        let numbers = [("uid", options.user), ("gid", options.group)];
        let modes = [("mode", options.mode), ("dmode", options.directory_mode)];
        text.extend(numbers.iter().filter_map(|(name, value)| value.map(|value| format!(",{name}={value}"))));
        text.extend(modes.iter().filter_map(|(name, value)| value.map(|value| format!(",{name}={value:o}"))));
        for (flag, name) in [
            (!options.extensions.rock_ridge, ",norock"),
            (!options.extensions.joliet, ",nojoliet"),
            (options.overrides, ",overriderockperm"),
        ] {
            text.push_str(if flag { name } else { "" });
        }
        text
    }
}
