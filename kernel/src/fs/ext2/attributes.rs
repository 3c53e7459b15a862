//! The extended attributes of an ext2 inode.

use super::{convert, inode::Node};
use crate::{
    error::Result,
    fs::{
        acl::{self, AccessList},
        xattr::{ExtendedAttributes, Presence},
    },
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use ext2::XattrMode;

impl Node {
    /// Reads the access control list that permission checks need.
    pub(super) fn read_access_list(
        volume: &super::Volume,
        attributes: &ext2::Attributes,
    ) -> Option<Arc<AccessList>> {
        if !attributes.has_xattrs {
            return None;
        }
        let value = volume.core.xattr(attributes.ino, acl::ACCESS).ok()?;
        match AccessList::parse(&value) {
            Ok(list) => Some(Arc::new(list)),
            Err(_) => {
                log::warn!("ext2: inode {} has a broken access control list", attributes.ino.get());
                None
            }
        }
    }

    fn note_xattr(&self, name: &[u8]) {
        self.refresh();
        if name == acl::ACCESS {
            let list = Self::read_access_list(self.volume(), &self.attributes());
            // The old list goes without the lock.
            let old = core::mem::replace(&mut *self.access_list.lock(), list);
            drop(old);
        }
    }
}

impl ExtendedAttributes for Node {
    fn value(&self, name: &[u8]) -> Result<Vec<u8>> {
        if !self.attributes().has_xattrs && (name == acl::ACCESS || name == acl::DEFAULT) {
            return Err(Errno::ENODATA.into());
        }
        self.volume().core.xattr(self.ino(), name).map_err(convert)
    }

    fn names(&self) -> Result<Vec<u8>> {
        self.volume().core.xattr_names(self.ino()).map_err(convert)
    }

    fn set(&self, name: &[u8], value: &[u8], presence: Presence) -> Result<()> {
        let mode = match presence {
            Presence::Any => XattrMode::Any,
            Presence::Absent => XattrMode::Create,
            Presence::Present => XattrMode::Replace,
        };
        self.changing();
        self.volume().core.set_xattr(self.ino(), name, value, mode).map_err(convert)?;
        self.note_xattr(name);
        Ok(())
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        self.changing();
        self.volume().core.remove_xattr(self.ino(), name).map_err(convert)?;
        self.note_xattr(name);
        Ok(())
    }

    fn access_list(&self) -> Option<Arc<AccessList>> {
        self.access_list.lock().clone()
    }
}
