//! Processes, and tasks of the kernel that have something to compute.

use crate::error::{Error, Result};
use crate::fs::fd::{FdTable, OnExec};
use crate::fs::file::OpenFlags;
use crate::fs::mount::{Mount, MountFlags};
use crate::fs::open::{self, OpenRequest};
use crate::fs::{Caller, FsContext, file_system::Access, filesystems};
use crate::monitor::arguments::{Arguments, Failure, Outcome, While};
use crate::monitor::command::Context;
use crate::monitor::console::Lending;
use crate::process::{Process, exec, exit, program, signal::send_to_process};
use crate::sched::{self, State};
use abi::errno::Errno;
use abi::signal::{SI_KERNEL, SigInfo, Signal};
use alloc::{format, string::String, sync::Arc, vec, vec::Vec};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::time;

/// How often is looked whether Ctrl-C was typed while a process runs.
const LOOK_NS: u64 = 50_000_000;
/// Kernel tasks that one command starts at most.
const MOST_TASKS: u64 = 1000;
/// Standard input, output and error.
const DESCRIPTORS: usize = 3;

/// Starts processes from a program, waits for each and shows how it ended. Ctrl-C kills them.
pub(in crate::monitor) fn exec(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let count = arguments.number::<u64>("number of processes")?;
    let path = arguments.word()?;
    let words: Vec<&str> = core::iter::once(path).chain(arguments.words()).collect();
    let mut processes = Vec::new();
    for _ in 0..count {
        let started = context.check().and_then(|()| start(context, &words).trying("starting"));
        match started {
            Ok(process) => processes.push(process),
            Err(failure) => {
                // Those that run are waited for all the same.
                if processes.is_empty() {
                    return Err(failure);
                }
                if let Failure::Error(_, error) = &failure {
                    writeln!(context.out, "{} of {count} processes were started: {error}", processes.len())?;
                }
                break;
            }
        }
    }
    // A single program may be a shell.
    let lends = count == 1;
    if lends {
        context.console.lend(Lending::Lent);
    }
    let ends: Vec<Outcome> = processes.iter().map(|process| wait(context, process)).collect();
    if lends {
        context.console.lend(Lending::Back);
    }
    for (process, end) in processes.iter().zip(ends) {
        match end {
            Ok(()) => {
                writeln!(context.out, "process {} has ended: {:?}", process.pid(), exit::status(process))?
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn start(context: &Context<'_>, words: &[&str]) -> Result<Arc<Process>> {
    let caller = Caller::kernel()?;
    let fs = Arc::new(FsContext::new(caller.root.clone()));
    let strings = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let environment =
        vec![b"HOME=/".to_vec(), b"TERM=linux".to_vec(), b"PATH=/sbin:/usr/sbin:/bin:/usr/bin".to_vec()];
    let path = words.first().ok_or(Errno::ENOENT)?;
    let request = exec::Request::new(caller, path.as_bytes(), strings, environment)?;
    program::start_orphan(request, terminal_files(context)?, fs)
}

/// Descriptors of the monitor's terminal, which the root file system need not know.
fn terminal_files(context: &Context<'_>) -> Result<Arc<FdTable>> {
    let files = FdTable::new();
    let Some(tty) = context.console.tty() else { return Ok(files) };
    let kind = filesystems::find(b"devtmpfs").ok_or(Errno::ENODEV)?;
    let super_block = filesystems::open(kind, b"", None, b"", Access::ReadWrite)?;
    let root = super_block.root.clone();
    let devices = Mount::new(super_block, root, MountFlags::NO_SUID, String::from("devtmpfs")).root_path();
    let caller = Caller { root: devices.clone(), directory: devices.clone(), ..Caller::kernel()? };
    let flags = OpenFlags::O_RDWR | OpenFlags::O_NOCTTY;
    let file = open::open(&caller, &devices, tty.name().as_bytes(), OpenRequest::new(flags))?;
    for descriptor in 0..DESCRIPTORS {
        files.install_at(descriptor as i32, file.clone(), OnExec::Keep)?;
    }
    Ok(files)
}

/// Waits for a process; kills it when Ctrl-C is typed.
fn wait(context: &Context<'_>, process: &Arc<Process>) -> Outcome {
    let mut is_killed = false;
    let has_ended = || process.has_ended().then_some(());
    while process.exit_event.wait_until(time::monotonic_ns() + LOOK_NS, has_ended).is_err() {
        if !is_killed && context.console.is_interrupted() {
            let info = SigInfo::new(Signal::SIGKILL, SI_KERNEL);
            send_to_process(process, Signal::SIGKILL, info).trying("killing")?;
            is_killed = true;
        }
    }
    Ok(())
}

/// Finds a prime number the slow way, in tasks of the kernel: waits for one, or starts several.
pub(in crate::monitor) fn prime(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let way = arguments.word()?;
    if !matches!(way, "sync" | "async") {
        return Err(Failure::Usage);
    }
    let number = arguments.number::<u64>("place of a prime")?;
    let tasks = if way == "async" { arguments.number::<u64>("number of tasks")? } else { 1 };
    arguments.end()?;
    if number == 0 {
        return Err(Failure::Refused("primes are counted from 1"));
    }
    if way == "sync" {
        return find_prime(context, number);
    }
    if tasks > MOST_TASKS {
        return Err(Failure::Refused("1000 tasks are the most"));
    }
    for task in 0..tasks {
        sched::spawn(&format!("prime {task}"), move || {
            if let Some(prime) = nth_prime(number, &|| false) {
                log::info!("prime: number {number} is {prime}");
            }
        })
        .trying("starting a task")?;
    }
    writeln!(context.out, "{tasks} tasks look for prime number {number}; the log will tell")?;
    Ok(())
}

fn find_prime(context: &mut Context<'_>, number: u64) -> Outcome {
    let (found, is_enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (result, stop) = (found.clone(), is_enough.clone());
    let task = sched::spawn("prime", move || {
        let prime = nth_prime(number, &|| stop.load(Ordering::Relaxed));
        result.store(prime.unwrap_or(0), Ordering::Release);
    });
    let task = task.trying("starting a task")?;
    writeln!(context.out, "waiting for thread {}", task.id())?;
    while task.state() != State::Exited {
        if context.console.wait_until(time::monotonic_ns() + LOOK_NS / 10) {
            is_enough.store(true, Ordering::Relaxed);
            return Err(Failure::Stopped);
        }
    }
    match found.load(Ordering::Acquire) {
        0 => return Err(Failure::Error("computing", Error::from(Errno::EOVERFLOW))),
        prime => writeln!(context.out, "prime number {number} is {prime}")?,
    }
    Ok(())
}

/// The `number`-th prime, by dividing each number by all smaller ones; `None` if there are no more numbers, or it is
/// enough.
fn nth_prime(number: u64, is_enough: &dyn Fn() -> bool) -> Option<u64> {
    let is_prime = |candidate: u64| (2..candidate).all(|divisor| !candidate.is_multiple_of(divisor));
    let mut found = 0;
    for candidate in 2..u64::MAX {
        if is_enough() {
            return None;
        }
        if is_prime(candidate) {
            found += 1;
        }
        if found == number {
            return Some(candidate);
        }
    }
    None
}
