//! Scattered buffers. Source: readv(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct iovec`: a user buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Iovec {
    /// Address.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The most buffers of a call.
pub const IOV_MAX: usize = 1024;

/// The most bytes that one `read` or `write` moves.
pub const MAX_RW_COUNT: usize = 0x7fff_f000;

flags! {
    /// The flags of `preadv2` and `pwritev2`.
    RwFlags: u32, like libc;
    RWF_HIPRI = 0x1, "Poll for completion.";
    RWF_DSYNC = 0x2, "As with `O_DSYNC`.";
    RWF_SYNC = 0x4, "As with `O_SYNC`.";
    RWF_NOWAIT = 0x8, "Never sleep.";
    RWF_APPEND = 0x10, "As with `O_APPEND`.";
}
