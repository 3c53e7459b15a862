//! Renaming and removing, with the errors of Linux.

use super::{create_file, empty_tree, errno, find, make_directory};
use crate::error::Result;
use crate::fs::{
    names::{self, Removal},
    permission::Caller,
};
use abi::{errno::Errno, misc::RenameFlags};
use test_macro::kernel_test;

fn rename(caller: &Caller, old: &str, new: &str, flags: RenameFlags) -> Result<()> {
    let base = &caller.directory;
    names::rename_at(caller, (base, old.as_bytes()), (base, new.as_bytes()), flags)
}

fn remove(caller: &Caller, path: &str, what: Removal) -> Result<()> {
    names::remove_at(caller, &caller.directory, path.as_bytes(), what)
}

#[kernel_test]
fn rename_moves_across_directories_and_keeps_open_paths() {
    let caller = empty_tree();
    make_directory(&caller, "from");
    make_directory(&caller, "to");
    make_directory(&caller, "from/inner");
    create_file(&caller, "from/inner/file");
    let inner = find(&caller, "from/inner").expect("exists");
    rename(&caller, "from/inner", "to/moved", RenameFlags::empty()).expect("free name");
    assert_eq!(errno(find(&caller, "from/inner")), Some(Errno::ENOENT));
    assert!(find(&caller, "to/moved").expect("moved").is_same(&inner));
    assert_eq!(inner.display(&caller.root), b"/to/moved");
    assert_eq!(find(&caller, "to/moved/..").expect("up").display(&caller.root), b"/to");
    let links = |path: &str| find(&caller, path).expect("exists").inode().metadata().links;
    assert_eq!((links("from"), links("to"), links("/")), (2, 3, 4));
}

#[kernel_test]
fn rename_answers_what_linux_answers() {
    let caller = empty_tree();
    make_directory(&caller, "a");
    make_directory(&caller, "a/b");
    make_directory(&caller, "empty");
    create_file(&caller, "file");
    create_file(&caller, "other");
    let none = RenameFlags::empty();
    assert_eq!(errno(rename(&caller, "a", "a/b/c", none)), Some(Errno::EINVAL));
    assert_eq!(errno(rename(&caller, "a/b", "a", none)), Some(Errno::ENOTEMPTY));
    assert_eq!(errno(rename(&caller, "empty", "a", none)), Some(Errno::ENOTEMPTY));
    assert_eq!(errno(rename(&caller, "file", "a", none)), Some(Errno::EISDIR));
    assert_eq!(errno(rename(&caller, "a", "file", none)), Some(Errno::ENOTDIR));
    assert_eq!(errno(rename(&caller, "file", "other", RenameFlags::RENAME_NOREPLACE)), Some(Errno::EEXIST));
    assert_eq!(errno(rename(&caller, "missing", "x", none)), Some(Errno::ENOENT));
    assert_eq!(errno(rename(&caller, "file", "new/", none)), Some(Errno::ENOTDIR));
    assert_eq!(errno(rename(&caller, "a/.", "x", none)), Some(Errno::EBUSY));
    assert_eq!(errno(rename(&caller, "file", "missing", RenameFlags::RENAME_EXCHANGE)), Some(Errno::ENOENT));
    let (file, a) = (find(&caller, "file").expect("exists"), find(&caller, "a").expect("exists"));
    rename(&caller, "file", "a", RenameFlags::RENAME_EXCHANGE).expect("both exist");
    assert!(find(&caller, "a").expect("exists").is_same(&file));
    assert!(find(&caller, "file").expect("exists").is_same(&a));
    assert!(find(&caller, "file/b").is_ok());
    rename(&caller, "a", "other", none).expect("replaces");
    assert!(find(&caller, "other").expect("exists").is_same(&file));
}

#[kernel_test]
fn removal_answers_what_linux_answers() {
    let caller = empty_tree();
    make_directory(&caller, "dir");
    create_file(&caller, "dir/file");
    let (file, directory) = (Removal::File, Removal::Directory);
    assert_eq!(errno(remove(&caller, "dir", file)), Some(Errno::EISDIR));
    assert_eq!(errno(remove(&caller, "dir", directory)), Some(Errno::ENOTEMPTY));
    assert_eq!(errno(remove(&caller, "dir/file", directory)), Some(Errno::ENOTDIR));
    assert_eq!(errno(remove(&caller, "dir/file/", file)), Some(Errno::ENOTDIR));
    assert_eq!(errno(remove(&caller, "dir/.", directory)), Some(Errno::EINVAL));
    assert_eq!(errno(remove(&caller, "dir/..", directory)), Some(Errno::ENOTEMPTY));
    assert_eq!(errno(remove(&caller, "/", directory)), Some(Errno::EBUSY));
    let open = create_file(&caller, "dir/file");
    remove(&caller, "dir/file", file).expect("a file");
    assert_eq!(open.path().display(&caller.root), b"/dir/file (deleted)");
    assert_eq!(open.inode().metadata().links, 0);
    let kept = find(&caller, "dir").expect("exists");
    remove(&caller, "dir", directory).expect("empty now");
    let inside = Caller { directory: kept, ..caller.clone() };
    let flags = crate::fs::file::OpenFlags::O_CREAT | crate::fs::file::OpenFlags::O_RDWR;
    assert_eq!(errno(super::open_file(&inside, "late", flags)), Some(Errno::ENOENT));
}

#[kernel_test]
fn a_deep_tree_is_dropped_without_recursion() {
    let caller = empty_tree();
    let mut at = caller.clone();
    for _ in 0..20_000 {
        make_directory(&at, "d");
        at.directory = find(&at, "d").expect("just made");
    }
    drop(at);
    crate::fs::dentry_cache::shrink(usize::MAX);
    drop(caller);
}
