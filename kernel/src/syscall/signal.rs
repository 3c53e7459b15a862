//! Signals: actions, masks, sending, waiting.

use super::Call;
use crate::clock;
use crate::error::{Error, Result};
use crate::fs::anonymous;
use crate::fs::fd::OnExec;
use crate::fs::file::OpenFlags;
use crate::process::signal::SignalFile;
use crate::process::{Process, signal, tree};
use abi::errno::Errno;
use abi::event::SignalfdFlags;
use abi::signal::{
    KernelSigaction, SI_TKILL, SI_USER, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SaFlags, SigInfo, SigSet,
    Signal, StackT,
};
use abi::time::Timespec;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// EINVAL unless the size of a signal set is the kernel's.
fn check_set_size(size: u64) -> Result<()> {
    if size == size_of::<SigSet>() as u64 { Ok(()) } else { Err(Errno::EINVAL.into()) }
}

/// The flags that a program finds set after it has set them all.
const SUPPORTED_FLAGS: SaFlags = SaFlags::SA_NOCLDSTOP
    .union(SaFlags::SA_NOCLDWAIT)
    .union(SaFlags::SA_SIGINFO)
    .union(SaFlags::SA_RESTORER)
    .union(SaFlags::SA_ONSTACK)
    .union(SaFlags::SA_RESTART)
    .union(SaFlags::SA_NODEFER)
    .union(SaFlags::SA_RESETHAND);

/// rt_sigaction(2): signal, new action, old action, size of a set.
pub(super) fn rt_sigaction(call: &mut Call<'_>) -> Result<u64> {
    check_set_size(call.arg(3))?;
    let signal = Signal::new(call.uint(0)).ok_or(Errno::EINVAL)?;
    let new: Option<KernelSigaction> = call.read_optional(1)?;
    let old = match new {
        Some(_) if SigSet::UNBLOCKABLE.contains(signal) => return Err(Errno::EINVAL.into()),
        Some(mut new) => {
            new.flags &= SUPPORTED_FLAGS.bits();
            signal::set_action(call.process(), signal, new)
        }
        None => call.process().actions().get(signal),
    };
    call.write_optional(2, &old)?;
    Ok(0)
}

/// rt_sigprocmask(2): how, set, old set, size of a set.
pub(super) fn rt_sigprocmask(call: &mut Call<'_>) -> Result<u64> {
    check_set_size(call.arg(3))?;
    let old = call.thread.user().ok_or(Errno::EINVAL)?.signals().blocked();
    if let Some(set) = call.read_optional::<SigSet>(1)? {
        let new = match call.int(0) {
            SIG_BLOCK => old.union(set),
            SIG_UNBLOCK => old.difference(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL.into()),
        };
        signal::set_mask(call.thread, new);
    }
    call.write_optional(2, &old)?;
    Ok(0)
}

/// rt_sigreturn(2): back to what a handler interrupted.
pub(super) fn rt_sigreturn(call: &mut Call<'_>) -> Result<u64> {
    match signal::restore_frame(call.context, call.thread) {
        Ok(rax) => Ok(rax),
        Err(_) => {
            let info = SigInfo::new(Signal::SIGSEGV, abi::signal::SI_KERNEL);
            signal::force(call.thread, Signal::SIGSEGV, info);
            Ok(0)
        }
    }
}

/// rt_sigsuspend(2): mask, size of a set.
pub(super) fn rt_sigsuspend(call: &mut Call<'_>) -> Result<u64> {
    check_set_size(call.arg(1))?;
    let mask = call.read(0)?;
    signal::set_temporary_mask(call.thread, mask);
    Err(signal::wait_for_any())
}

/// pause(2).
pub(super) fn pause(_call: &mut Call<'_>) -> Result<u64> {
    Err(signal::wait_for_any())
}

/// signalfd(2): descriptor or -1, set, size of a set.
pub(super) fn signalfd(call: &mut Call<'_>) -> Result<u64> {
    make_signal_file(call, 0)
}

