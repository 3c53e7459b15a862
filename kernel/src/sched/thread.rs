//! A thread: a flow of control, its state and its accounts.
//!
//! Parking is a token, as in the standard library: [`Thread::unpark`] leaves a token or wakes the thread, [`super::park`]
//! takes the token or sleeps. Whoever parks therefore does so in a loop on a condition, and a token left over from
//! something else costs one more turn. The step from parked to notified is made by one waker only, and that one
//! puts the thread into a run queue; so no lock is held between a thread's decision to sleep and its wake-up.

use super::accounts::Accounts;
use super::policy::Scheduling;
use super::wait::Waiting;
use super::wake::Hint;
use crate::error::{Error, Result};
use crate::fault_injection::{self, TaskFaults};
use crate::process::{Process, UserThread};
use abi::errno::Errno;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use machine::sync::IrqSpinLock;
use machine::task::Task;
use machine::user::fpu::FpuState;
use runqueue::{Arrival, Nice, Policy};

/// What a thread does: called once, on its own stack.
pub(super) type Body = Box<dyn FnOnce() + Send>;

// debugger/threads.py knows the following numbers, too.

/// Parking token: none.
const EMPTY: u8 = 0;
/// Parking token: somebody called `unpark`.
const NOTIFIED: u8 = 1;
/// The thread sleeps, or is about to.
const PARKED: u8 = 2;

/// Bits of [`Thread::flags`].
const EXITED: u32 = 1;
const INTERRUPTIBLE: u32 = 2;
const IDLE: u32 = 4;
const STOPPED: u32 = 8;

/// How many threads there are, ended ones that are still referred to included.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Gives back what run queues have room for if there were many threads once.
pub(super) fn shrink_queues() {
    super::cpu::shrink(|| COUNT.load(Ordering::SeqCst));
}

/// A thread of the kernel, or of a program.
pub(crate) struct Thread {
    /// Never used again; for reports and lock holders.
    id: u64,
    name: IrqSpinLock<String>,
    pub(super) task: Arc<Task>,
    body: IrqSpinLock<Option<Body>>,
    user: Option<UserThread>,
    parking: AtomicU8,
    flags: AtomicU32,
    /// A CPU runs on its stack. Such a thread waits in no other CPU's queue, and nobody steals it.
    pub(super) on_cpu: AtomicBool,
    /// The CPU that runs it, ran it last, or has it in its queue.
    pub(super) cpu: AtomicUsize,
    /// There is something to look at before it goes back to user mode.
    attention: AtomicBool,
    pub(super) scheduling: Scheduling,
    pub(crate) accounts: Accounts,
    waiting: IrqSpinLock<Option<Waiting>>,
    /// What is to go wrong for it on purpose.
    pub(crate) faults: TaskFaults,
    /// Whether its reads and writes of a file system's structures wait for memory: see `fs/ext2/disk.rs`.
    pub(crate) disk_patience: AtomicU8,
    /// It is taking memory from caches: what the heap wants of it meanwhile must not begin that anew.
    reclaims: AtomicBool,
}

/// A thread's state, as `ps` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs or could run.
    Running,
    /// It waits; signals end the wait.
    Sleeping,
    /// It waits for something that comes for sure.
    Waiting,
    /// Stopped by a signal.
    Stopped,
    /// It has ended.
    Exited,
    /// It is what a CPU runs when there is nothing to run.
    Idle,
}

impl State {
    /// The letter of /proc/PID/stat.
    pub(crate) fn letter(self) -> char {
        match self {
            State::Running => 'R',
            State::Sleeping => 'S',
            State::Waiting => 'D',
            State::Stopped => 'T',
            State::Exited => 'Z',
            State::Idle => 'I',
        }
    }
}

