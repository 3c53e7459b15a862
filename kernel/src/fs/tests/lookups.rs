//! Looking paths up: links, mount points, what is missing.

use super::{create_file, empty_tree, errno, find, make_directory, make_link, open_file};
use crate::fs::{
    file::OpenFlags,
    lookup::{self, LookupFlags},
    names,
    permission::{Caller, Permission},
};
use crate::process::credentials::Credentials;
use abi::errno::Errno;
use alloc::{format, sync::Arc};
use test_macro::kernel_test;

#[kernel_test]
fn paths_lead_through_dots_and_slashes() {
    let caller = empty_tree();
    make_directory(&caller, "a");
    make_directory(&caller, "a/b");
    create_file(&caller, "a/b/file");
    for path in ["/a/b/file", "a//b/./file", "a/b/../b/file", "/../../a/b/file", "./a/../a/b/file"] {
        assert!(find(&caller, path).is_ok(), "{path}");
    }
    assert_eq!(errno(find(&caller, "a/b/file/")), Some(Errno::ENOTDIR));
    assert_eq!(errno(find(&caller, "a/b/file/x")), Some(Errno::ENOTDIR));
    assert_eq!(errno(find(&caller, "a/b/missing")), Some(Errno::ENOENT));
    assert_eq!(errno(find(&caller, "")), Some(Errno::ENOENT));
    let long = "x".repeat(256);
    assert_eq!(errno(find(&caller, &long)), Some(Errno::ENAMETOOLONG));
    assert_eq!(errno(find(&caller, &format!("a/{}", "y/".repeat(2100)))), Some(Errno::ENAMETOOLONG));
}

#[kernel_test]
fn symbolic_links_are_followed_up_to_their_limit() {
    let caller = empty_tree();
    make_directory(&caller, "dir");
    create_file(&caller, "dir/file");
    make_link(&caller, "relative", "dir/file");
    make_link(&caller, "dir/up", "../relative");
    make_link(&caller, "absolute", "/dir");
    make_link(&caller, "loop", "loop");
    let wanted = find(&caller, "dir/file").expect("exists");
    for path in ["relative", "dir/up", "absolute/file", "absolute/up"] {
        assert!(find(&caller, path).expect(path).is_same(&wanted), "{path}");
    }
    assert_eq!(errno(find(&caller, "loop")), Some(Errno::ELOOP));
    let kept = lookup::lookup(&caller, &caller.root, b"relative", LookupFlags::empty()).expect("exists");
    assert!(kept.inode().is_link());
    for number in 0..41 {
        let target = if number == 0 { "dir".into() } else { format!("l{}", number - 1) };
        make_link(&caller, &format!("l{number}"), &target);
    }
    assert!(find(&caller, "l39").is_ok());
    assert_eq!(errno(find(&caller, "l40")), Some(Errno::ELOOP));
}

#[kernel_test]
fn open_creates_through_a_dangling_link_and_refuses_what_exists() {
    let caller = empty_tree();
    make_link(&caller, "dangling", "target");
    let exclusive = OpenFlags::O_CREAT | OpenFlags::O_EXCL | OpenFlags::O_WRONLY;
    assert_eq!(errno(open_file(&caller, "dangling", exclusive)), Some(Errno::EEXIST));
    assert_eq!(errno(open_file(&caller, "dangling", OpenFlags::empty())), Some(Errno::ENOENT));
    assert_eq!(errno(open_file(&caller, "dangling", OpenFlags::O_NOFOLLOW)), Some(Errno::ELOOP));
    create_file(&caller, "dangling");
    assert!(find(&caller, "target").is_ok());
    assert_eq!(errno(open_file(&caller, "target", exclusive)), Some(Errno::EEXIST));
    assert_eq!(errno(open_file(&caller, "target", OpenFlags::O_DIRECTORY)), Some(Errno::ENOTDIR));
    assert_eq!(errno(open_file(&caller, "/", OpenFlags::O_RDWR)), Some(Errno::EISDIR));
    assert_eq!(
        errno(open_file(&caller, "new/", OpenFlags::O_CREAT | OpenFlags::O_WRONLY)),
        Some(Errno::EISDIR)
    );
}

#[kernel_test]
fn a_negative_name_becomes_positive_when_it_is_created() {
    let caller = empty_tree();
    for _ in 0..3 {
        assert_eq!(errno(find(&caller, "later")), Some(Errno::ENOENT));
    }
    create_file(&caller, "later");
    assert!(find(&caller, "later").is_ok());
}

#[kernel_test]
fn permissions_are_checked_for_users_other_than_root() {
    let root = empty_tree();
    make_directory(&root, "private");
    create_file(&root, "private/file");
    create_file(&root, "readable");
    make_directory(&root, "closed");
    let directory = find(&root, "private").expect("exists");
    let change = crate::fs::inode::AttributeChange { mode: Some(0o700), ..Default::default() };
    directory.inode().set_attributes(&change).expect("tmpfs");
    let mut credentials = Credentials::clone(&Credentials::root());
    (credentials.uid, credentials.euid, credentials.fsuid, credentials.fsgid) = (1000, 1000, 1000, 1000);
    credentials.effective = 0;
    let user = Caller { credentials: Arc::new(credentials), ..root.clone() };
    assert_eq!(errno(find(&user, "private/file")), Some(Errno::EACCES));
    assert!(open_file(&user, "readable", OpenFlags::empty()).is_ok());
    assert_eq!(errno(open_file(&user, "readable", OpenFlags::O_RDWR)), Some(Errno::EACCES));
    let create = OpenFlags::O_CREAT | OpenFlags::O_RDWR;
    assert_eq!(errno(open_file(&user, "closed/mine", create)), Some(Errno::EACCES));
    // The root of a tmpfs is sticky: all may create there, only the owner removes.
    assert!(open_file(&user, "mine", create).is_ok());
    let removed = names::remove_at(&user, &user.root, b"readable", names::Removal::File);
    assert_eq!(errno(removed), Some(Errno::EPERM));
    let file = find(&root, "readable").expect("exists");
    assert!(root.check(file.inode(), Permission::READ | Permission::WRITE).is_ok());
    assert_eq!(errno(root.check(file.inode(), Permission::EXECUTE)), Some(Errno::EACCES));
}
