//! The structures on disk, little-endian, exactly as they lie there.
//!
//! Source: "The Second Extended File System: Internal Layout", the section named at each structure; fields newer
//! than it from the ext4 wiki's "Ext4 Disk Layout". What a field means is decided in the module that reads it.

use core::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where the superblock lies, whatever the block size.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;
/// `s_magic`.
pub(crate) const SUPERBLOCK_MAGIC: u16 = 0xef53;
/// `s_state`: unmounted cleanly.
pub(crate) const STATE_CLEAN: u16 = 1;
/// `s_state`: a fault was found.
pub(crate) const STATE_FAULTY: u16 = 2;
/// `s_first_ino` of revision 0.
pub(crate) const FIRST_INODE_REVISION_0: u32 = 11;
/// `s_inode_size` of revision 0, and the size of [`InodeRecord`].
pub(crate) const INODE_SIZE_REVISION_0: u16 = 128;
/// `h_magic` of an attribute block, and of the attributes behind an inode.
pub(crate) const XATTR_MAGIC: u32 = 0xea02_0000;

/// "Superblock".
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct SuperblockRecord {
    pub(crate) inodes_count: U32,
    pub(crate) blocks_count: U32,
    pub(crate) reserved_blocks_count: U32,
    pub(crate) free_blocks_count: U32,
    pub(crate) free_inodes_count: U32,
    pub(crate) first_data_block: U32,
    pub(crate) log_block_size: U32,
    pub(crate) log_fragment_size: U32,
    pub(crate) blocks_per_group: U32,
    pub(crate) fragments_per_group: U32,
    pub(crate) inodes_per_group: U32,
    pub(crate) mount_time: U32,
    pub(crate) write_time: U32,
    pub(crate) mount_count: U16,
    pub(crate) max_mount_count: U16,
    pub(crate) magic: U16,
    pub(crate) state: U16,
    pub(crate) errors: U16,
    pub(crate) minor_revision: U16,
    pub(crate) last_check: U32,
    pub(crate) check_interval: U32,
    pub(crate) creator_os: U32,
    pub(crate) revision: U32,
    pub(crate) reserved_uid: U16,
    pub(crate) reserved_gid: U16,
    pub(crate) first_inode: U32,
    pub(crate) inode_size: U16,
    pub(crate) own_group: U16,
    pub(crate) compatible: U32,
    pub(crate) incompatible: U32,
    pub(crate) read_only_compatible: U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) volume_name: [u8; 16],
    pub(crate) last_mounted: [u8; 64],
    pub(crate) compression: U32,
    pub(crate) preallocate_blocks: u8,
    pub(crate) preallocate_dir_blocks: u8,
    pub(crate) reserved_descriptor_blocks: U16,
    pub(crate) journal_uuid: [u8; 16],
    pub(crate) journal_inode: U32,
    pub(crate) journal_device: U32,
    pub(crate) last_orphan: U32,
    pub(crate) hash_seed: [U32; 4],
    pub(crate) hash_version: u8,
    pub(crate) journal_backup: u8,
    pub(crate) descriptor_size: U16,
    pub(crate) default_mount_options: U32,
    pub(crate) first_meta_group: U32,
    unused_1: [u8; 88],
    pub(crate) flags: U32,
    unused_2: [u8; 232],
    pub(crate) backup_groups: [U32; 2],
    unused_3: [u8; 428],
}

/// "Block Group Descriptor Table".
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct GroupDescriptor {
    pub(crate) block_bitmap: U32,
    pub(crate) inode_bitmap: U32,
    pub(crate) inode_table: U32,
    pub(crate) free_blocks_count: U16,
    pub(crate) free_inodes_count: U16,
    pub(crate) used_dirs_count: U16,
    unused: [u8; 14],
}

