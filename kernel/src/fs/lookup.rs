//! Path lookup: from a byte string to a place in the tree. Source: path_resolution(7).
//!
//! A [`Walk`] stands at a directory and has the rest of a path. Each step takes one component off: it
//! searches the directory (execute permission), asks the dentry cache, then the file system, crosses into
//! what is mounted there, and follows a symbolic link by putting its text in front of the rest. The last
//! component is left to the caller, since creating, removing and renaming want its parent and name.
//! What is in the cache is found without an allocation: a component is a part of the text, which is copied only when a
//! link changes it.

use super::{
    dentry::{Dentry, Path},
    dentry_cache,
    file_system::NameCaching,
    inode::{Inode, Link, NAME_MAX, PATH_MAX},
    permission::{Caller, Permission},
};
use crate::error::{Error, Result};
use abi::{errno::Errno, fcntl::ResolveFlags, misc::MAXSYMLINKS};
use alloc::{borrow::Cow, sync::Arc, vec::Vec};
use core::ops::Range;

bitflags::bitflags! {
    /// How the last component is taken.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct LookupFlags: u32 {
        /// A symbolic link at the end is followed.
        const FOLLOW = 1;
        /// It must be a directory: ENOTDIR.
        const DIRECTORY = 2;
        /// An empty path means the base itself.
        const EMPTY_PATH = 4;
    }
}

/// Where a component lies in the text of a [`Walk`], which knows it until it goes on.
pub(crate) type Component = Range<usize>;

/// The last component of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Last<Name> {
    /// A name, and whether slashes follow it.
    Name(Name, Trailing),
    /// "." or nothing: the directory itself.
    Current,
    /// "..".
    Parent,
}

/// Whether a path ends in a slash, which asks for a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailing {
    /// It ends in the name.
    Nothing,
    /// It ends in a slash.
    Slash,
}

/// A path lookup in progress.
pub(crate) struct Walk<'a> {
    caller: &'a Caller,
    root: &'a Path,
    start: &'a Path,
    position: Path,
    text: Cow<'a, [u8]>,
    /// Where in the text the rest begins.
    rest: usize,
    links: u32,
    resolve: ResolveFlags,
}

/// The place that `path` leads to from `base` (or from the root, if it starts with a slash).
pub(crate) fn lookup(caller: &Caller, base: &Path, path: &[u8], flags: LookupFlags) -> Result<Path> {
    if path.is_empty() {
        let is_allowed = flags.contains(LookupFlags::EMPTY_PATH);
        return if is_allowed { Ok(base.clone()) } else { Err(Errno::ENOENT.into()) };
    }
    Walk::new(caller, base, path, ResolveFlags::empty())?.finish(flags)
}

/// The directory that the last component of `path` is in, and that component.
pub(crate) fn lookup_parent(caller: &Caller, base: &Path, path: &[u8]) -> Result<(Path, Last<Vec<u8>>)> {
    let mut walk = Walk::new(caller, base, path, ResolveFlags::empty())?;
    let last = match walk.walk_to_parent()? {
        Last::Name(name, trailing) => Last::Name(walk.name(&name).to_vec(), trailing),
        Last::Current => Last::Current,
        Last::Parent => Last::Parent,
    };
    Ok((walk.position, last))
}

/// The dentry of a name in a directory, positive or negative. The caller may search the directory.
pub(crate) fn child(directory: &Path, name: &[u8]) -> Result<Arc<Dentry>> {
    if let Some(known) = cached(&directory.dentry, name) {
        return Ok(known);
    }
    let inode = directory.inode();
    let _names = inode.state().directory.lock();
    child_locked(&directory.dentry, inode, name)
}

