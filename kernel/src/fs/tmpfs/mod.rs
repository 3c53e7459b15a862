//! tmpfs: files in memory. Contents are page-cache pages without a disk; names are a map in each directory.
//! The core of devtmpfs too.
//!
//! Options: `size=` (bytes, with k, m, g, or a percentage of memory), `nr_inodes=`, `mode=`, `uid=`, `gid=`.
//! Source: tmpfs(5).

mod attributes;
mod directory;
mod node;

pub(super) use node::Node;

use super::{
    file_system::{FileSystem, NameCaching, Statistics},
    filesystems::MountRequest,
    inode::{Inode, NewInode, NewKind},
    page_cache::{Backing, PageStore},
};
use crate::error::{Error, Result};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, TMPFS_MAGIC},
};
use alloc::{format, string::String, sync::Arc};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::{addr::PAGE_SIZE, mm::Frame};

/// Bytes of memory that an inode and a name count for.
const INODE_COST: u64 = 1024;

/// What the inodes of one tmpfs share.
pub(super) struct Volume {
    device: DeviceNumber,
    next_number: AtomicU64,
    maximum_pages: AtomicU64,
    pages: AtomicU64,
    maximum_inodes: AtomicU64,
    inodes: AtomicU64,
}

impl Volume {
    fn take(counter: &AtomicU64, maximum: &AtomicU64) -> Result<()> {
        let maximum = maximum.load(Ordering::Relaxed);
        let taken =
            counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < maximum).then_some(n + 1));
        taken.map(|_| ()).map_err(|_| Error::new(Errno::ENOSPC, "tmpfs is full"))
    }
}

impl PageStore for Volume {
    fn backing(&self) -> Backing {
        Backing::Memory
    }

    fn read(&self, _first: u64, frames: &[Frame]) -> Result<()> {
        frames.iter().for_each(|frame| frame.clear(0..PAGE_SIZE));
        Ok(())
    }

    fn write(&self, _first: u64, _frames: &[Frame], _size: u64) -> Result<()> {
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Self::take(&self.pages, &self.maximum_pages)
    }

    fn release(&self, count: u64) {
        self.pages.fetch_sub(count, Ordering::AcqRel);
    }
}

/// A tmpfs.
pub(super) struct TmpFs {
    kind: &'static str,
    caching: NameCaching,
    volume: Arc<Volume>,
    root: Arc<Node>,
}

impl TmpFs {
    /// An empty one; `kind` is the name of its type, `caching` says whether names come from the VFS only.
    pub(super) fn new(
        kind: &'static str,
        caching: NameCaching,
        device: DeviceNumber,
        options: &Options,
    ) -> Result<Arc<Self>> {
        let volume = Arc::new(Volume {
            device,
            next_number: AtomicU64::new(1),
            maximum_pages: AtomicU64::new(options.pages),
            pages: AtomicU64::new(0),
            maximum_inodes: AtomicU64::new(options.inodes),
            inodes: AtomicU64::new(0),
        });
        let new = NewInode {
            kind: NewKind::Directory,
            mode: options.mode,
            user: options.user,
            group: options.group,
        };
        let root = Node::new(&volume, &new)?;
        Ok(Arc::new(Self { kind, caching, volume, root }))
    }

    /// The root directory.
    pub(super) fn root_node(&self) -> &Arc<Node> {
        &self.root
    }
}

/// Mounts a tmpfs.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let options = Options::parse(request.options)?;
    Ok(TmpFs::new("tmpfs", NameCaching::Full, super::filesystems::new_device(), &options)?)
}

impl FileSystem for TmpFs {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn name_caching(&self) -> NameCaching {
        self.caching
    }

    fn statistics(&self) -> Result<Statistics> {
        let (blocks, used) =
            (self.volume.maximum_pages.load(Ordering::Relaxed), self.volume.pages.load(Ordering::Relaxed));
        let (files, taken) =
            (self.volume.maximum_inodes.load(Ordering::Relaxed), self.volume.inodes.load(Ordering::Relaxed));
        let free = blocks.saturating_sub(used);
        Ok(Statistics {
            magic: TMPFS_MAGIC as u64,
            block_size: PAGE_SIZE as u64,
            blocks,
            blocks_free: free,
            blocks_available: free,
            files,
            files_free: files.saturating_sub(taken),
            name_length: super::inode::NAME_MAX as u64,
            id: self.volume.device.to_raw(),
        })
    }

    fn options(&self) -> String {
        if self.kind == "devpts" {
            return ",mode=620,ptmxmode=666".into();
        }
        let kib = self.volume.maximum_pages.load(Ordering::Relaxed) * (PAGE_SIZE as u64 / 1024);
        let inodes = self.volume.maximum_inodes.load(Ordering::Relaxed);
        format!(",size={kib}k,nr_inodes={inodes},mode={:o}", self.root.metadata().mode)
    }

    fn reconfigure(&self, options: &[u8]) -> Result<()> {
        let given = Options::parse(options)?;
        if options.windows(5).any(|window| window == b"size=") {
            if given.pages < self.volume.pages.load(Ordering::Relaxed) {
                return Err(Error::new(Errno::EINVAL, "tmpfs holds more than that already"));
            }
            self.volume.maximum_pages.store(given.pages, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Mount options.
pub(super) struct Options {
    pages: u64,
    inodes: u64,
    mode: u32,
    user: u32,
    group: u32,
}

impl Default for Options {
    /// Half of memory, as on Linux.
    fn default() -> Self {
        let total = machine::mm::statistics().total as u64;
        let inodes = total * PAGE_SIZE as u64 / 2 / INODE_COST;
        Self { pages: total / 2, inodes, mode: 0o1777, user: 0, group: 0 }
    }
}

impl Options {
    /// The options of devtmpfs: a root directory with mode 0755.
    pub(super) fn for_devices() -> Self {
        Self { mode: 0o755, ..Self::default() }
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self::default();
        for option in text.split(|&byte| byte == b',').filter(|option| !option.is_empty()) {
            let text = core::str::from_utf8(option).map_err(|_| Errno::EINVAL)?;
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            match name {
                "size" => options.pages = parse_size(value)?.div_ceil(PAGE_SIZE as u64),
                "nr_blocks" => options.pages = parse_size(value)?,
                "nr_inodes" => options.inodes = parse_size(value)?,
                "mode" => options.mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & 0o7777,
                "uid" => options.user = value.parse().map_err(|_| Errno::EINVAL)?,
                "gid" => options.group = value.parse().map_err(|_| Errno::EINVAL)?,
                "huge" | "mpol" | "inode64" | "inode32" | "noswap" => {}
                _ => return Err(Error::new(Errno::EINVAL, "unknown option of tmpfs")),
            }
        }
        Ok(options)
    }
}

/// A number with k, m or g behind it, or a percentage of memory. 0 means without limit.
fn parse_size(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    let bytes = match &text[digits.len()..] {
        "" => Some(number),
        "k" | "K" => number.checked_mul(1 << 10),
        "m" | "M" => number.checked_mul(1 << 20),
        "g" | "G" => number.checked_mul(1 << 30),
        "%" => (machine::mm::statistics().total as u64 * PAGE_SIZE as u64 / 100).checked_mul(number),
        _ => None,
    };
    let bytes = bytes.ok_or(Errno::EINVAL)?;
    Ok(if bytes == 0 { u64::MAX >> 12 } else { bytes })
}
