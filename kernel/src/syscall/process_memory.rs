//! The memory of another process: process_vm_readv and process_vm_writev.

use super::{Call, transfer::segments};
use crate::{
    error::{Error, Result},
    fs::io::Segment,
    mm::AddressSpace,
    process::{Process, credentials::capability, tree},
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use machine::{
    addr::PAGE_SIZE,
    mm::{OutOfMemory, user},
};

/// Bytes that are copied in one go, through a buffer of the kernel.
const CHUNK: usize = 16 * PAGE_SIZE;

/// process_vm_readv(pid, local vector, its count, remote vector, its count, flags): bytes that were copied.
pub(super) fn process_vm_readv(call: &mut Call<'_>) -> Result<u64> {
    transfer(call, &mut |space, local, remote, buffer| {
        let read = space.read_remote(remote, buffer);
        user::copy_to_partial(local, &buffer[..read])
    })
}

/// process_vm_writev(2), with the same arguments.
pub(super) fn process_vm_writev(call: &mut Call<'_>) -> Result<u64> {
    transfer(call, &mut |space, local, remote, buffer| {
        let read = user::copy_from_partial(buffer, local);
        space.write_remote(remote, &buffer[..read])
    })
}

/// Copies `buffer.len()` bytes through the buffer; tells how many got through.
type Copy<'a> = dyn FnMut(&AddressSpace, u64, u64, &mut [u8]) -> usize + 'a;

fn transfer(call: &Call<'_>, copy: &mut Copy<'_>) -> Result<u64> {
    if call.arg(5) != 0 {
        return Err(Error::new(Errno::EINVAL, "there are no flags"));
    }
    let local = segments(call.arg(1), call.size(2))?;
    // What is wrong with the other's addresses shows when they are used.
    let remote = remote_segments(call.arg(3), call.size(4))?;
    let process = tree::find(call.int(0)).ok_or(Errno::ESRCH)?;
    if !may_access(call.process(), &process) {
        return Err(Errno::EPERM.into());
    }
    let space = process.try_address_space().ok_or(Errno::ESRCH)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(CHUNK).map_err(|_| OutOfMemory)?;
    buffer.resize(CHUNK, 0);
    let mut done = 0;
    let (mut local, mut remote) = (Cursor::new(&local), Cursor::new(&remote));
    while let (Some(to), Some(from)) = (local.next(), remote.next()) {
        let length = to.length.min(from.length).min(CHUNK);
        let copied = copy(&space, to.address, from.address, &mut buffer[..length]);
        done += copied as u64;
        if copied < length {
            return if done > 0 { Ok(done) } else { Err(Errno::EFAULT.into()) };
        }
        local.advance(length);
        remote.advance(length);
    }
    Ok(done)
}

fn remote_segments(address: u64, count: usize) -> Result<Vec<Segment>> {
    use abi::iovec::{IOV_MAX, Iovec};
    if count > IOV_MAX {
        return Err(Errno::EINVAL.into());
    }
    let vector = crate::mm::user::UserSlice::<Iovec>::new(address, count).read_vec()?;
    let segment = |part: Iovec| Segment { address: part.base, length: part.len as usize };
    Ok(vector.into_iter().map(segment).collect())
}

/// Whether a process may use the memory of another (PTRACE_MODE_ATTACH_REALCREDS).
fn may_access(own: &Arc<Process>, other: &Arc<Process>) -> bool {
    if Arc::ptr_eq(own, other) {
        return true;
    }
    let (own, theirs) = (own.credentials(), other.credentials());
    let is_same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|id| *id == own.uid)
        && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|id| *id == own.gid);
    own.has(capability::SYS_PTRACE) || (is_same && other.is_dumpable())
}

/// The rest of a vector.
struct Cursor<'a> {
    segments: &'a [Segment],
    /// So much of the first one is used up.
    used: usize,
}

impl<'a> Cursor<'a> {
    fn new(segments: &'a [Segment]) -> Self {
        Self { segments, used: 0 }
    }

    /// What is left of the first segment that is not empty.
    fn next(&mut self) -> Option<Segment> {
        while let [first, rest @ ..] = self.segments {
            if first.length > self.used {
                let address = first.address.wrapping_add(self.used as u64);
                return Some(Segment { address, length: first.length - self.used });
            }
            (self.segments, self.used) = (rest, 0);
        }
        None
    }

    fn advance(&mut self, length: usize) {
        self.used += length;
    }
}
