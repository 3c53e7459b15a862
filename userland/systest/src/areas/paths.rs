//! How paths are looked up: links on the way, dots, slashes, long and odd names.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::files::{
    self, exists, fstatat, get, getcwd, link, list, lstat, mkdir, mkdirat, open, put, rename, stat, symlink,
    unlink, unlinkat,
};

tests! {
    symlinks_are_followed,
    symlink_loops_are_found,
    forty_links_are_followed_and_no_more,
    trailing_slashes_want_directories,
    dots_are_looked_up,
    long_names_fit_or_fail,
    long_paths_fit_or_fail,
    odd_names_are_kept,
    relative_calls_start_at_the_descriptor,
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