/// [`child`] with the directory lock held.
pub(super) fn child_locked(parent: &Arc<Dentry>, inode: &Arc<dyn Inode>, name: &[u8]) -> Result<Arc<Dentry>> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG.into());
    }
    let name = inode.counting_part(name);
    if name.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    if let Some(known) = cached(parent, name) {
        return Ok(known);
    }
    if let Some(stale) = parent.child(name) {
        stale.detach();
    }
    let (found, spelling) = match inode.lookup_spelt(name) {
        Ok((found, spelling)) => (Some(found), spelling),
        Err(error) if error.errno == Errno::ENOENT => (None, None),
        Err(error) => return Err(error),
    };
    // The locks of directories are taken from the root down: a disk or a server that has a directory inside itself
    // is not followed there.
    if let Some(found) = found.as_ref().filter(|found| found.is_directory())
        && parent.is_within(found)
    {
        return Err(Error::new(Errno::ELOOP, "a directory inside itself"));
    }
    let name = spelling.as_deref().unwrap_or(name);
    if spelling.is_some()
        && let Some(known) = parent.child(name)
    {
        if known.inode().is_some() {
            dentry_cache::touch(&known);
            return Ok(known);
        }
        known.detach();
    }
    let dentry = parent.add_child(name, found);
    // Names that come and go by themselves are known for as long as they are used: kept, they would keep what they
    // stand for, a process say, long after its end.
    // Names in a removed directory would keep its inode.
    let is_kept = match parent.caching() {
        NameCaching::Full => true,
        NameCaching::Spellings | NameCaching::Shared => dentry.inode().is_some(),
        NameCaching::Revalidate => false,
    };
    if is_kept && !parent.is_detached() {
        dentry_cache::insert(&dentry);
    }
    Ok(dentry)
}

/// What the cache knows of a name, if that is still true.
fn cached(parent: &Arc<Dentry>, name: &[u8]) -> Option<Arc<Dentry>> {
    let known = parent.child(name)?;
    let is_true = match parent.caching() {
        NameCaching::Full => true,
        NameCaching::Spellings => known.inode().is_some(),
        NameCaching::Revalidate => known.inode().is_some_and(|inode| inode.is_valid()),
        // What is mounted there would be out of reach.
        NameCaching::Shared => known.is_mount_point() || known.inode().is_some_and(|inode| inode.is_valid()),
    };
    if !is_true {
        return None;
    }
    dentry_cache::touch(&known);
    Some(known)
}

impl<'a> Walk<'a> {
    /// A walk along a non-empty path.
    pub(crate) fn new(
        caller: &'a Caller,
        base: &'a Path,
        path: &'a [u8],
        resolve: ResolveFlags,
    ) -> Result<Self> {
        if path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let is_absolute = path[0] == b'/';
        let root = if resolve.contains(ResolveFlags::RESOLVE_IN_ROOT) { base } else { &caller.root };
        let walk = Self {
            caller,
            root,
            start: base,
            position: if is_absolute { root.clone() } else { base.clone() },
            text: Cow::Borrowed(path),
            rest: 0,
            links: 0,
            resolve,
        };
        if is_absolute {
            walk.check_root(base)?;
        }
        Ok(walk)
    }

    /// Where the walk stands.
    pub(crate) fn position(&self) -> &Path {
        &self.position
    }

    /// The name of a component.
    pub(crate) fn name(&self, component: &Component) -> &[u8] {
        &self.text[component.clone()]
    }

    /// Whether a walk that comes from `from` may go on at the root.
    fn check_root(&self, from: &Path) -> Result<()> {
        let leaves_mount = !Arc::ptr_eq(&self.root.mount, &from.mount);
        if self.resolve.contains(ResolveFlags::RESOLVE_BENEATH)
            || leaves_mount && self.resolve.contains(ResolveFlags::RESOLVE_NO_XDEV)
        {
            return Err(Errno::EXDEV.into());
        }
        Ok(())
    }

    /// Goes on along a non-empty text, and then the rest: if it is absolute, from the root.
    fn prepend(&mut self, mut text: Vec<u8>) -> Result<()> {
        if text[0] == b'/' {
            self.check_root(&self.position)?;
            self.position = self.root.clone();
        }
        text.extend_from_slice(&self.text[self.rest..]);
        (self.text, self.rest) = (Cow::Owned(text), 0);
        Ok(())
    }

    fn move_to(&mut self, path: Path) -> Result<()> {
        let crosses = !Arc::ptr_eq(&path.mount, &self.position.mount);
        if crosses && self.resolve.contains(ResolveFlags::RESOLVE_NO_XDEV) {
            return Err(Errno::EXDEV.into());
        }
        self.position = path;
        Ok(())
    }

    /// Takes the first component off the rest: where it lies, and whether it was the last one.
    fn next_component(&mut self) -> Option<(Component, Option<Trailing>)> {
        let is_name = |byte: &u8| *byte != b'/';
        let rest = &self.text[self.rest..];
        let start = self.rest + rest.iter().position(is_name)?;
        let Some(length) = self.text[start..].iter().position(|byte| !is_name(byte)) else {
            self.rest = self.text.len();
            return Some((start..self.rest, Some(Trailing::Nothing)));
        };
        self.rest = start + length;
        let is_last = !self.text[self.rest..].iter().any(is_name);
        Some((start..self.rest, is_last.then_some(Trailing::Slash)))
    }

