//! Names: directories, links, renaming, permissions, times, and how paths are looked up.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    self, CWD, access, chdir, chmod, chown, exists, fchdir, fchmod, fstat, fstatat, get, getcwd, getdents,
    lchown, link, linkat, list, lstat, mkdir, mkdirat, mknod, open, put, readlink, readlink_into, rename,
    renameat2, rmdir, stat, statx, symlink, umask, unlink, unlinkat, utimensat,
};
use crate::sys::probe;
use crate::sys::process::{Status, fork};
use crate::sys::users;

tests! {
    mkdir_makes_a_directory,
    mkdir_refuses_what_is_wrong,
    rmdir_removes_empty_directories_only,
    link_counts_follow_the_names,
    directory_link_counts_follow_subdirectories,
    hard_links_refuse_what_is_wrong,
    hard_link_of_a_symlink_is_a_symlink,
    unlink_refuses_what_is_wrong,
    symlinks_are_followed,
    symlink_content_is_kept,
    long_symlinks_work,
    symlink_loops_are_found,
    forty_links_are_followed_and_no_more,
    trailing_slashes_want_directories,
    dots_are_looked_up,
    long_names_fit_or_fail,
    long_paths_fit_or_fail,
    odd_names_are_kept,
    relative_calls_start_at_the_descriptor,
    current_directory_is_told,
    removed_current_directory_is_gone,
    chroot_hides_the_rest,
    rename_moves_a_file,
    rename_replaces_a_file,
    rename_moves_directories_with_content,
    rename_refuses_what_is_wrong,
    rename_onto_itself_does_nothing,
    rename_keeps_open_files,
    rename_without_replacing,
    rename_exchanging,
    rename_updates_the_parent,
    directory_entries_are_complete,
    directory_entries_fit_small_buffers,
    directory_can_be_rewound,
    directory_with_many_entries,
    removing_while_listing_skips_nothing,
    umask_takes_permissions_away,
    chmod_sets_permissions,
    permissions_bind_users,
    directory_permissions_bind_users,
    sticky_directories_protect_files,
    owners_change,
    access_checks_the_real_user,
    times_can_be_set,
    times_follow_what_happens,
    special_files_can_be_made,
    statx_agrees_with_stat,
    old_stat_calls_agree,
    file_system_is_described,
    tree_of_directories,
}

fn mode(name: &str) -> Result<u32, Stop> {
    Ok(lstat(name)?.st_mode & 0o7777)
}

fn mkdir_makes_a_directory() -> Outcome {
    mkdir("directory", 0o777)?;
    let now = stat("directory")?;
    ensure_eq!(now.st_mode, libc::S_IFDIR | 0o755);
    ensure_eq!(list("directory")?, Vec::<String>::new());
    mkdir("trailing/", 0o700)?;
    ensure_eq!(mode("trailing")?, 0o700);
    mkdir("sticky", 0o1777)?;
    ensure_eq!(mode("sticky")?, 0o1755);
    Ok(())
}

fn mkdir_refuses_what_is_wrong() -> Outcome {
    put("file", b"")?;
    mkdir("directory", 0o755)?;
    symlink("nowhere", "dangling")?;
    ensure_errno!(mkdir("directory", 0o755), EEXIST);
    ensure_errno!(mkdir("file", 0o755), EEXIST);
    ensure_errno!(mkdir("dangling", 0o755), EEXIST);
    ensure_errno!(mkdir("file/below", 0o755), ENOTDIR);
    ensure_errno!(mkdir("nothing/below", 0o755), ENOENT);
    ensure_errno!(mkdir("", 0o755), ENOENT);
    ensure_errno!(mkdir(".", 0o755), EEXIST);
    ensure_errno!(mkdir("/", 0o755), EEXIST);
    Ok(())
}

fn rmdir_removes_empty_directories_only() -> Outcome {
    mkdir("directory", 0o755)?;
    put("directory/file", b"")?;
    ensure_errno!(rmdir("directory"), ENOTEMPTY);
    ensure_errno!(rmdir("directory/file"), ENOTDIR);
    ensure_errno!(rmdir("nothing"), ENOENT);
    ensure_errno!(rmdir("directory/."), EINVAL);
    ensure_errno!(rmdir("directory/.."), ENOTEMPTY);
    ensure_errno!(rmdir("/"), EBUSY);
    unlink("directory/file")?;
    symlink("directory", "link")?;
    ensure_errno!(rmdir("link"), ENOTDIR);
    rmdir("directory")?;
    ensure!(!exists("directory"));
    Ok(())
}

fn link_counts_follow_the_names() -> Outcome {
    put("one", b"content")?;
    link("one", "two")?;
    linkat("one", "three", 0)?;
    let (one, two) = (stat("one")?, stat("two")?);
    ensure_eq!((one.st_ino, one.st_nlink), (two.st_ino, 3));
    unlink("one")?;
    ensure_eq!(stat("two")?.st_nlink, 2);
    put("two", b"changed")?;
    ensure_eq!(get("three")?, b"changed");
    Ok(())
}

fn directory_link_counts_follow_subdirectories() -> Outcome {
    mkdir("directory", 0o755)?;
    let start = stat("directory")?.st_nlink;
    if start == 1 {
        skip!("this file system does not count links of directories");
    }
    ensure_eq!(start, 2);
    mkdir("directory/one", 0o755)?;
    mkdir("directory/two", 0o755)?;
    put("directory/file", b"")?;
    ensure_eq!(stat("directory")?.st_nlink, 4);
    rename("directory/one", "away")?;
    rmdir("directory/two")?;
    ensure_eq!(stat("directory")?.st_nlink, 2);
    Ok(())
}

