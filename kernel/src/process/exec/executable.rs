//! A file that can be run: checked, open, and kept from being written.

use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        file::{File, OpenFlags},
        inode::FileKind,
        io::Destination,
        open::{self, OpenRequest, WriteDenial},
        permission::{Caller, Permission},
    },
    mm::PageSource,
};
use abi::errno::Errno;
use alloc::sync::Arc;

/// How much of a file is looked at to tell what it is (Linux's BINPRM_BUF_SIZE).
pub(super) const HEAD_LEN: usize = 256;

/// See the module.
pub(super) struct Executable {
    pub(super) file: Arc<File>,
    pub(super) source: Arc<dyn PageSource>,
    pub(super) denial: WriteDenial,
    head: [u8; HEAD_LEN],
}

impl Executable {
    /// Checks and opens a file.
    pub(super) fn open(caller: &Caller, place: Path) -> Result<Self> {
        if place.inode().kind() != FileKind::Regular {
            return Err(Error::new(Errno::EACCES, "not a regular file"));
        }
        caller.check_path(&place, Permission::EXECUTE)?;
        let denial = WriteDenial::new(place.inode())?;
        // Who may execute a file need not be able to read it.
        let file = open::open_path(&Caller::kernel()?, place, OpenRequest::new(OpenFlags::empty()))?;
        let cannot_map = |_| Error::new(Errno::EACCES, "this file cannot be mapped");
        let source = file.operations().map(&file).map_err(cannot_map)?;
        let mut head = [0; HEAD_LEN];
        read_at(&file, 0, &mut head)?;
        Ok(Self { file, source, denial, head })
    }

    /// The first bytes; zeros if there are fewer.
    pub(super) fn head(&self) -> &[u8; HEAD_LEN] {
        &self.head
    }

    /// Fills the buffer from an offset; tells how many bytes there were.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        read_at(&self.file, offset, buffer)
    }
}

fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let position = offset.checked_add(done as u64).ok_or(Error::new(Errno::ENOEXEC, "no such offset"))?;
        match file.read_at(position, &mut Destination::kernel(&mut buffer[done..]))? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}
