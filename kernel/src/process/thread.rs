//! A thread of a program: what it has besides a kernel thread, and the loop that it lives in.
//!
//! The loop is the same for the first program, the child of a fork and a new program after execve: they differ only in
//! the registers it starts with.

use super::signal::{self, ThreadSignals};
use super::{Process, exit, fault};
use crate::clock;
use crate::error::Restart;
use crate::sched::wait::WaitQueue;
use crate::sched::{self, Thread};
use crate::syscall;
use abi::wait::WaitStatus;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use machine::sync::SpinLock;
use machine::user::{ReturnReason, UserContext};

/// The user side of a thread.
pub(crate) struct UserThread {
    tid: AtomicI32,
    /// The process it belongs to.
    pub(crate) process: Arc<Process>,
    pub(super) signals: ThreadSignals,
    /// It ends as soon as it can.
    killed: AtomicBool,
    /// How it ends, if it ends alone; encoded as for `wait`.
    exit_status: AtomicI32,
    /// Where 0 is written and a futex is woken when it ends (CLONE_CHILD_CLEARTID, set_tid_address).
    pub(super) clear_child_tid: AtomicU64,
    /// The head of its list of robust futexes, and the size it was registered with.
    pub(super) robust_list: AtomicU64,
    /// How `restart_syscall` goes on.
    pub(super) restart: SpinLock<Option<signal::RestartBlock>>,
    /// Who waits for this thread's exec or exit (vfork).
    pub(super) vfork: SpinLock<Option<Arc<Vfork>>>,
    pub(super) last_fault: SpinLock<fault::LastFault>,
    /// When it was made, in nanoseconds since boot.
    started_ns: u64,
    /// By how much its timeouts may be late, in nanoseconds; and what that was when it began.
    timer_slack_ns: AtomicU64,
    first_timer_slack_ns: u64,
}

/// How late timeouts may be unless somebody says otherwise, in nanoseconds (as on Linux).
const TIMER_SLACK_NS: u64 = 50_000;

/// What a parent that called vfork waits for.
pub(super) struct Vfork {
    is_done: AtomicBool,
    queue: WaitQueue,
}

impl Vfork {
    pub(super) fn new() -> Arc<Vfork> {
        Arc::new(Vfork { is_done: AtomicBool::new(false), queue: WaitQueue::named("vfork") })
    }

    pub(super) fn complete(&self) {
        self.is_done.store(true, Ordering::Release);
        self.queue.wake_all();
    }

    /// Waits; only the end of the parent itself cuts it short.
    pub(super) fn wait(&self) {
        let is_done = || self.is_done.load(Ordering::Acquire).then_some(());
        // An error means that the parent ends: then it has nothing to do here any more.
        self.queue.wait_killable(is_done, None).unwrap_or(());
    }
}

impl UserThread {
    /// A thread of `process` with the given id and blocked signals. Its timer slack is that of the thread that makes it.
    pub(super) fn new(tid: i32, process: Arc<Process>, signals: ThreadSignals) -> UserThread {
        let timer_slack_ns = sched::try_current()
            .and_then(|maker| maker.user().map(|user| user.timer_slack_ns.load(Ordering::Relaxed)))
            .unwrap_or(TIMER_SLACK_NS);
        UserThread {
            tid: AtomicI32::new(tid),
            process,
            signals,
            killed: AtomicBool::new(false),
            exit_status: AtomicI32::new(0),
            clear_child_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            restart: SpinLock::new("restart", None),
            vfork: SpinLock::new("vfork", None),
            last_fault: SpinLock::new("last fault", fault::LastFault::default()),
            started_ns: clock::monotonic_ns(),
            timer_slack_ns: AtomicU64::new(timer_slack_ns),
            first_timer_slack_ns: timer_slack_ns,
        }
    }

