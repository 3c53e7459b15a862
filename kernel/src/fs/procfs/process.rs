//! The directory of a process or thread: who it is and what it has used. Source: proc_pid(5).

use super::{
    address_space, files, memory, mounts, process_settings as settings,
    root::{NETWORK, parse_number},
    system::TICK_NS,
    table::{Row, RowKind, Subject, Table, rows, text},
};
use crate::{
    error::Result,
    fs::{
        inode::FileKind,
        synthetic::{Directory, Item},
    },
    process::{Process, credentials::capability, oom, session, signal, tree, try_current},
    sched::{State, Thread},
};
use abi::{errno::Errno, resource, signal::SigSet};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt::Write;
use machine::addr::PAGE_SIZE;
use runqueue::Policy;

/// A process, or one of its threads.
#[derive(Clone)]
pub(super) struct Target {
    /// The process.
    pub(super) process: Arc<Process>,
    /// The thread; `None`: the process as a whole.
    pub(super) thread: Option<Arc<Thread>>,
}

impl Subject for Target {
    fn is_valid(&self) -> bool {
        let is_known = tree::find(self.process.pid()).is_some_and(|known| Arc::ptr_eq(&known, &self.process));
        is_known && self.thread.as_ref().is_none_or(|thread| thread.state() != State::Exited)
    }

    fn owner(&self) -> (u32, u32) {
        let credentials = self.process.credentials();
        if self.process.is_dumpable() { (credentials.euid, credentials.egid) } else { (0, 0) }
    }
}

const ROWS: &[Row<Target>] = &[
    Row { name: "task", mode: 0o555, kind: RowKind::Directory(|target| Arc::new(Tasks(target.clone()))) },
    Row { name: "fd", mode: 0o500, kind: RowKind::Directory(files::descriptors) },
    Row { name: "fdinfo", mode: 0o500, kind: RowKind::Directory(files::descriptor_infos) },
    rows("net", NETWORK),
    Row { name: "exe", mode: 0o777, kind: RowKind::Jump(files::executable_name, files::executable) },
    Row { name: "cwd", mode: 0o777, kind: RowKind::Jump(files::directory_name, files::directory) },
    Row { name: "root", mode: 0o777, kind: RowKind::Jump(files::root_name, files::root) },
    Row { name: "auxv", mode: 0o400, kind: RowKind::Text(memory::auxiliary) },
    text("cmdline", memory::command_line),
    Row { name: "comm", mode: 0o644, kind: RowKind::Setting(settings::name, settings::set_name) },
    Row { name: "environ", mode: 0o400, kind: RowKind::Text(memory::environment) },
    text("limits", limits),
    text("maps", memory::maps),
    Row { name: "mem", mode: 0o600, kind: RowKind::File(address_space::memory) },
    Row { name: "pagemap", mode: 0o400, kind: RowKind::File(address_space::page_map) },
    text("smaps", memory::smaps),
    text("smaps_rollup", memory::smaps_rollup),
    text("mounts", mounts::mounts),
    text("mountinfo", mounts::mountinfo),
    Row {
        name: "oom_score_adj",
        mode: 0o644,
        kind: RowKind::Setting(settings::oom_score_adj, settings::set_oom_score_adj),
    },
    Row {
        name: "make-it-fail",
        mode: 0o644,
        kind: RowKind::Setting(settings::make_it_fail, settings::set_make_it_fail),
    },
    Row { name: "fail-nth", mode: 0o644, kind: RowKind::Setting(settings::fail_nth, settings::set_fail_nth) },
    text("oom_score", |target| Ok(format!("{}\n", oom::score(&target.process)).into_bytes())),
    text("loginuid", |_| Ok(b"4294967295".to_vec())),
    text("schedstat", schedstat),
    Row { name: "stack", mode: 0o400, kind: RowKind::Text(stack) },
    text("stat", stat),
    text("statm", memory::statm),
    text("status", status),
    Row {
        name: "timerslack_ns",
        mode: 0o666,
        kind: RowKind::Setting(settings::timer_slack, settings::set_timer_slack),
    },
    text("wchan", wait_channel),
];