fn hard_links_refuse_what_is_wrong() -> Outcome {
    put("file", b"")?;
    put("other", b"")?;
    mkdir("directory", 0o755)?;
    ensure_errno!(link("file", "other"), EEXIST);
    ensure_errno!(link("nothing", "new"), ENOENT);
    ensure_errno!(link("directory", "new"), EPERM);
    ensure_errno!(link("file", "nothing/new"), ENOENT);
    ensure_errno!(link("file", "other/new"), ENOTDIR);
    ensure_errno!(link("file", "/dev/new-systest-link"), EXDEV);
    ensure_errno!(linkat("file", "new", 0x4000), EINVAL);
    Ok(())
}

fn hard_link_of_a_symlink_is_a_symlink() -> Outcome {
    put("file", b"")?;
    symlink("file", "soft")?;
    link("soft", "hard")?;
    ensure_eq!(lstat("hard")?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    linkat("soft", "followed", libc::AT_SYMLINK_FOLLOW)?;
    ensure_eq!(lstat("followed")?.st_ino, stat("file")?.st_ino);
    Ok(())
}

fn unlink_refuses_what_is_wrong() -> Outcome {
    mkdir("directory", 0o755)?;
    put("file", b"")?;
    ensure_errno!(unlink("nothing"), ENOENT);
    ensure_errno!(unlink("directory"), EISDIR);
    ensure_errno!(unlink("file/below"), ENOTDIR);
    ensure_errno!(unlink(""), ENOENT);
    ensure_errno!(unlinkat(CWD, "file", libc::AT_REMOVEDIR), ENOTDIR);
    ensure_errno!(unlinkat(CWD, "file", 0x8000), EINVAL);
    unlinkat(CWD, "directory", libc::AT_REMOVEDIR)?;
    unlinkat(CWD, "file", 0)?;
    ensure_eq!(list(".")?, Vec::<String>::new());
    Ok(())
}

fn symlinks_are_followed() -> Outcome {
    mkdir("directory", 0o755)?;
    put("directory/file", b"content")?;
    symlink("directory", "to-directory")?;
    symlink("to-directory/file", "to-file")?;
    symlink("../directory/file", "directory/up")?;
    let here = getcwd(4096)?;
    symlink(&format!("{here}/directory/file"), "absolute")?;
    for name in ["to-directory/file", "to-file", "to-directory/up", "absolute"] {
        ensure_eq!(get(name)?, b"content", "{name}");
    }
    ensure_eq!(lstat("to-file")?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    ensure_eq!(stat("to-file")?.st_mode & libc::S_IFMT, libc::S_IFREG);
    ensure_errno!(get("to-file/below"), ENOTDIR);
    unlink("to-file")?;
    ensure!(exists("directory/file"));
    Ok(())
}

fn symlink_content_is_kept() -> Outcome {
    symlink("any text: at all//", "link")?;
    ensure_eq!(readlink("link")?, "any text: at all//");
    ensure_eq!(lstat("link")?.st_size, 18);
    ensure_eq!(mode("link")?, 0o777);
    let mut small = [0; 3];
    ensure_eq!(readlink_into("link", &mut small)?, 3);
    ensure_eq!(small, *b"any");
    put("file", b"")?;
    ensure_errno!(readlink("file"), EINVAL);
    ensure_errno!(readlink("nothing"), ENOENT);
    ensure_errno!(readlink_into("link", &mut []), EINVAL);
    ensure_errno!(symlink("", "empty"), ENOENT);
    ensure_errno!(symlink("x", "file"), EEXIST);
    Ok(())
}

fn long_symlinks_work() -> Outcome {
    // Short ones live in the inode of ext2, long ones in a block.
    for length in [59, 60, 61, 200, 1000, 4095] {
        let target = "t".repeat(length);
        let name = format!("link-{length}");
        match symlink(&target, &name) {
            Err(errno) if errno.0 == libc::ENAMETOOLONG && length > 1000 => continue, // longer than a block
            answer => answer?,
        }
        ensure_eq!(readlink(&name)?, target);
        ensure_eq!(lstat(&name)?.st_size, length as i64);
    }
    ensure_errno!(symlink(&"t".repeat(4096), "longer"), ENAMETOOLONG);
    mkdir("directory", 0o755)?;
    put("directory/file", b"x")?;
    symlink(&format!("{}directory/file", "./".repeat(60)), "way")?;
    ensure_eq!(get("way")?, b"x");
    Ok(())
}

fn symlink_loops_are_found() -> Outcome {
    symlink("self", "self")?;
    symlink("b", "a")?;
    symlink("a", "b")?;
    for name in ["self", "a", "self/below", "a/below"] {
        ensure_errno!(stat(name), ELOOP);
        ensure_errno!(open(name, libc::O_RDONLY | libc::O_CREAT, 0o644), ELOOP);
    }
    lstat("self")?;
    Ok(())
}

fn forty_links_are_followed_and_no_more() -> Outcome {
    put("link-0", b"end")?;
    for number in 1..=41 {
        symlink(&format!("link-{}", number - 1), &format!("link-{number}"))?;
    }
    ensure_eq!(get("link-40")?, b"end");
    ensure_errno!(get("link-41"), ELOOP);
    Ok(())
}

fn trailing_slashes_want_directories() -> Outcome {
    put("file", b"")?;
    mkdir("directory", 0o755)?;
    symlink("directory", "link")?;
    symlink("file", "to-file")?;
    ensure_errno!(stat("file/"), ENOTDIR);
    ensure_errno!(stat("to-file/"), ENOTDIR);
    ensure_errno!(unlink("file/"), ENOTDIR);
    ensure_eq!(stat("directory///")?.st_ino, stat("directory")?.st_ino);
    ensure_eq!(lstat("link/")?.st_mode & libc::S_IFMT, libc::S_IFDIR);
    ensure_eq!(lstat("link")?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    ensure_errno!(symlink("x", "new/"), ENOENT);
    ensure_errno!(link("file", "new/"), ENOENT);
    ensure_errno!(rename("file", "new/"), ENOTDIR);
    rename("directory", "renamed/")?;
    ensure!(exists("renamed"));
    Ok(())
}

fn dots_are_looked_up() -> Outcome {
    mkdir("directory", 0o755)?;
    put("file", b"")?;
    let here = stat(".")?.st_ino;
    ensure_eq!(stat("directory/..")?.st_ino, here);
    ensure_eq!(stat("directory/../directory/./..//.")?.st_ino, here);
    ensure_eq!(stat("/..")?.st_ino, stat("/")?.st_ino);
    ensure_errno!(stat("file/."), ENOTDIR);
    ensure_errno!(stat("file/.."), ENOTDIR);
    ensure_errno!(stat("nothing/.."), ENOENT);
    Ok(())
}

fn long_names_fit_or_fail() -> Outcome {
    let longest = "n".repeat(255);
    put(&longest, b"x")?;
    ensure_eq!(list(".")?, vec![longest.clone()]);
    let longer = "n".repeat(256);
    ensure_errno!(open(&longer, libc::O_RDONLY | libc::O_CREAT, 0o644), ENAMETOOLONG);
    ensure_errno!(stat(&longer), ENAMETOOLONG);
    ensure_errno!(mkdir(&longer, 0o755), ENAMETOOLONG);
    ensure_errno!(rename(&longest, &longer), ENAMETOOLONG);
    ensure_errno!(symlink("x", &longer), ENAMETOOLONG);
    unlink(&longest)?;
    Ok(())
}

fn long_paths_fit_or_fail() -> Outcome {
    put("file", b"x")?;
    let fitting = format!("{}file", "./".repeat((4095 - 4) / 2));
    ensure_eq!(stat(&fitting)?.st_size, 1);
    let too_long = format!("{}file", "./".repeat(2047));
    ensure_eq!(too_long.len(), 4098);
    ensure_errno!(stat(&too_long), ENAMETOOLONG);
    Ok(())
}

fn odd_names_are_kept() -> Outcome {
    let mut names = vec![" ", "-rf", "...", "a\nb", "tab\there", "\u{fc}ber", "*", "\\", "\u{1}"];
    for name in &names {
        put(name, name.as_bytes())?;
    }
    names.sort_unstable();
    ensure_eq!(list(".")?, names);
    for name in &names {
        ensure_eq!(get(name)?, name.as_bytes());
        unlink(name)?;
    }
    Ok(())
}

fn relative_calls_start_at_the_descriptor() -> Outcome {
    mkdir("directory", 0o755)?;
    put("file", b"")?;
    let directory = open("directory", libc::O_RDONLY, 0)?;
    drop(files::openat(*directory, "inner", libc::O_WRONLY | libc::O_CREAT, 0o644)?);
    mkdirat(*directory, "sub", 0o755)?;
    ensure_eq!(list("directory")?, vec!["inner", "sub"]);
    ensure_eq!(fstatat(*directory, "inner", 0)?.st_ino, stat("directory/inner")?.st_ino);
    ensure_eq!(fstatat(*directory, "", libc::AT_EMPTY_PATH)?.st_ino, stat("directory")?.st_ino);
    ensure_errno!(fstatat(*directory, "", 0), ENOENT);
    ensure_eq!(fstatat(99, "/", 0)?.st_ino, stat("/")?.st_ino, "absolute paths need no directory");
    let file = open("file", libc::O_RDONLY, 0)?;
    ensure_errno!(files::openat(*file, "x", libc::O_RDONLY, 0), ENOTDIR);
    ensure_errno!(files::openat(99, "x", libc::O_RDONLY, 0), EBADF);
    unlinkat(*directory, "inner", 0)?;
    unlinkat(*directory, "sub", libc::AT_REMOVEDIR)?;
    ensure_eq!(list("directory")?, Vec::<String>::new());
    Ok(())
}

fn current_directory_is_told() -> Outcome {
    let here = getcwd(4096)?;
    ensure!(here.starts_with('/'));
    mkdir("one", 0o755)?;
    mkdir("one/two", 0o755)?;
    chdir("one/two")?;
    ensure_eq!(getcwd(4096)?, format!("{here}/one/two"));
    chdir("..")?;
    ensure_eq!(getcwd(4096)?, format!("{here}/one"));
    rename(&format!("{here}/one"), &format!("{here}/renamed"))?;
    ensure_eq!(getcwd(4096)?, format!("{here}/renamed"));
    let directory = open("two", libc::O_RDONLY, 0)?;
    fchdir(*directory)?;
    ensure_eq!(getcwd(4096)?, format!("{here}/renamed/two"));
    chdir("/")?;
    ensure_eq!(getcwd(4096)?, "/");
    ensure_eq!(getcwd(2)?, "/");
    ensure_errno!(getcwd(1), ERANGE);
    chdir(&here)?;
    put("file", b"")?;
    ensure_errno!(chdir("file"), ENOTDIR);
    ensure_errno!(chdir("nothing"), ENOENT);
    ensure_errno!(fchdir(*open("file", libc::O_RDONLY, 0)?), ENOTDIR);
    ensure_errno!(fchdir(99), EBADF);
    Ok(())
}

fn removed_current_directory_is_gone() -> Outcome {
    let here = getcwd(4096)?;
    mkdir("directory", 0o755)?;
    chdir("directory")?;
    rmdir(&format!("{here}/directory"))?;
    ensure_errno!(getcwd(4096), ENOENT);
    ensure_errno!(put("file", b""), ENOENT);
    ensure_errno!(mkdir("sub", 0o755), ENOENT);
    ensure_eq!(stat(".")?.st_nlink, 0);
    chdir("..")?;
    ensure_eq!(getcwd(4096)?, here);
    Ok(())
}

fn chroot_hides_the_rest() -> Outcome {
    if users::geteuid()? != 0 {
        skip!("needs root");
    }
    mkdir("root", 0o755)?;
    put("root/file", b"inside")?;
    let child = fork(|| {
        let entered = files::chroot("root").and_then(|()| chdir("/"));
        let inside = get("/file").is_ok_and(|content| content == b"inside");
        let stays =
            get("/../../file").is_ok() && !exists("/dev") && getcwd(4096).is_ok_and(|path| path == "/");
        i32::from(entered.is_err()) | i32::from(!inside) << 1 | i32::from(!stays) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_errno!(files::chroot("root/file"), ENOTDIR);
    ensure_errno!(files::chroot("nothing"), ENOENT);
    Ok(())
}

fn rename_moves_a_file() -> Outcome {
    put("old", b"content")?;
    let inode = stat("old")?.st_ino;
    mkdir("directory", 0o755)?;
    rename("old", "directory/new")?;
    ensure!(!exists("old"));
    ensure_eq!(stat("directory/new")?.st_ino, inode);
    ensure_eq!(get("directory/new")?, b"content");
    symlink("nowhere", "link")?;
    rename("link", "moved")?;
    ensure_eq!(readlink("moved")?, "nowhere");
    Ok(())
}

fn rename_replaces_a_file() -> Outcome {
    put("old", b"old")?;
    put("new", b"new")?;
    let kept = open("new", libc::O_RDONLY, 0)?;
    rename("old", "new")?;
    ensure_eq!(get("new")?, b"old");
    ensure_eq!(list(".")?, vec!["new"]);
    ensure_eq!(files::read_to_end(*kept)?, b"new");
    ensure_eq!(fstat(*kept)?.st_nlink, 0);
    Ok(())
}

fn rename_moves_directories_with_content() -> Outcome {
    mkdir("one", 0o755)?;
    mkdir("one/inner", 0o755)?;
    put("one/inner/file", b"x")?;
    mkdir("two", 0o755)?;
    rename("one", "two/one")?;
    ensure_eq!(get("two/one/inner/file")?, b"x");
    mkdir("empty", 0o755)?;
    rename("two/one", "empty")?;
    ensure_eq!(get("empty/inner/file")?, b"x");
    ensure_eq!(list("two")?, Vec::<String>::new());
    Ok(())
}

fn rename_refuses_what_is_wrong() -> Outcome {
    put("file", b"")?;
    mkdir("directory", 0o755)?;
    mkdir("directory/inner", 0o755)?;
    mkdir("full", 0o755)?;
    put("full/file", b"")?;
    ensure_errno!(rename("nothing", "new"), ENOENT);
    ensure_errno!(rename("file", "nothing/new"), ENOENT);
    ensure_errno!(rename("file", "directory"), EISDIR);
    ensure_errno!(rename("directory", "file"), ENOTDIR);
    ensure_errno!(rename("directory", "full"), ENOTEMPTY | EEXIST);
    ensure_errno!(rename("directory", "directory/inner/below"), EINVAL);
    ensure_errno!(rename("directory/inner", "directory"), ENOTEMPTY | EEXIST);
    ensure_errno!(rename("file", "file/below"), ENOTDIR);
    ensure_errno!(rename(".", "new"), EBUSY);
    ensure_errno!(rename("file", "."), EBUSY);
    ensure_errno!(rename("directory/..", "new"), EBUSY);
    ensure_errno!(rename("file", "/dev/systest-new"), EXDEV);
    ensure_errno!(rename("", "new"), ENOENT);
    ensure_eq!(list(".")?, vec!["directory", "file", "full"]);
    Ok(())
}

fn rename_onto_itself_does_nothing() -> Outcome {
    put("file", b"x")?;
    link("file", "same")?;
    rename("file", "file")?;
    rename("file", "same")?;
    ensure_eq!(list(".")?, vec!["file", "same"]);
    ensure_eq!(stat("file")?.st_nlink, 2);
    Ok(())
}

fn rename_keeps_open_files() -> Outcome {
    put("file", b"abc")?;
    let file = open("file", libc::O_RDWR, 0)?;
    rename("file", "moved")?;
    files::write(*file, b"XYZ")?;
    ensure_eq!(get("moved")?, b"XYZ");
    Ok(())
}

fn rename_without_replacing() -> Outcome {
    put("old", b"old")?;
    put("new", b"new")?;
    let refused = renameat2("old", "new", libc::RENAME_NOREPLACE);
    if refused.is_err_and(|errno| errno.0 == libc::EINVAL || errno.0 == libc::ENOSYS) {
        skip!("this file system has no RENAME_NOREPLACE");
    }
    ensure_errno!(refused, EEXIST);
    renameat2("old", "free", libc::RENAME_NOREPLACE)?;
    ensure_eq!(list(".")?, vec!["free", "new"]);
    ensure_errno!(renameat2("free", "new", 0x80), EINVAL);
    ensure_errno!(renameat2("free", "x", libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE), EINVAL);
    Ok(())
}

fn rename_exchanging() -> Outcome {
    put("file", b"file")?;
    mkdir("directory", 0o755)?;
    put("directory/inner", b"inner")?;
    or_skip!(renameat2("file", "directory", libc::RENAME_EXCHANGE), EINVAL | ENOSYS);
    ensure_eq!(get("directory")?, b"file");
    ensure_eq!(get("file/inner")?, b"inner");
    ensure_errno!(renameat2("file", "nothing", libc::RENAME_EXCHANGE), ENOENT);
    Ok(())
}

fn rename_updates_the_parent() -> Outcome {
    mkdir("one", 0o755)?;
    mkdir("two", 0o755)?;
    mkdir("one/moving", 0o755)?;
    rename("one/moving", "two/moving")?;
    ensure_eq!(stat("two/moving/..")?.st_ino, stat("two")?.st_ino);
    rmdir("one")?;
    Ok(())
}

fn directory_entries_are_complete() -> Outcome {
    put("file", b"")?;
    mkdir("directory", 0o755)?;
    symlink("x", "link")?;
    mknod("fifo", libc::S_IFIFO | 0o644, 0)?;
    let directory = open(".", libc::O_RDONLY, 0)?;
    let mut entries = Vec::new();
    loop {
        let some = getdents(*directory, 4096)?;
        if some.is_empty() {
            break;
        }
        entries.extend(some);
    }
    let find = |name: &str| entries.iter().find(|entry| entry.name == name);
    for (name, kind) in [
        (".", libc::DT_DIR),
        ("..", libc::DT_DIR),
        ("file", libc::DT_REG),
        ("directory", libc::DT_DIR),
        ("link", libc::DT_LNK),
        ("fifo", libc::DT_FIFO),
    ] {
        let Some(entry) = find(name) else { return Err(Stop::fail(format!("`{name}` is missing"))) };
        ensure!(entry.kind == kind || entry.kind == libc::DT_UNKNOWN, "`{name}` is of kind {}", entry.kind);
        ensure_eq!(entry.inode, lstat(name)?.st_ino, "{name}");
    }
    ensure_eq!(entries.len(), 6);
    ensure_eq!(getdents(*directory, 4096)?, vec![], "stays at the end");
    Ok(())
}

fn directory_entries_fit_small_buffers() -> Outcome {
    for number in 0..30 {
        put(&format!("name-{number}"), b"")?;
    }
    let directory = open(".", libc::O_RDONLY, 0)?;
    ensure_errno!(getdents(*directory, 8), EINVAL);
    let mut names = Vec::new();
    loop {
        let some = getdents(*directory, 64)?;
        if some.is_empty() {
            break;
        }
        names.extend(some.into_iter().map(|entry| entry.name));
    }
    names.sort();
    names.dedup();
    ensure_eq!(names.len(), 32);
    put("plain", b"")?;
    ensure_errno!(getdents(*open("plain", libc::O_RDONLY, 0)?, 4096), ENOTDIR);
    Ok(())
}

fn directory_can_be_rewound() -> Outcome {
    for number in 0..20 {
        put(&format!("name-{number}"), b"")?;
    }
    let directory = open(".", libc::O_RDONLY, 0)?;
    let all = getdents(*directory, 4096)?;
    ensure_eq!(all.len(), 22);
    files::lseek(*directory, 0, libc::SEEK_SET)?;
    ensure_eq!(getdents(*directory, 4096)?, all);
    // Each entry says where the next one is.
    files::lseek(*directory, all[9].offset, libc::SEEK_SET)?;
    let rest: Vec<String> = getdents(*directory, 4096)?.into_iter().map(|entry| entry.name).collect();
    let expected: Vec<String> = all[10..].iter().map(|entry| entry.name.clone()).collect();
    ensure_eq!(rest, expected);
    Ok(())
}

fn directory_with_many_entries() -> Outcome {
    mkdir("many", 0o755)?;
    for number in 0..500 {
        put(&format!("many/a-rather-long-name-{number}"), b"")?;
    }
    ensure_eq!(list("many")?.len(), 500);
    for number in (0..500).step_by(2) {
        unlink(&format!("many/a-rather-long-name-{number}"))?;
    }
    ensure_eq!(list("many")?.len(), 250);
    for number in (0..500).step_by(2) {
        put(&format!("many/again-{number}"), b"")?;
    }
    ensure_eq!(list("many")?.len(), 500);
    for name in list("many")? {
        unlink(&format!("many/{name}"))?;
    }
    rmdir("many")?;
    Ok(())
}

fn removing_while_listing_skips_nothing() -> Outcome {
    mkdir("many", 0o755)?;
    for number in 0..100 {
        put(&format!("many/name-{number}"), b"")?;
    }
    let directory = open("many", libc::O_RDONLY, 0)?;
    loop {
        let some = getdents(*directory, 300)?;
        if some.is_empty() {
            break;
        }
        for entry in some.iter().filter(|entry| !entry.name.starts_with('.')) {
            unlinkat(*directory, &entry.name, 0)?;
        }
    }
    rmdir("many")?;
    Ok(())
}

fn umask_takes_permissions_away() -> Outcome {
    ensure_eq!(umask(0o077), 0o022);
    put("file", b"")?;
    mkdir("directory", 0o777)?;
    mknod("fifo", libc::S_IFIFO | 0o666, 0)?;
    ensure_eq!((mode("file")?, mode("directory")?, mode("fifo")?), (0o600, 0o700, 0o600));
    ensure_eq!(umask(0o1777), 0o077);
    ensure_eq!(umask(0o022), 0o777);
    Ok(())
}

fn chmod_sets_permissions() -> Outcome {
    put("file", b"")?;
    symlink("file", "link")?;
    for bits in [0o000, 0o400, 0o755, 0o1777, 0o2755, 0o4711, 0o7777] {
        chmod("file", bits)?;
        ensure_eq!(mode("file")?, bits);
    }
    let file = open("file", libc::O_RDONLY, 0)?;
    fchmod(*file, 0o640)?;
    ensure_eq!(mode("file")?, 0o640);
    chmod("link", 0o600)?;
    ensure_eq!((mode("file")?, mode("link")?), (0o600, 0o777));
    ensure_eq!(stat("file")?.st_mode & libc::S_IFMT, libc::S_IFREG);
    ensure_errno!(chmod("nothing", 0o600), ENOENT);
    ensure_errno!(fchmod(99, 0o600), EBADF);
    Ok(())
}

/// Runs `body` as an ordinary user in a child; what it answers, as a number.
fn as_user(id: u32, body: impl FnOnce() -> Result<(), crate::sys::Errno>) -> Result<i32, Stop> {
    if users::geteuid()? != 0 {
        skip!("needs root");
    }
    let child = fork(|| {
        let changed = users::setgroups(&[]).and_then(|()| users::setresgid(id, id, id));
        match changed.and_then(|()| users::setresuid(id, id, id)) {
            Err(_) => 250,
            Ok(()) => body().map_or_else(|errno| errno.0, |()| 0),
        }
    })?;
    match child.wait()? {
        Status::Exited(code) => Ok(code),
        other => Err(Stop::fail(format!("the user's process {other}"))),
    }
}

const USER: u32 = 1234;
const OTHER: u32 = 1235;

fn permissions_bind_users() -> Outcome {
    chmod(".", 0o755)?;
    put("file", b"secret")?;
    for (bits, is_readable, is_writable) in
        [(0o644, true, false), (0o600, false, false), (0o622, false, true), (0o666, true, true)]
    {
        chmod("file", bits)?;
        let expected = |is_allowed: bool| if is_allowed { 0 } else { libc::EACCES };
        ensure_eq!(
            as_user(USER, || open("file", libc::O_RDONLY, 0).map(drop))?,
            expected(is_readable),
            "{bits:o}"
        );
        ensure_eq!(
            as_user(USER, || open("file", libc::O_WRONLY, 0).map(drop))?,
            expected(is_writable),
            "{bits:o}"
        );
    }
    chown("file", USER, USER)?;
    chmod("file", 0o077)?;
    ensure_eq!(
        as_user(USER, || open("file", libc::O_RDONLY, 0).map(drop))?,
        libc::EACCES,
        "the owner's bits count"
    );
    ensure_eq!(as_user(USER, || chmod("file", 0o600))?, 0);
    ensure_eq!(as_user(USER, || open("file", libc::O_RDWR, 0).map(drop))?, 0);
    ensure_eq!(as_user(OTHER, || chmod("file", 0o666))?, libc::EPERM);
    chown("file", 0, OTHER)?;
    chmod("file", 0o640)?;
    ensure_eq!(as_user(OTHER, || open("file", libc::O_RDONLY, 0).map(drop))?, 0, "by the group");
    ensure_eq!(as_user(OTHER, || open("file", libc::O_WRONLY, 0).map(drop))?, libc::EACCES);
    Ok(())
}

fn directory_permissions_bind_users() -> Outcome {
    chmod(".", 0o755)?;
    mkdir("directory", 0o711)?;
    put("directory/file", b"")?;
    ensure_eq!(as_user(USER, || list("directory").map(drop))?, libc::EACCES);
    ensure_eq!(as_user(USER, || stat("directory/file").map(drop))?, 0);
    ensure_eq!(as_user(USER, || put("directory/new", b""))?, libc::EACCES);
    ensure_eq!(as_user(USER, || unlink("directory/file"))?, libc::EACCES);
    chmod("directory", 0o744)?;
    ensure_eq!(as_user(USER, || list("directory").map(drop))?, 0);
    ensure_eq!(as_user(USER, || stat("directory/file").map(drop))?, libc::EACCES);
    chmod("directory", 0o777)?;
    ensure_eq!(as_user(USER, || put("directory/new", b""))?, 0);
    ensure_eq!(stat("directory/new")?.st_uid, USER);
    ensure_eq!(as_user(OTHER, || unlink("directory/file"))?, 0);
    // Files of a directory with the group bit get its group.
    chown("directory", 0, OTHER)?;
    chmod("directory", 0o2777)?;
    ensure_eq!(as_user(USER, || put("directory/of-group", b""))?, 0);
    ensure_eq!(stat("directory/of-group")?.st_gid, OTHER);
    mkdir("directory/sub", 0o755)?;
    ensure_eq!(mode("directory/sub")? & 0o2000, 0o2000);
    Ok(())
}

fn sticky_directories_protect_files() -> Outcome {
    chmod(".", 0o755)?;
    mkdir("shared", 0o777)?;
    chmod("shared", 0o1777)?;
    ensure_eq!(as_user(USER, || put("shared/mine", b""))?, 0);
    ensure_eq!(as_user(OTHER, || unlink("shared/mine"))?, libc::EPERM);
    ensure_eq!(as_user(OTHER, || rename("shared/mine", "shared/yours"))?, libc::EPERM);
    ensure_eq!(as_user(USER, || unlink("shared/mine"))?, 0);
    Ok(())
}

fn owners_change() -> Outcome {
    chmod(".", 0o777)?;
    put("file", b"")?;
    ensure_eq!(as_user(USER, || chown("file", USER, USER))?, libc::EPERM);
    chown("file", USER, OTHER)?;
    let now = stat("file")?;
    ensure_eq!((now.st_uid, now.st_gid), (USER, OTHER));
    chown("file", u32::MAX, USER)?;
    ensure_eq!((stat("file")?.st_uid, stat("file")?.st_gid), (USER, USER), "-1 changes nothing");
    symlink("file", "link")?;
    lchown("link", OTHER, OTHER)?;
    ensure_eq!((stat("link")?.st_uid, lstat("link")?.st_uid), (USER, OTHER));
    chmod("file", 0o6755)?;
    chown("file", OTHER, OTHER)?;
    ensure_eq!(mode("file")?, 0o755, "set-user bits go with the owner");
    ensure_eq!(as_user(OTHER, || chown("file", u32::MAX, OTHER))?, 0, "the owner may keep the group");
    ensure_eq!(as_user(OTHER, || chown("file", USER, u32::MAX))?, libc::EPERM);
    Ok(())
}

fn access_checks_the_real_user() -> Outcome {
    chmod(".", 0o755)?;
    put("file", b"")?;
    access("file", libc::F_OK)?;
    access("file", libc::R_OK | libc::W_OK)?;
    ensure_errno!(access("nothing", libc::F_OK), ENOENT);
    ensure_errno!(access("file", 0o10), EINVAL);
    if users::geteuid()? == 0 {
        ensure_errno!(access("file", libc::X_OK), EACCES); // root needs one execute bit
    }
    ensure_eq!(as_user(USER, || access("file", libc::R_OK))?, 0);
    ensure_eq!(as_user(USER, || access("file", libc::W_OK))?, libc::EACCES);
    let child = fork(|| {
        // Real user: root. Effective user: nobody in particular.
        let changed = users::setresuid(u32::MAX, USER, u32::MAX);
        let by_real = access("file", libc::W_OK);
        let by_effective = files::faccessat2("file", libc::W_OK, libc::AT_EACCESS);
        i32::from(changed.is_err())
            | i32::from(by_real.is_err()) << 1
            | i32::from(by_effective != Err(crate::sys::Errno(libc::EACCES))) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn times_can_be_set() -> Outcome {
    put("file", b"")?;
    symlink("file", "link")?;
    utimensat("file", Some([(1_000_000, 5000), (2_000_000_000, 0)]), 0)?;
    let now = stat("file")?;
    ensure_eq!((now.st_atime, now.st_mtime), (1_000_000, 2_000_000_000));
    utimensat("file", Some([(0, libc::UTIME_OMIT), (3, 0)]), 0)?;
    ensure_eq!((stat("file")?.st_atime, stat("file")?.st_mtime), (1_000_000, 3));
    let clock = crate::sys::time::time()? as i64;
    utimensat("file", Some([(0, libc::UTIME_NOW), (0, libc::UTIME_OMIT)]), 0)?;
    let now = stat("file")?;
    ensure!((now.st_atime - clock).abs() <= 2 && now.st_mtime == 3);
    utimensat("file", None, 0)?;
    ensure!((stat("file")?.st_mtime - clock).abs() <= 2);
    utimensat("link", Some([(7, 0), (8, 0)]), libc::AT_SYMLINK_NOFOLLOW)?;
    ensure_eq!(lstat("link")?.st_mtime, 8);
    ensure!(stat("file")?.st_mtime != 8);
    ensure_errno!(utimensat("file", Some([(0, 1_000_000_000), (0, 0)]), 0), EINVAL);
    ensure_errno!(utimensat("nothing", None, 0), ENOENT);
    Ok(())
}

fn times_follow_what_happens() -> Outcome {
    mkdir("directory", 0o755)?;
    put("directory/file", b"x")?;
    let long_ago = Some([(1000, 0), (1000, 0)]);
    let clock = crate::sys::time::time()? as i64;
    let is_now = |seconds: i64| (seconds - clock).abs() <= 5;
    utimensat("directory/file", long_ago, 0)?;
    ensure!(is_now(stat("directory/file")?.st_ctime), "setting times changes the inode");
    let file = open("directory/file", libc::O_RDWR, 0)?;
    files::write(*file, b"y")?;
    ensure!(is_now(stat("directory/file")?.st_mtime), "write");
    utimensat("directory/file", long_ago, 0)?;
    chmod("directory/file", 0o600)?;
    ensure_eq!(stat("directory/file")?.st_mtime, 1000, "chmod is no modification");
    files::ftruncate(*file, 0)?;
    ensure!(is_now(stat("directory/file")?.st_mtime), "truncate");
    for (what, action) in [
        ("create", (|| put("directory/new", b"")) as fn() -> Result<(), crate::sys::Errno>),
        ("rename", || rename("directory/new", "directory/other")),
        ("link", || link("directory/other", "directory/second")),
        ("unlink", || unlink("directory/second")),
        ("mkdir", || mkdir("directory/sub", 0o755)),
        ("rmdir", || rmdir("directory/sub")),
    ] {
        utimensat("directory", long_ago, 0)?;
        action()?;
        ensure!(is_now(stat("directory")?.st_mtime), "{what} in a directory");
    }
    Ok(())
}

fn special_files_can_be_made() -> Outcome {
    mknod("fifo", libc::S_IFIFO | 0o600, 0)?;
    mknod("plain", libc::S_IFREG | 0o600, 0)?;
    mknod("plain-too", 0o600, 0)?;
    ensure_eq!(stat("fifo")?.st_mode, libc::S_IFIFO | 0o600);
    ensure_eq!(stat("plain")?.st_mode, libc::S_IFREG | 0o600);
    ensure_eq!(stat("plain-too")?.st_mode, libc::S_IFREG | 0o600);
    ensure_errno!(mknod("plain", libc::S_IFREG | 0o600, 0), EEXIST);
    ensure_errno!(mknod("directory", libc::S_IFDIR | 0o600, 0), EPERM);
    ensure_errno!(mknod("odd", 0o170_600, 0), EINVAL);
    if users::geteuid()? == 0 {
        or_skip!(mknod("null", libc::S_IFCHR | 0o666, libc::makedev(1, 3)), EPERM);
        let stat = stat("null")?;
        ensure_eq!((stat.st_mode & libc::S_IFMT, stat.st_rdev), (libc::S_IFCHR, libc::makedev(1, 3)));
        mknod("disk", libc::S_IFBLK | 0o600, libc::makedev(250, 70_000))?;
        ensure_eq!(lstat("disk")?.st_rdev, libc::makedev(250, 70_000));
    }
    Ok(())
}

fn statx_agrees_with_stat() -> Outcome {
    put("file", &[1; 5000])?;
    symlink("file", "link")?;
    let old = stat("file")?;
    let new = or_skip!(statx(CWD, "link", 0, libc::STATX_BASIC_STATS), ENOSYS);
    ensure_eq!(new.mask & libc::STATX_BASIC_STATS, libc::STATX_BASIC_STATS);
    ensure_eq!((new.inode, new.size, u64::from(new.links)), (old.st_ino, 5000, old.st_nlink));
    ensure_eq!(u32::from(new.mode), old.st_mode);
    ensure_eq!(
        (new.uid, new.gid, u64::from(new.block_size)),
        (old.st_uid, old.st_gid, old.st_blksize as u64)
    );
    ensure_eq!(new.blocks, old.st_blocks as u64);
    let link = statx(CWD, "link", libc::AT_SYMLINK_NOFOLLOW, libc::STATX_MODE)?;
    ensure_eq!(u32::from(link.mode) & libc::S_IFMT, libc::S_IFLNK);
    let file = open("file", libc::O_RDONLY, 0)?;
    ensure_eq!(statx(*file, "", libc::AT_EMPTY_PATH, libc::STATX_SIZE)?.size, 5000);
    ensure_errno!(statx(CWD, "file", 0, 0x8000_0000), EINVAL);
    ensure_errno!(statx(CWD, "nothing", 0, 0), ENOENT);
    Ok(())
}

fn old_stat_calls_agree() -> Outcome {
    put("file", b"abc")?;
    symlink("file", "link")?;
    ensure_eq!(files::old_stat("link", libc::SYS_stat)?.st_ino, stat("file")?.st_ino);
    ensure_eq!(files::old_stat("link", libc::SYS_lstat)?.st_ino, lstat("link")?.st_ino);
    ensure_errno!(files::old_stat("nothing", libc::SYS_stat), ENOENT);
    Ok(())
}

fn file_system_is_described() -> Outcome {
    let here = files::statfs(".")?;
    ensure!(here.block_size >= 512 && here.fragment_size > 0, "{here:?}");
    ensure!(
        here.free <= here.blocks && here.available <= here.free && here.free_files <= here.files,
        "{here:?}"
    );
    ensure_eq!(here.longest_name, 255);
    let directory = open(".", libc::O_RDONLY, 0)?;
    let same = files::fstatfs(*directory)?;
    ensure_eq!((same.kind, same.block_size, same.blocks), (here.kind, here.block_size, here.blocks));
    ensure_errno!(files::statfs("nothing"), ENOENT);
    ensure_errno!(files::fstatfs(99), EBADF);
    probe(libc::SYS_sync, &[])?;
    Ok(())
}

fn tree_of_directories() -> Outcome {
    let mut path = String::from(".");
    for depth in 0..30 {
        path.push_str("/level");
        mkdir(&path, 0o755)?;
        put(&format!("{path}/file"), depth.to_string().as_bytes())?;
    }
    ensure_eq!(get(&format!("{path}/file"))?, b"29");
    ensure_eq!(stat(&format!("{path}{}", "/..".repeat(30)))?.st_ino, stat(".")?.st_ino);
    for depth in (1..=30).rev() {
        let level = format!(".{}", "/level".repeat(depth));
        unlink(&format!("{level}/file"))?;
        rmdir(&level)?;
    }
    ensure_eq!(list(".")?, Vec::<String>::new());
    Ok(())
}
