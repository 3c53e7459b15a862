//! Extended attributes of files at the server: `user.`, `trusted.` and `security.`. Access control lists are not passed on:
//! who may is decided here, and the lists would have to be known here.

use super::{
    client::{self, Fid},
    inode::Node,
};
use crate::{
    error::{Error, Result},
    fs::{
        acl::AccessList,
        xattr::{ExtendedAttributes, Presence, VALUE_MAX},
    },
    mm,
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec, vec::Vec};
use machine::{addr::PAGE_SIZE, mm::Frame};
use p9::Request;

/// Flags of setxattr(2), which the protocol has too.
const CREATE: u32 = 1;
const REPLACE: u32 = 2;

fn is_passed_on(name: &[u8]) -> bool {
    [b"user.".as_slice(), b"trusted.", b"security."]
        .iter()
        .any(|prefix| name.starts_with(prefix) && name.len() > prefix.len())
}

fn check_name(name: &[u8]) -> Result<()> {
    if is_passed_on(name) {
        return Ok(());
    }
    Err(Error::new(Errno::EOPNOTSUPP, "no such attributes in a shared folder"))
}

fn frames_for(length: usize) -> Result<Vec<Frame>> {
    let frames = (0..length.div_ceil(PAGE_SIZE)).map(|_| mm::allocate());
    Ok(frames.collect::<core::result::Result<_, _>>()?)
}

impl Node {
    /// Reads an attribute, or the list of their names.
    fn read_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        let client = self.handle().client();
        let (fid, size) = client.walk_attribute(&self.handle().path(), name)?;
        let size = usize::try_from(size).ok().filter(|&size| size <= VALUE_MAX);
        let size = size.ok_or(Error::new(Errno::E2BIG, "an attribute that is too long"))?;
        let frames = frames_for(size)?;
        let mut value = vec![0; size];
        let mut done = 0;
        for part in frames.chunks(client.data_frames()) {
            let count = client.read(&fid, done as u64, part)?;
            let wanted = (size - done).min(part.len() * PAGE_SIZE);
            if count < wanted {
                return Err(client::broken(p9::Error::Broken("an attribute that is shorter than it says")));
            }
            for (frame, bytes) in part.iter().zip(value[done..done + wanted].chunks_mut(PAGE_SIZE)) {
                frame.read(0, bytes);
            }
            done += wanted;
        }
        Ok(value)
    }

    /// Sets an attribute; an empty value removes it.
    fn write_attribute(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let client = self.handle().client();
        let fid = client.another(&self.handle().path())?;
        let size = value.len() as u64;
        client.call(&Request::AttributeCreate { fid: fid.number(), name, size, flags })?;
        let written = self.write_value(&fid, value);
        // It is done, or not, when the fid is given back.
        let done = client.clunk(fid);
        written.and(done)
    }

    fn write_value(&self, fid: &Fid, value: &[u8]) -> Result<()> {
        let client = self.handle().client();
        let frames = frames_for(value.len())?;
        for (frame, bytes) in frames.iter().zip(value.chunks(PAGE_SIZE)) {
            frame.write(0, bytes);
        }
        let mut done = 0;
        for part in frames.chunks(client.data_frames()) {
            let length = (value.len() - done).min(part.len() * PAGE_SIZE);
            if client.write(fid, done as u64, part, length)? < length {
                return Err(Error::new(Errno::EIO, "the server takes less than it is given"));
            }
            done += length;
        }
        Ok(())
    }
}

impl ExtendedAttributes for Node {
    fn value(&self, name: &[u8]) -> Result<Vec<u8>> {
        check_name(name)?;
        self.read_attribute(name)
    }

    fn names(&self) -> Result<Vec<u8>> {
        let names = self.read_attribute(b"")?;
        let shown = names
            .split_inclusive(|&byte| byte == 0)
            .filter(|name| name.last() == Some(&0) && is_passed_on(&name[..name.len() - 1]));
        Ok(shown.flatten().copied().collect())
    }

    fn set(&self, name: &[u8], value: &[u8], presence: Presence) -> Result<()> {
        check_name(name)?;
        if value.is_empty() {
            return Err(Error::new(Errno::EOPNOTSUPP, "9P cannot say an empty attribute"));
        }
        let flags = match presence {
            Presence::Any => 0,
            Presence::Absent => CREATE,
            Presence::Present => REPLACE,
        };
        self.write_attribute(name, value, flags)
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.write_attribute(name, b"", 0)
    }

    fn access_list(&self) -> Option<Arc<AccessList>> {
        None
    }
}
