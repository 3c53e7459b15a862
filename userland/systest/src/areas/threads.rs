//! Threads: starting, joining, signals, and ending with threads alive.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::probe;
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};

tests! {
    thread_starts_and_is_joined,
    hundred_threads_one_after_the_other,
    thirty_threads_at_once,
    threads_share_memory_and_descriptors,
    threads_have_ids_of_their_own,
    thread_locals_are_apart,
    exit_ends_all_threads,
    exec_ends_all_threads,
    fault_in_a_thread_kills_the_process,
    fork_in_a_thread_copies_that_thread,
    signal_can_be_sent_to_one_thread,
    blocked_signals_are_per_thread,
    process_signal_goes_to_a_thread_that_listens,
    threads_allocate_at_once,
    busy_threads_share_the_processors,
    children_of_threads_are_everybodys,
}

/// Starts a thread, or skips nothing: a kernel without threads fails here.
pub(super) fn start<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, Stop> {
    Ok(thread::Builder::new().stack_size(64 * 1024).spawn(body)?)
}

/// Waits for its end.
pub(super) fn join<T>(handle: thread::JoinHandle<T>) -> Result<T, Stop> {
    handle.join().map_err(|_| Stop::fail("a thread panicked"))
}

fn thread_starts_and_is_joined() -> Outcome {
    ensure_eq!(join(start(|| 6 * 7)?)?, 42);
    Ok(())
}

fn hundred_threads_one_after_the_other() -> Outcome {
    for number in 0..100 {
        ensure_eq!(join(start(move || number + 1)?)?, number + 1);
    }
    Ok(())
}

