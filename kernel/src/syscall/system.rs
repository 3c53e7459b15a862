//! The system as a whole: names, figures, limits, rebooting, random numbers.

use super::Call;
use crate::clock::{self, SECOND_NS};
use crate::device::random;
use crate::error::{Error, Result};
use crate::fs::page_cache;
use crate::init::{self, Action};
use crate::process::credentials::capability;
use crate::process::limits::{self, Raise};
use crate::process::{Process, session, tree};
use crate::{block, log, sched, utsname};
use abi::errno::Errno;
use abi::misc::GetrandomFlags;
use abi::reboot::{
    LINUX_REBOOT_CMD_CAD_OFF, LINUX_REBOOT_CMD_CAD_ON, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF,
    LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_RESTART2, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
    LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C,
};
use abi::resource::Rlimit64;
use abi::sysinfo::Sysinfo;
use abi::utsname::FIELD_LEN;
use alloc::sync::Arc;
use machine::addr::PAGE_SIZE;
use zerocopy::FromZeros;

/// uname(2).
pub(super) fn uname(call: &mut Call<'_>) -> Result<u64> {
    call.write(0, &utsname::all())?;
    Ok(0)
}

/// Reads the new name that sethostname and setdomainname were given: address, length.
fn new_name(call: &Call<'_>) -> Result<([u8; FIELD_LEN], usize)> {
    if !call.process().credentials().has(capability::SYS_ADMIN) {
        return Err(Errno::EPERM.into());
    }
    let length = usize::try_from(call.int(1)).map_err(|_| Errno::EINVAL)?;
    let mut name = [0; FIELD_LEN];
    if length >= FIELD_LEN {
        return Err(Errno::EINVAL.into());
    }
    machine::mm::user::copy_from(&mut name[..length], call.arg(0))?;
    Ok((name, length))
}

/// sethostname(2).
pub(super) fn sethostname(call: &mut Call<'_>) -> Result<u64> {
    let (name, length) = new_name(call)?;
    utsname::set_host_name(&name[..length]);
    Ok(0)
}

/// setdomainname(2).
pub(super) fn setdomainname(call: &mut Call<'_>) -> Result<u64> {
    let (name, length) = new_name(call)?;
    utsname::set_domain_name(&name[..length]);
    Ok(0)
}

/// sysinfo(2).
pub(super) fn sysinfo(call: &mut Call<'_>) -> Result<u64> {
    let memory = machine::mm::statistics();
    let mut info = Sysinfo::new_zeroed();
    info.uptime = (clock::monotonic_ns() / SECOND_NS) as i64;
    info.loads = sched::load_averages();
    info.totalram = (memory.total * PAGE_SIZE) as u64;
    info.freeram = (memory.free * PAGE_SIZE) as u64;
    info.sharedram = (page_cache::usage().in_memory * PAGE_SIZE) as u64;
    info.bufferram = (block::cache_usage().cached * PAGE_SIZE) as u64;
    info.procs = u16::try_from(tree::count()).unwrap_or(u16::MAX);
    info.mem_unit = 1;
    call.write(0, &info)?;
    Ok(0)
}

/// getrlimit(2): resource, where it goes.
pub(super) fn getrlimit(call: &mut Call<'_>) -> Result<u64> {
    let resource = resource(call.uint(0))?;
    call.write(1, &call.process().limits.get(resource))?;
    Ok(0)
}

/// setrlimit(2): resource, limit.
pub(super) fn setrlimit(call: &mut Call<'_>) -> Result<u64> {
    let new: Rlimit64 = call.read(1)?;
    set_limit(call, call.process(), call.uint(0), new)?;
    Ok(0)
}

/// prlimit64(2): process, resource, new, old.
pub(super) fn prlimit64(call: &mut Call<'_>) -> Result<u64> {
    let process = match call.int(0) {
        0 => call.process().clone(),
        pid => tree::find_by_tid(pid).ok_or(Errno::ESRCH)?,
    };
    check_permission(call, &process)?;
    let resource = resource(call.uint(1))?;
    let old = match call.read_optional::<Rlimit64>(2)? {
        Some(new) => set_limit(call, &process, resource, new)?,
        None => process.limits.get(resource),
    };
    call.write_optional(3, &old)?;
    Ok(0)
}

fn resource(number: u32) -> Result<u32> {
    if (number as usize) < abi::resource::RLIM_NLIMITS { Ok(number) } else { Err(Errno::EINVAL.into()) }
}

