//! Unmounting: who is in the way, who only looks, and what is written before a file system goes.

use super::{
    dentry::Path,
    file_system::Access,
    mount::{CHANGES, Mount, descendants, is_listed, remove},
};
use crate::{
    error::{Error, Result},
    sched,
};
use abi::errno::Errno;
use alloc::sync::Arc;
use machine::time;

/// How an unmount treats a file system in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmount {
    /// EBUSY.
    IfUnused,
    /// It leaves the tree now and is synced when the last user is gone (MNT_DETACH).
    Detach,
}

/// Unmounts the topmost mount whose root `path` is; EINVAL if it is no root, EBUSY. May sleep.
pub(crate) fn unmount(path: Path, how: Unmount) -> Result<()> {
    if !path.is_mount_root() || path.mount.is_internal() {
        return Err(Error::new(Errno::EINVAL, "not a mount point"));
    }
    let mount = path.mount.clone();
    drop(path);
    let deadline = time::monotonic_ns() + LOOKERS_LIMIT_NS;
    loop {
        let outcome = try_unmount(&mount, how)?;
        match outcome {
            Attempt::Done => break,
            // Without `CHANGES`, which they may be waiting for.
            Attempt::LookedAt if time::monotonic_ns() < deadline => {
                sched::sleep_until(time::monotonic_ns() + LOOK_AGAIN_NS)
            }
            Attempt::LookedAt => {
                return Err(Error::new(Errno::EBUSY, "somebody does not stop looking things up there"));
            }
        }
    }
    // Who has come to look up something in the last moment finds it gone; the disk is to be free when this returns.
    while how == Unmount::IfUnused && Arc::strong_count(&mount) > 1 && time::monotonic_ns() < deadline {
        sched::sleep_until(time::monotonic_ns() + LOOK_AGAIN_NS);
    }
    Ok(())
}

/// How long an unmount waits for those who look something up, and how long until it looks again.
const LOOKERS_LIMIT_NS: u64 = 2_000_000_000;
const LOOK_AGAIN_NS: u64 = 1_000_000;

/// What came of trying to unmount.
enum Attempt {
    Done,
    /// Nothing but look-ups are in the way.
    LookedAt,
}

fn try_unmount(mount: &Arc<Mount>, how: Unmount) -> Result<Attempt> {
    let _changes = CHANGES.lock();
    if !is_listed(mount) {
        return Err(Error::new(Errno::EINVAL, "unmounted meanwhile"));
    }
    if mount.mount_point().is_none() {
        // The root of the tree cannot go; like Linux, make it read-only.
        mount.super_block().file_system.sync()?;
        mount.super_block().set_access(Access::ReadOnly)?;
        return Ok(Attempt::Done);
    }
    let below = descendants(mount);
    if how == Unmount::IfUnused {
        if !below.is_empty() || mount.is_used() {
            return Err(Error::new(Errno::EBUSY, "the file system is in use"));
        }
        let written = mount.super_block().file_system.sync();
        // Held by the table, and by the caller.
        let has_lookers = Arc::strong_count(mount) > 2;
        match written {
            Err(error) if error.errno == Errno::ENOMEM => return Err(error),
            _ if has_lookers => return Ok(Attempt::LookedAt),
            // As on Linux it goes nevertheless: whoever called fsync or syncfs was told what is lost.
            Err(error) => log::error!("fs: {} is unmounted with losses: {error}", mount.source()),
            Ok(()) => {}
        }
    }
    for mount in below.iter().rev() {
        remove(mount);
    }
    remove(mount);
    Ok(Attempt::Done)
}
