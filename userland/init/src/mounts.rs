//! The file systems that the kernel itself provides, and taking all mounts down at the end.
//!
//! File systems on disks are the business of `/etc/fstab` and `/etc/rc`.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::say::say;

/// What is mounted at boot, in this order.
struct Entry {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    options: &'static CStr,
}

const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

const AT_BOOT: [Entry; 7] = [
    Entry { kind: "proc", target: "/proc", flags: SAFE.union(MountFlags::NOEXEC), options: c"" },
    Entry { kind: "sysfs", target: "/sys", flags: SAFE.union(MountFlags::NOEXEC), options: c"" },
    Entry { kind: "devtmpfs", target: "/dev", flags: MountFlags::NOSUID, options: c"mode=755" },
    Entry {
        kind: "devpts",
        target: "/dev/pts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        options: c"gid=5,mode=620,ptmxmode=666",
    },
    Entry { kind: "tmpfs", target: "/dev/shm", flags: SAFE, options: c"mode=1777" },
    Entry { kind: "tmpfs", target: "/tmp", flags: SAFE, options: c"mode=1777" },
    Entry { kind: "tmpfs", target: "/run", flags: SAFE, options: c"mode=755" },
];

/// Mounts what is not mounted yet. A file system that the kernel lacks costs one line.
pub(crate) fn mount_kernel_filesystems() {
    for entry in &AT_BOOT {
        if current().iter().any(|mounted| mounted.target == entry.target) {
            continue;
        }
        if !Path::new(entry.target).is_dir()
            && let Err(error) = fs::create_dir(entry.target)
        {
            say!("no {} on {}: cannot make the directory: {error}", entry.kind, entry.target);
            continue;
        }
        match mount(entry.kind, entry.target, entry.kind, entry.flags, entry.options) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(Errno::NODEV) => {
                say!("no {} on {}: this kernel has no such file system", entry.kind, entry.target);
            }
            Err(error) => say!("no {} on {}: {error}", entry.kind, entry.target),
        }
    }
}

/// Names in `/dev` that stand for a process's own descriptors, where the kernel has not made them.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Makes the links of `/dev` that are missing. On a read-only `/dev` they stay missing.
pub(crate) fn link_descriptors() {
    for (name, target) in LINKS {
        let _ = std::os::unix::fs::symlink(target, name);
    }
}

/// One line of `/proc/self/mounts`.
#[derive(Debug, PartialEq)]
struct Mounted {
    source: String,
    target: String,
}

impl Mounted {
    /// Whether data on a device depend on a clean unmount.
    fn is_on_device(&self) -> bool {
        self.source.starts_with("/dev/")
    }
}

/// All mounts, oldest first; empty while `/proc` is not there.
fn current() -> Vec<Mounted> {
    fs::read_to_string("/proc/self/mounts").map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &str) -> Vec<Mounted> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (source, target) = (fields.next()?, fields.next()?);
            Some(Mounted { source: unescape(source), target: unescape(target) })
        })
        .collect()
}

/// Undoes the octal escapes (`\040` for a blank) of the mount table.
fn unescape(field: &str) -> String {
    let mut plain = Vec::new();
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = rest {
            plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = tail;
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Unmounts everything, newest first, and makes the root read-only. What holds a mount busy is reported only
/// where data are at stake.
pub(crate) fn take_down() {
    for mounted in current().iter().rev().filter(|mounted| mounted.target != "/") {
        let Err(error) = unmount(mounted.target.as_str(), UnmountFlags::empty()) else { continue };
        if !mounted.is_on_device() {
            continue; // /proc and /dev are in use by ourselves; nothing in them outlives the system
        }
        say!("cannot unmount {}: {error}; making it read-only", mounted.target);
        make_read_only(&mounted.target);
    }
    make_read_only("/");
}

fn make_read_only(target: &str) {
    if let Err(error) = mount_remount(target, MountFlags::RDONLY, c"") {
        say!("cannot make {target} read-only: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_are_read_with_their_escapes() {
        let mounts =
            parse("/dev/vda / ext2 rw 0 0\nproc /proc proc rw 0 0\n/dev/vdb /a\\040b ext2 ro 0 0\nbroken\n");
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[2].target, "/a b");
        assert!(mounts[0].is_on_device() && !mounts[1].is_on_device());
    }

    #[test]
    fn half_escapes_stay_as_they_are() {
        assert_eq!(unescape("a\\04"), "a\\04");
        assert_eq!(unescape("\\999"), "\\999");
        assert_eq!(unescape("\\134040"), "\\040");
    }
}
