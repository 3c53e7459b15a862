//! Watching files. Source: inotify(7), inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use super::{Call, at::At};
use crate::{
    error::Result,
    fs::{
        anonymous,
        fd::OnExec,
        file::{File, OpenFlags},
        inotify::Inotify,
        lookup::LookupFlags,
        permission::Permission,
    },
};
use abi::{
    errno::Errno,
    inotify::{InotifyFlags, InotifyMask},
};
use alloc::sync::Arc;

fn make(call: &Call<'_>, flags: u32) -> Result<u64> {
    let flags = InotifyFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let flags = OpenFlags::from_bits_retain(flags.bits());
    let instance = Inotify::new(call.process().credentials().euid)?;
    let file = anonymous::open("inotify", instance, flags);
    Ok(call.process().files().install(file, OnExec::from_open_flags(flags))? as u64)
}

/// inotify_init()
pub(super) fn inotify_init(call: &mut Call<'_>) -> Result<u64> {
    make(call, 0)
}

/// inotify_init1(flags)
pub(super) fn inotify_init1(call: &mut Call<'_>) -> Result<u64> {
    make(call, call.uint(0))
}

/// What the first argument refers to; EINVAL if it is no inotify file.
fn with_instance<R>(file: &Arc<File>, work: impl FnOnce(&Inotify) -> Result<R>) -> Result<R> {
    work(file.operations_as::<Inotify>().ok_or(Errno::EINVAL)?)
}

/// inotify_add_watch(fd, path, mask)
pub(super) fn inotify_add_watch(call: &mut Call<'_>) -> Result<u64> {
    const EXCLUSIVE: InotifyMask = InotifyMask::IN_MASK_ADD.union(InotifyMask::IN_MASK_CREATE);
    let mask = InotifyMask::from_bits(call.uint(2)).filter(|mask| !mask.is_empty()).ok_or(Errno::EINVAL)?;
    let file = call.process().files().get(call.fd(0))?;
    if mask.contains(EXCLUSIVE) {
        return Err(Errno::EINVAL.into());
    }
    with_instance(&file, |instance| {
        let mut lookup = LookupFlags::empty();
        lookup.set(LookupFlags::FOLLOW, !mask.contains(InotifyMask::IN_DONT_FOLLOW));
        lookup.set(LookupFlags::DIRECTORY, mask.contains(InotifyMask::IN_ONLYDIR));
        let at = At::current(call, call.arg(1))?;
        let path = at.lookup(lookup)?;
        at.caller.check_path(&path, Permission::READ)?;
        Ok(instance.add(&path, mask)? as u64)
    })
}

/// inotify_rm_watch(fd, watch)
pub(super) fn inotify_rm_watch(call: &mut Call<'_>) -> Result<u64> {
    let file = call.process().files().get(call.fd(0))?;
    with_instance(&file, |instance| instance.remove(call.int(1)))?;
    Ok(0)
}
