//! Names of an overlay's directories. The VFS has looked the names up and holds the directory locks.

use super::{
    bestow,
    inode::Node,
    layers::{self, Layers, Wanted},
};
use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        directory::CURSOR_FIRST,
        inode::{DirectoryEntry, FileKind, Inode, NewInode, NewKind, Rename, RenameMode, downcast_arc},
        names,
        permission::Caller,
    },
};
use abi::{errno::Errno, misc::RenameFlags, stat::DeviceNumber};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use id_map::IdMap;

/// The names of a directory that was listed: a name keeps its cursor as long as it is there.
#[derive(Default)]
pub(super) struct Listing {
    by_name: BTreeMap<Vec<u8>, u64>,
    by_cursor: IdMap<u64, Entry>,
    last: u64,
}

#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    number: u64,
    kind: FileKind,
}

impl Listing {
    fn forget(&mut self, name: &[u8]) {
        if let Some(cursor) = self.by_name.remove(name) {
            self.by_cursor.remove(cursor);
        }
    }

    /// Takes the names as they are now.
    fn renew(&mut self, names: BTreeMap<Vec<u8>, (u64, FileKind)>) {
        let gone: Vec<Vec<u8>> =
            self.by_name.keys().filter(|name| !names.contains_key(*name)).cloned().collect();
        for name in gone {
            self.forget(&name);
        }
        for (name, (number, kind)) in names {
            let cursor = match self.by_name.get(&name) {
                Some(cursor) => *cursor,
                None => {
                    self.last = self.last.max(CURSOR_FIRST - 1) + 1;
                    self.by_name.insert(name.clone(), self.last);
                    self.last
                }
            };
            self.by_cursor.insert(cursor, Entry { name, number, kind });
        }
    }

    fn next(&self, cursor: u64) -> Option<(u64, Entry)> {
        self.by_cursor.iter_from(cursor).next().map(|(cursor, entry)| (cursor, entry.clone()))
    }
}

fn rename(caller: &Caller, from: (&Path, &[u8]), to: (&Path, &[u8]), flags: RenameFlags) -> Result<()> {
    names::rename_at(caller, from, to, flags)
}

impl Node {
    /// Whether lower layers have a name, which would show if the upper one had not.
    fn is_covering(&self, name: &[u8]) -> Result<bool> {
        Ok(!layers::find_lower(self.lower(), name, Wanted::Anything)?.is_empty())
    }

    /// All names of all layers that show.
    fn merged(&self) -> Result<BTreeMap<Vec<u8>, (u64, FileKind)>> {
        let (mut names, mut hidden) = (BTreeMap::new(), BTreeSet::new());
        for layer in self.upper().into_iter().chain(self.lower()) {
            let device = layer.inode().metadata().device;
            for (name, number, kind) in layers::list(layer)? {
                if names.contains_key(&name) || hidden.contains(&name) {
                    continue;
                }
                let is_hiding = kind == FileKind::Character
                    && layers::child(layer, &name)?.is_none_or(|path| layers::is_whiteout(path.inode()));
                if is_hiding {
                    hidden.insert(name);
                } else {
                    names.insert(name, (self.volume().number(device, number), kind));
                }
            }
        }
        Ok(names)
    }

    /// Whether it has no names.
    pub(super) fn is_empty(&self) -> Result<bool> {
        Ok(self.merged()?.is_empty())
    }

    /// See [`Inode::read_directory`].
    pub(super) fn list(&self, cursor: u64, visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> bool) -> Result<()> {
        if cursor <= CURSOR_FIRST {
            let names = self.merged()?;
            self.listing.lock().renew(names);
        }
        let mut cursor = cursor;
        loop {
            let next = self.listing.lock().next(cursor);
            let Some((at, Entry { name, number, kind })) = next else { return Ok(()) };
            if !visit(&DirectoryEntry { name: &name, number, kind, next: at + 1 }) {
                return Ok(());
            }
            cursor = at + 1;
        }
    }

