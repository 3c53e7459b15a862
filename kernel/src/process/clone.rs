//! fork, vfork, clone: new processes and new threads. Source: clone(2).
//!
//! The child starts with the parent's registers and 0 in `rax`; [`super::thread::run`] is its life.

use super::signal::{NO_STACK, ThreadSignals};
use super::thread::{self, UserThread, Vfork};
use super::{Parts, Process, descriptor, tree};
use crate::error::{Error, Restart, Result};
use crate::fs::file::OpenFlags;
use crate::sched::{self, Thread};
use abi::errno::Errno;
use abi::sched::{CloneArgs, CloneFlags};
use abi::signal::Signal;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::mm::user;
use machine::user::UserContext;
use machine::user::fpu::FpuState;

/// Namespaces and cgroups: not here, so programs are told at once.
const UNSUPPORTED: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWCGROUP)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUSER)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWTIME)
    .union(CloneFlags::CLONE_INTO_CGROUP);

/// Makes a thread or a process as `arguments` say; the answer is its id, in the parent.
///
/// # Errors
/// EINVAL for flags that do not go together, EAGAIN at a limit, ENOMEM, EFAULT.
pub(crate) fn clone(parent: &Arc<Thread>, context: &UserContext, arguments: &CloneArgs) -> Result<i32> {
    sched::help_reaper();
    let flags = CloneFlags::from_bits(arguments.flags).ok_or(Errno::EINVAL)?;
    check(flags, arguments)?;
    let tid = tree::reserve_tid()?;
    match build(parent, context, arguments, flags, tid) {
        Ok(child) => start(parent, &child, arguments, flags, tid),
        Err(error) => {
            tree::remove_thread(tid);
            Err(error)
        }
    }
}

fn check(flags: CloneFlags, arguments: &CloneArgs) -> Result<()> {
    let has = |flag: CloneFlags| flags.contains(flag);
    if flags.intersects(UNSUPPORTED) {
        return Err(Error::new(Errno::EINVAL, "namespaces are not supported"));
    }
    if has(CloneFlags::CLONE_PIDFD) && has(CloneFlags::CLONE_THREAD) {
        return Err(Error::new(Errno::EINVAL, "a thread has no process descriptor"));
    }
    if has(CloneFlags::CLONE_PIDFD | CloneFlags::CLONE_PARENT_SETTID)
        && arguments.pidfd == arguments.parent_tid
    {
        return Err(Error::new(Errno::EINVAL, "two results go to the same place"));
    }
    if has(CloneFlags::CLONE_THREAD) && !has(CloneFlags::CLONE_SIGHAND) {
        return Err(Error::new(Errno::EINVAL, "threads share their signal actions"));
    }
    if has(CloneFlags::CLONE_SIGHAND) && !has(CloneFlags::CLONE_VM) {
        return Err(Error::new(Errno::EINVAL, "signal actions are shared with the memory only"));
    }
    if has(CloneFlags::CLONE_SIGHAND) && has(CloneFlags::CLONE_CLEAR_SIGHAND) {
        return Err(Error::new(Errno::EINVAL, "signal actions are shared or cleared"));
    }
    let is_thread_or_sibling = flags.intersects(CloneFlags::CLONE_THREAD | CloneFlags::CLONE_PARENT);
    if is_thread_or_sibling && arguments.exit_signal != 0 && has(CloneFlags::CLONE_THREAD) {
        return Err(Error::new(Errno::EINVAL, "a thread has no exit signal"));
    }
    if arguments.exit_signal != 0 && u32::try_from(arguments.exit_signal).ok().and_then(Signal::new).is_none()
    {
        return Err(Error::new(Errno::EINVAL, "no such exit signal"));
    }
    if arguments.set_tid_size != 0 {
        return Err(Error::new(Errno::EINVAL, "chosen pids are not supported"));
    }
    Ok(())
}

fn build(
    parent: &Arc<Thread>,
    context: &UserContext,
    arguments: &CloneArgs,
    flags: CloneFlags,
    tid: i32,
) -> Result<Arc<Thread>> {
    let parent_user = parent.user().ok_or(Errno::EINVAL)?;
    crate::fault_injection::slab(size_of::<UserThread>())?;
    let process = if flags.contains(CloneFlags::CLONE_THREAD) {
        parent_user.process.clone()
    } else {
        fork_process(&parent_user.process, arguments, flags, tid)?
    };
    // A thread with the same memory but another stack cannot use its parent's alternate stack as well.
    let shares_memory = flags.contains(CloneFlags::CLONE_VM) && !flags.contains(CloneFlags::CLONE_VFORK);
    let stack = if shares_memory { NO_STACK } else { parent_user.signals.stack() };
    let signals = ThreadSignals::new(parent_user.signals.blocked(), stack);
    let user = UserThread::new(tid, process, signals);
    if flags.contains(CloneFlags::CLONE_CHILD_CLEARTID) {
        user.clear_child_tid.store(arguments.child_tid, Ordering::Relaxed);
    }
    let registers = child_registers(context, arguments, flags);
    let set_tid = flags.contains(CloneFlags::CLONE_CHILD_SETTID).then_some(arguments.child_tid);
    let body = move || {
        if let Some(address) = set_tid {
            // In the child's memory, by the child. As on Linux, a bad address is nobody's error.
            user::copy_to(address, &tid.to_ne_bytes()).unwrap_or(());
        }
        thread::run(registers);
    };
    let thread = sched::new_user_thread(&parent.name(), body, user, FpuState::save_current())?;
    thread.inherit_scheduling(parent);
    Ok(thread)
}

