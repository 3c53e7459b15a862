//! POSIX access control lists: who else may do what, beyond owner, group and others. Source: acl(5).
//!
//! A file's own list decides about users that do not own it; the group bits of its mode are the list's mask. A
//! directory's default list is where the lists of files made in it come from, in the umask's place. Lists are the
//! attributes `system.posix_acl_access` and `system.posix_acl_default` (`xattr.rs`).

use super::{
    inode::{AttributeChange, FileKind, Inode, NewInode, NewKind},
    permission::{Caller, Permission},
    xattr::Presence,
};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};

/// The attribute of a file's own list.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a directory's list for new files.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const ENTRY_BYTES: usize = 8;

/// Whom an entry is about, in the order in which a list has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner = 1,
    User = 2,
    OwningGroup = 4,
    Group = 8,
    Mask = 16,
    Others = 32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: Tag,
    /// Three bits.
    permissions: u32,
    /// Of a named user or group.
    id: u32,
}

/// A list that is well-formed.
pub(crate) struct AccessList(Vec<Entry>);

/// What a new file gets from its directory.
pub(super) struct Inherited {
    access: Option<Vec<u8>>,
    default: Option<Vec<u8>>,
}

impl AccessList {
    /// From the form that programs use. EINVAL if it is no list, or an impossible one.
    pub(crate) fn parse(value: &[u8]) -> Result<Self> {
        const BAD: Error = Error::new(Errno::EINVAL, "no access control list");
        let (version, entries) = value.split_first_chunk::<4>().ok_or(BAD)?;
        if u32::from_le_bytes(*version) != VERSION || !entries.len().is_multiple_of(ENTRY_BYTES) {
            return Err(BAD);
        }
        let entries = entries.chunks_exact(ENTRY_BYTES).map(Entry::parse).collect::<Result<Vec<Entry>>>()?;
        let count = |tag: Tag| entries.iter().filter(|entry| entry.tag == tag).count();
        let has_one_each = [Tag::Owner, Tag::OwningGroup, Tag::Others].into_iter().all(|tag| count(tag) == 1);
        let needs_mask = count(Tag::User) + count(Tag::Group) > 0;
        let has_mask = count(Tag::Mask) == 1 || (count(Tag::Mask) == 0 && !needs_mask);
        if !has_one_each || !has_mask || !entries.is_sorted_by_key(|entry| entry.tag) {
            return Err(BAD);
        }
        Ok(Self(entries))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend((entry.tag as u16).to_le_bytes());
            bytes.extend((entry.permissions as u16).to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    fn permissions(&self, tag: Tag) -> Option<u32> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.permissions)
    }

    /// The tag of the entry that the group bits of the mode stand for.
    fn group_class(&self) -> Tag {
        if self.permissions(Tag::Mask).is_some() { Tag::Mask } else { Tag::OwningGroup }
    }

    /// Whether the mode says the same.
    fn is_minimal(&self) -> bool {
        self.0.len() == 3
    }

    /// The nine permission bits that stand for the list.
    fn mode(&self) -> u32 {
        let bits = |tag| self.permissions(tag).unwrap_or(0);
        bits(Tag::Owner) << 6 | bits(self.group_class()) << 3 | bits(Tag::Others)
    }

    /// Applies `change` to the entries that the mode stands for, each with its three bits of `mode`.
    fn for_each_class(&mut self, mode: u32, change: impl Fn(u32, u32) -> u32) {
        let group = self.group_class();
        for entry in &mut self.0 {
            let shift = match entry.tag {
                Tag::Owner => 6,
                Tag::Others => 0,
                tag if tag == group => 3,
                _ => continue,
            };
            entry.permissions = change(entry.permissions, mode >> shift & 7);
        }
    }

    /// Whether somebody who does not own the file may do `wanted` with it.
    pub(super) fn allows(&self, caller: &Caller, owning_group: u32, wanted: Permission) -> bool {
        let grants = |permissions: u32| Permission::from_bits_truncate(permissions).contains(wanted);
        let mask = self.permissions(Tag::Mask).unwrap_or(7);
        let user = caller.credentials.fsuid;
        if let Some(named) = self.0.iter().find(|entry| entry.tag == Tag::User && entry.id == user) {
            return grants(named.permissions & mask);
        }
        let mut is_member = false;
        for entry in &self.0 {
            let applies = match entry.tag {
                Tag::OwningGroup => caller.is_in_group(owning_group),
                Tag::Group => caller.is_in_group(entry.id),
                _ => false,
            };
            if applies && grants(entry.permissions & mask) {
                return true;
            }
            is_member |= applies;
        }
        !is_member && self.permissions(Tag::Others).is_some_and(grants)
    }
}

