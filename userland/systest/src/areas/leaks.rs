//! What programs had is given back when they end: after thousands of them, memory, kernel objects, and tasks are as before.
//!
//! Run only when named: nobody else may take memory meanwhile. Caches are dropped before each count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{Outcome, Stop, ensure, skip, tests};
use crate::sys::files::{self, pipe};
use crate::sys::memory::{Mapping, PAGE, READ_WRITE};
use crate::sys::process::{self, Status, fork};
use crate::sys::{signals, sockets, time, users};

tests! {
    processes_give_everything_back,
    threads_give_everything_back,
    files_give_everything_back,
    killed_processes_give_everything_back,
}

/// Figures of the system after its caches have been dropped.
struct Figures {
    /// Of /proc/meminfo, in KiB.
    memory: BTreeMap<String, i64>,
    /// Processes and threads.
    tasks: i64,
    /// Open files.
    files: i64,
}

/// How much less may be free, in KiB: what per-CPU lists and half-used slabs hold back.
const SLACK_KIB: i64 = 256;

impl Figures {
    fn now() -> Outcome<Figures> {
        files::sync()?;
        std::fs::write("/proc/sys/vm/drop_caches", "3")?;
        let parse = |word: Option<&str>| word.and_then(|word| word.parse::<i64>().ok());
        let memory = std::fs::read_to_string("/proc/meminfo")?
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.split_once(':')?;
                Some((name.to_string(), parse(rest.split_whitespace().next())?))
            })
            .collect();
        let load = std::fs::read_to_string("/proc/loadavg")?;
        let tasks = load.split_whitespace().nth(3).and_then(|word| word.split_once('/'));
        let open = std::fs::read_to_string("/proc/sys/fs/file-nr")?;
        Ok(Figures {
            memory,
            tasks: parse(tasks.map(|(_, all)| all)).ok_or(Stop::fail("no tasks in loadavg"))?,
            files: parse(open.split_whitespace().next()).ok_or(Stop::fail("no files in file-nr"))?,
        })
    }

    fn get(&self, name: &str) -> i64 {
        self.memory.get(name).copied().unwrap_or(0)
    }
}

/// Does something some times to warm up, then `times` times, and compares what the system has left.
fn repeat(times: usize, mut action: impl FnMut(usize) -> Outcome) -> Outcome {
    const WARM_UP: usize = 100;
    const MOMENTS: usize = 100;
    if !users::rules_all_users() {
        skip!("takes root to drop the caches");
    }
    (0..WARM_UP).try_for_each(&mut action)?;
    let before = Figures::now()?;
    (0..times).try_for_each(&mut action)?;
    // A process is waited for before the last of it is buried: the system has a moment for that.
    let mut after = Figures::now()?;
    for _ in 0..MOMENTS {
        if compare(&before, &after).is_ok() {
            break;
        }
        time::nanosleep(Duration::from_millis(20))?;
        after = Figures::now()?;
    }
    compare(&before, &after).inspect_err(|_| {
        // The kernel's own list of its threads and slabs goes with the report.
        let _ = std::fs::write("/proc/sysrq-trigger", "t");
        eprintln!("{}", std::fs::read_to_string("/proc/slabinfo").unwrap_or_default());
    })
}

/// Fails if more is gone than what the system may keep.
fn compare(before: &Figures, after: &Figures) -> Outcome {
    let lost = before.get("MemFree") - after.get("MemFree");
    let changes = before.memory.iter().filter_map(|(name, was)| {
        let is = after.get(name);
        (is != *was).then(|| format!("{name} {was} -> {is}"))
    });
    ensure!(lost <= SLACK_KIB, "{lost} KiB are gone: {}", changes.collect::<Vec<_>>().join(", "));
    for name in ["Slab", "KernelStack", "PageTables", "VmallocUsed"] {
        let more = after.get(name) - before.get(name);
        ensure!(more <= SLACK_KIB / 2, "{name} has grown by {more} KiB");
    }
    ensure!(after.tasks <= before.tasks, "{} tasks, before there were {}", after.tasks, before.tasks);
    ensure!(after.files <= before.files, "{} open files, before there were {}", after.files, before.files);
    Ok(())
}

/// What a process can have: memory of all kinds, files, and a place in the system.
fn live(number: usize) -> i32 {
    let outcome = (|| -> Outcome {
        let private = Mapping::private(16 * PAGE)?;
        let shared = Mapping::shared(4 * PAGE)?;
        for offset in [0, 5 * PAGE, 15 * PAGE] {
            private.set(offset, 1);
        }
        shared.set(2 * PAGE, 1);
        if number.is_multiple_of(4) {
            let file = files::open(&format!("file{number}"), libc::O_RDWR | libc::O_CREAT, 0o600)?;
            files::write(file.raw(), &[1; 5000])?;
            let mapped = Mapping::of_file(file.raw(), 2 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
            mapped.set(100, 2);
            files::unlink(&format!("file{number}"))?;
        }
        let (_reader, writer) = pipe(0)?;
        files::write(writer.raw(), &[3; 100])?;
        Ok(())
    })();
    i32::from(outcome.is_err())
}

fn processes_give_everything_back() -> Outcome {
    repeat(10_000, |number| {
        let child = fork(|| {
            if number.is_multiple_of(3) {
                process::execve("/proc/self/exe", &["systest", "--role", "exit", "0"], &[]).0
            } else {
                live(number)
            }
        })?;
        let status = child.wait()?;
        ensure!(status == Status::Exited(0), "process {number} {status}");
        Ok(())
    })
}

fn threads_give_everything_back() -> Outcome {
    repeat(500, |number| {
        let child = fork(|| {
            let threads: Vec<_> =
                (0..8).filter_map(|_| std::thread::Builder::new().spawn(|| 1).ok()).collect();
            let count = threads.len();
            // Half of the processes end with their threads still about.
            let sum = if number.is_multiple_of(2) {
                threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
            } else {
                8
            };
            i32::from(count != 8 || sum != 8)
        })?;
        let status = child.wait()?;
        ensure!(status == Status::Exited(0), "process {number} {status}");
        Ok(())
    })
}

fn files_give_everything_back() -> Outcome {
    repeat(2_000, |number| {
        let name = format!("d{number}");
        files::mkdir(&name, 0o700)?;
        files::put(&format!("{name}/file"), &[5; 20_000])?;
        let (one, other) = sockets::socketpair(libc::SOCK_STREAM)?;
        let file = files::open(&format!("{name}/file"), libc::O_RDONLY, 0)?;
        sockets::send_descriptors(one.raw(), b"x", &[file.raw()])?;
        drop((file, one, other));
        files::unlink(&format!("{name}/file"))?;
        files::rmdir(&name)?;
        Ok(())
    })
}

fn killed_processes_give_everything_back() -> Outcome {
    repeat(500, |_| {
        let child = fork(|| {
            let Ok(memory) = Mapping::private(64 * PAGE) else { return 1 };
            memory.set(0, 1);
            signals::pause_forever()
        })?;
        signals::kill(child.pid(), libc::SIGKILL)?;
        let status = child.wait()?;
        ensure!(status == Status::Killed(libc::SIGKILL), "the process {status}");
        Ok(())
    })
}