fn child_registers(context: &UserContext, arguments: &CloneArgs, flags: CloneFlags) -> UserContext {
    let mut registers = *context;
    registers.rax = 0;
    if arguments.stack != 0 {
        registers.rsp = arguments.stack.wrapping_add(arguments.stack_size);
    }
    if flags.contains(CloneFlags::CLONE_SETTLS) {
        registers.fs_base = arguments.tls;
    }
    registers
}

/// A copy of a process, not in the tree yet.
fn fork_process(
    original: &Arc<Process>,
    arguments: &CloneArgs,
    flags: CloneFlags,
    pid: i32,
) -> Result<Arc<Process>> {
    check_process_limit(original)?;
    let address_space = if flags.contains(CloneFlags::CLONE_VM) {
        original.address_space()
    } else {
        original.address_space().fork()?
    };
    let files = original.files();
    let files = if flags.contains(CloneFlags::CLONE_FILES) { files } else { files.fork()? };
    let fs = original.fs_context();
    let fs = if flags.contains(CloneFlags::CLONE_FS) { fs } else { Arc::new(fs.fork()) };
    let actions = if flags.contains(CloneFlags::CLONE_SIGHAND) {
        original.actions()
    } else if flags.contains(CloneFlags::CLONE_CLEAR_SIGHAND) {
        Arc::new(original.actions().for_exec())
    } else {
        Arc::new(original.actions().fork())
    };
    let exit_signal = if flags.contains(CloneFlags::CLONE_PARENT) {
        original.flags.exit_signal.load(Ordering::Relaxed)
    } else {
        // Checked to be a signal number or 0.
        arguments.exit_signal as u8
    };
    let process = Process::new(Parts {
        pid,
        address_space,
        files,
        fs,
        credentials: original.credentials(),
        actions,
        limits: original.limits.fork(),
        exit_signal,
    });
    process.set_dumpable(original.is_dumpable());
    process.set_personality(original.personality());
    process.set_oom_score_adj(original.oom_score_adj());
    if original.has_no_new_privileges() {
        process.forbid_new_privileges();
    }
    Ok(process)
}

/// RLIMIT_NPROC, for everybody but root.
fn check_process_limit(process: &Process) -> Result<()> {
    let credentials = process.credentials();
    if credentials.has(super::credentials::capability::SYS_RESOURCE) {
        return Ok(());
    }
    let limit = process.limits.current(abi::resource::RLIMIT_NPROC);
    let count = tree::all().iter().filter(|other| other.credentials().uid == credentials.uid).count();
    if count as u64 >= limit { Err(Errno::EAGAIN.into()) } else { Ok(()) }
}

fn start(
    parent: &Arc<Thread>,
    child: &Arc<Thread>,
    arguments: &CloneArgs,
    flags: CloneFlags,
    tid: i32,
) -> Result<i32> {
    let parent_process = parent.process().ok_or(Errno::EINVAL)?;
    let child_user = child.user().ok_or(Errno::EINVAL)?;
    if flags.contains(CloneFlags::CLONE_THREAD) {
        if !join(&child_user.process, child) {
            tree::remove_thread(tid);
            // The process is ending, or another thread executes a program: nobody will see this.
            return Err(Error::interrupted().restarting(Some(Restart::Always)));
        }
    } else {
        if flags.contains(CloneFlags::CLONE_PIDFD) {
            give_descriptor(parent_process, &child_user.process, arguments.pidfd)
                .inspect_err(|_| tree::remove_thread(tid))?;
        }
        child_user.process.group.lock().threads.push(child.clone());
        let is_sibling = flags.contains(CloneFlags::CLONE_PARENT);
        let grandparent = if is_sibling { tree::parent_of(parent_process) } else { None };
        tree::enter(&child_user.process, grandparent.as_ref().unwrap_or(parent_process), parent_process);
    }
    tree::enter_thread(tid, child);
    if flags.contains(CloneFlags::CLONE_PARENT_SETTID) {
        // As on Linux, a bad address is nobody's error.
        user::copy_to(arguments.parent_tid, &tid.to_ne_bytes()).unwrap_or(());
    }
    let vfork = flags.contains(CloneFlags::CLONE_VFORK).then(Vfork::new);
    *child_user.vfork.lock() = vfork.clone();
    sched::start(child);
    if let Some(vfork) = vfork {
        vfork.wait();
    }
    Ok(tid)
}

/// The parent gets a descriptor of its child, before it runs.
fn give_descriptor(parent: &Process, child: &Arc<Process>, address: u64) -> Result<()> {
    let fd = descriptor::install(parent, child.clone(), OpenFlags::empty())?;
    user::copy_to(address, &fd.to_ne_bytes()).map_err(|fault| {
        // Nobody else can have closed it in a way that matters.
        parent.files().close(fd).unwrap_or(());
        fault.into()
    })
}

/// Adds a thread to a process, unless that is ending.
fn join(process: &Process, thread: &Arc<Thread>) -> bool {
    let mut group = process.group.lock();
    if group.exit.is_some() || group.exec.is_some() {
        return false;
    }
    group.threads.push(thread.clone());
    true
}
