//! Memory mappings, read and written through bounds checks.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, MremapFlags, MsyncFlags, ProtFlags};

use crate::board::Board;

pub(crate) const PAGE: usize = 4096;

/// The board, for this process and all it forks.
pub(crate) fn shared_board() -> Result<&'static Board, Errno> {
    let mapping = Mapping::shared(size_of::<Board>().next_multiple_of(PAGE))?;
    let board: *const Board = mapping.address as *const Board;
    std::mem::forget(mapping);
    // SAFETY: mapped for ever, zeroed, large enough and aligned to a page; all fields are atomic numbers.
    Ok(unsafe { &*board })
}

/// A range of mapped pages, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: usize,
    length: usize,
}

impl Mapping {
    /// Anonymous memory.
    pub(crate) fn anonymous(length: usize, flags: MapFlags) -> Result<Self, Errno> {
        // SAFETY: a new range, wherever there is room.
        let address =
            unsafe { mm::mmap_anonymous(null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Ok(Mapping { address: address as usize, length })
    }

    /// Anonymous memory of this process alone.
    pub(crate) fn private(length: usize) -> Result<Self, Errno> {
        Self::anonymous(length, MapFlags::PRIVATE)
    }

    /// Anonymous memory that forked children share.
    pub(crate) fn shared(length: usize) -> Result<Self, Errno> {
        Self::anonymous(length, MapFlags::SHARED)
    }

    /// A file from its start.
    pub(crate) fn of_file(fd: BorrowedFd<'_>, length: usize, flags: MapFlags) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new range, wherever there is room.
        let address = unsafe { mm::mmap(null_mut(), length, protection, flags, fd, 0) }?;
        Ok(Mapping { address: address as usize, length })
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    fn at(&self, offset: usize, length: usize) -> *mut c_void {
        let end = offset.checked_add(length).expect("offsets are small");
        assert!(end <= self.length, "{length} bytes at {offset} are outside the mapping");
        (self.address + offset) as *mut c_void
    }

    /// Puts new zeros in the place of a part.
    pub(crate) fn renew(&self, offset: usize, length: usize) -> Result<(), Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: replaces memory of this mapping, to which nobody has references.
        unsafe { mm::mmap_anonymous(self.at(offset, length), length, protection, flags) }.map(drop)
    }

    /// Leaves a hole.
    pub(crate) fn unmap(&self, offset: usize, length: usize) -> Result<(), Errno> {
        // SAFETY: memory of this mapping, to which nobody has references.
        unsafe { mm::munmap(self.at(offset, length), length) }
    }

    pub(crate) fn protect(&self, offset: usize, length: usize, flags: MprotectFlags) -> Result<(), Errno> {
        // SAFETY: memory of this mapping, to which nobody has references.
        unsafe { mm::mprotect(self.at(offset, length), length, flags) }
    }

    pub(crate) fn advise(&self, offset: usize, length: usize, advice: Advice) -> Result<(), Errno> {
        // SAFETY: memory of this mapping, to which nobody has references.
        unsafe { mm::madvise(self.at(offset, length), length, advice) }
    }

    pub(crate) fn sync(&self) -> Result<(), Errno> {
        // SAFETY: writes back only.
        unsafe { mm::msync(self.at(0, self.length), self.length, MsyncFlags::SYNC) }
    }

    /// Changes its length, moving it where there is no room. All of it must be one area.
    pub(crate) fn resize(&mut self, length: usize) -> Result<(), Errno> {
        // SAFETY: memory of this mapping, to which nobody has references.
        let address =
            unsafe { mm::mremap(self.address as *mut c_void, self.length, length, MremapFlags::MAYMOVE) }?;
        (self.address, self.length) = (address as usize, length);
        Ok(())
    }

    /// The byte at an offset, which must be readable.
    pub(crate) fn get(&self, offset: usize) -> u8 {
        // SAFETY: inside the mapping.
        unsafe { self.at(offset, 1).cast::<u8>().read_volatile() }
    }

    pub(crate) fn set(&self, offset: usize, value: u8) {
        // SAFETY: inside the mapping.
        unsafe { self.at(offset, 1).cast::<u8>().write_volatile(value) };
    }

    /// Copies a range out.
    pub(crate) fn read(&self, offset: usize, buffer: &mut [u8]) {
        let source = self.at(offset, buffer.len()).cast::<u8>();
        // SAFETY: inside the mapping, which is not the buffer.
        unsafe { std::ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), buffer.len()) };
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let target = self.at(offset, bytes.len()).cast::<u8>();
        // SAFETY: inside the mapping, which is not the buffer.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// A number that processes share, for futexes: the `index`th of 4 bytes.
    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: inside the mapping, aligned, and used as an atomic number only.
        unsafe { &*self.at(index * 4, 4).cast::<AtomicU32>() }
    }

    /// Has the kernel read a byte, which may be unreadable: `write` of it to a descriptor.
    pub(crate) fn offer(&self, offset: usize, fd: BorrowedFd<'_>) -> Result<usize, Errno> {
        use std::os::fd::AsRawFd;
        // SAFETY: the kernel checks the address.
        let count = unsafe { libc::write(fd.as_raw_fd(), self.at(offset, 1), 1) };
        usize::try_from(count).map_err(|_| super::last_errno())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nobody has references to it.
        let _ = unsafe { mm::munmap(self.address as *mut c_void, self.length) };
    }
}
