//! Directories: making, removing, listing, standing in them.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, skip, tests};
use crate::sys::files::{
    self, chdir, exists, fchdir, get, getcwd, getdents, list, lstat, mkdir, mknod, open, put, rename, rmdir,
    stat, symlink, unlink, unlinkat,
};
use crate::sys::process::{Status, fork};
use crate::sys::users;

tests! {
    mkdir_makes_a_directory,
    mkdir_refuses_what_is_wrong,
    rmdir_removes_empty_directories_only,
    directory_link_counts_follow_subdirectories,
    current_directory_is_told,
    removed_current_directory_is_gone,
    chroot_hides_the_rest,
    directory_entries_are_complete,
    directory_entries_fit_small_buffers,
    directory_can_be_rewound,
    directory_with_many_entries,
    removing_while_listing_skips_nothing,
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
    if !users::rules_all_users() {
        skip!("needs root over all users");
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
