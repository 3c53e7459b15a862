//! Memory mappings, read and written through bounds checks.

use super::{Result, call};

pub(crate) const PAGE: usize = 4096;

pub(crate) const READ: i32 = libc::PROT_READ;
pub(crate) const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// A range of mapped pages, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: usize,
    length: usize,
}

impl Mapping {
    /// `mmap` as it is; `address` is a hint unless `flags` has `MAP_FIXED`.
    pub(crate) fn new(
        address: usize,
        length: usize,
        protection: i32,
        flags: i32,
        fd: i32,
        offset: i64,
    ) -> Result<Self> {
        let address = call!(SYS_mmap, address, length, protection, flags, fd, offset)?;
        Ok(Mapping { address, length })
    }

    /// Takes over a range that a call made by hand.
    pub(crate) fn adopt(address: usize, length: usize) -> Self {
        Mapping { address, length }
    }

    /// Anonymous private memory.
    pub(crate) fn private(length: usize) -> Result<Self> {
        Mapping::new(0, length, READ_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Anonymous memory that forked children share.
    pub(crate) fn shared(length: usize) -> Result<Self> {
        Mapping::new(0, length, READ_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// A file from its start.
    pub(crate) fn of_file(fd: i32, length: usize, protection: i32, flags: i32) -> Result<Self> {
        Mapping::new(0, length, protection, flags, fd, 0)
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The byte at an offset.
    pub(crate) fn get(&self, offset: usize) -> u8 {
        assert!(offset < self.length, "offset {offset} is outside the mapping");
        // SAFETY: inside the mapping; if it is not readable, the fault is the test's finding.
        unsafe { ((self.address + offset) as *const u8).read_volatile() }
    }

    pub(crate) fn set(&self, offset: usize, value: u8) {
        assert!(offset < self.length, "offset {offset} is outside the mapping");
        // SAFETY: inside the mapping, which nobody else in this process knows.
        unsafe { ((self.address + offset) as *mut u8).write_volatile(value) };
    }

    /// Writes these bytes from an offset on.
    pub(crate) fn put(&self, offset: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            self.set(offset + index, *byte);
        }
    }

    /// A copy of a range.
    pub(crate) fn copy(&self, offset: usize, length: usize) -> Vec<u8> {
        (offset..offset + length).map(|offset| self.get(offset)).collect()
    }

    /// Whether all bytes are zero.
    pub(crate) fn is_zero(&self) -> bool {
        (0..self.length).all(|offset| self.get(offset) == 0)
    }

    pub(crate) fn protect(&self, offset: usize, length: usize, protection: i32) -> Result<()> {
        mprotect(self.address + offset, length, protection)
    }

    /// Unmaps a part; the rest stays this mapping's.
    pub(crate) fn unmap_part(&self, offset: usize, length: usize) -> Result<()> {
        munmap(self.address + offset, length)
    }

    /// `mremap`; the old object is used up.
    pub(crate) fn remap(self, new_length: usize, flags: i32) -> Result<Mapping> {
        let address = call!(SYS_mremap, self.address, self.length, new_length, flags)?;
        std::mem::forget(self);
        Ok(Mapping { address, length: new_length })
    }

    /// `mremap` that must fail; this mapping stays.
    pub(crate) fn refuses_remap(&self, new_length: usize, flags: i32) -> Result<usize> {
        call!(SYS_mremap, self.address, self.length, new_length, flags)
    }

    pub(crate) fn advise(&self, advice: i32) -> Result<()> {
        call!(SYS_madvise, self.address, self.length, advice).map(drop)
    }

    pub(crate) fn sync(&self, flags: i32) -> Result<()> {
        call!(SYS_msync, self.address, self.length, flags).map(drop)
    }

    /// Which pages are in memory.
    pub(crate) fn resident(&self) -> Result<Vec<bool>> {
        let mut pages = vec![0_u8; self.length.div_ceil(PAGE)];
        call!(SYS_mincore, self.address, self.length, pages.as_mut_ptr())?;
        Ok(pages.iter().map(|page| page & 1 == 1).collect())
    }

    /// Reads from a descriptor into the mapping by the kernel.
    pub(crate) fn read_from(&self, fd: i32, offset: usize, length: usize) -> Result<usize> {
        call!(SYS_read, fd, self.address + offset, length)
    }

    /// Writes from the mapping to a descriptor by the kernel.
    pub(crate) fn write_to(&self, fd: i32, offset: usize, length: usize) -> Result<usize> {
        call!(SYS_write, fd, self.address + offset, length)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let _ = munmap(self.address, self.length);
    }
}

/// Unmaps a range that belongs to a [`Mapping`] or to nobody.
pub(crate) fn munmap(address: usize, length: usize) -> Result<()> {
    call!(SYS_munmap, address, length).map(drop)
}

pub(crate) fn mprotect(address: usize, length: usize, protection: i32) -> Result<()> {
    call!(SYS_mprotect, address, length, protection).map(drop)
}

/// The program break; 0 asks for it.
pub(crate) fn brk(address: usize) -> usize {
    call!(SYS_brk, address).unwrap_or_default()
}

/// Writes and reads back a byte of the heap between two breaks; runs in a child that does nothing else.
pub(crate) fn use_heap_byte(address: usize) -> (u8, u8) {
    let pointer = address as *mut u8;
    // SAFETY: the caller has just moved the break beyond this address.
    let before = unsafe { pointer.read_volatile() };
    // SAFETY: as above.
    unsafe { pointer.write_volatile(0x5a) };
    // SAFETY: as above.
    (before, unsafe { pointer.read_volatile() })
}

/// An anonymous file in memory.
pub(crate) fn memfd(name: &str, flags: u32) -> Result<super::files::Fd> {
    call!(SYS_memfd_create, &super::path(name)?, flags).map(super::files::Fd::own)
}

/// Uses this much stack (at least), touching each page.
pub(crate) fn use_stack(bytes: usize) -> u64 {
    let page = std::hint::black_box([1_u8; PAGE]);
    let here = u64::from(page[bytes % PAGE]);
    if bytes <= PAGE { here } else { here + use_stack(bytes - PAGE) }
}
