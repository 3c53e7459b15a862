//! Making processes and threads, ending them, waiting for them; what a process says of itself.

use super::Call;
use crate::error::{Error, Result};
use crate::process::clone::clone as clone_thread;
use crate::process::wait::{News, Whom, wait};
use crate::process::{Sums, descriptor, exit as process_exit, program, tree};
use abi::errno::Errno;
use abi::prctl::{
    ARCH_GET_CPUID, ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_CPUID, ARCH_SET_FS, ARCH_SET_GS, CAP_LAST_CAP,
    TASK_COMM_LEN,
};
use abi::resource::Rusage;
use abi::sched::{CloneArgs, CloneFlags};
use abi::signal::{SigInfo, Signal};
use abi::time::Timeval;
use abi::wait::{P_ALL, P_PGID, P_PID, P_PIDFD, WaitFlags, WaitStatus};
use alloc::sync::Arc;
use machine::addr::USER_END;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

/// fork(2).
pub(super) fn fork(call: &mut Call<'_>) -> Result<u64> {
    let arguments = CloneArgs { exit_signal: u64::from(Signal::SIGCHLD.number()), ..CloneArgs::default() };
    start(call, &arguments)
}

/// vfork(2).
pub(super) fn vfork(call: &mut Call<'_>) -> Result<u64> {
    let arguments = CloneArgs {
        flags: (CloneFlags::CLONE_VFORK | CloneFlags::CLONE_VM).bits(),
        exit_signal: u64::from(Signal::SIGCHLD.number()),
        ..CloneArgs::default()
    };
    start(call, &arguments)
}

/// clone(2): flags, stack, parent's tid, child's tid, thread pointer.
pub(super) fn clone(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.arg(0) & u64::from(u32::MAX);
    let arguments = CloneArgs {
        flags: flags & !CloneFlags::CSIGNAL & !CloneFlags::CLONE_DETACHED.bits(),
        exit_signal: flags & CloneFlags::CSIGNAL,
        stack: call.arg(1),
        parent_tid: call.arg(2),
        pidfd: call.arg(2),
        child_tid: call.arg(3),
        tls: call.arg(4),
        ..CloneArgs::default()
    };
    start(call, &arguments)
}

/// clone3(2): arguments, their size.
pub(super) fn clone3(call: &mut Call<'_>) -> Result<u64> {
    let size = call.size(1);
    if size < CloneArgs::SIZE_VER0 {
        return Err(Errno::EINVAL.into());
    }
    if size > machine::addr::PAGE_SIZE {
        return Err(Errno::E2BIG.into());
    }
    let mut arguments = CloneArgs::new_zeroed();
    let known = size.min(size_of::<CloneArgs>());
    machine::mm::user::copy_from(&mut arguments.as_mut_bytes()[..known], call.arg(0))?;
    // What this kernel does not know must be zero.
    let mut rest = alloc::vec![0; size - known];
    machine::mm::user::copy_from(&mut rest, call.arg(0).wrapping_add(known as u64))?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    if (arguments.stack == 0) != (arguments.stack_size == 0) {
        return Err(Error::new(Errno::EINVAL, "a stack has an address and a size"));
    }
    start(call, &arguments)
}

fn start(call: &mut Call<'_>, arguments: &CloneArgs) -> Result<u64> {
    let tid = clone_thread(call.thread, call.context, arguments)?;
    Ok(tid as u64)
}

/// unshare(2): what the process shares with others it gets for itself. Only files and directories: what else there is
/// to unshare is not shared, or not here.
pub(super) fn unshare(call: &mut Call<'_>) -> Result<u64> {
    let known = CloneFlags::CLONE_FILES | CloneFlags::CLONE_FS | CloneFlags::CLONE_SYSVSEM;
    let flags =
        CloneFlags::from_bits(call.arg(0)).filter(|flags| known.contains(*flags)).ok_or(Errno::EINVAL)?;
    let process = call.process();
    if flags.contains(CloneFlags::CLONE_FILES) {
        process.set_files(process.files().fork()?);
    }
    if flags.contains(CloneFlags::CLONE_FS) {
        process.set_fs_context(Arc::new(process.fs_context().fork()));
    }
    Ok(0)
}