/// signalfd4(2): descriptor or -1, set, size of a set, flags.
pub(super) fn signalfd4(call: &mut Call<'_>) -> Result<u64> {
    make_signal_file(call, call.uint(3))
}

fn make_signal_file(call: &mut Call<'_>, flags: u32) -> Result<u64> {
    check_set_size(call.arg(2))?;
    let flags = SignalfdFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let wanted: SigSet = call.read(1)?;
    let files = call.process().files();
    if call.fd(0) != -1 {
        let file = files.get(call.fd(0))?;
        file.operations_as::<SignalFile>().ok_or(Errno::EINVAL)?.set_wanted(wanted);
        // What the new set wants may be there already.
        call.process().signal_event.wake_all();
        return Ok(call.fd(0) as u64);
    }
    let flags = OpenFlags::from_bits_retain(flags.bits());
    let file = anonymous::open("[signalfd]", Arc::new(SignalFile::new(wanted)), flags | OpenFlags::O_RDWR);
    Ok(files.install(file, OnExec::from_open_flags(flags))? as u64)
}

/// rt_sigpending(2): where the set goes, its size.
pub(super) fn rt_sigpending(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) > size_of::<SigSet>() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let blocked = call.thread.user().ok_or(Errno::EINVAL)?.signals().blocked();
    call.write(0, &signal::pending_set(call.thread).intersection(blocked))?;
    Ok(0)
}

/// rt_sigtimedwait(2): set, where the information goes, timeout, size of a set.
pub(super) fn rt_sigtimedwait(call: &mut Call<'_>) -> Result<u64> {
    check_set_size(call.arg(3))?;
    let set: SigSet = call.read(0)?;
    let deadline = match call.read_optional::<Timespec>(2)? {
        Some(timeout) => Some(clock::monotonic_ns().saturating_add(timeout.to_nanos().ok_or(Errno::EINVAL)?)),
        None => None,
    };
    let info = signal::wait_for(call.thread, set, deadline)?;
    call.write_optional(1, &info)?;
    Ok(info.signo as u64)
}

/// sigaltstack(2): new stack, old stack.
pub(super) fn sigaltstack(call: &mut Call<'_>) -> Result<u64> {
    let old = call.thread.user().ok_or(Errno::EINVAL)?.signals().stack();
    if let Some(new) = call.read_optional::<StackT>(0)? {
        signal::set_alternate_stack(call.thread, call.context.rsp, new)?;
    }
    call.write_optional(1, &signal::reported_stack(call.context.rsp, old))?;
    Ok(0)
}

/// restart_syscall(2): made by the kernel for a call that goes on in another way than it began.
pub(super) fn restart_syscall(call: &mut Call<'_>) -> Result<u64> {
    match call.thread.user().and_then(|user| user.take_restart()) {
        Some(resume) => resume(call),
        None => Err(Errno::EINTR.into()),
    }
}

/// The signal in an argument; `None` for 0, which only asks whether it could be sent.
pub(super) fn signal_to_send(number: u32) -> Result<Option<Signal>> {
    match number {
        0 => Ok(None),
        number => Ok(Some(Signal::new(number).ok_or(Errno::EINVAL)?)),
    }
}

/// What the receiver of a plain signal is told.
pub(super) fn sender(call: &Call<'_>, signal: Signal, code: i32) -> SigInfo {
    SigInfo::sent(signal, code, call.process().pid(), call.process().credentials().uid)
}

pub(super) fn check_permission(call: &Call<'_>, receiver: &Process, signal: Option<Signal>) -> Result<()> {
    let is_same = receiver.pid() == call.process().pid();
    let continues_session =
        signal == Some(Signal::SIGCONT) && receiver.session_id() == call.process().session_id();
    if is_same || continues_session || call.process().credentials().may_signal(&receiver.credentials()) {
        return Ok(());
    }
    Err(Error::new(Errno::EPERM, "another user's process"))
}

