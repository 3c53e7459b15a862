//! Extended attributes, and the access control lists among them.

use super::attributes::as_user;
use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::files::{chmod, lstat, mkdir, open, put, symlink, umask};
use crate::sys::xattrs::{get, get_of_fd, list, remove, set, set_of_fd, set_of_link};

tests! {
    attributes_are_kept,
    attributes_have_limits,
    attributes_bind_users,
    links_have_no_user_attributes,
    access_lists_bind_users,
    access_lists_follow_the_mode,
    access_lists_are_inherited,
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
const USER: u32 = 1234;
const OTHER: u32 = 1235;

/// Tags of entries of an access control list.
const OWNER: u16 = 1;
const NAMED_USER: u16 = 2;
const GROUP: u16 = 4;
const MASK: u16 = 16;
const OTHERS: u16 = 32;

/// A list of tags, permissions and ids (0: none).
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        let id = if *id == 0 { u32::MAX } else { *id };
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn attributes_are_kept() -> Outcome {
    put("file", b"contents")?;
    ensure_errno!(get("file", "user.one", 10), ENODATA | EOPNOTSUPP);
    or_skip!(set("file", "user.one", b"value", 0), EOPNOTSUPP);
    ensure_eq!(get("file", "user.one", 10)?, b"value");
    ensure_eq!(get("file", "user.one", 0)?.len(), 5, "without room, only the length");
    ensure_errno!(get("file", "user.one", 4), ERANGE);
    set("file", "user.two", b"", 0)?;
    let file = open("file", libc::O_RDWR, 0)?;
    set_of_fd(*file, "user.three", &[7; 200])?;
    ensure_eq!(get_of_fd(*file, "user.three", 300)?, [7; 200]);
    ensure_eq!(list("file")?, ["user.one", "user.three", "user.two"]);
    ensure_errno!(set("file", "user.one", b"x", libc::XATTR_CREATE), EEXIST);
    ensure_errno!(set("file", "user.four", b"x", libc::XATTR_REPLACE), ENODATA);
    set("file", "user.one", b"another", libc::XATTR_REPLACE)?;
    ensure_eq!(get("file", "user.one", 10)?, b"another");
    remove("file", "user.two")?;
    ensure_errno!(remove("file", "user.two"), ENODATA);
    ensure_eq!(list("file")?, ["user.one", "user.three"]);
    mkdir("directory", 0o755)?;
    ensure_eq!(list("directory")?, Vec::<String>::new());
    Ok(())
}

fn attributes_have_limits() -> Outcome {
    put("file", b"")?;
    or_skip!(set("file", "user.one", b"value", 0), EOPNOTSUPP);
    ensure_errno!(set("file", "", b"", 0), ERANGE);
    ensure_errno!(set("file", &format!("user.{}", "n".repeat(251)), b"", 0), ERANGE);
    set("file", &format!("user.{}", "n".repeat(250)), b"", 0)?;
    ensure_errno!(set("file", "user.big", &vec![0; 65537], 0), E2BIG);
    ensure_errno!(set("file", "user.one", b"", 4), EINVAL);
    let both = libc::XATTR_CREATE | libc::XATTR_REPLACE;
    ensure_errno!(set("file", "user.one", b"", both), EEXIST);
    ensure_errno!(set("file", "user.two", b"", both), ENODATA);
    ensure_errno!(set("file", "foreign.one", b"", 0), EOPNOTSUPP);
    ensure_errno!(get("file", "foreign.one", 0), EOPNOTSUPP);
    ensure_errno!(set("nothing", "user.one", b"", 0), ENOENT);
    ensure_errno!(set_of_fd(99, "user.one", b""), EBADF);
    Ok(())
}

fn attributes_bind_users() -> Outcome {
    chmod(".", 0o755)?;
    put("file", b"")?;
    chmod("file", 0o644)?;
    or_skip!(set("file", "user.one", b"value", 0), EOPNOTSUPP);
    or_skip!(set("file", "trusted.one", b"value", 0), EPERM | EOPNOTSUPP);
    ensure_eq!(as_user(USER, || get("file", "user.one", 10).map(drop))?, 0);
    ensure_eq!(as_user(USER, || set("file", "user.one", b"", 0))?, libc::EACCES);
    ensure_eq!(as_user(USER, || set("file", "trusted.one", b"", 0))?, libc::EPERM);
    ensure_eq!(as_user(USER, || get("file", "trusted.one", 10).map(drop))?, libc::ENODATA);
    ensure_eq!(list("file")?, ["trusted.one", "user.one"]);
    chmod("file", 0o600)?;
    ensure_eq!(as_user(USER, || get("file", "user.one", 10).map(drop))?, libc::EACCES);
    Ok(())
}

fn links_have_no_user_attributes() -> Outcome {
    put("file", b"")?;
    symlink("file", "link")?;
    or_skip!(set("link", "user.one", b"through the link", 0), EOPNOTSUPP);
    ensure_eq!(list("file")?, ["user.one"]);
    ensure_errno!(set_of_link("link", "user.one", b""), EPERM);
    Ok(())
}

fn access_lists_bind_users() -> Outcome {
    chmod(".", 0o755)?;
    put("file", b"")?;
    chmod("file", 0o600)?;
    let rights =
        access_list(&[(OWNER, 6, 0), (NAMED_USER, 6, USER), (GROUP, 0, 0), (MASK, 4, 0), (OTHERS, 0, 0)]);
    or_skip!(set("file", ACCESS, &rights, 0), EOPNOTSUPP);
    ensure_eq!(lstat("file")?.st_mode & 0o777, 0o640, "the mask is the group's bits");
    ensure_eq!(get("file", ACCESS, 100)?, rights);
    ensure_eq!(as_user(USER, || open("file", libc::O_RDONLY, 0).map(drop))?, 0);
    ensure_eq!(as_user(USER, || open("file", libc::O_RDWR, 0).map(drop))?, libc::EACCES, "the mask forbids");
    ensure_eq!(as_user(OTHER, || open("file", libc::O_RDONLY, 0).map(drop))?, libc::EACCES);
    ensure_eq!(as_user(USER, || set("file", ACCESS, &rights, 0))?, libc::EPERM);
    for wrong in [
        access_list(&[(OWNER, 6, 0)]),
        access_list(&[(OWNER, 6, 0), (NAMED_USER, 6, USER), (GROUP, 0, 0), (OTHERS, 0, 0)]),
        access_list(&[(OWNER, 8, 0), (GROUP, 0, 0), (OTHERS, 0, 0)]),
        b"nonsense".to_vec(),
    ] {
        ensure_errno!(set("file", ACCESS, &wrong, 0), EINVAL | EOPNOTSUPP);
    }
    set("file", ACCESS, &access_list(&[(OWNER, 6, 0), (GROUP, 4, 0), (OTHERS, 4, 0)]), 0)?;
    ensure_eq!(lstat("file")?.st_mode & 0o777, 0o644);
    ensure_errno!(get("file", ACCESS, 100), ENODATA);
    Ok(())
}

fn access_lists_follow_the_mode() -> Outcome {
    put("file", b"")?;
    let entries = |owner, mask, others| {
        access_list(&[
            (OWNER, owner, 0),
            (NAMED_USER, 7, USER),
            (GROUP, 5, 0),
            (MASK, mask, 0),
            (OTHERS, others, 0),
        ])
    };
    or_skip!(set("file", ACCESS, &entries(7, 7, 7), 0), EOPNOTSUPP);
    chmod("file", 0o641)?;
    ensure_eq!(get("file", ACCESS, 100)?, entries(6, 4, 1));
    Ok(())
}

fn access_lists_are_inherited() -> Outcome {
    mkdir("directory", 0o755)?;
    let default =
        access_list(&[(OWNER, 7, 0), (NAMED_USER, 7, USER), (GROUP, 5, 0), (MASK, 7, 0), (OTHERS, 5, 0)]);
    or_skip!(set("directory", DEFAULT, &default, 0), EOPNOTSUPP);
    put("file", b"")?;
    ensure_errno!(set("file", DEFAULT, &default, 0), EACCES);
    ensure_eq!(umask(0o077), 0o022);
    let file = open("directory/file", libc::O_CREAT | libc::O_WRONLY, 0o660)?;
    mkdir("directory/sub", 0o700)?;
    ensure_eq!(umask(0o022), 0o077);
    drop(file);
    ensure_eq!(lstat("directory/file")?.st_mode & 0o777, 0o660, "the umask does not count");
    let of_file =
        access_list(&[(OWNER, 6, 0), (NAMED_USER, 7, USER), (GROUP, 5, 0), (MASK, 6, 0), (OTHERS, 0, 0)]);
    ensure_eq!(get("directory/file", ACCESS, 100)?, of_file);
    ensure_eq!(get("directory/sub", DEFAULT, 100)?, default);
    ensure!(get("directory/sub", ACCESS, 100)? != default, "the mode takes permissions away");
    Ok(())
}
