//! Processes: creation, programs, signals, exit.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | pids, parents and children, groups |
//! | `session.rs`, `job.rs` | sessions, controlling terminals; moving between groups |
//! | `group.rs` | what the threads of a process have in common |
//! | `thread.rs` | a program's thread and the loop it lives in |
//! | `clone.rs` | fork, vfork, clone: new processes and threads |
//! | `exec/`, `program.rs` | loading a program; what execve does to the process around it |
//! | `exit.rs`, `wait.rs` | the end of threads and processes, and hearing of it |
//! | `descriptor.rs` | process descriptors |
//! | `signal/` | signals |
//! | `fault.rs` | exceptions that a program raises |
//! | `oom.rs` | who is killed when there is no memory left |
//! | `credentials.rs`, `limits.rs` | who it is, what it may use |
//! | `timers.rs` | interval timers, POSIX timers, CPU-time clocks |
//! | `futex.rs` | user-space locks |
//!
//! A [`Process`] is what POSIX calls one: Linux's thread group. What threads of a process share is here; what is a
//! thread's own is in [`UserThread`]. It holds its memory and its files until its last thread ends; after that it is
//! a status and some figures until its parent has waited for it.

pub(crate) mod clone;
pub(crate) mod cpu_clock;
pub(crate) mod credentials;
pub(crate) mod descriptor;
pub(crate) mod exec;
pub(crate) mod exit;
mod fault;
pub(crate) mod futex;
mod group;
pub(crate) mod job;
pub(crate) mod limits;
pub(crate) mod oom;
pub(crate) mod program;
pub(crate) mod session;
pub(crate) mod signal;
mod thread;
pub(crate) mod timers;
pub(crate) mod tree;
mod usage;
pub(crate) mod wait;

pub(crate) use thread::UserThread;
pub(crate) use usage::Sums;

use crate::clock;
use crate::fs::FsContext;
use crate::fs::fd::FdTable;
use crate::mm::AddressSpace;
use crate::sched::wait::WaitQueue;
use crate::sched::{self, State, Thread};
use abi::signal::{SigSet, Signal};
use abi::wait::WaitStatus;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI16, AtomicI32, AtomicU8, AtomicU32, Ordering};
use credentials::Credentials;
use group::ThreadGroup;
use limits::Limits;
use machine::sync::{IrqSpinLock, SpinLock};
use session::Session;
use timers::Timers;
use usage::Usage;

/// A process. See the module.
pub(crate) struct Process {
    pid: i32,
    /// Written under the tree's lock only.
    links: Links,
    session: IrqSpinLock<Arc<Session>>,
    group: IrqSpinLock<ThreadGroup>,
    resources: Resources,
    credentials: SpinLock<Arc<Credentials>>,
    actions: IrqSpinLock<Arc<signal::Actions>>,
    /// What it may use.
    pub(crate) limits: Limits,
    timers: Timers,
    flags: Flags,
    usage: Usage,
    /// Woken when a child ends, stops or goes on.
    pub(crate) child_events: WaitQueue,
    /// The name of its last thread, once that has ended.
    ended_name: SpinLock<String>,
    /// Held from its end until its parent has been told: whoever waits for it goes on only then.
    telling: IrqSpinLock<()>,
    /// Woken when it ends (process descriptors).
    pub(crate) exit_event: WaitQueue,
    /// Woken when a signal comes for it or for one of its threads, blocked or not (signalfd).
    pub(crate) signal_event: WaitQueue,
    started_ns: u64,
}

#[derive(Default)]
struct Links {
    parent: AtomicI32,
    group: AtomicI32,
    session: AtomicI32,
}

/// What is given back when the last thread ends.
struct Resources {
    address_space: SpinLock<Option<Arc<AddressSpace>>>,
    files: SpinLock<Option<Arc<FdTable>>>,
    fs: SpinLock<Option<Arc<FsContext>>>,
}

