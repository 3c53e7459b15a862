//! One inode in memory: the record as it lies on disk, behind functions that know what the fields mean.
//!
//! Keeping the record itself means that fields this crate does not know survive a rewrite.

use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use crate::attributes::{Attributes, DeviceNumber, FileKind};
use crate::error::Error;
use crate::geometry::{Geometry, Ino};
use crate::layout::{InodeExtension, InodeRecord, XATTR_MAGIC};
use crate::time::Timestamp;

/// The directory has a hash index (`EXT2_INDEX_FL`).
const FLAG_INDEX: u32 = 0x1000;
/// Layouts of later revisions that a file system without their features cannot have: extents, inline data.
const FLAGS_FOREIGN: u32 = 0x8_0000 | 0x1000_0000;
/// What `chattr` may change (`FS_FL_USER_MODIFIABLE`, less what ext2 does not know).
const FLAGS_USER: u32 = 0x0003_80ff;
/// `i_extra_isize` of new inodes: the whole [`InodeExtension`].
const EXTRA_SIZE: u16 = size_of::<InodeExtension>() as u16;
/// How much of the extension holds the times.
const EXTRA_SIZE_TIMES: u16 = 24;
/// How long a target fits the space of the pointers, its terminating zero included.
pub(crate) const SHORT_SYMLINK_BYTES: usize = 60;
/// The number of pointers to data blocks in the inode.
pub(crate) const DIRECT_POINTERS: usize = 12;

/// An inode.
#[derive(Clone)]
pub(crate) struct Inode {
    kind: FileKind,
    record: InodeRecord,
    extension: Option<InodeExtension>,
    /// Where there are attributes behind the inode: all that follows the record, the extension included (whose
    /// copy here is old). Else empty.
    rest: Vec<u8>,
}

impl Inode {
    /// A new inode with nothing in it.
    pub(crate) fn new(geometry: &Geometry, kind: FileKind, generation: u32, now: Timestamp) -> Self {
        let mut record = InodeRecord::read_from_bytes(&[0; 128]).expect("the record has 128 bytes");
        record.mode.set(kind.mode_bits());
        record.generation.set(generation);
        let extension = (geometry.inode_bytes() > size_of::<InodeRecord>()).then(|| {
            let mut extension =
                InodeExtension::read_from_bytes(&[0; 32]).expect("the extension has 32 bytes");
            extension.extra_size.set(EXTRA_SIZE);
            (extension.create_time, extension.create_time_extra) = {
                let (low, extra) = now.to_extended();
                (low.into(), extra.into())
            };
            extension
        });
        let mut inode = Self { kind, record, extension, rest: Vec::new() };
        inode.set_accessed(now);
        inode.set_modified(now);
        inode.set_changed(now);
        inode
    }

    /// From the disk. [`Error::NotFound`] if it was never used; whether it was deleted shows in its links.
    pub(crate) fn decode(geometry: &Geometry, bytes: &[u8]) -> Result<Self, Error> {
        let (record, rest) = InodeRecord::read_from_prefix(bytes).expect("callers read a whole inode");
        let extension = InodeExtension::read_from_prefix(rest).ok().map(|(extension, _)| extension);
        let mode = record.mode.get();
        if mode == 0 {
            return Err(Error::NotFound);
        }
        let kind = FileKind::from_mode(mode).ok_or(Error::Corrupt("inode of no known kind"))?;
        if record.flags.get() & FLAGS_FOREIGN != 0 {
            return Err(Error::Corrupt("inode with extents or inline data"));
        }
        let rest = match extension.as_ref().map(|extension| usize::from(extension.extra_size.get())) {
            Some(known) if known > 0 && rest.get(known..known + 4) == Some(&XATTR_MAGIC.to_le_bytes()) => {
                rest.to_vec()
            }
            _ => Vec::new(),
        };
        let inode = Self { kind, record, extension, rest };
        match kind {
            FileKind::Directory if !inode.size().is_multiple_of(geometry.block_size() as u64) => {
                Err(Error::Corrupt("directory size is not a multiple of the block size"))
            }
            // It is the upper half of the size only with the feature LARGE_DIRECTORIES, and else has no meaning now.
            FileKind::Directory if geometry.tree_levels_max > 2 && inode.record.size_high.get() != 0 => {
                Err(Error::Corrupt("directory beyond 4 GiB"))
            }
            FileKind::Regular if inode.size() > i64::MAX as u64 => {
                Err(Error::Corrupt("file size beyond 2^63"))
            }
            _ => Ok(inode),
        }
    }

