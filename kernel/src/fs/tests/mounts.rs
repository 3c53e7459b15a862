//! Mounting, binding and unmounting.

use super::{create_file, empty_tree, errno, find, make_directory, open_file, read_at, write};
use crate::fs::{
    file::OpenFlags,
    file_system::Access,
    mount::{self, BindExtent, KeptPath, MountFlags, Unmount},
};
use crate::sched;
use abi::errno::Errno;
use alloc::sync::Arc;
use test_macro::kernel_test;

#[kernel_test]
fn mounts_cover_their_place_and_dot_dot_leads_out_again() {
    let outer = empty_tree();
    let inner = empty_tree();
    make_directory(&outer, "point");
    make_directory(&outer, "point/hidden");
    make_directory(&inner, "inside");
    let place = find(&outer, "point").expect("exists");
    mount::attach(inner.root.mount.clone(), place).expect("a directory");
    assert_eq!(errno(find(&outer, "point/hidden")), Some(Errno::ENOENT));
    let inside = find(&outer, "point/inside").expect("mounted");
    assert_eq!(inside.display(&outer.root), b"/point/inside");
    assert!(find(&outer, "point/inside/../..").expect("up").is_same(&outer.root));
    let kept = KeptPath::new(inside);
    assert_eq!(
        errno(mount::unmount(find(&outer, "point").expect("mounted"), Unmount::IfUnused)),
        Some(Errno::EBUSY)
    );
    drop((kept, inner));
    mount::unmount(find(&outer, "point").expect("mounted"), Unmount::IfUnused).expect("unused now");
    assert!(find(&outer, "point/hidden").is_ok());
    assert_eq!(
        errno(mount::unmount(find(&outer, "point").expect("exists"), Unmount::IfUnused)),
        Some(Errno::EINVAL)
    );
}

#[kernel_test]
fn an_unmount_waits_for_those_who_look_something_up() {
    let outer = empty_tree();
    make_directory(&outer, "point");
    for _ in 0..20 {
        let inner = empty_tree();
        make_directory(&inner, "inside");
        let place = find(&outer, "point").expect("exists");
        mount::attach(inner.root.mount.clone(), place).expect("a directory");
        let super_block = Arc::downgrade(inner.root.mount.super_block());
        let found = find(&outer, "point/inside").expect("mounted");
        drop(inner);
        let looker = move || {
            (0..50).for_each(|_| sched::yield_now());
            drop(found);
        };
        sched::spawn("looker", looker).expect("memory for a test");
        let root = find(&outer, "point").expect("mounted");
        mount::unmount(root, Unmount::IfUnused).expect("the looker goes");
        assert!(super_block.upgrade().is_none(), "the file system is still there");
    }
}

#[kernel_test]
fn bind_mounts_show_the_same_files() {
    let caller = empty_tree();
    make_directory(&caller, "a");
    make_directory(&caller, "b");
    create_file(&caller, "a/file");
    let (source, target) = (find(&caller, "a").expect("exists"), find(&caller, "b").expect("exists"));
    mount::bind(&source, target, BindExtent::Mount).expect("directories");
    let shown = find(&caller, "b/file").expect("bound");
    assert!(shown.inode().is_same(find(&caller, "a/file").expect("exists").inode()));
    assert_eq!(shown.display(&caller.root), b"/b/file");
    create_file(&caller, "b/new");
    assert!(find(&caller, "a/new").is_ok());
    drop(shown);
    mount::unmount(find(&caller, "b").expect("bound"), Unmount::Detach).expect("a mount");
    assert_eq!(errno(find(&caller, "b/file")), Some(Errno::ENOENT));
}

#[kernel_test]
fn files_open_for_writing_keep_a_mount_writable() {
    let caller = empty_tree();
    let mount = &caller.root.mount;
    let file = create_file(&caller, "file");
    assert_eq!(errno(mount.super_block().set_access(Access::ReadOnly)), Some(Errno::EBUSY));
    assert_eq!(errno(mount.set_flags(MountFlags::READ_ONLY)), Some(Errno::EBUSY));
    assert_eq!(write(&file, b"still").expect("writable"), 5);
    drop(file);

    let reader = open_file(&caller, "file", OpenFlags::empty()).expect("exists");
    mount.super_block().set_access(Access::ReadOnly).expect("nobody writes");
    assert_eq!(errno(open_file(&caller, "file", OpenFlags::O_WRONLY)), Some(Errno::EROFS));
    assert_eq!(read_at(&reader, 0, 5), b"still");
    mount.super_block().set_access(Access::ReadWrite).expect("it was");
    mount.set_flags(MountFlags::READ_ONLY).expect("nobody writes");
    assert_eq!(
        errno(open_file(&caller, "new", OpenFlags::O_CREAT | OpenFlags::O_WRONLY)),
        Some(Errno::EROFS)
    );
    mount.set_flags(MountFlags::empty()).expect("it was");
    create_file(&caller, "new");
}
