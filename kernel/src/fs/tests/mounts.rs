//! Mounting, binding and unmounting.

use super::{create_file, empty_tree, errno, find, make_directory};
use crate::fs::mount::{self, BindExtent, Unmount};
use abi::errno::Errno;
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
    drop(inside);
    assert_eq!(
        errno(mount::unmount(find(&outer, "point").expect("mounted"), Unmount::IfUnused)),
        Some(Errno::EBUSY)
    );
    drop(inner);
    mount::unmount(find(&outer, "point").expect("mounted"), Unmount::IfUnused).expect("unused now");
    assert!(find(&outer, "point/hidden").is_ok());
    assert_eq!(
        errno(mount::unmount(find(&outer, "point").expect("exists"), Unmount::IfUnused)),
        Some(Errno::EINVAL)
    );
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
