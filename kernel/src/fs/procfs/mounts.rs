//! mounts, mountinfo, mountstats, filesystems. Source: proc_pid_mounts(5), fstab(5).

use super::process::Target;
use crate::{
    error::Result,
    fs::{
        dentry::PathText,
        filesystems::{Needs, TYPES},
        mount::{self, Mount, MountFlags},
    },
};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt::Write;

/// filesystems: the types.
pub(super) fn filesystems((): &()) -> Result<Vec<u8>> {
    let mut text = String::new();
    for kind in TYPES {
        let nodev = if kind.needs == Needs::Nothing { "nodev" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{nodev}\t{}", kind.name);
    }
    Ok(text.into_bytes())
}

/// Blanks in names as octal numbers.
fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => {
                escaped.extend_from_slice(format!("\\{byte:03o}").as_bytes())
            }
            _ => escaped.push(byte),
        }
    }
    escaped
}

/// The options of a mount, in Linux's order.
fn mount_options(mount: &Mount, is_read_only: bool) -> String {
    let flags = mount.flags();
    let mut text = String::from(if is_read_only { "ro" } else { "rw" });
    for (flag, name) in [
        (MountFlags::NO_SUID, ",nosuid"),
        (MountFlags::NO_DEV, ",nodev"),
        (MountFlags::NO_EXEC, ",noexec"),
        (MountFlags::NO_ATIME, ",noatime"),
        (MountFlags::NO_DIR_ATIME, ",nodiratime"),
        (MountFlags::RELATIVE_ATIME, ",relatime"),
    ] {
        if flags.contains(flag) {
            text.push_str(name);
        }
    }
    text
}

/// Where a mount is as seen from the root of a process; `None`: not at all.
fn place(mount: &Arc<Mount>, target: &Target) -> Option<Vec<u8>> {
    let root = target.process.try_fs_context()?.root();
    match mount.root_path().relative_to(&root) {
        PathText::Inside(text) => Some(escape(&text)),
        PathText::Outside(_) | PathText::Unnamed(_) => None,
    }
}

fn source(mount: &Mount) -> Vec<u8> {
    let name = if mount.source().is_empty() { "none" } else { mount.source() };
    escape(name.as_bytes())
}

/// mounts, in the format of /etc/fstab.
pub(super) fn mounts(target: &Target) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for mount in mount::list() {
        let Some(place) = place(&mount, target) else { continue };
        let block = mount.super_block();
        let is_read_only = mount.flags().contains(MountFlags::READ_ONLY) || block.is_read_only();
        text.extend_from_slice(&source(&mount));
        text.push(b' ');
        text.extend_from_slice(&place);
        let options = mount_options(&mount, is_read_only);
        let (kind, own) = (block.file_system.kind(), block.file_system.options());
        text.extend_from_slice(format!(" {kind} {options}{own} 0 0\n").as_bytes());
    }
    Ok(text)
}

/// mountinfo.
pub(super) fn mountinfo(target: &Target) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for mount in mount::list() {
        let Some(place) = place(&mount, target) else { continue };
        let block = mount.super_block();
        let parent = mount.mount_point().map_or(mount.id(), |point| point.mount.id());
        let device = block.file_system.device();
        text.extend_from_slice(
            format!("{} {parent} {}:{} ", mount.id(), device.major, device.minor).as_bytes(),
        );
        text.extend_from_slice(&escape(&root_within(&mount)));
        text.push(b' ');
        text.extend_from_slice(&place);
        let options = mount_options(&mount, mount.flags().contains(MountFlags::READ_ONLY));
        text.extend_from_slice(format!(" {options} - {} ", block.file_system.kind()).as_bytes());
        text.extend_from_slice(&source(&mount));
        let access = if block.is_read_only() { "ro" } else { "rw" };
        text.extend_from_slice(format!(" {access}{}\n", block.file_system.options()).as_bytes());
    }
    Ok(text)
}

/// Which directory of its file system a mount shows.
fn root_within(mount: &Mount) -> Vec<u8> {
    let mut names = Vec::new();
    let mut dentry = mount.root().clone();
    while let Some(parent) = dentry.parent() {
        names.push(dentry.name());
        dentry = parent;
    }
    if names.is_empty() {
        return b"/".to_vec();
    }
    names.iter().rev().flat_map(|name| core::iter::once(b'/').chain(name.iter().copied())).collect()
}
