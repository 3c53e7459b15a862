//! open(2): from a path and flags to an open file.

use super::{
    acl,
    dentry::Path,
    directory, file,
    file::{File, FileOperations, OpenFlags},
    inode::{AttributeChange, FileKind, Inode, NewKind},
    inotify,
    lookup::{Last, Trailing, Walk},
    mount::{MountFlags, Writing},
    names,
    permission::{Caller, Permission},
    pipe, regular,
};
use crate::error::{Error, Result};
use abi::{
    errno::Errno,
    fcntl::{Access, ResolveFlags},
    inotify::InotifyMask,
};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};

/// Counts who writes to a file and who executes it: above zero the open writers, below zero the programs.
pub(crate) struct WriterCount(AtomicI32);

impl WriterCount {
    /// Nobody.
    pub(super) const fn new() -> Self {
        Self(AtomicI32::new(0))
    }

    fn change(&self, is_allowed: fn(i32) -> bool, step: i32) -> Result<()> {
        let changed = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            if is_allowed(count) { count.checked_add(step) } else { None }
        });
        changed
            .map(|_| ())
            .map_err(|_| Error::new(Errno::ETXTBSY, "a program file cannot be written while it runs"))
    }
}

/// Keeps a file from being executed, and its mount from becoming read-only, while it is open for writing.
pub(crate) struct WriteAccess {
    inode: Arc<dyn Inode>,
    #[expect(dead_code, reason = "held for what its drop does")]
    mount: Writing,
}

