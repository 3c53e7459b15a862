//! In-kernel tests of the VFS, on a tmpfs of their own that is outside the tree.

mod listings;
mod locks;
mod lookups;
mod mounts;
mod moves;
mod pages;
mod pipes;
mod write_back;

use super::{
    dentry::Path,
    file::{File, OpenFlags},
    file_system::{Access, NameCaching, SuperBlock},
    filesystems,
    inode::NewKind,
    io::{Destination, Source},
    lookup::{self, LookupFlags},
    mount::{Mount, MountFlags},
    names,
    open::{self, OpenRequest},
    permission::Caller,
    tmpfs,
};
use crate::{error::Result, process::credentials::Credentials};
use abi::errno::Errno;
use alloc::{string::String, sync::Arc, vec::Vec};

/// An empty tmpfs, seen by root.
pub(super) fn empty_tree() -> Caller {
    let options = tmpfs::Options::default();
    let file_system = tmpfs::TmpFs::new("tmpfs", NameCaching::Full, filesystems::new_device(), &options)
        .expect("there is memory for a directory");
    let super_block = SuperBlock::new(file_system, Access::ReadWrite);
    let root = super_block.root.clone();
    let mount = Mount::new(super_block, root, MountFlags::empty(), String::from("test"));
    let root = mount.root_path();
    Caller { credentials: Credentials::root(), directory: root.clone(), root, umask: 0 }
}

pub(super) fn find(caller: &Caller, path: &str) -> Result<Path> {
    lookup::lookup(caller, &caller.directory, path.as_bytes(), LookupFlags::FOLLOW)
}

pub(super) fn errno<T>(outcome: Result<T>) -> Option<Errno> {
    outcome.err().map(|error| error.errno)
}

pub(super) fn make_directory(caller: &Caller, path: &str) {
    names::create_at(caller, &caller.directory, path.as_bytes(), NewKind::Directory, 0o755).expect(path);
}

pub(super) fn make_link(caller: &Caller, path: &str, target: &str) {
    let kind = NewKind::Link(target.as_bytes().to_vec());
    names::create_at(caller, &caller.directory, path.as_bytes(), kind, 0o777).expect(path);
}

pub(super) fn open_file(caller: &Caller, path: &str, flags: OpenFlags) -> Result<Arc<File>> {
    let request = OpenRequest { mode: 0o644, ..OpenRequest::new(flags) };
    open::open(caller, &caller.directory, path.as_bytes(), request)
}

pub(super) fn create_file(caller: &Caller, path: &str) -> Arc<File> {
    open_file(caller, path, OpenFlags::O_CREAT | OpenFlags::O_RDWR).expect(path)
}

pub(super) fn write(file: &File, bytes: &[u8]) -> Result<usize> {
    file.write(&mut Source::kernel(bytes))
}

pub(super) fn read_at(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = alloc::vec![0; length];
    let done = file.read_at(offset, &mut Destination::kernel(&mut buffer)).expect("readable");
    buffer.truncate(done);
    buffer
}