    /// To the disk. `delete_time` is the deletion time, or of an orphan the next orphan.
    pub(crate) fn encode(&self, delete_time: u32, bytes: &mut [u8]) {
        let mut record = self.record;
        record.delete_time.set(delete_time);
        let (head, tail) = bytes.split_at_mut(size_of::<InodeRecord>());
        head.copy_from_slice(record.as_bytes());
        let length = self.rest.len().min(tail.len());
        tail[..length].copy_from_slice(&self.rest[..length]);
        if let Some(extension) = &self.extension {
            let known = self.extension_in_use(extension);
            tail[..known].copy_from_slice(&extension.as_bytes()[..known]);
        }
    }

    /// How much of an inode is read, and written: less than all where nothing is behind the fields known here.
    pub(crate) fn bytes_to_write(&self, geometry: &Geometry) -> usize {
        if self.rest.is_empty() { geometry.inode_bytes() } else { geometry.inode_size as usize }
    }

    /// The part of the extension that does not hold attributes.
    fn extension_in_use(&self, extension: &InodeExtension) -> usize {
        let all = size_of::<InodeExtension>();
        if self.rest.is_empty() { all } else { usize::from(extension.extra_size.get()).min(all) }
    }

    /// The space behind the known fields, if attributes lie there.
    pub(crate) fn space_behind(&self) -> &[u8] {
        let known = self.extension.as_ref().map_or(0, |extension| usize::from(extension.extra_size.get()));
        self.rest.get(known..).unwrap_or(&[])
    }

    /// The same, to change.
    pub(crate) fn space_behind_mut(&mut self) -> &mut [u8] {
        let known = self.extension.as_ref().map_or(0, |extension| usize::from(extension.extra_size.get()));
        self.rest.get_mut(known..).unwrap_or(&mut [])
    }

    pub(crate) fn kind(&self) -> FileKind {
        self.kind
    }

    pub(crate) fn delete_time(&self) -> u32 {
        self.record.delete_time.get()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.record.generation.get()
    }

    pub(crate) fn size(&self) -> u64 {
        let high = if self.kind == FileKind::Regular { self.record.size_high.get() } else { 0 };
        u64::from(high) << 32 | u64::from(self.record.size_low.get())
    }

    /// The caller has checked the size against [`Geometry::max_file_size`], for a directory against 32 bits.
    pub(crate) fn set_size(&mut self, size: u64) {
        self.record.size_low.set(size as u32);
        if self.kind == FileKind::Regular {
            self.record.size_high.set((size >> 32) as u32);
        }
    }

    pub(crate) fn links(&self) -> u16 {
        self.record.links_count.get()
    }

    pub(crate) fn set_links(&mut self, links: u16) {
        self.record.links_count.set(links);
    }

    pub(crate) fn sectors(&self) -> u32 {
        self.record.sectors.get()
    }

    pub(crate) fn set_sectors(&mut self, sectors: u32) {
        self.record.sectors.set(sectors);
    }

    /// One of the 15 pointers, unchecked.
    pub(crate) fn pointer(&self, index: usize) -> u32 {
        self.record.pointers[index].get()
    }

    pub(crate) fn set_pointer(&mut self, index: usize, block: u32) {
        self.record.pointers[index].set(block);
    }

    /// The number of the attribute block, unchecked; 0 is none.
    pub(crate) fn xattr_block(&self) -> u32 {
        self.record.xattr_block.get()
    }

    pub(crate) fn set_xattr_block(&mut self, number: u32) {
        self.record.xattr_block.set(number);
    }

    /// Whether the pointers are pointers: not for devices, pipes, sockets and short symlinks.
    pub(crate) fn has_block_map(&self, geometry: &Geometry) -> bool {
        match self.kind {
            FileKind::Regular | FileKind::Directory => true,
            FileKind::Symlink => {
                let xattr = if self.xattr_block() != 0 { geometry.sectors_per_block() } else { 0 };
                self.sectors() != xattr
            }
            _ => false,
        }
    }

    /// The target of a short symlink.
    pub(crate) fn short_target(&self) -> Result<&[u8], Error> {
        let bytes = self.record.pointers.as_bytes();
        let length = usize::try_from(self.size()).unwrap_or(usize::MAX);
        bytes
            .get(..length)
            .filter(|_| length < SHORT_SYMLINK_BYTES)
            .ok_or(Error::Corrupt("symlink target is longer than the inode"))
    }

