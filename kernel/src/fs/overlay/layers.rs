//! Names of layers: which of them make up a name of the overlay.

use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        inode::{DirectoryEntry, FileKind, Inode, NewKind},
        lookup,
        names::{self, Removal},
        permission::Caller,
        xattr::{self, Presence},
    },
};
use abi::{errno::Errno, stat::DeviceNumber};
use alloc::{sync::Arc, vec::Vec};

/// The attribute of directories that lower ones of their name do not show through.
const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// What attributes of the overlay's own begin with.
pub(super) const PRIVATE: &[u8] = b"trusted.overlay.";
/// Directories in each other that are cleared: what is left of work that was interrupted is no deeper.
const CLEARED_DEPTH: usize = 8;

/// What a name of the overlay is made of.
#[derive(Default)]
pub(super) struct Layers {
    /// On the upper layer.
    pub(super) upper: Option<Path>,
    /// On lower layers, the uppermost first; several only of directories.
    pub(super) lower: Vec<Path>,
}

/// What a name on a layer is, whatever is mounted there.
pub(super) fn child(directory: &Path, name: &[u8]) -> Result<Option<Path>> {
    let dentry = lookup::child(directory, name)?;
    let is_there = dentry.inode().is_some();
    Ok(is_there.then(|| Path { mount: directory.mount.clone(), dentry }))
}

/// Whether it says that there is nothing of its name.
pub(super) fn is_whiteout(inode: &Arc<dyn Inode>) -> bool {
    inode.kind() == FileKind::Character && inode.metadata().special == DeviceNumber::new(0, 0)
}

/// Puts a whiteout on a name that is not there.
pub(super) fn put_whiteout(caller: &Caller, directory: &Path, name: &[u8]) -> Result<()> {
    names::create(caller, directory, name, NewKind::Character(DeviceNumber::new(0, 0)), 0).map(drop)
}

fn is_opaque(inode: &Arc<dyn Inode>) -> bool {
    inode.extended().is_some_and(|store| store.value(OPAQUE).is_ok_and(|value| value == b"y"))
}

/// Lets nothing of lower directories show through one of the upper layer.
pub(super) fn set_opaque(directory: &Path) -> Result<()> {
    xattr::store(directory.inode())?.set(OPAQUE, b"y", Presence::Any)
}

/// What a name is on lower layers.
pub(super) fn find_lower(layers: &[Path], name: &[u8], wanted: Wanted) -> Result<Vec<Path>> {
    let mut found = Vec::new();
    for layer in layers {
        let Some(path) = child(layer, name)? else { continue };
        if is_whiteout(path.inode()) {
            break;
        }
        if !path.inode().is_directory() {
            if found.is_empty() && wanted == Wanted::Anything {
                found.push(path);
            }
            break;
        }
        let is_last = is_opaque(path.inode());
        found.push(path);
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// What may be found on lower layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Anything.
    Anything,
    /// Only what merges with an upper directory.
    Directories,
}

/// What a name is in a directory that consists of these.
pub(super) fn find(upper: Option<&Path>, lower: &[Path], name: &[u8]) -> Result<Option<Layers>> {
    let mut found = Layers::default();
    if let Some(directory) = upper
        && let Some(path) = child(directory, name)?
    {
        if is_whiteout(path.inode()) {
            return Ok(None);
        }
        let is_alone = !path.inode().is_directory() || is_opaque(path.inode());
        found.upper = Some(path);
        if is_alone {
            return Ok(Some(found));
        }
    }
    let wanted = if found.upper.is_some() { Wanted::Directories } else { Wanted::Anything };
    found.lower = find_lower(lower, name, wanted)?;
    Ok((found.upper.is_some() || !found.lower.is_empty()).then_some(found))
}

/// The names of a directory on a layer: number and type of each.
pub(super) fn list(directory: &Path) -> Result<Vec<(Vec<u8>, u64, FileKind)>> {
    let mut names = Vec::new();
    let inode = directory.inode();
    let _names = inode.state().directory.lock();
    inode.read_directory(0, &mut |entry: &DirectoryEntry<'_>| {
        names.push((entry.name.to_vec(), entry.number, entry.kind));
        true
    })?;
    Ok(names)
}

/// Removes a name of the upper layer, whatever it stands for; of a directory, all in it.
pub(super) fn remove(caller: &Caller, directory: &Path, name: &[u8]) -> Result<()> {
    remove_at_depth(caller, directory, name, CLEARED_DEPTH)
}

/// Removes all names in a directory of the upper layer.
pub(super) fn clear(caller: &Caller, directory: &Path) -> Result<()> {
    clear_at_depth(caller, directory, CLEARED_DEPTH)
}

fn remove_at_depth(caller: &Caller, directory: &Path, name: &[u8], depth: usize) -> Result<()> {
    let Some(path) = child(directory, name)? else { return Ok(()) };
    let what = if path.inode().is_directory() { Removal::Directory } else { Removal::File };
    if what == Removal::Directory {
        clear_at_depth(caller, &path, depth)?;
    }
    drop(path);
    names::remove_at(caller, directory, name, what)
}

fn clear_at_depth(caller: &Caller, directory: &Path, depth: usize) -> Result<()> {
    let left = depth.checked_sub(1).ok_or(Error::new(Errno::ENOTEMPTY, "the work directory is too deep"))?;
    for (name, _, _) in list(directory)? {
        remove_at_depth(caller, directory, &name, left)?;
    }
    Ok(())
}
