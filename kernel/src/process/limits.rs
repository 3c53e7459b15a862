//! Resource limits of a process. Source: getrlimit(2).

use super::Process;
use crate::error::Result;
use abi::errno::Errno;
use abi::resource::{
    RLIM_NLIMITS, RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_NPROC, RLIMIT_STACK, Rlimit64,
};
use core::sync::atomic::Ordering;
use machine::sync::IrqSpinLock;

/// A limit for every resource. Interrupt handlers read it, too: a timer that fires sends a signal, and the queued ones are
/// limited.
pub(crate) struct Limits(IrqSpinLock<[Rlimit64; RLIM_NLIMITS]>);

impl Limits {
    /// Those of the first process.
    pub(crate) fn initial() -> Limits {
        let processes = super::tree::threads_max() as u64 / 2;
        Self::with(core::array::from_fn(|resource| match resource as u32 {
            RLIMIT_NPROC => Rlimit64 { cur: processes, max: processes },
            resource => Rlimit64::initial(resource),
        }))
    }

    /// A copy for a forked process.
    pub(super) fn fork(&self) -> Limits {
        Self::with(*self.0.lock())
    }

    fn with(limits: [Rlimit64; RLIM_NLIMITS]) -> Limits {
        Limits(IrqSpinLock::new("limits", limits))
    }

    /// The limit on a resource (`RLIMIT_*`); there is none on those that do not exist.
    pub(crate) fn get(&self, resource: u32) -> Rlimit64 {
        self.0.lock().get(resource as usize).copied().unwrap_or(Rlimit64::UNLIMITED)
    }

    /// The one in force.
    pub(crate) fn current(&self, resource: u32) -> u64 {
        self.get(resource).cur
    }
}

/// Whether a hard limit may be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raise {
    /// CAP_SYS_RESOURCE.
    Allowed,
    /// Everybody else.
    Forbidden,
}

/// Replaces a limit and returns the old one.
///
/// # Errors
/// EINVAL for an unknown resource or a soft limit above the hard one, EPERM for a hard limit that must not go up.
pub(crate) fn set(process: &Process, resource: u32, new: Rlimit64, raise: Raise) -> Result<Rlimit64> {
    let mut limits = process.limits.0.lock();
    let limit = limits.get_mut(resource as usize).ok_or(Errno::EINVAL)?;
    if new.cur > new.max {
        return Err(Errno::EINVAL.into());
    }
    if new.max > limit.max && raise == Raise::Forbidden {
        return Err(Errno::EPERM.into());
    }
    let old = core::mem::replace(limit, new);
    drop(limits);
    match resource {
        RLIMIT_CPU => process.timers().set_cpu_limit(new.cur),
        RLIMIT_AS | RLIMIT_DATA | RLIMIT_STACK | RLIMIT_MEMLOCK => tell_memory(process),
        _ => {}
    }
    Ok(old)
}

/// The address space keeps the limits that it heeds.
pub(super) fn tell_memory(process: &Process) {
    let Some(space) = process.try_address_space() else { return };
    let kept = [
        (&space.limits.address_space, RLIMIT_AS),
        (&space.limits.data, RLIMIT_DATA),
        (&space.limits.stack, RLIMIT_STACK),
        (&space.limits.locked, RLIMIT_MEMLOCK),
    ];
    for (limit, resource) in kept {
        limit.store(process.limits.current(resource), Ordering::Relaxed);
    }
}
