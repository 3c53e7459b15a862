//! The structures of a journal on disk (JBD2), big-endian. Source: the ext4 wiki's "Ext4 Disk Layout", "Journal".

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `h_magic` of every block of the log that is not a copy of a block.
pub(super) const MAGIC: u32 = 0xc03b_3998;
/// `h_blocktype`: where copies go.
pub(super) const DESCRIPTOR: u32 = 1;
/// `h_blocktype`: the transaction is whole.
pub(super) const COMMIT: u32 = 2;
/// `h_blocktype`: the superblock that has features.
pub(super) const SUPERBLOCK_2: u32 = 4;
/// `h_blocktype`: blocks of which older copies do not count.
pub(super) const REVOKE: u32 = 5;
/// The one feature ("s_feature_incompat") that is implemented: there may be blocks of the type [`REVOKE`].
pub(super) const FEATURE_REVOKE: u32 = 1;

/// `t_flags`: the copy began with [`MAGIC`], which was replaced by zeros.
pub(super) const TAG_ESCAPED: u16 = 1;
/// `t_flags`: no UUID follows.
pub(super) const TAG_SAME_UUID: u16 = 2;
/// `t_flags`: the last of its block.
pub(super) const TAG_LAST: u16 = 8;
/// The UUID that follows a tag without [`TAG_SAME_UUID`].
pub(super) const UUID_BYTES: usize = 16;

/// "Block Header".
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: U32,
    pub(super) kind: U32,
    pub(super) sequence: U32,
}

/// "Super Block", as far as it is of interest; its first block of the log holds nothing else.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct JournalSuperblock {
    pub(super) header: Header,
    pub(super) block_size: U32,
    pub(super) length: U32,
    pub(super) first: U32,
    /// Of the first transaction that is not known to be in place.
    pub(super) sequence: U32,
    /// Where it begins; 0 if the log is empty.
    pub(super) start: U32,
    pub(super) error: U32,
    pub(super) compatible: U32,
    pub(super) incompatible: U32,
    pub(super) read_only_compatible: U32,
    pub(super) uuid: [u8; 16],
}

/// "Block Tag", of journals without checksums and 64-bit block numbers.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Tag {
    pub(super) block: U32,
    pub(super) checksum: U16,
    pub(super) flags: U16,
}

/// "Revocation Block", before the block numbers.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RevokeHeader {
    pub(super) header: Header,
    /// With this header.
    pub(super) bytes: U32,
}

const _: () = assert!(size_of::<Header>() == 12);
const _: () = assert!(size_of::<JournalSuperblock>() == 64);
const _: () = assert!(size_of::<Tag>() == 8);
const _: () = assert!(size_of::<RevokeHeader>() == 16);