/// Odds and ends, each on its own.
struct Flags {
    /// Sent to the parent at the end; 0: nothing.
    exit_signal: AtomicU8,
    /// prctl(PR_SET_PDEATHSIG); 0: nothing.
    parent_death_signal: AtomicU8,
    adopts_orphans: AtomicBool,
    is_dumpable: AtomicBool,
    no_new_privileges: AtomicBool,
    /// It has executed a program since it was forked (setpgid).
    has_executed: AtomicBool,
    personality: AtomicU32,
    /// /proc/PID/oom_score_adj, -1000 to 1000.
    oom_score_adj: AtomicI16,
    /// Where it is in its life.
    phase: AtomicU8,
}

/// Where a process is in its life.
const ALIVE: u8 = 0;
/// All threads have ended; nobody has waited for it yet.
const ENDED: u8 = 1;
/// Somebody is waiting for it right now, and it is about to go.
const REAPED: u8 = 2;

/// The process that the current thread belongs to.
///
/// # Panics
/// In threads of the kernel; see [`try_current`].
pub(crate) fn current() -> Arc<Process> {
    try_current().expect("a thread of a program runs")
}

/// The process that the current thread belongs to, if it is a program's.
pub(crate) fn try_current() -> Option<Arc<Process>> {
    sched::try_current()?.process().cloned()
}

/// What a new process begins with.
struct Parts {
    pid: i32,
    address_space: Arc<AddressSpace>,
    files: Arc<FdTable>,
    fs: Arc<FsContext>,
    credentials: Arc<Credentials>,
    actions: Arc<signal::Actions>,
    limits: Limits,
    exit_signal: u8,
}

impl Process {
    fn new(parts: Parts) -> Arc<Process> {
        Arc::new_cyclic(|process| Process {
            pid: parts.pid,
            links: Links::default(),
            session: IrqSpinLock::new("session of a process", Session::new(0)),
            group: IrqSpinLock::new("thread group", ThreadGroup::default()),
            resources: Resources {
                address_space: SpinLock::new("address space of a process", Some(parts.address_space)),
                files: SpinLock::new("files of a process", Some(parts.files)),
                fs: SpinLock::new("directories of a process", Some(parts.fs)),
            },
            credentials: SpinLock::new("credentials", parts.credentials),
            actions: IrqSpinLock::new("signal actions of a process", parts.actions),
            limits: parts.limits,
            timers: Timers::new(process.clone()),
            flags: Flags {
                exit_signal: AtomicU8::new(parts.exit_signal),
                parent_death_signal: AtomicU8::new(0),
                adopts_orphans: AtomicBool::new(false),
                is_dumpable: AtomicBool::new(true),
                no_new_privileges: AtomicBool::new(false),
                has_executed: AtomicBool::new(false),
                personality: AtomicU32::new(0),
                oom_score_adj: AtomicI16::new(0),
                phase: AtomicU8::new(ALIVE),
            },
            usage: Usage::default(),
            child_events: WaitQueue::named("wait"),
            ended_name: SpinLock::new("ended name", String::new()),
            telling: IrqSpinLock::new("telling of news", ()),
            exit_event: WaitQueue::named("pidfd"),
            signal_event: WaitQueue::named("signalfd"),
            started_ns: clock::monotonic_ns(),
        })
    }

    /// The pid.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The parent's pid, 0 for the first process.
    pub(crate) fn parent_id(&self) -> i32 {
        self.links.parent.load(Ordering::Relaxed)
    }

    /// The process group.
    pub(crate) fn group_id(&self) -> i32 {
        self.links.group.load(Ordering::Relaxed)
    }

    /// The session.
    pub(crate) fn session_id(&self) -> i32 {
        self.links.session.load(Ordering::Relaxed)
    }

    /// The session.
    pub(crate) fn session(&self) -> Arc<Session> {
        self.session.lock().clone()
    }