    /// See [`Inode::create`].
    pub(super) fn create_name(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>> {
        let directory = self.copy_up()?;
        let caller = Caller::kernel()?;
        let made = match layers::child(directory, name)? {
            None => bestow(names::create(&caller, directory, name, new.kind.clone(), new.mode)?, new)?,
            Some(_whiteout) => {
                let (temporary, made) = self.volume().make(&caller, new)?;
                let work = &self.volume().upper()?.work;
                let put = if made.inode().is_directory() { layers::set_opaque(&made) } else { Ok(()) };
                let put = put.and_then(|()| {
                    let (from, to) = ((work, temporary.as_bytes()), (directory, name));
                    rename(&caller, from, to, RenameFlags::RENAME_EXCHANGE)
                });
                // Either the whiteout, or what could not be put in its place.
                layers::remove(&caller, work, temporary.as_bytes())?;
                put?;
                made
            }
        };
        let layers = Layers { upper: Some(made), lower: Vec::new() };
        Ok(Node::get(self.volume(), layers, (self.shared(), name.to_vec())))
    }

    /// See [`Inode::link`].
    pub(super) fn link_name(&self, name: &[u8], target: &Node) -> Result<()> {
        let file = target.copy_up()?;
        let directory = self.copy_up()?;
        let caller = Caller::kernel()?;
        if layers::child(directory, name)?.is_none() {
            return names::link_at(&caller, file, directory, name);
        }
        let upper = self.volume().upper()?;
        let temporary = upper.new_name();
        names::link_at(&caller, file, &upper.work, temporary.as_bytes())?;
        let (from, to) = ((&upper.work, temporary.as_bytes()), (directory, name));
        rename(&caller, from, to, RenameFlags::empty())
    }

    /// See [`Inode::unlink`], [`Inode::remove_directory`].
    pub(super) fn remove_name(&self, name: &[u8], target: &Node) -> Result<()> {
        let directory = self.copy_up()?;
        let caller = Caller::kernel()?;
        let is_upper = layers::child(directory, name)?.is_some();
        match (is_upper, self.is_covering(name)?) {
            (false, _) => layers::put_whiteout(&caller, directory, name)?,
            (true, false) => layers::remove(&caller, directory, name)?,
            (true, true) => {
                let whiteout = NewInode {
                    kind: NewKind::Character(DeviceNumber::new(0, 0)),
                    mode: 0,
                    user: 0,
                    group: 0,
                };
                let (temporary, _) = self.volume().make(&caller, &whiteout)?;
                let work = &self.volume().upper()?.work;
                let (from, to) = ((work, temporary.as_bytes()), (directory, name));
                let put = rename(&caller, from, to, RenameFlags::RENAME_EXCHANGE);
                // Either what was removed, or the whiteout that could not be put in its place.
                layers::remove(&caller, work, temporary.as_bytes())?;
                put?;
            }
        }
        self.listing.lock().forget(name);
        target.set_removed();
        Ok(())
    }

    /// See [`Inode::rename`].
    pub(super) fn move_name(&self, names: &Rename<'_>) -> Result<()> {
        const FIXED: Error = Error::new(Errno::EXDEV, "a lower directory does not move");
        let target = downcast_arc::<Node>(names.new_directory).ok_or(Errno::EXDEV)?;
        let moved = downcast_arc::<Node>(names.moved).ok_or(Errno::EXDEV)?;
        let replaced = names.replaced.and_then(downcast_arc::<Node>);
        let is_directory = moved.kind() == FileKind::Directory;
        let exchanged = replaced.as_ref().filter(|_| names.mode == RenameMode::Exchange);
        let is_fixed = |node: &Node| node.kind() == FileKind::Directory && !node.lower().is_empty();
        if is_fixed(&moved) || exchanged.is_some_and(|other| is_fixed(other)) {
            return Err(FIXED);
        }
        if let Some(replaced) = replaced.as_ref().filter(|_| exchanged.is_none())
            && replaced.kind() == FileKind::Directory
            && !replaced.is_empty()?
        {
            return Err(Errno::ENOTEMPTY.into());
        }
        let (old_directory, new_directory) = (self.copy_up()?, target.copy_up()?);
        let upper = moved.copy_up()?;
        let (covers_old, covers_new) =
            (self.is_covering(names.old_name)?, target.is_covering(names.new_name)?);
        if is_directory && covers_new {
            layers::set_opaque(upper)?;
        }
        let caller = Caller::kernel()?;
        let (from, to) = ((old_directory, names.old_name), (new_directory, names.new_name));
        if let Some(other) = exchanged {
            let upper = other.copy_up()?;
            if other.kind() == FileKind::Directory && covers_old {
                layers::set_opaque(upper)?;
            }
            rename(&caller, from, to, RenameFlags::RENAME_EXCHANGE)?;
            other.set_place((self.shared(), names.old_name.to_vec()));
        } else {
            let there = layers::child(new_directory, names.new_name)?;
            let is_whiteout = there.as_ref().is_some_and(|path| layers::is_whiteout(path.inode()));
            if is_directory && is_whiteout {
                // A directory cannot replace it, but change places with it.
                rename(&caller, from, to, RenameFlags::RENAME_EXCHANGE)?;
                if !covers_old {
                    layers::remove(&caller, old_directory, names.old_name)?;
                }
            } else {
                if let Some(directory) = there.filter(|path| path.inode().is_directory()) {
                    // It is empty, but for whiteouts.
                    layers::clear(&caller, &directory)?;
                }
                rename(&caller, from, to, RenameFlags::empty())?;
                if covers_old {
                    layers::put_whiteout(&caller, old_directory, names.old_name)?;
                }
            }
            if let Some(replaced) = &replaced {
                replaced.set_removed();
            }
            self.listing.lock().forget(names.old_name);
        }
        moved.set_place((target, names.new_name.to_vec()));
        Ok(())
    }
}