fn check_permission(call: &Call<'_>, process: &Arc<Process>) -> Result<()> {
    let (own, other) = (call.process().credentials(), process.credentials());
    let is_same_user = [other.uid, other.euid, other.suid].iter().all(|id| *id == own.uid);
    let is_same_group = [other.gid, other.egid, other.sgid].iter().all(|id| *id == own.gid);
    let is_self = process.pid() == call.process().pid();
    if is_self || own.has(capability::SYS_RESOURCE) || (is_same_user && is_same_group) {
        return Ok(());
    }
    Err(Errno::EPERM.into())
}

fn set_limit(call: &Call<'_>, process: &Arc<Process>, resource: u32, new: Rlimit64) -> Result<Rlimit64> {
    let is_privileged = call.process().credentials().has(capability::SYS_RESOURCE);
    let raise = if is_privileged { Raise::Allowed } else { Raise::Forbidden };
    limits::set(process, resource, new, raise)
}

/// personality(2): the new one, or 0xffffffff to ask.
pub(super) fn personality(call: &mut Call<'_>) -> Result<u64> {
    let process = call.process();
    let old = match call.uint(0) {
        u32::MAX => process.personality(),
        new => process.set_personality(new),
    };
    Ok(u64::from(old))
}

/// reboot(2): two magic numbers, command.
pub(super) fn reboot(call: &mut Call<'_>) -> Result<u64> {
    if !call.process().credentials().has(capability::SYS_BOOT) {
        return Err(Errno::EPERM.into());
    }
    let second = [LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C];
    if call.uint(0) != LINUX_REBOOT_MAGIC1 || !second.contains(&call.uint(1)) {
        return Err(Error::new(Errno::EINVAL, "wrong magic numbers"));
    }
    match call.uint(2) {
        LINUX_REBOOT_CMD_RESTART | LINUX_REBOOT_CMD_RESTART2 => init::shutdown(Action::Reboot),
        LINUX_REBOOT_CMD_POWER_OFF => init::shutdown(Action::PowerOff),
        LINUX_REBOOT_CMD_HALT => init::shutdown(Action::Halt),
        // There is no Ctrl-Alt-Del to be told of.
        LINUX_REBOOT_CMD_CAD_ON | LINUX_REBOOT_CMD_CAD_OFF => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// membarrier(2): command, flags.
///
/// All commands that order memory do the same: the caller visits every CPU. What ran there has passed through the
/// scheduler by then, which is a full barrier.
pub(super) fn membarrier(call: &mut Call<'_>) -> Result<u64> {
    const QUERY: u32 = 0;
    const GLOBAL: u32 = 1;
    const GLOBAL_EXPEDITED: u32 = 1 << 1;
    const REGISTER_GLOBAL_EXPEDITED: u32 = 1 << 2;
    const PRIVATE_EXPEDITED: u32 = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: u32 = 1 << 4;
    const REGISTRATIONS: u32 = REGISTER_GLOBAL_EXPEDITED | REGISTER_PRIVATE_EXPEDITED;
    const BARRIERS: u32 = GLOBAL | GLOBAL_EXPEDITED | PRIVATE_EXPEDITED;
    match (call.uint(0), call.uint(1)) {
        (QUERY, 0) => Ok(u64::from(BARRIERS | REGISTRATIONS)),
        (command @ (REGISTER_GLOBAL_EXPEDITED | REGISTER_PRIVATE_EXPEDITED), 0) => {
            call.process().address_space().register_barrier(command);
            Ok(0)
        }
        (PRIVATE_EXPEDITED, 0)
            if !call.process().address_space().has_registered_barrier(REGISTER_PRIVATE_EXPEDITED) =>
        {
            Err(Error::new(Errno::EPERM, "this process has not registered for it"))
        }
        (GLOBAL | GLOBAL_EXPEDITED | PRIVATE_EXPEDITED, 0) => {
            sched::visit_all_cpus(call.thread);
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// rseq(2): not here; C libraries do without, so it is no news for the log.
pub(super) fn rseq(_call: &mut Call<'_>) -> Result<u64> {
    Err(Errno::ENOSYS.into())
}

/// getrandom(2): where, how much, flags.
pub(super) fn getrandom(call: &mut Call<'_>) -> Result<u64> {
    let flags = GetrandomFlags::from_bits(call.uint(2)).ok_or(Errno::EINVAL)?;
    if flags.contains(GetrandomFlags::GRND_INSECURE | GetrandomFlags::GRND_RANDOM) {
        return Err(Errno::EINVAL.into());
    }
    if !flags.contains(GetrandomFlags::GRND_INSECURE) && !random::is_seeded() {
        if flags.contains(GetrandomFlags::GRND_NONBLOCK) {
            return Err(Errno::EAGAIN.into());
        }
        random::wait_until_seeded()?;
    }
    // Linux's limit for one call.
    let length = call.size(1).min(i32::MAX as usize);
    let mut done = 0;
    let mut part = [0; 256];
    while done < length {
        let part = &mut part[..256.min(length - done)];
        random::fill(part);
        let address = call.arg(0).checked_add(done as u64).ok_or(Errno::EFAULT)?;
        match machine::mm::user::copy_to(address, part) {
            Ok(()) => done += part.len(),
            Err(_) if done > 0 => break,
            Err(fault) => return Err(fault.into()),
        }
        if done < length && call.thread.is_interrupted() {
            break;
        }
    }
    Ok(done as u64)
}

/// syslog(2): action, where, how much.
pub(super) fn syslog(call: &mut Call<'_>) -> Result<u64> {
    use abi::sysinfo::{
        SYSLOG_ACTION_CLEAR, SYSLOG_ACTION_CLOSE, SYSLOG_ACTION_CONSOLE_LEVEL, SYSLOG_ACTION_CONSOLE_OFF,
        SYSLOG_ACTION_CONSOLE_ON, SYSLOG_ACTION_OPEN, SYSLOG_ACTION_READ, SYSLOG_ACTION_READ_ALL,
        SYSLOG_ACTION_READ_CLEAR, SYSLOG_ACTION_SIZE_BUFFER, SYSLOG_ACTION_SIZE_UNREAD,
    };
    let action = call.int(0);
    // All may look at what is there; the rest changes what others see.
    let is_open_to_all = matches!(action, SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_SIZE_BUFFER);
    let credentials = call.process().credentials();
    if !is_open_to_all && !credentials.has(capability::SYSLOG) && !credentials.has(capability::SYS_ADMIN) {
        return Err(Errno::EPERM.into());
    }
    let length = || match usize::try_from(call.int(2)) {
        Ok(_) if call.arg(1) == 0 => Err(Error::from(Errno::EINVAL)),
        Ok(length) => Ok(length),
        Err(_) => Err(Errno::EINVAL.into()),
    };
    match action {
        SYSLOG_ACTION_CLOSE | SYSLOG_ACTION_OPEN => {}
        action @ (SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_READ_CLEAR) => {
            let messages = log::syslog::newest(length()?);
            machine::mm::user::copy_to(call.arg(1), &messages)?;
            if action == SYSLOG_ACTION_READ_CLEAR {
                log::syslog::clear();
            }
            return Ok(messages.len() as u64);
        }
        SYSLOG_ACTION_READ => {
            let length = length()?;
            let messages = if length > 0 { log::syslog::take(length)? } else { alloc::vec::Vec::new() };
            machine::mm::user::copy_to(call.arg(1), &messages)?;
            return Ok(messages.len() as u64);
        }
        SYSLOG_ACTION_SIZE_UNREAD => return Ok(log::syslog::untaken() as u64),
        SYSLOG_ACTION_CLEAR => log::syslog::clear(),
        SYSLOG_ACTION_CONSOLE_OFF => log::switch_console(false),
        SYSLOG_ACTION_CONSOLE_ON => log::switch_console(true),
        SYSLOG_ACTION_CONSOLE_LEVEL => match call.int(2) {
            level @ 1..=8 => log::set_console_level(level as u8),
            _ => return Err(Errno::EINVAL.into()),
        },
        SYSLOG_ACTION_SIZE_BUFFER => return Ok(log::capacity() as u64),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// vhangup(2): the caller's terminal is taken from everybody.
pub(super) fn vhangup(call: &mut Call<'_>) -> Result<u64> {
    if !call.process().credentials().has(capability::SYS_ADMIN) {
        return Err(Errno::EPERM.into());
    }
    if let Some(terminal) = session::controlling_terminal(call.process()) {
        session::hang_up(&terminal);
    }
    Ok(0)
}
