//! Opening files: the flags of open(2).

use super::files::{NEW, new_file};
use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::files::{
    self, creat, fcntl, fstat, ftruncate, get, lseek, mkdir, open, put, pwrite, read, read_to_end, stat,
    symlink, write,
};

tests! {
    open_of_a_missing_file_fails,
    create_makes_an_empty_file,
    exclusive_create_refuses_what_is_there,
    truncating_open_empties_the_file,
    access_mode_is_kept,
    directories_open_for_reading_only,
    o_directory_wants_a_directory,
    o_nofollow_wants_no_link,
    o_path_opens_nothing,
    create_through_a_dangling_link,
    unknown_open_flags_are_ignored,
}

fn open_of_a_missing_file_fails() -> Outcome {
    put("file", b"")?;
    ensure_errno!(open("nothing", libc::O_RDONLY, 0), ENOENT);
    ensure_errno!(open("nothing/below", libc::O_RDWR | libc::O_CREAT, 0o644), ENOENT);
    ensure_errno!(open("file/below", libc::O_RDONLY, 0), ENOTDIR);
    ensure_errno!(open("file/", libc::O_RDONLY, 0), ENOTDIR);
    ensure_errno!(open("", libc::O_RDONLY, 0), ENOENT);
    ensure_errno!(open("new/", libc::O_RDWR | libc::O_CREAT, 0o644), EISDIR);
    Ok(())
}

fn create_makes_an_empty_file() -> Outcome {
    let file = open("file", libc::O_WRONLY | libc::O_CREAT, 0o666)?;
    let now = fstat(*file)?;
    ensure_eq!((now.st_mode, now.st_size, now.st_nlink), (libc::S_IFREG | 0o644, 0, 1));
    ensure_eq!(stat("file")?.st_ino, now.st_ino);
    put("other", b"content")?;
    drop(creat("other", 0o600)?);
    let other = stat("other")?;
    ensure_eq!((other.st_size, other.st_mode & 0o7777), (0, 0o644), "creat empties and keeps the mode");
    Ok(())
}

fn exclusive_create_refuses_what_is_there() -> Outcome {
    drop(new_file("file")?);
    ensure_errno!(new_file("file"), EEXIST);
    mkdir("directory", 0o755)?;
    ensure_errno!(new_file("directory"), EEXIST);
    symlink("nowhere", "dangling")?;
    ensure_errno!(new_file("dangling"), EEXIST);
    ensure!(!files::exists("nowhere"));
    Ok(())
}

fn truncating_open_empties_the_file() -> Outcome {
    put("file", b"0123456789")?;
    drop(open("file", libc::O_WRONLY, 0)?);
    ensure_eq!(stat("file")?.st_size, 10);
    let reader = open("file", libc::O_RDONLY, 0)?;
    drop(open("file", libc::O_WRONLY | libc::O_TRUNC, 0)?);
    ensure_eq!(stat("file")?.st_size, 0);
    ensure_eq!(read(*reader, &mut [0; 4])?, 0);
    Ok(())
}

fn access_mode_is_kept() -> Outcome {
    put("file", b"abc")?;
    let (reader, writer) = (open("file", libc::O_RDONLY, 0)?, open("file", libc::O_WRONLY, 0)?);
    ensure_errno!(write(*reader, b"x"), EBADF);
    ensure_errno!(pwrite(*reader, b"x", 0), EBADF);
    ensure_errno!(read(*writer, &mut [0; 4]), EBADF);
    ensure_errno!(ftruncate(*reader, 0), EINVAL);
    // The permission of a new file counts for later opens only.
    let own = open("none", NEW, 0)?;
    ensure_eq!(write(*own, b"x")?, 1);
    Ok(())
}

fn directories_open_for_reading_only() -> Outcome {
    mkdir("directory", 0o755)?;
    let directory = open("directory", libc::O_RDONLY, 0)?;
    ensure_errno!(read(*directory, &mut [0; 4]), EISDIR);
    ensure_errno!(open("directory", libc::O_WRONLY, 0), EISDIR);
    ensure_errno!(open("directory", libc::O_RDWR, 0), EISDIR);
    ensure_errno!(open("directory", libc::O_RDONLY | libc::O_CREAT, 0o644), EISDIR);
    ensure_errno!(open("directory", libc::O_RDONLY | libc::O_TRUNC, 0), EISDIR);
    ensure_errno!(write(*directory, b"x"), EBADF);
    Ok(())
}

fn o_directory_wants_a_directory() -> Outcome {
    put("file", b"")?;
    symlink("directory", "link")?;
    mkdir("directory", 0o755)?;
    ensure_errno!(open("file", libc::O_RDONLY | libc::O_DIRECTORY, 0), ENOTDIR);
    drop(open("directory", libc::O_RDONLY | libc::O_DIRECTORY, 0)?);
    drop(open("link", libc::O_RDONLY | libc::O_DIRECTORY, 0)?);
    ensure_errno!(open("link", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0), ENOTDIR);
    Ok(())
}

fn o_nofollow_wants_no_link() -> Outcome {
    put("file", b"x")?;
    symlink("file", "link")?;
    ensure_errno!(open("link", libc::O_RDONLY | libc::O_NOFOLLOW, 0), ELOOP);
    mkdir("directory", 0o755)?;
    put("directory/inner", b"y")?;
    symlink("directory", "way")?;
    ensure_eq!(read_to_end(*open("way/inner", libc::O_RDONLY | libc::O_NOFOLLOW, 0)?)?, b"y");
    Ok(())
}

fn o_path_opens_nothing() -> Outcome {
    put("file", b"x")?;
    symlink("file", "link")?;
    let handle = open("file", libc::O_PATH, 0)?;
    ensure_errno!(read(*handle, &mut [0; 1]), EBADF);
    ensure_errno!(write(*handle, b"x"), EBADF);
    ensure_errno!(lseek(*handle, 0, libc::SEEK_SET), EBADF);
    ensure_eq!(fstat(*handle)?.st_size, 1);
    let link = open("link", libc::O_PATH | libc::O_NOFOLLOW, 0)?;
    ensure_eq!(fstat(*link)?.st_mode & libc::S_IFMT, libc::S_IFLNK);
    mkdir("directory", 0o755)?;
    put("directory/inner", b"y")?;
    let directory = open("directory", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    ensure_eq!(read_to_end(*files::openat(*directory, "inner", libc::O_RDONLY, 0)?)?, b"y");
    Ok(())
}

fn create_through_a_dangling_link() -> Outcome {
    symlink("target", "link")?;
    put("link", b"through")?;
    ensure_eq!(get("target")?, b"through");
    Ok(())
}

fn unknown_open_flags_are_ignored() -> Outcome {
    let file = open("file", NEW | 1 << 28, 0o644)?;
    ensure_eq!(fcntl(*file, libc::F_GETFL, 0)? & 1 << 28, 0);
    Ok(())
}