/// exit(2): the calling thread only.
pub(super) fn exit(call: &mut Call<'_>) -> Result<u64> {
    process_exit::leave(call.thread, WaitStatus::Exited(call.int(0) as u8));
    Ok(0)
}

/// exit_group(2).
pub(super) fn exit_group(call: &mut Call<'_>) -> Result<u64> {
    call.process().end(WaitStatus::Exited(call.int(0) as u8));
    Ok(0)
}

/// wait4(2): whom, status, flags, usage.
pub(super) fn wait4(call: &mut Call<'_>) -> Result<u64> {
    let flags = WaitFlags::from_bits(call.uint(2)).ok_or(Errno::EINVAL)?;
    if flags.intersects(WaitFlags::WEXITED | WaitFlags::WNOWAIT) {
        return Err(Errno::EINVAL.into());
    }
    let whom = match call.int(0) {
        i32::MIN => return Err(Errno::ESRCH.into()),
        -1 => Whom::Any,
        0 => Whom::Group(call.process().group_id()),
        pid @ 1.. => Whom::Process(pid),
        group => Whom::Group(-group),
    };
    let Some(news) = wait(call.thread, whom, flags | WaitFlags::WEXITED)? else { return Ok(0) };
    call.write_optional(1, &news.status.encode())?;
    call.write_optional(3, &usage_of(&news))?;
    Ok(news.pid as u64)
}

/// waitid(2): kind, id, information, flags, usage.
pub(super) fn waitid(call: &mut Call<'_>) -> Result<u64> {
    let flags = WaitFlags::from_bits(call.uint(3)).ok_or(Errno::EINVAL)?;
    if !flags.intersects(WaitFlags::WEXITED | WaitFlags::WUNTRACED | WaitFlags::WCONTINUED) {
        return Err(Errno::EINVAL.into());
    }
    let id = call.int(1);
    let whom = match call.uint(0) {
        P_ALL => Whom::Any,
        P_PID if id > 0 => Whom::Process(id),
        P_PGID if id > 0 => Whom::Group(id),
        P_PIDFD => return wait_for_descriptor(call, id, flags),
        P_PGID if id == 0 => Whom::Group(call.process().group_id()),
        _ => return Err(Errno::EINVAL.into()),
    };
    answer_waitid(call, wait(call.thread, whom, flags)?)
}

/// waitid with P_PIDFD.
fn wait_for_descriptor(call: &mut Call<'_>, fd: i32, flags: WaitFlags) -> Result<u64> {
    let (process, file) = descriptor::find(call.process(), fd)?;
    if !tree::find(process.pid()).is_some_and(|known| Arc::ptr_eq(&known, &process)) {
        return Err(Error::new(Errno::ECHILD, "somebody has waited for it already"));
    }
    let may_sleep = !file.is_nonblocking();
    let how = if may_sleep { flags } else { flags | WaitFlags::WNOHANG };
    let news = wait(call.thread, Whom::Process(process.pid()), how)?;
    if news.is_none() && !may_sleep && !flags.contains(WaitFlags::WNOHANG) {
        return Err(Errno::EAGAIN.into());
    }
    answer_waitid(call, news)
}

fn answer_waitid(call: &mut Call<'_>, news: Option<News>) -> Result<u64> {
    let Some(news) = news else {
        // Nothing there yet: signal and pid are 0.
        call.write_optional(2, &SigInfo::new_zeroed())?;
        return Ok(0);
    };
    let mut info = news.info;
    // Times are told by the last argument.
    info.fields[2..].fill(0);
    call.write_optional(2, &info)?;
    call.write_optional(4, &usage_of(&news))?;
    Ok(0)
}

fn usage_of(news: &News) -> Rusage {
    usage(news.usage, news.largest_resident_kib)
}

/// Figures as `struct rusage` has them.
pub(super) fn usage(sums: Sums, largest_resident_kib: u64) -> Rusage {
    Rusage {
        utime: Timeval::from_nanos(sums.user_ns),
        stime: Timeval::from_nanos(sums.system_ns),
        maxrss: largest_resident_kib as i64,
        nvcsw: sums.voluntary_switches as i64,
        nivcsw: sums.involuntary_switches as i64,
        ..Rusage::default()
    }
}