    /// The thread id; the first thread's is the pid.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// execve by another thread than the first takes over the pid.
    pub(super) fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Ordering::Relaxed);
    }

    /// When it was made, in nanoseconds since boot.
    pub(crate) fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// By how much its timeouts may be late, in nanoseconds.
    pub(crate) fn timer_slack_ns(&self) -> u64 {
        self.timer_slack_ns.load(Ordering::Relaxed)
    }

    /// Sets [`timer_slack_ns`](Self::timer_slack_ns); 0: to what it was when the thread began.
    pub(crate) fn set_timer_slack_ns(&self, ns: u64) {
        let ns = if ns == 0 { self.first_timer_slack_ns } else { ns };
        self.timer_slack_ns.store(ns, Ordering::Relaxed);
    }

    /// Its signals.
    pub(crate) fn signals(&self) -> &ThreadSignals {
        &self.signals
    }

    /// The head of the list of robust futexes; 0: none.
    pub(crate) fn robust_list(&self) -> u64 {
        self.robust_list.load(Ordering::Relaxed)
    }

    /// Whether signals, a stop or the end are waiting: interruptible waits give up.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_killed() || self.signals.is_interrupted()
    }

    /// Whether it is to end.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    pub(super) fn set_killed(&self) {
        self.killed.store(true, Ordering::Release);
    }

    /// Ends this thread alone, with a status, once the current system call returns (exit(2)).
    pub(super) fn leave(&self, status: WaitStatus) {
        self.exit_status.store(status.encode(), Ordering::Relaxed);
        self.set_killed();
    }

    /// How it ended, if it ended alone.
    pub(super) fn exit_status(&self) -> WaitStatus {
        WaitStatus::decode(self.exit_status.load(Ordering::Relaxed)).unwrap_or(WaitStatus::Exited(0))
    }

    /// Notes how `restart_syscall` goes on.
    pub(crate) fn set_restart(&self, block: signal::RestartBlock) {
        let old = self.restart.lock().replace(block);
        drop(old);
    }

    /// Takes what [`set_restart`](Self::set_restart) noted.
    pub(crate) fn take_restart(&self) -> Option<signal::RestartBlock> {
        self.restart.lock().take()
    }

    /// Notes where 0 is written and a futex is woken when the thread ends.
    pub(crate) fn set_clear_child_tid(&self, address: u64) {
        self.clear_child_tid.store(address, Ordering::Relaxed);
    }

    /// See [`set_clear_child_tid`](Self::set_clear_child_tid); 0: nowhere.
    pub(crate) fn clear_child_tid(&self) -> u64 {
        self.clear_child_tid.load(Ordering::Relaxed)
    }

    /// Notes the head of the list of robust futexes.
    pub(crate) fn set_robust_list(&self, head: u64) {
        self.robust_list.store(head, Ordering::Relaxed);
    }

    /// Makes the process's address space the CPU's. Called by the scheduler, with interrupts disabled.
    pub(crate) fn activate_address_space(&self) {
        self.process.activate_address_space();
    }

    /// Tells a parent that called vfork that this thread has a memory of its own, or none.
    pub(super) fn complete_vfork(&self) {
        let vfork = self.vfork.lock().take();
        if let Some(vfork) = vfork {
            vfork.complete();
        }
    }
}

/// The life of a program's thread, from its first registers to its end.
pub(super) fn run(mut context: UserContext) {
    let thread = sched::current();
    let user = thread.user().expect("only threads of programs come here");
    let mut interrupted_call = None;
    while !user.is_killed() {
        let reason = enter(&mut context, &thread, &mut interrupted_call);
        match reason {
            Some(ReturnReason::Syscall) => interrupted_call = make_call(&mut context, &thread),
            Some(ReturnReason::Exception(exception)) => fault::handle(&thread, &mut context, exception),
            Some(ReturnReason::Interrupt) | None => {}
        }
    }
    exit::exit_thread(&thread);
}

/// Settles what is pending and runs the program until it needs the kernel. `None`: the thread is to end.
fn enter(
    context: &mut UserContext,
    thread: &Arc<Thread>,
    interrupted_call: &mut Option<InterruptedCall>,
) -> Option<ReturnReason> {
    sched::reschedule_if_due();
    if thread.take_attention() || interrupted_call.is_some() {
        signal::deliver(context, thread, interrupted_call.take());
        if thread.is_killed() {
            return None;
        }
    }
    let stay = || {
        let has_work = thread.attention().load(Ordering::Relaxed) || sched::should_reschedule();
        if !has_work {
            sched::enter_user(thread);
        }
        has_work
    };
    Some(context.run_unless(stay, || sched::leave_user(thread)))
}

/// A system call that a signal ended, on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct InterruptedCall {
    /// Its number, to make it again.
    pub(super) number: u64,
    /// How it goes on.
    pub(super) restart: Restart,
}

fn make_call(context: &mut UserContext, thread: &Arc<Thread>) -> Option<InterruptedCall> {
    let number = context.rax;
    let restart = syscall::dispatch(context, thread);
    if restart.is_none() {
        thread.user().expect("a program's thread").signals.end_temporary_mask(thread);
    }
    Some(InterruptedCall { number, restart: restart? })
}
