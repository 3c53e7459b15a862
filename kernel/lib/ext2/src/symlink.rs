//! Symbolic links: a target of less than 60 bytes lies in the inode, where pointers would be; a longer one in a
//! block of its own, zero behind it.

use alloc::vec;
use alloc::vec::Vec;

use crate::attributes::FileKind;
use crate::block_map::Mapping;
use crate::error::Error;
use crate::geometry::Ino;
use crate::inode::SHORT_SYMLINK_BYTES;
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::node::Locked;

impl FileSystem {
    /// The target of a symbolic link.
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            if locked.inode.kind() != FileKind::Symlink {
                return Err(Error::InvalidArgument);
            }
            if !locked.inode.has_block_map(&self.geometry) {
                return Ok(locked.inode.short_target()?.to_vec());
            }
            let length = usize::try_from(locked.inode.size()).unwrap_or(usize::MAX);
            if length >= self.geometry.block_size() {
                return Err(Error::Corrupt("symlink target is longer than a block"));
            }
            let Mapping::Data(run) = self.map(&mut locked, 0, 1)? else {
                return Err(Error::Corrupt("symlink without its block"));
            };
            let mut target = vec![0; length];
            self.io.read(self.geometry.offset(run.start), &mut target)?;
            Ok(target)
        })
    }

    /// Stores the target of a new symbolic link.
    pub(crate) fn fill_symlink(&self, locked: &mut Locked<'_>, target: &[u8]) -> Result<(), Error> {
        if target.is_empty() || target.contains(&0) {
            return Err(Error::InvalidArgument);
        }
        if target.len() < SHORT_SYMLINK_BYTES {
            locked.inode_mut().set_short_target(target);
            return Ok(());
        }
        let mut bytes = vec![0; self.geometry.block_size()];
        if target.len() >= bytes.len() {
            return Err(Error::NameTooLong);
        }
        bytes[..target.len()].copy_from_slice(target);
        self.allocate(locked, 0, 1, self.free_claim(), &mut |run| {
            Ok(self.io.write(self.geometry.offset(run.start), &bytes)?)
        })?;
        locked.inode_mut().set_size(target.len() as u64);
        Ok(())
    }
}
