//! Attributes of files: permissions, owners, times, kinds; and whom permissions bind.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{
    self, CWD, access, chmod, chown, fchmod, lchown, link, list, lstat, mkdir, mknod, open, put, rename,
    rmdir, stat, statx, symlink, umask, unlink, utimensat,
};
use crate::sys::probe;
use crate::sys::process::{Status, fork};
use crate::sys::users;

tests! {
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
}

fn mode(name: &str) -> Result<u32, Stop> {
    Ok(lstat(name)?.st_mode & 0o7777)
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
pub(super) fn as_user(id: u32, body: impl FnOnce() -> Result<(), crate::sys::Errno>) -> Result<i32, Stop> {
    if !users::rules_all_users() {
        skip!("needs root over all users");
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
