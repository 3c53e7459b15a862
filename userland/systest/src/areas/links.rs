//! Names of files: links, symbolic links, renaming, removing.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    self, CWD, exists, fstat, get, link, linkat, list, lstat, mkdir, open, put, readlink, readlink_into,
    rename, renameat2, rmdir, stat, symlink, unlink, unlinkat,
};

tests! {
    link_counts_follow_the_names,
    hard_links_refuse_what_is_wrong,
    hard_link_of_a_symlink_is_a_symlink,
    unlink_refuses_what_is_wrong,
    symlink_content_is_kept,
    long_symlinks_work,
    rename_moves_a_file,
    rename_replaces_a_file,
    rename_moves_directories_with_content,
    rename_refuses_what_is_wrong,
    rename_onto_itself_does_nothing,
    rename_keeps_open_files,
    rename_without_replacing,
    rename_exchanging,
    rename_updates_the_parent,
}

fn mode(name: &str) -> Result<u32, Stop> {
    Ok(lstat(name)?.st_mode & 0o7777)
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