/// kill(2): whom, signal.
pub(super) fn kill(call: &mut Call<'_>) -> Result<u64> {
    let signal = signal_to_send(call.uint(1))?;
    let receivers: Vec<Arc<Process>> = match call.int(0) {
        i32::MIN => return Err(Errno::ESRCH.into()),
        pid @ 1.. => alloc::vec![tree::find_by_tid(pid).ok_or(Errno::ESRCH)?],
        0 => tree::group_members(call.process().group_id()),
        -1 => {
            let own = call.process().pid();
            tree::all().into_iter().filter(|process| !process.is_init() && process.pid() != own).collect()
        }
        group => tree::group_members(-group),
    };
    let mut result = Err(Errno::ESRCH.into());
    for receiver in receivers {
        match send_to(call, &receiver, signal) {
            Ok(()) => result = Ok(0),
            Err(error) if result.is_err() => result = Err(error),
            Err(_) => {}
        }
    }
    result
}

fn send_to(call: &Call<'_>, receiver: &Arc<Process>, signal: Option<Signal>) -> Result<()> {
    check_permission(call, receiver, signal)?;
    match signal {
        Some(signal) => signal::send_to_process(receiver, signal, sender(call, signal, SI_USER)),
        None => Ok(()),
    }
}

/// tkill(2): thread, signal.
pub(super) fn tkill(call: &mut Call<'_>) -> Result<u64> {
    let (tid, number) = (call.int(0), call.uint(1));
    send_to_tid(call, None, tid, number, None)
}

/// tgkill(2): process, thread, signal.
pub(super) fn tgkill(call: &mut Call<'_>) -> Result<u64> {
    let (pid, tid, number) = (call.int(0), call.int(1), call.uint(2));
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    send_to_tid(call, Some(pid), tid, number, None)
}

fn send_to_tid(
    call: &Call<'_>,
    pid: Option<i32>,
    tid: i32,
    number: u32,
    info: Option<SigInfo>,
) -> Result<u64> {
    if tid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let thread = tree::find_thread(tid).ok_or(Errno::ESRCH)?;
    let process = thread.process().ok_or(Errno::ESRCH)?;
    if pid.is_some_and(|pid| pid != process.pid()) || thread.state() == crate::sched::State::Exited {
        return Err(Errno::ESRCH.into());
    }
    let signal = signal_to_send(number)?;
    check_permission(call, process, signal)?;
    if let Some(signal) = signal {
        let info = info.unwrap_or_else(|| sender(call, signal, SI_TKILL));
        signal::send_to_thread(&thread, signal, info)?;
    }
    Ok(0)
}

/// The information that a program wants to send along; it must not pretend to be the kernel towards others.
pub(super) fn read_info(call: &Call<'_>, index: usize, pid: i32, number: u32) -> Result<SigInfo> {
    let mut info: SigInfo = call.read(index)?;
    info.signo = number as i32;
    if (info.code >= 0 || info.code == SI_TKILL) && pid != call.process().pid() {
        return Err(Errno::EPERM.into());
    }
    Ok(info)
}

/// rt_sigqueueinfo(2): process, signal, information.
pub(super) fn rt_sigqueueinfo(call: &mut Call<'_>) -> Result<u64> {
    let (pid, number) = (call.int(0), call.uint(1));
    let info = read_info(call, 2, pid, number)?;
    let receiver = tree::find(pid).ok_or(Errno::ESRCH)?;
    let signal = signal_to_send(number)?;
    check_permission(call, &receiver, signal)?;
    if let Some(signal) = signal {
        signal::send_to_process(&receiver, signal, info)?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2): process, thread, signal, information.
pub(super) fn rt_tgsigqueueinfo(call: &mut Call<'_>) -> Result<u64> {
    let (pid, tid, number) = (call.int(0), call.int(1), call.uint(2));
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let info = read_info(call, 3, pid, number)?;
    send_to_tid(call, Some(pid), tid, number, Some(info))
}
