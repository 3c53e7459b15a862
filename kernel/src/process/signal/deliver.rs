//! Delivery: what a thread does about its signals on the way to user mode, and how interrupted calls go on.

use super::actions::{self, Disposition};
use super::{frame, recompute, stop, take_pending};
use crate::error::Restart;
use crate::process::thread::InterruptedCall;
use crate::process::tree;
use crate::sched::Thread;
use abi::signal::{DefaultAction, KernelSigaction, SaFlags, SigInfo, SigSet, Signal};
use abi::wait::WaitStatus;
use alloc::sync::Arc;
use machine::user::UserContext;

/// Length of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// Stops, ends, or calls a handler, as the pending signals demand; afterwards `context` is ready to run, or the
/// thread is killed. `call` is the system call that a signal ended, if one did.
pub(in crate::process) fn deliver(
    context: &mut UserContext,
    thread: &Arc<Thread>,
    call: Option<InterruptedCall>,
) {
    let user = thread.user().expect("signals are delivered to programs only");
    while !user.is_killed() {
        if stop::stop_if_requested(thread) {
            continue;
        }
        let deliverable = SigSet::FULL.difference(user.signals.blocked());
        let Some((signal, info)) = take_pending(thread, deliverable) else { break };
        let action = user.process.actions().take(signal);
        match actions::disposition(signal, &action) {
            Disposition::Ignore => {}
            Disposition::Default(default) => act_by_default(thread, signal, default),
            Disposition::Handler => {
                call_handler(context, thread, call, signal, info, action);
                recompute(thread);
                return;
            }
        }
    }
    user.signals.end_temporary_mask(thread);
    recompute(thread);
    if let Some(call) = call {
        restart_without_handler(context, call);
    }
}

fn act_by_default(thread: &Arc<Thread>, signal: Signal, action: DefaultAction) {
    let process = thread.process().expect("signals are delivered to programs only");
    match action {
        DefaultAction::Ignore | DefaultAction::Continue => {}
        DefaultAction::Terminate | DefaultAction::CoreDump => {
            process.end(WaitStatus::Signaled { signal, core: false });
        }
        DefaultAction::Stop => {
            // Nobody could let an orphaned group go on, so the terminal does not stop it.
            if signal == Signal::SIGSTOP || !tree::is_orphaned_group(process.group_id()) {
                stop::request(thread, signal);
            }
        }
    }
}

fn call_handler(
    context: &mut UserContext,
    thread: &Arc<Thread>,
    call: Option<InterruptedCall>,
    signal: Signal,
    info: SigInfo,
    action: KernelSigaction,
) {
    if let Some(call) = call {
        let may_restart = action.flags & SaFlags::SA_RESTART.bits() != 0;
        match call.restart {
            Restart::Always => make_again(context, call.number),
            Restart::UnlessHandlerForbids if may_restart => make_again(context, call.number),
            // The EINTR in `rax` stays.
            Restart::UnlessHandlerForbids | Restart::WithoutHandler | Restart::Resume => {}
        }
    }
    let user = thread.user().expect("signals are delivered to programs only");
    let mask = user.signals.mask_to_restore();
    let mut blocked = user.signals.blocked().union(action.mask);
    if action.flags & SaFlags::SA_NODEFER.bits() == 0 {
        blocked.insert(signal);
    }
    match frame::push(context, thread, signal, &info, &action, mask) {
        Ok(()) => {
            user.signals.set_blocked(blocked);
        }
        Err(_) => {
            log::debug!("signal: no room for a handler's frame in {}", thread.name());
            // A handler for SIGSEGV that has no stack would be called for ever.
            if signal == Signal::SIGSEGV {
                user.process.end(WaitStatus::Signaled { signal, core: false });
            } else {
                let info = SigInfo::new(Signal::SIGSEGV, abi::signal::SI_KERNEL);
                super::force(thread, Signal::SIGSEGV, info);
            }
        }
    }
}

fn restart_without_handler(context: &mut UserContext, call: InterruptedCall) {
    match call.restart {
        Restart::Always | Restart::UnlessHandlerForbids | Restart::WithoutHandler => {
            make_again(context, call.number);
        }
        Restart::Resume => make_again(context, abi::syscall::RESTART_SYSCALL as u64),
    }
}

/// Goes back to the `syscall` instruction; the arguments are still in their registers.
fn make_again(context: &mut UserContext, number: u64) {
    context.rax = number;
    context.rip = context.rip.wrapping_sub(SYSCALL_BYTES);
}