impl WriteAccess {
    /// ETXTBSY if the file is a program that runs, EROFS if nothing may be written there.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let mount = Writing::new(&path.mount)?;
        let inode = path.inode().clone();
        inode.state().writers.change(|count| count >= 0, 1)?;
        Ok(Self { inode, mount })
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        self.inode.state().writers.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Keeps a program file from being written while it runs.
pub(crate) struct WriteDenial(Arc<dyn Inode>);

impl WriteDenial {
    /// ETXTBSY if somebody has it open for writing.
    pub(crate) fn new(inode: &Arc<dyn Inode>) -> Result<Self> {
        inode.state().writers.change(|count| count <= 0, -1)?;
        Ok(Self(inode.clone()))
    }
}

impl Drop for WriteDenial {
    fn drop(&mut self) {
        self.0.state().writers.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRequest {
    /// `O_*`.
    pub(crate) flags: OpenFlags,
    /// Permissions of a file that is created, before the umask.
    pub(crate) mode: u32,
    /// How the path is walked.
    pub(crate) resolve: ResolveFlags,
}

impl OpenRequest {
    /// With flags, for files that exist.
    pub(crate) fn new(flags: OpenFlags) -> Self {
        Self { flags, mode: 0, resolve: ResolveFlags::empty() }
    }

    fn has(&self, flag: OpenFlags) -> bool {
        self.flags.contains(flag)
    }

    /// What must be allowed on a file that exists.
    fn permission(&self) -> Permission {
        let mut wanted = match self.flags.access() {
            Access::Read => Permission::READ,
            Access::Write => Permission::WRITE,
            Access::ReadWrite | Access::Neither => Permission::READ | Permission::WRITE,
        };
        if self.has(OpenFlags::O_TRUNC) {
            wanted |= Permission::WRITE;
        }
        wanted
    }

    /// Combinations that mean nothing are refused; O_PATH leaves most flags without effect.
    fn normalise(mut self) -> Result<Self> {
        if self.has(OpenFlags::O_PATH) {
            self.flags &=
                OpenFlags::O_PATH | OpenFlags::O_DIRECTORY | OpenFlags::O_NOFOLLOW | OpenFlags::O_CLOEXEC;
            return Ok(self);
        }
        if self.has(OpenFlags::O_TMPFILE) {
            if !self.flags.access().can_write() || self.has(OpenFlags::O_CREAT) {
                return Err(Errno::EINVAL.into());
            }
        } else if self.has(OpenFlags::O_CREAT | OpenFlags::O_DIRECTORY) {
            return Err(Errno::EINVAL.into());
        }
        self.mode &= 0o7777;
        Ok(self)
    }
}

/// Opens what `path` leads to from `base`.
pub(crate) fn open(caller: &Caller, base: &Path, path: &[u8], request: OpenRequest) -> Result<Arc<File>> {
    let request = request.normalise()?;
    if request.has(OpenFlags::O_TMPFILE) {
        return open_unnamed(caller, base, path, &request);
    }
    let (target, origin) = find(caller, base, path, &request)?;
    open_found(caller, target, origin, &request)
}

/// Opens a place that has been found already (kernel-internal users, /proc links).
pub(crate) fn open_path(caller: &Caller, path: Path, request: OpenRequest) -> Result<Arc<File>> {
    open_found(caller, path, Origin::Found, &request.normalise()?)
}

/// Whether the file was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Found,
    Created,
}

fn find(caller: &Caller, base: &Path, path: &[u8], request: &OpenRequest) -> Result<(Path, Origin)> {
    let mut walk = Walk::new(caller, base, path, request.resolve)?;
    loop {
        let (name, trailing) = match walk.walk_to_parent()? {
            Last::Current => break,
            Last::Parent => {
                walk.go_up()?;
                break;
            }
            Last::Name(name, trailing) => (name, trailing),
        };
        if request.has(OpenFlags::O_CREAT) && trailing == Trailing::Slash {
            return Err(Errno::EISDIR.into());
        }
        let Some(found) = walk.find(walk.name(&name))? else {
            if !request.has(OpenFlags::O_CREAT) {
                return Err(Errno::ENOENT.into());
            }
            match names::create(caller, walk.position(), walk.name(&name), NewKind::Regular, request.mode) {
                Ok(created) => return Ok((created, Origin::Created)),
                // Somebody else was faster: open his.
                Err(error) if error.errno == Errno::EEXIST && !request.has(OpenFlags::O_EXCL) => {
                    match walk.find(walk.name(&name))? {
                        Some(found) if !found.inode().is_link() => return Ok((found, Origin::Found)),
                        _ => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        };
        if request.has(OpenFlags::O_CREAT | OpenFlags::O_EXCL) {
            return Err(Errno::EEXIST.into());
        }
        let stays = request.has(OpenFlags::O_NOFOLLOW) && trailing == Trailing::Nothing;
        if found.inode().is_link() && !stays {
            walk.follow(&found)?;
            continue;
        }
        if trailing == Trailing::Slash && !found.inode().is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        return Ok((found, Origin::Found));
    }
    if request.has(OpenFlags::O_CREAT | OpenFlags::O_EXCL) {
        return Err(Errno::EEXIST.into());
    }
    Ok((walk.position().clone(), Origin::Found))
}

fn open_found(caller: &Caller, path: Path, origin: Origin, request: &OpenRequest) -> Result<Arc<File>> {
    let inode = path.inode().clone();
    if request.has(OpenFlags::O_DIRECTORY) && !inode.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    if request.has(OpenFlags::O_PATH) {
        return Ok(File::new(path, Arc::new(file::PathOnly), request.flags));
    }
    check(caller, &path, &inode, origin, request)?;
    let writer = match inode.kind() {
        FileKind::Regular if request.permission().contains(Permission::WRITE) => {
            Some(WriteAccess::new(&path)?)
        }
        _ => None,
    };
    let operations = operations_of(&inode, request.flags)?;
    let file = File::with_writer(path, operations, request.flags, writer);
    inotify::tell(file.path(), InotifyMask::IN_OPEN);
    if request.has(OpenFlags::O_TRUNC) && origin == Origin::Found && inode.kind() == FileKind::Regular {
        names::truncate(caller, file.path(), 0)?;
    }
    Ok(file)
}

/// Whether the caller may open a file in this way.
fn check(
    caller: &Caller,
    path: &Path,
    inode: &Arc<dyn Inode>,
    origin: Origin,
    request: &OpenRequest,
) -> Result<()> {
    match inode.kind() {
        FileKind::Link => return Err(Errno::ELOOP.into()),
        FileKind::Socket => return Err(Errno::ENXIO.into()),
        FileKind::Directory
            if request.permission().contains(Permission::WRITE) || request.has(OpenFlags::O_CREAT) =>
        {
            return Err(Errno::EISDIR.into());
        }
        FileKind::Character | FileKind::Block if path.mount.flags().contains(MountFlags::NO_DEV) => {
            return Err(Error::new(Errno::EACCES, "mounted without devices"));
        }
        _ => {}
    }
    if origin == Origin::Found {
        caller.check_path(path, request.permission())?;
    }
    if request.has(OpenFlags::O_NOATIME) && !caller.owns(&inode.metadata()) {
        return Err(Errno::EPERM.into());
    }
    Ok(())
}

/// What reads and writes an inode.
fn operations_of(inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    if let Some(own) = inode.clone().open(flags)? {
        return Ok(own);
    }
    match inode.kind() {
        FileKind::Regular => match inode.pages() {
            Some(pages) => Ok(Arc::new(regular::RegularFile::new(pages.clone()))),
            None => Err(Error::new(Errno::EINVAL, "this file cannot be opened")),
        },
        FileKind::Directory => Ok(Arc::new(directory::OpenDirectory::new())),
        FileKind::Fifo => pipe::open_fifo(inode, flags),
        FileKind::Character => crate::device::character::open(inode.metadata().special, flags),
        FileKind::Block => crate::block::special::open(inode.metadata().special, flags),
        FileKind::Link | FileKind::Socket | FileKind::Anonymous => Err(Errno::ENXIO.into()),
    }
}

/// O_TMPFILE: a file without a name on the file system of a directory.
fn open_unnamed(caller: &Caller, base: &Path, path: &[u8], request: &OpenRequest) -> Result<Arc<File>> {
    use super::{dentry::Dentry, lookup};
    let mut flags = lookup::LookupFlags::DIRECTORY;
    if !request.has(OpenFlags::O_NOFOLLOW) {
        flags |= lookup::LookupFlags::FOLLOW;
    }
    let directory = lookup::lookup(caller, base, path, flags)?;
    caller.check_directory_change(&directory)?;
    let mut new = names::new_inode(caller, directory.inode(), NewKind::Regular, request.mode);
    let inherited = acl::inherit(directory.inode(), &mut new, request.mode)?;
    let inode = directory.inode().create_unnamed(&new)?;
    inherited.bestow(&inode)?;
    let name = alloc::format!("#{}", inode.metadata().number);
    let dentry = Dentry::new_deleted(&directory.dentry, name.as_bytes(), inode);
    open_found(caller, Path { mount: directory.mount, dentry }, Origin::Created, request)
}

/// An attribute change that records that the contents have changed now.
pub(super) fn contents_changed() -> AttributeChange {
    let now = super::time::now();
    AttributeChange { modified: Some(now), changed: Some(now), ..AttributeChange::default() }
}
