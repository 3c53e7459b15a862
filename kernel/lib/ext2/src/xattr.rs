//! The block of extended attributes that an inode may have, possibly shared with others.

use zerocopy::{FromBytes, IntoBytes};

use crate::error::Error;
use crate::geometry::Run;
use crate::io::BlockIo;
use crate::layout::{XATTR_MAGIC, XattrHeader};
use crate::locks::{Lock, Locks};
use crate::mount::FileSystem;
use crate::node::Locked;

impl<B: BlockIo, L: Locks> FileSystem<B, L> {
    /// Gives up an inode's attribute block; its last user frees it.
    pub(crate) fn release_xattr_block(&self, locked: &mut Locked<'_, L>) -> Result<(), Error> {
        let number = locked.inode.xattr_block();
        if number == 0 {
            return Ok(());
        }
        let sectors = locked.inode.sectors().saturating_sub(self.geometry.sectors_per_block());
        let inode = locked.inode_mut();
        inode.clear_xattr_block();
        inode.set_sectors(sectors);
        let block = self.geometry.data_block(number)?;
        let offset = self.geometry.offset(block.0);
        let _counts_stand_still = self.xattr.lock();
        let mut bytes = [0; size_of::<XattrHeader>()];
        self.io.read(offset, &mut bytes)?;
        let mut header = XattrHeader::read_from_bytes(&bytes).expect("the buffer has its size");
        if header.magic.get() != XATTR_MAGIC {
            return Err(Error::Corrupt("attribute block without its magic number"));
        }
        match header.reference_count.get() {
            0 => Err(Error::Corrupt("attribute block without users")),
            1 => self.release_blocks(Run { start: block.0, length: 1 }),
            users => {
                header.reference_count.set(users - 1);
                Ok(self.io.write(offset, header.as_bytes())?)
            }
        }
    }
}
