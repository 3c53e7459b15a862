//! Loop devices: what LOOP_GET_STATUS64, LOOP_SET_STATUS64 and LOOP_CONFIGURE pass. Source: loop(4), linux/loop.h.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32, like linux_raw_sys::loop_device;
    LOOP_SET_FD = 0x4c00, "Give a loop device its file.";
    LOOP_CLR_FD = 0x4c01, "Take it away.";
    LOOP_SET_STATUS64 = 0x4c04, "Offset, size limit and flags.";
    LOOP_GET_STATUS64 = 0x4c05, "What it is.";
    LOOP_SET_CAPACITY = 0x4c07, "Look again how long the file is.";
    LOOP_CONFIGURE = 0x4c0a, "All of it at once.";
    LOOP_CTL_ADD = 0x4c80, "Make a loop device of a number.";
    LOOP_CTL_GET_FREE = 0x4c82, "The number of a free one, made if need be.";
}

constants! { u32, like linux_raw_sys::loop_device;
    LO_FLAGS_READ_ONLY = 1, "The device is read-only.";
    LO_FLAGS_AUTOCLEAR = 4, "The device gives its file back with the last close.";
}

/// `struct loop_info64`: what a loop device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LoopInfo {
    /// The file system that the file is on.
    pub device: u64,
    /// The file's inode.
    pub inode: u64,
    /// The file's device number, if it is a device.
    pub special: u64,
    /// Where the disk begins in the file, in bytes.
    pub offset: u64,
    /// How much of the file it has at most, in bytes; 0: all.
    pub size_limit: u64,
    /// The device's number.
    pub number: u32,
    /// How it is encrypted: 0.
    pub encrypt_type: u32,
    /// Length of the key: 0.
    pub encrypt_key_size: u32,
    /// `LO_FLAGS_*`.
    pub flags: u32,
    /// What the file is called, for people.
    pub file_name: [u8; 64],
    /// What the key is called.
    pub crypt_name: [u8; 64],
    /// The key.
    pub encrypt_key: [u8; 32],
    /// Not used.
    pub init: [u64; 2],
}

/// `struct loop_config`: all about a loop device at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LoopConfig {
    /// The file's descriptor.
    pub descriptor: u32,
    /// The size of a block; 0: 512 bytes.
    pub block_size: u32,
    /// The rest.
    pub info: LoopInfo,
    /// Zeros.
    pub reserved: [u64; 8],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);