/// getpid(2).
pub(super) fn getpid(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.process().pid() as u64)
}

/// getppid(2).
pub(super) fn getppid(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.process().parent_id() as u64)
}

/// gettid(2).
pub(super) fn gettid(call: &mut Call<'_>) -> Result<u64> {
    Ok(tid(call) as u64)
}

fn tid(call: &Call<'_>) -> i32 {
    call.thread.user().expect("programs call").tid()
}

/// set_tid_address(2).
pub(super) fn set_tid_address(call: &mut Call<'_>) -> Result<u64> {
    call.thread.user().expect("programs call").set_clear_child_tid(call.arg(0));
    gettid(call)
}

/// Size of the head of a robust list.
const ROBUST_LIST_HEAD: usize = 24;

/// set_robust_list(2): head, size.
pub(super) fn set_robust_list(call: &mut Call<'_>) -> Result<u64> {
    if call.size(1) != ROBUST_LIST_HEAD {
        return Err(Errno::EINVAL.into());
    }
    call.thread.user().expect("programs call").set_robust_list(call.arg(0));
    Ok(0)
}

/// get_robust_list(2): thread, where the head goes, where the size goes.
pub(super) fn get_robust_list(call: &mut Call<'_>) -> Result<u64> {
    let thread = match call.int(0) {
        0 => call.thread.clone(),
        tid => tree::find_thread(tid).ok_or(Errno::ESRCH)?,
    };
    let head = thread.user().ok_or(Errno::ESRCH)?.robust_list();
    call.write(1, &head)?;
    call.write(2, &(ROBUST_LIST_HEAD as u64))?;
    Ok(0)
}