impl Entry {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let tag = match u16::from_le_bytes([bytes[0], bytes[1]]) {
            1 => Tag::Owner,
            2 => Tag::User,
            4 => Tag::OwningGroup,
            8 => Tag::Group,
            16 => Tag::Mask,
            32 => Tag::Others,
            _ => return Err(Error::new(Errno::EINVAL, "unknown tag in an access control list")),
        };
        let permissions = u32::from(u16::from_le_bytes([bytes[2], bytes[3]]));
        if permissions > 7 {
            return Err(Error::new(Errno::EINVAL, "unknown permission in an access control list"));
        }
        let id = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        Ok(Self { tag, permissions, id })
    }
}

/// Sets a file's own list or a directory's default list; an empty value, and a list that says no more than the mode,
/// remove it. The caller has been found to own the file.
pub(super) fn set(caller: &Caller, inode: &Arc<dyn Inode>, name: &[u8], value: &[u8]) -> Result<()> {
    let store = super::xattr::store(inode)?;
    if inode.is_link() {
        return Err(Error::new(Errno::EOPNOTSUPP, "links have no access control lists"));
    }
    let list = if value.is_empty() { None } else { Some(AccessList::parse(value)?) };
    if name == DEFAULT {
        return match list {
            Some(_) if !inode.is_directory() => {
                Err(Error::new(Errno::EACCES, "only directories have a default list"))
            }
            Some(list) => store.set(name, &list.to_bytes(), Presence::Any),
            None => remove(inode, name),
        };
    }
    if let Some(list) = &list {
        let metadata = inode.metadata();
        let mut mode = metadata.mode & 0o7000 | list.mode();
        if !caller.is_privileged() && !caller.is_in_group(metadata.group) {
            mode &= !0o2000;
        }
        inode.set_attributes(&AttributeChange {
            mode: Some(mode),
            changed: Some(super::time::now()),
            ..AttributeChange::default()
        })?;
    }
    match list.filter(|list| !list.is_minimal()) {
        Some(list) => store.set(name, &list.to_bytes(), Presence::Any),
        None => remove(inode, name),
    }
}

/// Removes a list; that there is none is no failure.
pub(super) fn remove(inode: &Arc<dyn Inode>, name: &[u8]) -> Result<()> {
    match super::xattr::store(inode)?.remove(name) {
        Err(error) if error.errno == Errno::ENODATA => Ok(()),
        outcome => outcome,
    }
}

/// The mode has been set: a list follows.
pub(super) fn follow_mode(inode: &Arc<dyn Inode>, mode: u32) -> Result<()> {
    let Some(store) = inode.extended().filter(|store| store.access_list().is_some()) else { return Ok(()) };
    let mut list = AccessList::parse(&store.value(ACCESS)?)?;
    list.for_each_class(mode, |_, bits| bits);
    store.set(ACCESS, &list.to_bytes(), Presence::Any)
}

/// What a new file gets from its directory's default list. Its mode is set anew, from `mode`, which the umask has not
/// been applied to.
pub(super) fn inherit(directory: &Arc<dyn Inode>, new: &mut NewInode, mode: u32) -> Result<Inherited> {
    let mut inherited = Inherited { access: None, default: None };
    let Some(store) = directory.extended().filter(|_| !matches!(new.kind, NewKind::Link(_))) else {
        return Ok(inherited);
    };
    let default = match store.value(DEFAULT) {
        Ok(value) => value,
        Err(error) if matches!(error.errno, Errno::ENODATA | Errno::EOPNOTSUPP) => return Ok(inherited),
        Err(error) => return Err(error),
    };
    let mut list = AccessList::parse(&default).map_err(|_| Error::new(Errno::EIO, "broken default list"))?;
    list.for_each_class(mode, |permissions, bits| permissions & bits);
    new.mode = new.mode & 0o7000 | list.mode();
    inherited.access = (!list.is_minimal()).then(|| list.to_bytes());
    inherited.default = (new.kind.kind() == FileKind::Directory).then_some(default);
    Ok(inherited)
}

impl Inherited {
    /// Gives it to the file, which has been made.
    pub(super) fn bestow(self, inode: &Arc<dyn Inode>) -> Result<()> {
        for (name, value) in [(ACCESS, self.access), (DEFAULT, self.default)] {
            if let Some(value) = value {
                super::xattr::store(inode)?.set(name, &value, Presence::Any)?;
            }
        }
        Ok(())
    }
}