/// The directory of a process, or of a thread (which is found but not listed).
pub(super) fn directory(id: i32) -> Result<Item> {
    let target = match tree::find(id) {
        Some(process) => Target { process, thread: None },
        None => {
            let thread = tree::find_thread(id).ok_or(Errno::ENOENT)?;
            let process = thread.process().ok_or(Errno::ENOENT)?.clone();
            Target { process, thread: Some(thread) }
        }
    };
    Ok(item(target))
}

fn item(target: Target) -> Item {
    let owner = target.owner();
    Item::directory(Table { rows: ROWS, subject: target }).owned_by(owner)
}

/// task/: the threads.
struct Tasks(Target);

impl Directory for Tasks {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        let wanted = parse_number(name).ok_or(Errno::ENOENT)?;
        let threads = self.0.process.threads();
        let thread = threads.into_iter().find(|thread| tid(thread) == wanted).ok_or(Errno::ENOENT)?;
        Ok(item(Target { process: self.0.process.clone(), thread: Some(thread) }))
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        let mut tids: Vec<i32> = self.0.process.threads().iter().map(|thread| tid(thread)).collect();
        tids.sort_unstable();
        for tid in tids {
            let cursor = tid as u64 + 2;
            if cursor >= from && !visit(cursor, format!("{tid}").as_bytes(), FileKind::Directory) {
                return;
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    fn subdirectories(&self) -> u32 {
        self.0.process.thread_count() as u32
    }
}

fn tid(thread: &Thread) -> i32 {
    thread.user().map_or(0, |user| user.tid())
}

impl Target {
    /// The id that is shown.
    fn id(&self) -> i32 {
        self.thread.as_ref().map_or(self.process.pid(), |thread| tid(thread))
    }

    /// The thread that is meant, or the process's first.
    pub(super) fn any_thread(&self) -> Option<Arc<Thread>> {
        self.thread.clone().or_else(|| self.process.first_thread())
    }

    pub(super) fn name(&self) -> String {
        match &self.thread {
            Some(thread) => thread.name(),
            None => self.process.name(),
        }
    }

    fn state(&self) -> State {
        match &self.thread {
            Some(thread) => thread.state(),
            None => self.process.state(),
        }
    }

    /// User and system time in nanoseconds.
    fn times(&self) -> (u64, u64) {
        match &self.thread {
            Some(thread) => thread.times_at(crate::clock::monotonic_ns()),
            None => self.process.times(),
        }
    }
}

/// What the letter of a state stands for.
fn state_name(state: State) -> &'static str {
    match state.letter() {
        'R' => "R (running)",
        'S' => "S (sleeping)",
        'D' => "D (disk sleep)",
        'T' => "T (stopped)",
        _ => "Z (zombie)",
    }
}

/// Signals as bits: pending for the thread, for all, blocked, ignored, caught.
struct Signals {
    pending: SigSet,
    shared: SigSet,
    blocked: SigSet,
    ignored: SigSet,
    caught: SigSet,
}

impl Signals {
    fn of(target: &Target) -> Self {
        let (ignored, caught) = target.process.actions().ignored_and_caught();
        let thread = target.any_thread();
        let own = thread.as_ref().and_then(|thread| thread.user()).map(|user| user.signals());
        Self {
            pending: own.map_or(SigSet::EMPTY, signal::ThreadSignals::pending),
            shared: target.process.pending_signals(),
            blocked: own.map_or(SigSet::EMPTY, signal::ThreadSignals::blocked),
            ignored,
            caught,
        }
    }
}

/// schedstat: nanoseconds that it ran and that it waited for a CPU, and how often it got one. Of a process, as on Linux,
/// the figures of its first thread.
fn schedstat(target: &Target) -> Result<Vec<u8>> {
    let thread = target.any_thread().ok_or(Errno::ESRCH)?;
    let (user_ns, system_ns) = thread.times_at(crate::clock::monotonic_ns());
    let accounts = &thread.accounts;
    Ok(format!("{} {} {}\n", user_ns + system_ns, accounts.delay_ns(), accounts.turns()).into_bytes())
}

/// stat: one line of 52 fields.
fn stat(target: &Target) -> Result<Vec<u8>> {
    let process = &target.process;
    let (user, system) = target.times();
    let children = process.children_sums();
    let terminal = session::controlling_terminal(process);
    let (tty, foreground) =
        terminal.as_ref().map_or((0, -1), |terminal| (terminal.device_number(), terminal.foreground_group()));
    let space = process.try_address_space();
    let usage = space.as_ref().map(|space| space.usage()).unwrap_or_default();
    let program = space.as_ref().and_then(|space| space.program().cloned());
    let (minor, major) = space.as_ref().map_or((0, 0), |space| space.fault_counts());
    let thread = target.any_thread();
    let nice = thread.as_ref().map_or(0, |thread| i64::from(thread.nice().value()));
    let (real_time, class) = thread.as_ref().map_or((0, 0), |thread| scheduling(thread));
    let priority = if real_time > 0 { -1 - real_time } else { 20 + nice };
    let signals = Signals::of(target);
    let started = thread
        .as_ref()
        .and_then(|thread| thread.user())
        .map_or(process.started_ns(), |user| user.started_ns());
    let (code, data, arguments, environment, stack) =
        program.as_ref().map_or((0..0, 0..0, 0..0, 0..0, 0), |program| {
            (
                program.code.clone(),
                program.data.clone(),
                program.arguments.clone(),
                program.environment.clone(),
                program.stack,
            )
        });
    let mut line = format!(
        "{} ({}) {} {} {} {} {tty} {foreground} 0 {minor} 0 {major} 0 ",
        target.id(),
        target.name(),
        target.state().letter(),
        process.parent_id(),
        process.group_id(),
        process.session_id(),
    );
    // Writing to a string does not fail.
    let _ = write!(
        line,
        "{} {} {} {} {priority} {nice} {} 0 {} {} {} {} ",
        user / TICK_NS,
        system / TICK_NS,
        children.user_ns / TICK_NS,
        children.system_ns / TICK_NS,
        process.thread_count(),
        started / TICK_NS,
        usage.mapped,
        usage.resident / PAGE_SIZE as u64,
        process.limits.current(resource::RLIMIT_RSS),
    );
    let _ = writeln!(
        line,
        "{} {} {stack} 0 0 {} {} {} {} 0 0 0 17 {} {real_time} {class} 0 0 0 {} {} 0 {} {} {} {} 0",
        code.start,
        code.end,
        signals.pending.0 & 0x7fff_ffff,
        signals.blocked.0 & 0x7fff_ffff,
        signals.ignored.0 & 0x7fff_ffff,
        signals.caught.0 & 0x7fff_ffff,
        thread.as_ref().map_or(0, |thread| thread.cpu()),
        data.start,
        data.end,
        arguments.start,
        arguments.end,
        environment.start,
        environment.end,
    );
    Ok(line.into_bytes())
}

/// Real-time priority and the number of the class (sched(7)).
fn scheduling(thread: &Thread) -> (i64, u32) {
    match thread.policy() {
        Policy::Fair(_) => (0, 0),
        Policy::Fifo(priority) => (priority.value().into(), 1),
        Policy::RoundRobin(priority) => (priority.value().into(), 2),
        Policy::Batch(_) => (0, 3),
        Policy::Idle => (0, 5),
    }
}

/// status: the same for people.
fn status(target: &Target) -> Result<Vec<u8>> {
    let process = &target.process;
    let credentials = process.credentials();
    let signals = Signals::of(target);
    let umask = process.try_fs_context().map_or(0, |context| context.umask());
    let size = process.try_files().map_or(0, |files| files.size());
    let groups: String = credentials.groups.iter().map(|group| format!("{group} ")).collect();
    let mut text = format!(
        "Name:\t{}\nUmask:\t{umask:04o}\nState:\t{}\nTgid:\t{pid}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t0\n",
        target.name(),
        state_name(target.state()),
        target.id(),
        process.parent_id(),
        pid = process.pid(),
    );
    let _ = write!(
        text,
        "Uid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{size}\nGroups:\t{groups}\n",
        credentials.uid,
        credentials.euid,
        credentials.suid,
        credentials.fsuid,
        credentials.gid,
        credentials.egid,
        credentials.sgid,
        credentials.fsgid,
    );
    memory::status_rows(target, &mut text);
    let limit = process.limits.current(resource::RLIMIT_SIGPENDING);
    let _ = write!(
        text,
        "Threads:\t{}\nSigQ:\t{}/{limit}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
        process.thread_count(),
        process.queued_signals(),
        signals.pending.0,
        signals.shared.0,
        signals.blocked.0,
        signals.ignored.0,
        signals.caught.0,
    );
    let _ = write!(
        text,
        "CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\nSeccomp:\t0\n",
        credentials.inheritable,
        credentials.permitted,
        credentials.effective,
        credentials.bounding,
        credentials.ambient,
        u8::from(process.has_no_new_privileges()),
    );
    let sums = match &target.thread {
        Some(thread) => crate::process::Sums::of(thread),
        None => process.sums(),
    };
    let cpus = machine::cpu::count();
    let mask = if cpus >= 64 { u64::MAX } else { (1 << cpus) - 1 };
    let allowed = target.any_thread().map_or(mask, |thread| thread.affinity() & mask);
    let _ = write!(
        text,
        "Cpus_allowed:\t{allowed:x}\nCpus_allowed_list:\t{}\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        cpu_list(allowed),
        sums.voluntary_switches,
        sums.involuntary_switches,
    );
    Ok(text.into_bytes())
}

/// A set of CPUs as ranges: "0-2,5".
pub(in crate::fs) fn cpu_list(mask: u64) -> String {
    let mut text = String::new();
    let mut cpu = 0;
    while cpu < 64 {
        if mask >> cpu & 1 == 0 {
            cpu += 1;
            continue;
        }
        let first = cpu;
        while cpu < 64 && mask >> cpu & 1 != 0 {
            cpu += 1;
        }
        let separator = if text.is_empty() { "" } else { "," };
        let _ = match cpu - 1 {
            last if last == first => write!(text, "{separator}{first}"),
            last => write!(text, "{separator}{first}-{last}"),
        };
    }
    text
}

/// limits.
fn limits(target: &Target) -> Result<Vec<u8>> {
    const NAMES: [(&str, u32, &str); 16] = [
        ("Max cpu time", resource::RLIMIT_CPU, "seconds"),
        ("Max file size", resource::RLIMIT_FSIZE, "bytes"),
        ("Max data size", resource::RLIMIT_DATA, "bytes"),
        ("Max stack size", resource::RLIMIT_STACK, "bytes"),
        ("Max core file size", resource::RLIMIT_CORE, "bytes"),
        ("Max resident set", resource::RLIMIT_RSS, "bytes"),
        ("Max processes", resource::RLIMIT_NPROC, "processes"),
        ("Max open files", resource::RLIMIT_NOFILE, "files"),
        ("Max locked memory", resource::RLIMIT_MEMLOCK, "bytes"),
        ("Max address space", resource::RLIMIT_AS, "bytes"),
        ("Max file locks", resource::RLIMIT_LOCKS, "locks"),
        ("Max pending signals", resource::RLIMIT_SIGPENDING, "signals"),
        ("Max msgqueue size", resource::RLIMIT_MSGQUEUE, "bytes"),
        ("Max nice priority", resource::RLIMIT_NICE, ""),
        ("Max realtime priority", resource::RLIMIT_RTPRIO, ""),
        ("Max realtime timeout", resource::RLIMIT_RTTIME, "us"),
    ];
    let show = |limit: u64| if limit == u64::MAX { String::from("unlimited") } else { format!("{limit}") };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (name, number, unit) in NAMES {
        let limit = target.process.limits.get(number);
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", show(limit.cur), show(limit.max));
    }
    Ok(text.into_bytes())
}

/// stack: where its thread is in the kernel, the latest call first; nothing for one that runs on another CPU. As the
/// addresses tell much about the kernel, for root alone.
fn stack(target: &Target) -> Result<Vec<u8>> {
    if !try_current().is_some_and(|current| current.credentials().has(capability::SYS_ADMIN)) {
        return Err(Errno::EACCES.into());
    }
    let mut text = String::new();
    if let Some(trace) = target.any_thread().and_then(|thread| crate::sched::backtrace(&thread)) {
        for (name, offset) in trace.symbols() {
            let _ = writeln!(text, "[<0>] {name}+{offset:#x}");
        }
    }
    Ok(text.into_bytes())
}

/// wchan: what its thread waits for.
fn wait_channel(target: &Target) -> Result<Vec<u8>> {
    let waiting = target.any_thread().and_then(|thread| thread.waiting());
    Ok(waiting.map_or("0", |waiting| waiting.what).replace(' ', "_").into_bytes())
}