/// arch_prctl(2): what, address or value.
pub(super) fn arch_prctl(call: &mut Call<'_>) -> Result<u64> {
    let address = call.arg(1);
    match call.uint(0) {
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => return Err(Errno::EPERM.into()),
        ARCH_SET_FS => call.context.fs_base = address,
        ARCH_SET_GS => call.context.gs_base = address,
        ARCH_GET_FS => call.write(1, &call.context.fs_base)?,
        ARCH_GET_GS => call.write(1, &call.context.gs_base)?,
        ARCH_GET_CPUID => return Ok(1),
        ARCH_SET_CPUID => return Err(Errno::ENODEV.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// prctl(2).
pub(super) fn prctl(call: &mut Call<'_>) -> Result<u64> {
    use abi::prctl::{
        PR_CAP_AMBIENT, PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE,
        PR_GET_KEEPCAPS, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP,
        PR_GET_SECUREBITS, PR_GET_THP_DISABLE, PR_GET_TID_ADDRESS, PR_GET_TIMERSLACK, PR_GET_TSC,
        PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
        PR_SET_PDEATHSIG, PR_SET_THP_DISABLE, PR_SET_TIMERSLACK, PR_SET_TSC,
    };
    /// PR_TSC_ENABLE.
    const TSC_ENABLED: u32 = 1;
    let process = call.process();
    let value = call.arg(1);
    match call.uint(0) {
        PR_SET_NAME => set_name(call)?,
        PR_GET_NAME => {
            let mut name = [0; TASK_COMM_LEN];
            let text = call.thread.name();
            name[..text.len()].copy_from_slice(text.as_bytes());
            call.write(1, &name)?;
        }
        PR_SET_PDEATHSIG => {
            let is_valid = value == 0 || u32::try_from(value).ok().and_then(Signal::new).is_some();
            process.set_parent_death_signal(if is_valid {
                value as u8
            } else {
                return Err(Errno::EINVAL.into());
            });
        }
        PR_GET_PDEATHSIG => call.write(1, &i32::from(process.parent_death_signal()))?,
        PR_GET_DUMPABLE => return Ok(u64::from(process.is_dumpable())),
        PR_SET_DUMPABLE if value <= 1 => process.set_dumpable(value == 1),
        PR_GET_KEEPCAPS => return Ok(u64::from(process.credentials().keeps_capabilities)),
        PR_SET_KEEPCAPS if value <= 1 => process.change_credentials(|credentials| {
            credentials.keeps_capabilities = value == 1;
            Ok(())
        })?,
        PR_CAPBSET_READ if value <= u64::from(CAP_LAST_CAP) => {
            return Ok(process.credentials().bounding >> value & 1);
        }
        PR_CAPBSET_DROP if value <= u64::from(CAP_LAST_CAP) => process.change_credentials(|credentials| {
            if !credentials.has(crate::process::credentials::capability::SETPCAP) {
                return Err(Errno::EPERM.into());
            }
            credentials.bounding &= !(1 << value);
            Ok(())
        })?,
        PR_CAP_AMBIENT => return ambient(call),
        PR_SET_CHILD_SUBREAPER => process.set_adopts_orphans(value != 0),
        PR_GET_CHILD_SUBREAPER => call.write(1, &i32::from(process.adopts_orphans()))?,
        PR_SET_NO_NEW_PRIVS if value == 1 => process.forbid_new_privileges(),
        PR_GET_NO_NEW_PRIVS => return Ok(u64::from(process.has_no_new_privileges())),
        PR_GET_TID_ADDRESS => call.write(1, &call.thread.user().expect("programs call").clear_child_tid())?,
        PR_GET_TIMERSLACK => return Ok(call.thread.user().expect("programs call").timer_slack_ns()),
        PR_SET_TIMERSLACK => call.thread.user().expect("programs call").set_timer_slack_ns(value),
        PR_GET_TSC => call.write(1, &TSC_ENABLED)?,
        PR_SET_TSC if value == u64::from(TSC_ENABLED) => {}
        PR_SET_THP_DISABLE | PR_GET_THP_DISABLE => return huge_pages(call),
        // No filter is installed, no secure bit is set.
        PR_GET_SECCOMP | PR_GET_SECUREBITS => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// PR_SET_THP_DISABLE (1 forbids huge pages) and PR_GET_THP_DISABLE; all other arguments are 0.
fn huge_pages(call: &Call<'_>) -> Result<u64> {
    let space = call.process().address_space();
    let is_query = call.uint(0) == abi::prctl::PR_GET_THP_DISABLE;
    let first_unused = if is_query { 1 } else { 2 };
    if (first_unused..5).any(|index| call.arg(index) != 0) {
        return Err(Errno::EINVAL.into());
    }
    if is_query {
        return Ok(space.forbids_huge_pages().into());
    }
    space.set_huge_pages_forbidden(call.arg(1) != 0);
    Ok(0)
}

fn set_name(call: &Call<'_>) -> Result<()> {
    let mut name = [0; TASK_COMM_LEN];
    let length = machine::mm::user::copy_string_from(&mut name, call.arg(1))?;
    let text = alloc::string::String::from_utf8_lossy(&name[..length.min(TASK_COMM_LEN - 1)]);
    call.thread.set_name(program::short_name(&text));
    Ok(())
}

/// PR_CAP_AMBIENT: operation, capability.
fn ambient(call: &Call<'_>) -> Result<u64> {
    const IS_SET: u64 = 1;
    const RAISE: u64 = 2;
    const LOWER: u64 = 3;
    const CLEAR_ALL: u64 = 4;
    let (operation, capability) = (call.arg(1), call.arg(2));
    if operation != CLEAR_ALL && capability > u64::from(CAP_LAST_CAP) {
        return Err(Errno::EINVAL.into());
    }
    call.process().change_credentials(|credentials| {
        let bit = if operation == CLEAR_ALL { 0 } else { 1 << capability };
        match operation {
            IS_SET => return Ok(u64::from(credentials.ambient & bit != 0)),
            RAISE if credentials.permitted & credentials.inheritable & bit == 0 => {
                return Err(Errno::EPERM.into());
            }
            RAISE => credentials.ambient |= bit,
            LOWER => credentials.ambient &= !bit,
            CLEAR_ALL => credentials.ambient = 0,
            _ => return Err(Errno::EINVAL.into()),
        }
        Ok(0)
    })
}
