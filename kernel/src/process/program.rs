//! What execve does to the process around the new program, and the start of the first one.
//!
//! Loading itself (`exec/`) makes a new address space and the first registers; nothing of the process has changed until
//! then, so every error leaves the old program as it was. After that there is no way back, and no error.

use super::credentials::Credentials;
use super::signal::{Actions, NO_STACK, ThreadSignals};
use super::thread::{self, UserThread};
use super::{Parts, Process, exec, futex, group, limits, tree};
use crate::error::{Error, Restart, Result};
use crate::fs::FsContext;
use crate::fs::fd::FdTable;
use crate::sched::wait::WaitQueue;
use crate::sched::{self, Thread};
use abi::errno::Errno;
use abi::prctl::TASK_COMM_LEN;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::user::UserContext;
use machine::user::fpu::{self, FpuState};

/// Replaces the program of the current process.
///
/// # Errors
/// What loading says; the old program goes on. Once the other threads were ended, a restartable EINTR that nobody sees,
/// if this one is ended, too.
pub(crate) fn execute(thread: &Arc<Thread>, context: &mut UserContext, request: exec::Request) -> Result<()> {
    let user = thread.user().ok_or(Errno::EINVAL)?;
    let process = &user.process;
    let program = exec::load(request)?;
    end_other_threads(thread)?;
    // What can fail comes before the old program goes.
    let files = process.files();
    let own_files = if Arc::strong_count(&files) > 2 { Some(files.fork()?) } else { None };
    drop(files);
    // Who waits in the old memory for this thread's end is told while that memory is still there.
    futex::exit(thread);
    let old_space = process.resources.address_space.lock().replace(program.address_space);
    limits::tell_memory(process);
    if old_space.as_ref().is_some_and(|old| old.forbids_huge_pages()) {
        process.address_space().set_huge_pages_forbidden(true);
    }
    process.activate_address_space();
    if let Some(old_space) = old_space {
        let resident_kib = old_space.usage().resident_peak / 1024;
        process.usage.largest_resident_kib.fetch_max(resident_kib, Ordering::Relaxed);
    }
    // Before a parent goes on that waits for this, or for a descriptor to be closed.
    process.flags.has_executed.store(true, Ordering::Relaxed);
    user.complete_vfork();
    if let Some(own_files) = own_files {
        process.set_files(own_files);
    }
    process.files().close_for_exec();
    let actions = Arc::new(process.actions().for_exec());
    let old_actions = core::mem::replace(&mut *process.actions.lock(), actions);
    drop(old_actions);
    process.timers().delete_posix();
    user.signals.set_stack(NO_STACK);
    user.clear_child_tid.store(0, Ordering::Relaxed);
    user.robust_list.store(0, Ordering::Relaxed);
    change_identity(process, &program.set_ids)?;
    process.flags.exit_signal.store(abi::signal::Signal::SIGCHLD.number(), Ordering::Relaxed);
    thread.set_name(short_name(&program.name));
    fpu::reset_current();
    *context = program.context;
    Ok(())
}

/// Makes this thread the only one of its process, with the process's id.
fn end_other_threads(thread: &Arc<Thread>) -> Result<()> {
    static QUEUE: WaitQueue = WaitQueue::named("exec");
    let user = thread.user().ok_or(Errno::EINVAL)?;
    let process = &user.process;
    {
        let mut group = process.group.lock();
        if group.exit.is_some() || group.exec.is_some() {
            // This thread is ending: the whole process is, or another one was faster with its execve.
            return Err(Error::interrupted().restarting(Some(Restart::Always)));
        }
        group.exec = Some(thread.clone());
        for other in group.threads.iter().filter(|other| !Arc::ptr_eq(other, thread)) {
            group::kill(other);
        }
    }
    let is_alone = || (process.group.lock().threads.len() == 1).then_some(());
    let result = QUEUE.wait_killable(is_alone, None);
    let mut group = process.group.lock();
    let executing = group.exec.take();
    group.leader_exit = None;
    drop(group);
    drop(executing);
    result?;
    if user.tid() != process.pid() {
        tree::remove_thread(user.tid());
        user.set_tid(process.pid());
        tree::enter_thread(process.pid(), thread);
    }
    Ok(())
}

/// The ids that a set-id file gives.
fn change_identity(process: &Process, set_ids: &exec::SetIds) -> Result<()> {
    process.change_credentials(|credentials| {
        *credentials = credentials.for_exec(set_ids.user, set_ids.group);
        Ok(())
    })?;
    process.set_dumpable(!process.credentials().is_elevated());
    Ok(())
}

/// The first 15 bytes of a name, cut between characters.
pub(crate) fn short_name(name: &str) -> &str {
    let mut end = name.len().min(TASK_COMM_LEN - 1);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Starts the first process, with pid 1 and user 0. `files` are its first descriptors.
///
/// # Errors
/// What loading says.
pub(crate) fn start_first(
    request: exec::Request,
    files: Arc<FdTable>,
    fs: Arc<FsContext>,
) -> Result<Arc<Process>> {
    let program = exec::load(request)?;
    start(tree::reserve_init(), program, files, fs)
}

/// Starts a process for the kernel's monitor: user 0, without a parent. Nobody has to wait for it.
///
/// # Errors
/// What loading says; EAGAIN if there are too many processes.
pub(crate) fn start_orphan(
    request: exec::Request,
    files: Arc<FdTable>,
    fs: Arc<FsContext>,
) -> Result<Arc<Process>> {
    let program = exec::load(request)?;
    start(tree::reserve_tid()?, program, files, fs)
}

/// Starts a program in a process of its own, with a pid that was reserved and is given back after an error.
fn start(pid: i32, program: exec::Program, files: Arc<FdTable>, fs: Arc<FsContext>) -> Result<Arc<Process>> {
    let process = Process::new(Parts {
        pid,
        address_space: program.address_space,
        files,
        fs,
        credentials: Credentials::root(),
        actions: Arc::new(Actions::new()),
        limits: limits::Limits::initial(),
        exit_signal: 0,
    });
    process.flags.has_executed.store(true, Ordering::Relaxed);
    let signals = ThreadSignals::new(abi::signal::SigSet::EMPTY, NO_STACK);
    let user = UserThread::new(pid, process.clone(), signals);
    let name = String::from(short_name(&program.name));
    let registers = program.context;
    let thread = sched::new_user_thread(&name, move || thread::run(registers), user, FpuState::initial())
        .inspect_err(|_| tree::remove_thread(pid))?;
    process.group.lock().threads.push(thread.clone());
    tree::enter_orphan(&process);
    tree::enter_thread(pid, &thread);
    sched::start(&thread);
    Ok(process)
}