impl Thread {
    /// A thread that is not started yet.
    pub(super) fn new(name: &str, body: Body, user: Option<(UserThread, FpuState)>) -> Result<Thread> {
        let (user, fpu) = user.unzip();
        // Boxing a function allocates nothing, so nothing is left when it never returns.
        let task = Task::new(Box::new(super::thread_main), fpu)?;
        if !super::cpu::reserve(COUNT.fetch_add(1, Ordering::SeqCst) + 1) {
            COUNT.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(Errno::ENOMEM, "no memory for another thread in the run queues"));
        }
        Ok(Self::with_task(name, task, Some(body), user))
    }

    /// The flow that this CPU has been running since it was started, at `since_ns`, as a thread.
    pub(super) fn adopt(name: &str, since_ns: u64) -> Thread {
        COUNT.fetch_add(1, Ordering::SeqCst);
        let thread = Self::with_task(name, Task::boot(), None, None);
        thread.task.adopt();
        thread.accounts.begin(since_ns);
        thread.on_cpu.store(true, Ordering::Relaxed);
        thread
    }

    /// The thread has been counted.
    fn with_task(name: &str, task: Task, body: Option<Body>, user: Option<UserThread>) -> Thread {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        task.set_owner(id);
        Thread {
            id,
            name: IrqSpinLock::new("thread name", name.into()),
            task: Arc::new(task),
            body: IrqSpinLock::new("thread body", body),
            parking: AtomicU8::new(EMPTY),
            flags: AtomicU32::new(0),
            on_cpu: AtomicBool::new(false),
            cpu: AtomicUsize::new(machine::cpu::current_id()),
            // A program's thread begins with a look at what its process is up to.
            attention: AtomicBool::new(user.is_some()),
            scheduling: Scheduling::new(),
            accounts: Accounts::new(),
            waiting: IrqSpinLock::new("thread waiting", None),
            faults: TaskFaults::inherited(),
            disk_patience: AtomicU8::new(0),
            reclaims: AtomicBool::new(false),
            user,
        }
    }

    /// A number that no other thread ever had; 0 is none.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Its name (Linux: comm).
    pub(crate) fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// Writes its name, if that can be had without waiting. Allocates nothing (panics, non-maskable interrupts).
    pub(crate) fn write_name(&self, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
        match self.name.try_lock() {
            Some(name) => write!(out, "{:?}", name.as_str()),
            None => write!(out, "(being renamed)"),
        }
    }

    /// Gives it a name; the caller has cut it to 15 bytes.
    pub(crate) fn set_name(&self, name: &str) {
        let name = String::from(name);
        let old = core::mem::replace(&mut *self.name.lock(), name);
        drop(old);
    }

    /// The user side of a program's thread.
    pub(crate) fn user(&self) -> Option<&UserThread> {
        self.user.as_ref()
    }

    /// The process it belongs to; `None` for threads of the kernel.
    pub(crate) fn process(&self) -> Option<&Arc<Process>> {
        self.user.as_ref().map(|user| &user.process)
    }

    /// How it is scheduled.
    pub(crate) fn policy(&self) -> Policy {
        self.scheduling.policy()
    }

    /// Its nice value, also while its policy has none.
    pub(crate) fn nice(&self) -> Nice {
        self.scheduling.nice()
    }

    /// Bit n: it may run on CPU n.
    pub(crate) fn affinity(&self) -> u64 {
        self.scheduling.affinity()
    }

    /// Takes over the scheduling of another thread, which is the current one. Only before it is started.
    pub(crate) fn inherit_scheduling(&self, parent: &Thread) {
        self.scheduling.inherit(&parent.scheduling, super::cpu::child_of(parent));
    }

    /// The length of its turns, if it has asked for one (sched_setattr).
    pub(crate) fn slice_ns(&self) -> Option<u64> {
        self.scheduling.slice_ns()
    }

    /// Whether its children start with the default policy (SCHED_RESET_ON_FORK).
    pub(crate) fn resets_on_fork(&self) -> bool {
        self.scheduling.resets_on_fork()
    }

    /// The CPU that runs it or ran it last.
    pub(crate) fn cpu(&self) -> usize {
        self.cpu.load(Ordering::Relaxed)
    }

    /// Its state now.
    pub(crate) fn state(&self) -> State {
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & EXITED != 0 {
            State::Exited
        } else if flags & IDLE != 0 {
            State::Idle
        } else if self.parking.load(Ordering::Relaxed) != PARKED {
            State::Running
        } else if flags & STOPPED != 0 {
            State::Stopped
        } else if flags & INTERRUPTIBLE != 0 {
            State::Sleeping
        } else {
            State::Waiting
        }
    }

    /// User and system time in nanoseconds, up to now. Neither is ever less than what was told before.
    pub(crate) fn times_at(&self, now: u64) -> (u64, u64) {
        self.accounts.at(now)
    }

    /// What it waits for, if it waits.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        *self.waiting.lock()
    }

    /// What it waits for, if that can be found out without waiting (panics).
    pub(crate) fn try_waiting(&self) -> Option<Waiting> {
        *self.waiting.try_lock()?
    }

    /// Visits the sleeping locks that it holds; only debug builds know them.
    pub(crate) fn visit_locks(&self, visit: &mut dyn FnMut(machine::sync::LockReport)) {
        self.task.visit_locks(visit);
    }

    pub(crate) fn set_waiting(&self, waiting: Option<Waiting>) {
        *self.waiting.lock() = waiting;
    }

    /// Whether a signal may end its wait.
    pub(super) fn is_interruptible(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & INTERRUPTIBLE != 0
    }

    /// Notes whether a signal may end the wait that begins or ends.
    pub(super) fn set_interruptible(&self, interruptible: bool) {
        self.set_flag(INTERRUPTIBLE, interruptible);
    }

    /// Notes that it is stopped by job control while it is parked.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        self.set_flag(STOPPED, stopped);
    }

    pub(super) fn set_exited(&self) {
        self.set_flag(EXITED, true);
    }

    pub(super) fn set_idle(&self) {
        self.set_flag(IDLE, true);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & IDLE != 0
    }

    fn set_flag(&self, flag: u32, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Asks it to look at its signals and the like before it goes on in user mode, and ends its interruptible waits.
    /// Callable from interrupt handlers.
    pub(crate) fn demand_attention(self: &Arc<Self>) {
        self.attention.store(true, Ordering::SeqCst);
        self.unpark();
        if self.on_cpu.load(Ordering::SeqCst) {
            super::cpu::interrupt_user_mode(self.cpu());
        }
    }

    /// Takes the request of [`demand_attention`](Self::demand_attention), if there is one.
    pub(crate) fn take_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) && self.attention.swap(false, Ordering::SeqCst)
    }

    /// The flag behind [`take_attention`](Self::take_attention).
    pub(crate) fn attention(&self) -> &AtomicBool {
        &self.attention
    }

    /// Whether a signal or the end of its process is pending: interruptible waits give up.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.user.as_ref().is_some_and(UserThread::is_interrupted)
    }

    /// Whether it is to end: even killable waits give up.
    pub(crate) fn is_killed(&self) -> bool {
        self.user.as_ref().is_some_and(UserThread::is_killed)
    }

    pub(super) fn take_body(&self) -> Option<Body> {
        self.body.lock().take()
    }

    /// Wakes it if it is parked, else leaves the token. Callable from interrupt handlers.
    pub(crate) fn unpark(self: &Arc<Self>) {
        self.unpark_with(Hint::None);
    }

    /// [`unpark`](Self::unpark) by somebody who is about to wait itself.
    pub(super) fn unpark_with(self: &Arc<Self>, hint: Hint) {
        if self.parking.swap(NOTIFIED, Ordering::AcqRel) == PARKED && !fault_injection::delays_wakeup(self) {
            super::wake::make_runnable(self, Arrival::Wake, hint);
        }
    }

    /// The end of a wake-up that was delayed.
    pub(crate) fn enter_queue_late(self: &Arc<Self>) {
        super::wake::make_runnable(self, Arrival::Wake, Hint::None);
    }

    /// The thread, which is the current one, takes memory from caches until the guard is dropped; `None`: it does already.
    pub(crate) fn begin_reclaim(&self) -> Option<Reclaiming<'_>> {
        let is_first = !self.reclaims.swap(true, Ordering::Relaxed);
        is_first.then_some(Reclaiming(self))
    }

    /// Declares that the thread, which is the current one, is about to sleep. `false`: there was a token.
    pub(super) fn begin_park(&self) -> bool {
        if self.parking.compare_exchange(EMPTY, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.end_park();
        false
    }

    /// Takes the token. What the waker did before is visible from here on.
    pub(super) fn end_park(&self) {
        self.parking.swap(EMPTY, Ordering::AcqRel);
    }
}

/// See [`Thread::begin_reclaim`].
pub(crate) struct Reclaiming<'a>(&'a Thread);

impl Drop for Reclaiming<'_> {
    fn drop(&mut self) {
        self.0.reclaims.store(false, Ordering::Relaxed);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        super::watch::note_stack(self);
        COUNT.fetch_sub(1, Ordering::Relaxed);
        super::watch::remove(self.id);
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.id)
    }
}
