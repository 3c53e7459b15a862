//! Addresses: physical, virtual, and the page size they are counted in.

pub use x86_64::{PhysAddr, VirtAddr};

/// Size of a base page and of a [`Frame`](crate::mm::Frame), in bytes.
pub const PAGE_SIZE: usize = 4096;

/// First address above user space: the lower canonical half less its last page, as on Linux
/// (a `syscall` instruction at the very end would return to a non-canonical address).
pub const USER_END: u64 = 0x0000_7fff_ffff_f000;