    /// Goes to the directory of the last component.
    pub(crate) fn walk_to_parent(&mut self) -> Result<Last<Component>> {
        loop {
            let Some((name, last)) = self.next_component() else {
                // Nothing, or slashes behind a link that led straight to something.
                let wants_directory = self.rest < self.text.len();
                if wants_directory && !self.position.inode().is_directory() {
                    return Err(Errno::ENOTDIR.into());
                }
                return Ok(Last::Current);
            };
            self.check_searchable()?;
            match (self.name(&name), last) {
                (b".", Some(_)) => return Ok(Last::Current),
                (b"..", Some(_)) => return Ok(Last::Parent),
                (b".", None) => {}
                (b"..", None) => self.go_up()?,
                (_, Some(trailing)) => return Ok(Last::Name(name, trailing)),
                (name, None) => {
                    let found = self.find(name)?.ok_or(Errno::ENOENT)?;
                    if found.inode().is_link() {
                        self.follow(&found)?;
                    } else {
                        self.move_to(found)?;
                    }
                }
            }
        }
    }

    /// The place of a name here, through what is mounted on it; `None` if there is none.
    pub(crate) fn find(&self, name: &[u8]) -> Result<Option<Path>> {
        let dentry = child(&self.position, name)?;
        if dentry.inode().is_none() {
            return Ok(None);
        }
        Ok(Some(Path { mount: self.position.mount.clone(), dentry }.top()))
    }

    fn check_searchable(&self) -> Result<()> {
        let inode = self.position.inode();
        if !inode.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        self.caller.check(inode, Permission::EXECUTE)
    }

    /// "..": up to the parent, but not above the root.
    pub(crate) fn go_up(&mut self) -> Result<()> {
        if self.position.is_same(self.root) {
            return Ok(());
        }
        let is_confined = self.resolve.contains(ResolveFlags::RESOLVE_BENEATH);
        if is_confined && self.position.is_same(self.start) {
            return Err(Errno::EXDEV.into());
        }
        if let Some(parent) = self.position.parent() {
            self.move_to(parent.top())?;
        }
        Ok(())
    }

    /// Goes where a symbolic link leads, the rest of the path still ahead.
    pub(crate) fn follow(&mut self, link: &Path) -> Result<()> {
        self.links += 1;
        if self.links > MAXSYMLINKS || self.resolve.contains(ResolveFlags::RESOLVE_NO_SYMLINKS) {
            return Err(Error::new(Errno::ELOOP, "too many symbolic links"));
        }
        match link.inode().follow_link()? {
            Link::Text(text) if text.is_empty() => Err(Errno::ENOENT.into()),
            Link::Text(text) => self.prepend(text),
            Link::Jump(path) => {
                let confined = ResolveFlags::RESOLVE_NO_MAGICLINKS
                    | ResolveFlags::RESOLVE_BENEATH
                    | ResolveFlags::RESOLVE_IN_ROOT;
                if self.resolve.intersects(confined) {
                    return Err(Errno::ELOOP.into());
                }
                self.move_to(path)
            }
        }
    }

    /// Goes to the end.
    pub(crate) fn finish(mut self, flags: LookupFlags) -> Result<Path> {
        loop {
            match self.walk_to_parent()? {
                Last::Current => break,
                Last::Parent => {
                    self.go_up()?;
                    break;
                }
                Last::Name(name, trailing) => {
                    let found = self.find(self.name(&name))?.ok_or(Errno::ENOENT)?;
                    let is_followed = flags.contains(LookupFlags::FOLLOW) || trailing == Trailing::Slash;
                    if found.inode().is_link() && is_followed {
                        self.follow(&found)?;
                        continue;
                    }
                    self.move_to(found)?;
                    let wants_directory = trailing == Trailing::Slash;
                    if wants_directory && !self.position.inode().is_directory() {
                        return Err(Errno::ENOTDIR.into());
                    }
                    break;
                }
            }
        }
        if flags.contains(LookupFlags::DIRECTORY) && !self.position.inode().is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        Ok(self.position)
    }
}
