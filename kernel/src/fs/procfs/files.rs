//! The files of a process: fd/, fdinfo/, exe, cwd, root. Source: proc_pid_fd(5).

use super::{process::Target, root::parse_number, table::Subject};
use crate::{
    error::Result,
    fs::{
        dentry::Path,
        fd::OnExec,
        file::{File, OpenFlags},
        inode::{FileKind, Link},
        permission::Caller,
        synthetic::{Content, Directory, Item, Shown, SymbolicLink},
    },
};
use abi::errno::Errno;
use alloc::{format, sync::Arc, vec::Vec};

/// A path as the current process sees it.
fn show(path: &Path) -> Vec<u8> {
    let root = crate::process::try_current().map(|process| process.fs_context().root());
    match root.or_else(crate::fs::mount::root) {
        Some(root) => path.display(&root),
        None => Vec::new(),
    }
}

/// Who may look into another process: its owner, and root.
fn check_access(target: &Target) -> Result<()> {
    let Some(current) = crate::process::try_current() else { return Ok(()) };
    if Arc::ptr_eq(&current, &target.process) {
        return Ok(());
    }
    let caller = Caller::current();
    let owner = target.process.credentials();
    let is_owner = owner.euid == caller.credentials.fsuid && owner.uid == caller.credentials.fsuid;
    if caller.is_privileged() || (is_owner && target.process.is_dumpable()) {
        Ok(())
    } else {
        Err(Errno::EACCES.into())
    }
}

fn executable_path(target: &Target) -> Result<Path> {
    check_access(target)?;
    let space = target.process.try_address_space().ok_or(Errno::ENOENT)?;
    let program = space.program().cloned().ok_or(Errno::ENOENT)?;
    Ok(program.executable.path().clone())
}

/// The text of exe.
pub(super) fn executable_name(target: &Target) -> Result<Vec<u8>> {
    Ok(show(&executable_path(target)?))
}

/// exe: the program's file, whatever its name is by now.
pub(super) fn executable(target: &Target) -> Result<Link> {
    Ok(Link::Jump(executable_path(target)?))
}

fn working_directory(target: &Target) -> Result<Path> {
    check_access(target)?;
    Ok(target.process.try_fs_context().ok_or(Errno::ENOENT)?.directory())
}

/// The text of cwd.
pub(super) fn directory_name(target: &Target) -> Result<Vec<u8>> {
    Ok(show(&working_directory(target)?))
}

/// cwd.
pub(super) fn directory(target: &Target) -> Result<Link> {
    Ok(Link::Jump(working_directory(target)?))
}

fn root_path(target: &Target) -> Result<Path> {
    check_access(target)?;
    Ok(target.process.try_fs_context().ok_or(Errno::ENOENT)?.root())
}

/// The text of root.
pub(super) fn root_name(target: &Target) -> Result<Vec<u8>> {
    Ok(show(&root_path(target)?))
}

/// root.
pub(super) fn root(target: &Target) -> Result<Link> {
    Ok(Link::Jump(root_path(target)?))
}

/// What a directory of descriptors shows of each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Links,
    Infos,
}

struct Descriptors {
    target: Target,
    view: View,
}

/// fd/.
pub(super) fn descriptors(target: &Target) -> Arc<dyn Directory> {
    Arc::new(Descriptors { target: target.clone(), view: View::Links })
}

/// fdinfo/.
pub(super) fn descriptor_infos(target: &Target) -> Arc<dyn Directory> {
    Arc::new(Descriptors { target: target.clone(), view: View::Infos })
}

fn file_of(target: &Target, fd: i32) -> Result<Arc<File>> {
    check_access(target)?;
    let files = target.process.try_files().ok_or(Errno::ENOENT)?;
    files.get_any(fd).map_err(|_| Errno::ENOENT.into())
}

impl Directory for Descriptors {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        let fd = parse_number(name).ok_or(Errno::ENOENT)?;
        let file = file_of(&self.target, fd)?;
        let target = self.target.clone();
        let owner = target.owner();
        if self.view == View::Infos {
            return Ok(Item::text(Shown(move || info(&target, fd)), 0o400).owned_by(owner));
        }
        // The bits of the link tell how the file was opened.
        let access = file.flags().access();
        let mode =
            0o100 | if access.can_read() { 0o400 } else { 0 } | if access.can_write() { 0o200 } else { 0 };
        let link = Content::Link(Arc::new(DescriptorLink { target, fd }));
        Ok(Item { content: link, mode, owner })
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        let Some(files) = self.target.process.try_files() else { return };
        if check_access(&self.target).is_err() {
            return;
        }
        let kind = if self.view == View::Links { FileKind::Link } else { FileKind::Regular };
        for (fd, _) in files.list() {
            let cursor = fd as u64 + 2;
            if cursor >= from && !visit(cursor, format!("{fd}").as_bytes(), kind) {
                return;
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.target.is_valid()
    }
}

/// A link to what a descriptor refers to.
struct DescriptorLink {
    target: Target,
    fd: i32,
}

impl SymbolicLink for DescriptorLink {
    fn read(&self) -> Result<Vec<u8>> {
        Ok(show(file_of(&self.target, self.fd)?.path()))
    }

    fn follow(&self) -> Result<Link> {
        Ok(Link::Jump(file_of(&self.target, self.fd)?.path().clone()))
    }
}

/// fdinfo/N.
fn info(target: &Target, fd: i32) -> Result<Vec<u8>> {
    let file = file_of(target, fd)?;
    let files = target.process.try_files().ok_or(Errno::ENOENT)?;
    let mut flags = file.flags();
    if files.on_exec(fd).is_ok_and(|on_exec| on_exec == OnExec::Close) {
        flags |= OpenFlags::O_CLOEXEC;
    }
    let position = if file.check_positional().is_ok() { *file.offset() } else { 0 };
    let (mount, inode) = (file.path().mount.id(), file.inode().metadata().number);
    let mut text =
        format!("pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t{mount}\nino:\t{inode}\n", flags.bits());
    text.push_str(&file.operations().details());
    Ok(text.into_bytes())
}
