//! Extended attributes of a tmpfs inode, in memory like all of it.

use super::node::Node;
use crate::{
    error::{Error, Result},
    fs::{
        acl::{self, AccessList},
        xattr::{ExtendedAttributes, Presence},
    },
};
use abi::errno::Errno;
use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};

/// Bytes that the attributes of an inode may take, names and values.
const ROOM: usize = 64 * 1024;

/// The attributes of an inode.
#[derive(Default)]
pub(super) struct Extended {
    values: BTreeMap<Box<[u8]>, Vec<u8>>,
    bytes: usize,
    access_list: Option<Arc<AccessList>>,
}

/// Whether an attribute of that name can be kept.
fn check_name(name: &[u8]) -> Result<()> {
    let is_known = [b"user.".as_slice(), b"trusted.", b"security."]
        .iter()
        .any(|prefix| name.starts_with(prefix) && name.len() > prefix.len());
    if is_known || name == acl::ACCESS || name == acl::DEFAULT {
        return Ok(());
    }
    Err(Error::new(Errno::EOPNOTSUPP, "no such attributes on a tmpfs"))
}

impl ExtendedAttributes for Node {
    fn value(&self, name: &[u8]) -> Result<Vec<u8>> {
        check_name(name)?;
        let value = self.extended_attributes().and_then(|extended| extended.lock().values.get(name).cloned());
        Ok(value.ok_or(Errno::ENODATA)?)
    }

    fn names(&self) -> Result<Vec<u8>> {
        let Some(extended) = self.extended_attributes() else { return Ok(Vec::new()) };
        let extended = extended.lock();
        Ok(extended.values.keys().flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    fn set(&self, name: &[u8], value: &[u8], presence: Presence) -> Result<()> {
        check_name(name)?;
        let list = if name == acl::ACCESS { Some(Arc::new(AccessList::parse(value)?)) } else { None };
        let (key, new) = (Box::from(name), value.to_vec());
        let replaced = {
            let mut extended = self.make_extended_attributes().lock();
            let old = extended.values.get(name).map(|old| name.len() + old.len());
            match (presence, old) {
                (Presence::Absent, Some(_)) => return Err(Errno::EEXIST.into()),
                (Presence::Present, None) => return Err(Errno::ENODATA.into()),
                _ => {}
            }
            let bytes = extended.bytes - old.unwrap_or(0) + name.len() + value.len();
            if bytes > ROOM {
                return Err(Error::new(Errno::ENOSPC, "no more attributes fit"));
            }
            extended.bytes = bytes;
            let list = list.map(|list| extended.access_list.replace(list));
            (extended.values.insert(key, new), list)
        };
        drop(replaced);
        self.touch_attributes();
        Ok(())
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        check_name(name)?;
        let extended = self.extended_attributes().ok_or(Errno::ENODATA)?;
        let removed = {
            let mut extended = extended.lock();
            let value = extended.values.remove(name).ok_or(Errno::ENODATA)?;
            extended.bytes -= name.len() + value.len();
            let list = if name == acl::ACCESS { extended.access_list.take() } else { None };
            (value, list)
        };
        drop(removed);
        self.touch_attributes();
        Ok(())
    }

    fn access_list(&self) -> Option<Arc<AccessList>> {
        self.extended_attributes()?.lock().access_list.clone()
    }
}