    /// Whether it is the first process.
    pub(crate) fn is_init(&self) -> bool {
        self.pid == tree::INIT
    }

    /// When it was made, in nanoseconds since boot.
    pub(crate) fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Its threads that have not ended, the oldest first.
    pub(crate) fn threads(&self) -> Vec<Arc<Thread>> {
        self.group.lock().threads.clone()
    }

    /// How many threads it has.
    pub(crate) fn thread_count(&self) -> usize {
        self.group.lock().threads.len()
    }

    /// Its oldest thread, unless all have ended.
    pub(crate) fn first_thread(&self) -> Option<Arc<Thread>> {
        self.group.lock().threads.first().cloned()
    }

    /// The name of its first thread, or the last it had.
    pub(crate) fn name(&self) -> String {
        self.first_thread().map_or_else(|| self.ended_name.lock().clone(), |thread| thread.name())
    }

    /// The state that `ps` shows: that of its most active thread.
    pub(crate) fn state(&self) -> State {
        let states: Vec<State> = self.threads().iter().map(|thread| thread.state()).collect();
        [State::Running, State::Waiting, State::Sleeping, State::Stopped]
            .into_iter()
            .find(|state| states.contains(state))
            .unwrap_or(State::Exited)
    }

    /// Whether its last thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.flags.phase.load(Ordering::Acquire) != ALIVE
    }

    /// Whether it has ended, or its threads are on their way out.
    pub(crate) fn is_ending(&self) -> bool {
        self.has_ended() || self.group.lock().exit.is_some()
    }

    /// How much sooner (up to 1000) or later (down to -1000: never) it is killed when there is no memory left.
    pub(crate) fn oom_score_adj(&self) -> i16 {
        self.flags.oom_score_adj.load(Ordering::Relaxed)
    }

    /// See [`oom_score_adj`](Self::oom_score_adj).
    pub(crate) fn set_oom_score_adj(&self, adjustment: i16) {
        self.flags.oom_score_adj.store(adjustment, Ordering::Relaxed);
    }

    /// Its memory; `None` once it has ended.
    pub(crate) fn try_address_space(&self) -> Option<Arc<AddressSpace>> {
        self.resources.address_space.lock().clone()
    }

    /// Its descriptors; `None` once it has ended.
    pub(crate) fn try_files(&self) -> Option<Arc<FdTable>> {
        self.resources.files.lock().clone()
    }

    /// Its root, working directory and umask; `None` once it has ended.
    pub(crate) fn try_fs_context(&self) -> Option<Arc<FsContext>> {
        self.resources.fs.lock().clone()
    }

    /// Its memory, for its own threads.
    pub(crate) fn address_space(&self) -> Arc<AddressSpace> {
        self.try_address_space().expect("a process with a running thread has memory")
    }

    /// Its descriptors, for its own threads.
    pub(crate) fn files(&self) -> Arc<FdTable> {
        self.try_files().expect("a process with a running thread has descriptors")
    }

    /// Its root, working directory and umask, for its own threads.
    pub(crate) fn fs_context(&self) -> Arc<FsContext> {
        self.try_fs_context().expect("a process with a running thread has directories")
    }

    /// Gives it descriptors of its own instead of shared ones (unshare, execve).
    pub(crate) fn set_files(&self, files: Arc<FdTable>) {
        let old = self.resources.files.lock().replace(files);
        drop(old);
    }

    /// Gives it directories of its own instead of shared ones (unshare).
    pub(crate) fn set_fs_context(&self, fs: Arc<FsContext>) {
        let old = self.resources.fs.lock().replace(fs);
        drop(old);
    }

    fn activate_address_space(&self) {
        match self.resources.address_space.lock().as_ref() {
            Some(address_space) => address_space.activate(),
            None => machine::mm::activate_kernel(),
        }
    }

    /// Who it is.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// Changes who it is: `change` gets a copy, which is put in place if it succeeds.
    pub(crate) fn change_credentials<R>(
        &self,
        change: impl FnOnce(&mut Credentials) -> crate::error::Result<R>,
    ) -> crate::error::Result<R> {
        let mut new = Arc::new(Credentials::clone(&self.credentials()));
        let result = change(Arc::make_mut(&mut new))?;
        self.set_credentials(new);
        Ok(result)
    }

    fn set_credentials(&self, new: Arc<Credentials>) {
        let old = core::mem::replace(&mut *self.credentials.lock(), new);
        drop(old);
    }

    /// What it does about signals.
    pub(crate) fn actions(&self) -> Arc<signal::Actions> {
        self.actions.lock().clone()
    }

    /// Signals pending for the process as a whole.
    pub(crate) fn pending_signals(&self) -> SigSet {
        self.group.lock().pending.set()
    }

    /// How many signals are queued for the process as a whole.
    pub(crate) fn queued_signals(&self) -> usize {
        self.group.lock().pending.len()
    }

    /// The largest size that its files may have, in bytes (RLIMIT_FSIZE).
    pub(crate) fn file_size_limit(&self) -> u64 {
        self.limits.current(abi::resource::RLIMIT_FSIZE)
    }

    /// Its timers.
    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The signal that its parent gets when it ends.
    pub(crate) fn exit_signal(&self) -> Option<Signal> {
        Signal::new(u32::from(self.flags.exit_signal.load(Ordering::Relaxed)))
    }

    /// Whether it adopts the orphans among its descendants (PR_SET_CHILD_SUBREAPER).
    pub(crate) fn adopts_orphans(&self) -> bool {
        self.flags.adopts_orphans.load(Ordering::Relaxed)
    }

    /// See [`adopts_orphans`](Self::adopts_orphans).
    pub(crate) fn set_adopts_orphans(&self, adopts: bool) {
        self.flags.adopts_orphans.store(adopts, Ordering::Relaxed);
    }

    /// The signal it wants when its parent ends; 0: none.
    pub(crate) fn parent_death_signal(&self) -> u8 {
        self.flags.parent_death_signal.load(Ordering::Relaxed)
    }

    /// See [`parent_death_signal`](Self::parent_death_signal).
    pub(crate) fn set_parent_death_signal(&self, signal: u8) {
        self.flags.parent_death_signal.store(signal, Ordering::Relaxed);
    }

    /// Whether others of the same user may look into it (PR_SET_DUMPABLE).
    pub(crate) fn is_dumpable(&self) -> bool {
        self.flags.is_dumpable.load(Ordering::Relaxed)
    }

    /// See [`is_dumpable`](Self::is_dumpable).
    pub(crate) fn set_dumpable(&self, dumpable: bool) {
        self.flags.is_dumpable.store(dumpable, Ordering::Relaxed);
    }

    /// Whether set-id bits are ignored at execve (PR_SET_NO_NEW_PRIVS).
    pub(crate) fn has_no_new_privileges(&self) -> bool {
        self.flags.no_new_privileges.load(Ordering::Relaxed)
    }

    /// For good.
    pub(crate) fn forbid_new_privileges(&self) {
        self.flags.no_new_privileges.store(true, Ordering::Relaxed);
    }

    /// The execution domain (personality(2)).
    pub(crate) fn personality(&self) -> u32 {
        self.flags.personality.load(Ordering::Relaxed)
    }

    /// Sets it and returns the old one.
    pub(crate) fn set_personality(&self, personality: u32) -> u32 {
        self.flags.personality.swap(personality, Ordering::Relaxed)
    }

    /// Ends it: all its threads end as soon as they can, with this status unless it is ending already.
    pub(crate) fn end(&self, status: WaitStatus) {
        self.group.lock().begin_exit(status);
    }
}

impl core::fmt::Debug for Process {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "process {}", self.pid)
    }
}