    /// The caller has checked that `target` is shorter than [`SHORT_SYMLINK_BYTES`].
    pub(crate) fn set_short_target(&mut self, target: &[u8]) {
        self.record.pointers.as_mut_bytes()[..target.len()].copy_from_slice(target);
        self.set_size(target.len() as u64);
    }

    pub(crate) fn device(&self) -> Option<DeviceNumber> {
        matches!(self.kind, FileKind::CharDevice | FileKind::BlockDevice)
            .then(|| DeviceNumber::from_pointers(self.pointer(0), self.pointer(1)))
    }

    pub(crate) fn set_device(&mut self, device: DeviceNumber) {
        let (old, new) = device.to_pointers();
        self.set_pointer(0, old);
        self.set_pointer(1, new);
    }

    pub(crate) fn has_index(&self) -> bool {
        self.record.flags.get() & FLAG_INDEX != 0
    }

    pub(crate) fn set_index(&mut self) {
        self.record.flags.set(self.record.flags.get() | FLAG_INDEX);
    }

    pub(crate) fn clear_index(&mut self) {
        self.record.flags.set(self.record.flags.get() & !FLAG_INDEX);
    }

    pub(crate) fn set_user_flags(&mut self, flags: u32) {
        self.record.flags.set(self.record.flags.get() & !FLAGS_USER | flags & FLAGS_USER);
    }

    pub(crate) fn set_permissions(&mut self, permissions: u16) {
        self.record.mode.set(self.kind.mode_bits() | permissions & 0xfff);
    }

    pub(crate) fn set_uid(&mut self, uid: u32) {
        self.record.uid_low.set(uid as u16);
        self.record.uid_high.set((uid >> 16) as u16);
    }

    pub(crate) fn set_gid(&mut self, gid: u32) {
        self.record.gid_low.set(gid as u16);
        self.record.gid_high.set((gid >> 16) as u16);
    }

    pub(crate) fn set_accessed(&mut self, time: Timestamp) {
        self.record.access_time.set(time.to_seconds_32());
        if let Some(extension) = self.times_mut() {
            extension.access_time_extra.set(time.to_extended().1);
            self.record.access_time.set(time.to_extended().0);
        }
    }

    pub(crate) fn set_modified(&mut self, time: Timestamp) {
        self.record.modify_time.set(time.to_seconds_32());
        if let Some(extension) = self.times_mut() {
            extension.modify_time_extra.set(time.to_extended().1);
            self.record.modify_time.set(time.to_extended().0);
        }
    }

    pub(crate) fn set_changed(&mut self, time: Timestamp) {
        self.record.change_time.set(time.to_seconds_32());
        if let Some(extension) = self.times_mut() {
            extension.change_time_extra.set(time.to_extended().1);
            self.record.change_time.set(time.to_extended().0);
        }
    }

    fn times(&self) -> Option<&InodeExtension> {
        self.extension.as_ref().filter(|extension| extension.extra_size.get() >= EXTRA_SIZE_TIMES)
    }

    fn times_mut(&mut self) -> Option<&mut InodeExtension> {
        self.extension.as_mut().filter(|extension| extension.extra_size.get() >= EXTRA_SIZE_TIMES)
    }

    /// All that `stat` wants to know.
    pub(crate) fn attributes(&self, ino: Ino) -> Attributes {
        let record = &self.record;
        let times = self.times();
        let time = |low: u32, extra: Option<u32>| match extra {
            Some(extra) => Timestamp::from_extended(low, extra),
            None => Timestamp::from_seconds_32(low),
        };
        Attributes {
            ino,
            kind: self.kind,
            permissions: record.mode.get() & 0xfff,
            uid: u32::from(record.uid_high.get()) << 16 | u32::from(record.uid_low.get()),
            gid: u32::from(record.gid_high.get()) << 16 | u32::from(record.gid_low.get()),
            size: self.size(),
            links: u32::from(self.links()),
            sectors: u64::from(self.sectors()),
            accessed: time(record.access_time.get(), times.map(|times| times.access_time_extra.get())),
            modified: time(record.modify_time.get(), times.map(|times| times.modify_time_extra.get())),
            changed: time(record.change_time.get(), times.map(|times| times.change_time_extra.get())),
            created: times.map(|times| {
                Timestamp::from_extended(times.create_time.get(), times.create_time_extra.get())
            }),
            device: self.device(),
            generation: self.generation(),
            flags: record.flags.get(),
            has_xattrs: self.xattr_block() != 0 || !self.rest.is_empty(),
        }
    }
}