fn thirty_threads_at_once() -> Outcome {
    let gate = Arc::new(Barrier::new(31));
    let handles = (0..30)
        .map(|number| {
            let gate = Arc::clone(&gate);
            start(move || {
                gate.wait();
                number
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    gate.wait();
    for (number, handle) in handles.into_iter().enumerate() {
        ensure_eq!(join(handle)?, number);
    }
    Ok(())
}

fn threads_share_memory_and_descriptors() -> Outcome {
    let shared = Arc::new(AtomicUsize::new(1));
    let theirs = Arc::clone(&shared);
    let number = join(start(move || {
        theirs.store(2, SeqCst);
        let made = crate::sys::files::open("file", libc::O_RDWR | libc::O_CREAT, 0o644);
        made.map(|fd| {
            let number = fd.raw();
            std::mem::forget(fd);
            number
        })
    })?)??;
    ensure_eq!(shared.load(SeqCst), 2);
    ensure_eq!(crate::sys::files::write(number, b"x")?, 1);
    crate::sys::files::mkdir("below", 0o755)?;
    join(start(|| crate::sys::files::chdir("below"))?)??;
    ensure!(crate::sys::files::exists("../below"), "the current directory is shared");
    Ok(())
}

fn threads_have_ids_of_their_own() -> Outcome {
    let me = process::getpid()?;
    let (pid, tid, parent) = join(start(|| (process::getpid(), process::gettid(), process::getppid()))?)?;
    ensure_eq!(pid, Ok(me));
    ensure!(tid.is_ok_and(|tid| tid != me));
    ensure_eq!(parent, process::getppid());
    Ok(())
}

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(7) };
}

fn thread_locals_are_apart() -> Outcome {
    OWN.set(1);
    let handles = (10..20)
        .map(|number| {
            start(move || {
                let first = OWN.get();
                OWN.set(number);
                thread::yield_now();
                (first, OWN.get() == number)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for handle in handles {
        ensure_eq!(join(handle)?, (7, true));
    }
    ensure_eq!(OWN.get(), 1);
    Ok(())
}

fn exit_ends_all_threads() -> Outcome {
    let child = fork(|| {
        for _ in 0..5 {
            let busy = thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
            std::mem::forget(busy);
        }
        let sleeper = thread::spawn(thread::park);
        std::mem::forget(sleeper);
        thread::sleep(Duration::from_millis(20));
        12
    })?;
    ensure_eq!(child.wait()?, Status::Exited(12));
    let child = fork(|| {
        let _ = thread::spawn(|| process::exit_now(13)).join();
        14
    })?;
    ensure_eq!(child.wait()?, Status::Exited(13), "from another thread than the first");
    Ok(())
}

fn exec_ends_all_threads() -> Outcome {
    let me = std::env::current_exe()?.to_string_lossy().into_owned();
    let child = fork(|| {
        for _ in 0..3 {
            std::mem::forget(thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            }));
        }
        let pid = process::getpid().unwrap_or_default().to_string();
        // From a thread that is not the first: it takes over the process's id.
        let handle = thread::spawn(move || {
            let words = ["systest", crate::role::WORD, "pid-is", &pid];
            process::execve(&me, &words, &[])
        });
        handle.join().map_or(99, |errno| errno.0)
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn fault_in_a_thread_kills_the_process() -> Outcome {
    let child = fork(|| {
        let handle = thread::spawn(|| signals::raise(libc::SIGSEGV));
        let _ = handle.join();
        thread::sleep(Duration::from_secs(5));
        1
    })?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGSEGV));
    Ok(())
}

fn fork_in_a_thread_copies_that_thread() -> Outcome {
    let status = join(start(|| {
        OWN.set(55);
        let child = fork(|| {
            let same = process::getpid() == process::gettid();
            i32::from(OWN.get() != 55 || !same)
        });
        child.and_then(|child| child.wait())
    })?)??;
    ensure_eq!(status, Status::Exited(0));
    Ok(())
}

/// A thread that does nothing until told to end; its id.
fn idle_thread(
    prepare: impl FnOnce() + Send + 'static,
) -> Result<(thread::JoinHandle<()>, i32, Arc<AtomicBool>), Stop> {
    let (sender, receiver) = mpsc::channel();
    let end = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&end);
    let handle = start(move || {
        prepare();
        let _ = sender.send(process::gettid());
        while !theirs.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    })?;
    let id = receiver.recv().map_err(|_| Stop::fail("the thread ended early"))??;
    Ok((handle, id, end))
}

fn signal_can_be_sent_to_one_thread() -> Outcome {
    signals::act(libc::SIGUSR1, Action::Record, libc::SA_RESTART, &[])?;
    let (handle, id, end) = idle_thread(|| {})?;
    signals::block(libc::SIGUSR1)?;
    signals::tgkill(process::getpid()?, id, libc::SIGUSR1)?;
    let limit = Instant::now() + Duration::from_secs(5);
    while signals::handled(libc::SIGUSR1) == 0 && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    end.store(true, SeqCst);
    join(handle)?;
    ensure_eq!(signals::handled(libc::SIGUSR1), 1);
    // Joined is a thread a moment before the kernel has forgotten it.
    while signals::tgkill(process::getpid()?, id, 0).is_ok() && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    ensure_errno!(signals::tgkill(process::getpid()?, id, 0), ESRCH);
    Ok(())
}

fn blocked_signals_are_per_thread() -> Outcome {
    signals::block(libc::SIGUSR2)?;
    let inherited = join(start(|| {
        let inherited = signals::mask();
        let _ = signals::set_mask(0);
        inherited
    })?)??;
    ensure_eq!(inherited & signals::set_of(libc::SIGUSR2), signals::set_of(libc::SIGUSR2));
    ensure_eq!(signals::mask()?, signals::set_of(libc::SIGUSR2));
    Ok(())
}

fn process_signal_goes_to_a_thread_that_listens() -> Outcome {
    signals::act(libc::SIGUSR1, Action::Record, libc::SA_RESTART, &[])?;
    signals::block(libc::SIGUSR1)?;
    let (handle, _, end) = idle_thread(|| {
        let _ = signals::unblock(libc::SIGUSR1);
    })?;
    signals::kill(process::getpid()?, libc::SIGUSR1)?;
    let limit = Instant::now() + Duration::from_secs(5);
    while signals::handled(libc::SIGUSR1) == 0 && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    end.store(true, SeqCst);
    join(handle)?;
    ensure_eq!(signals::handled(libc::SIGUSR1), 1);
    ensure_eq!(signals::pending()?, 0);
    Ok(())
}

fn threads_allocate_at_once() -> Outcome {
    let handles = (0..6_usize)
        .map(|number| {
            start(move || {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                for round in 0..300 {
                    kept.push(vec![number as u8; 1 + (round * 37) % 9000]);
                    if round % 3 == 0 {
                        kept.swap_remove(round % kept.len());
                    }
                }
                kept.iter().all(|block| block.iter().all(|byte| *byte == number as u8))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for handle in handles {
        ensure!(join(handle)?);
    }
    Ok(())
}

fn busy_threads_share_the_processors() -> Outcome {
    let count = process::affinity()?.len() + 2;
    let end = Arc::new(AtomicBool::new(false));
    let turns: Arc<Vec<AtomicUsize>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
    let handles = (0..count)
        .map(|index| {
            let (end, turns) = (Arc::clone(&end), Arc::clone(&turns));
            start(move || {
                while !end.load(SeqCst) {
                    turns[index].fetch_add(1, SeqCst);
                }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let limit = Instant::now() + Duration::from_secs(10);
    while Instant::now() < limit && turns.iter().any(|turns| turns.load(SeqCst) == 0) {
        thread::sleep(Duration::from_millis(10));
    }
    end.store(true, SeqCst);
    for handle in handles {
        join(handle)?;
    }
    ensure!(turns.iter().all(|turns| turns.load(SeqCst) > 0));
    Ok(())
}

fn children_of_threads_are_everybodys() -> Outcome {
    let child = join(start(|| fork(|| 21))?)??;
    ensure_eq!(child.wait()?, Status::Exited(21));
    let unused = or_skip!(probe(libc::SYS_set_tid_address, &[0]), ENOSYS);
    ensure_eq!(unused as i32, process::gettid()?);
    Ok(())
}