/// "Inode Table". The last 12 bytes are those that Linux defines.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct InodeRecord {
    pub(crate) mode: U16,
    pub(crate) uid_low: U16,
    pub(crate) size_low: U32,
    pub(crate) access_time: U32,
    pub(crate) change_time: U32,
    pub(crate) modify_time: U32,
    /// When it was deleted; while it is an orphan, the number of the next orphan.
    pub(crate) delete_time: U32,
    pub(crate) gid_low: U16,
    pub(crate) links_count: U16,
    /// In units of 512 bytes, everything counted.
    pub(crate) sectors: U32,
    pub(crate) flags: U32,
    pub(crate) os_1: U32,
    /// 12 direct, then single, double and triple indirect; or the target of a short symlink; or a device number.
    pub(crate) pointers: [U32; 15],
    pub(crate) generation: U32,
    pub(crate) xattr_block: U32,
    /// Regular files only.
    pub(crate) size_high: U32,
    pub(crate) fragment_address: U32,
    pub(crate) fragment: [u8; 4],
    pub(crate) uid_high: U16,
    pub(crate) gid_high: U16,
    pub(crate) os_2: [u8; 4],
}

/// What follows the [`InodeRecord`] where inodes are larger than 128 bytes ("Ext4 Disk Layout", "Inode Size").
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct InodeExtension {
    /// How many bytes after the record are in use, this field included.
    pub(crate) extra_size: U16,
    pub(crate) checksum_high: U16,
    pub(crate) change_time_extra: U32,
    pub(crate) modify_time_extra: U32,
    pub(crate) access_time_extra: U32,
    pub(crate) create_time: U32,
    pub(crate) create_time_extra: U32,
    pub(crate) version_high: U32,
    pub(crate) project: U32,
}

/// "Linked List Directory", without the name.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct DirEntryHeader {
    pub(crate) inode: U32,
    pub(crate) record_length: U16,
    pub(crate) name_length: u8,
    /// The kind of the inode with the feature FILE_TYPE, else the (zero) high half of the name's length.
    pub(crate) file_type: u8,
}

/// What the root of a directory's index says about it (`dx_root_info`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TreeRootInfo {
    pub(crate) reserved: U32,
    pub(crate) hash_version: u8,
    /// Of this structure.
    pub(crate) length: u8,
    /// How many nodes lie between the root and each leaf.
    pub(crate) indirect_levels: u8,
    pub(crate) flags: u8,
}

/// What the table of a node of the index begins with, in the place of a hash (`dx_countlimit`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TreeHead {
    pub(crate) limit: U16,
    pub(crate) count: U16,
}

/// A place of the table (`dx_entry`).
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TreeEntry {
    pub(crate) hash: U32,
    pub(crate) block: U32,
}

/// "Extended Attributes", the header of the attribute block.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct XattrHeader {
    pub(crate) magic: U32,
    pub(crate) reference_count: U32,
    pub(crate) blocks: U32,
    pub(crate) hash: U32,
    pub(crate) unused: [u8; 16],
}

/// "Extended Attributes", an entry without its name.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct XattrEntry {
    pub(crate) name_length: u8,
    pub(crate) name_index: u8,
    pub(crate) value_offset: U16,
    /// The block of the value in the layout's first version, an inode in ext4; 0 in both if the value is here.
    pub(crate) value_inode: U32,
    pub(crate) value_size: U32,
    pub(crate) hash: U32,
}

const _: () = assert!(size_of::<SuperblockRecord>() == 1024);
const _: () = assert!(core::mem::offset_of!(SuperblockRecord, last_orphan) == 232);
const _: () = assert!(core::mem::offset_of!(SuperblockRecord, flags) == 0x160);
const _: () = assert!(core::mem::offset_of!(SuperblockRecord, backup_groups) == 0x24c);
const _: () = assert!(size_of::<GroupDescriptor>() == 32);
const _: () = assert!(size_of::<InodeRecord>() == 128);
const _: () = assert!(size_of::<InodeExtension>() == 32);
const _: () = assert!(size_of::<DirEntryHeader>() == 8);
const _: () = assert!(size_of::<TreeRootInfo>() == 8);
const _: () = assert!(size_of::<TreeEntry>() == 8);
const _: () = assert!(size_of::<XattrHeader>() == 32);
const _: () = assert!(size_of::<XattrEntry>() == 16);
