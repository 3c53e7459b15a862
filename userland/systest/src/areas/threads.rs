//! Threads: starting, joining, locks, sleeping and waking, signals, and ending with threads alive.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::{Errno, probe};

tests! {
    thread_starts_and_is_joined,
    hundred_threads_one_after_the_other,
    thirty_threads_at_once,
    threads_share_memory_and_descriptors,
    threads_have_ids_of_their_own,
    thread_locals_are_apart,
    contended_mutex_loses_nothing,
    read_write_lock_excludes_writers,
    condition_variable_wakes,
    condition_variable_gives_up,
    barrier_holds_until_all_are_there,
    channel_hands_over,
    parked_thread_is_woken,
    futex_calls_check,
    futex_wakes_as_many_as_asked,
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
fn start<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, Stop> {
    Ok(thread::Builder::new().stack_size(64 * 1024).spawn(body)?)
}

fn join<T>(handle: thread::JoinHandle<T>) -> Result<T, Stop> {
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

fn contended_mutex_loses_nothing() -> Outcome {
    let counter = Arc::new(Mutex::new(0_u64));
    let handles = (0..8)
        .map(|_| {
            let counter = Arc::clone(&counter);
            start(move || {
                for _ in 0..5000 {
                    let Ok(mut count) = counter.lock() else { return };
                    *count += 1;
                }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for handle in handles {
        join(handle)?;
    }
    ensure_eq!(counter.lock().map(|count| *count).unwrap_or_default(), 40_000);
    Ok(())
}

fn read_write_lock_excludes_writers() -> Outcome {
    let lock = Arc::new(RwLock::new((0_u64, 0_u64)));
    let handles = (0..6)
        .map(|number| {
            let lock = Arc::clone(&lock);
            start(move || {
                for _ in 0..1000 {
                    if number < 2 {
                        let Ok(mut pair) = lock.write() else { return false };
                        pair.0 += 1;
                        pair.1 += 1;
                    } else if !lock.read().is_ok_and(|pair| pair.0 == pair.1) {
                        return false;
                    }
                }
                true
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for handle in handles {
        ensure!(join(handle)?);
    }
    ensure_eq!(lock.read().map(|pair| pair.0).unwrap_or_default(), 2000);
    Ok(())
}

fn condition_variable_wakes() -> Outcome {
    let shared = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let theirs = Arc::clone(&shared);
    let handle = start(move || {
        for _ in 0..100 {
            let Ok(mut count) = theirs.0.lock() else { return };
            *count += 1;
            theirs.1.notify_all();
        }
    })?;
    let mut count = shared.0.lock().map_err(|_| Stop::fail("poisoned"))?;
    while *count < 100 {
        count = shared.1.wait(count).map_err(|_| Stop::fail("poisoned"))?;
    }
    drop(count);
    join(handle)
}

fn condition_variable_gives_up() -> Outcome {
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    let guard = lock.lock().map_err(|_| Stop::fail("poisoned"))?;
    let limit = Duration::from_millis(40);
    let start = Instant::now();
    let answer = condition.wait_timeout_while(guard, limit, |()| true).map_err(|_| Stop::fail("poisoned"))?;
    ensure!(answer.1.timed_out() && start.elapsed() >= limit);
    Ok(())
}

fn barrier_holds_until_all_are_there() -> Outcome {
    let (barrier, passed) = (Arc::new(Barrier::new(4)), Arc::new(AtomicUsize::new(0)));
    let handles = (0..3)
        .map(|_| {
            let (barrier, passed) = (Arc::clone(&barrier), Arc::clone(&passed));
            start(move || {
                barrier.wait();
                passed.fetch_add(1, SeqCst);
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    thread::sleep(Duration::from_millis(20));
    ensure_eq!(passed.load(SeqCst), 0);
    barrier.wait();
    for handle in handles {
        join(handle)?;
    }
    ensure_eq!(passed.load(SeqCst), 3);
    Ok(())
}

fn channel_hands_over() -> Outcome {
    let (sender, receiver) = mpsc::sync_channel(4);
    let handle = start(move || (0..2000_u32).all(|number| sender.send(number).is_ok()))?;
    for expected in 0..2000 {
        ensure_eq!(receiver.recv(), Ok(expected));
    }
    ensure!(join(handle)?);
    ensure!(receiver.recv().is_err());
    Ok(())
}

fn parked_thread_is_woken() -> Outcome {
    let flag = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&flag);
    let handle = start(move || {
        while !theirs.load(SeqCst) {
            thread::park();
        }
    })?;
    thread::sleep(Duration::from_millis(10));
    flag.store(true, SeqCst);
    handle.thread().unpark();
    join(handle)?;
    let begin = Instant::now();
    thread::park_timeout(Duration::from_millis(20));
    ensure!(begin.elapsed() < Duration::from_secs(5));
    Ok(())
}

fn futex(
    word: &std::sync::atomic::AtomicU32,
    operation: i32,
    value: u32,
    timeout: usize,
) -> Result<usize, Errno> {
    let address = std::ptr::from_ref(word) as usize;
    probe(
        libc::SYS_futex,
        &[address, (operation | libc::FUTEX_PRIVATE_FLAG) as usize, value as usize, timeout, 0, 0],
    )
}

fn futex_calls_check() -> Outcome {
    let word = std::sync::atomic::AtomicU32::new(5);
    ensure_errno!(futex(&word, libc::FUTEX_WAIT, 6, 0), EAGAIN);
    ensure_eq!(futex(&word, libc::FUTEX_WAKE, 1, 0)?, 0);
    ensure_errno!(probe(libc::SYS_futex, &[8, libc::FUTEX_WAIT as usize, 0, 0]), EFAULT);
    ensure_errno!(probe(libc::SYS_futex, &[9, libc::FUTEX_WAIT as usize, 0, 0]), EINVAL);
    ensure_errno!(futex(&word, 99, 0, 0), ENOSYS);
    let wait = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let start = Instant::now();
    ensure_errno!(futex(&word, libc::FUTEX_WAIT, 5, std::ptr::from_ref(&wait) as usize), ETIMEDOUT);
    ensure!(start.elapsed() >= Duration::from_millis(20));
    let wrong = libc::timespec { tv_sec: 0, tv_nsec: -1 };
    ensure_errno!(futex(&word, libc::FUTEX_WAIT, 5, std::ptr::from_ref(&wrong) as usize), EINVAL);
    Ok(())
}

fn futex_wakes_as_many_as_asked() -> Outcome {
    let word = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let awake = Arc::new(AtomicUsize::new(0));
    let handles = (0..4)
        .map(|_| {
            let (word, awake) = (Arc::clone(&word), Arc::clone(&awake));
            start(move || {
                let answer = futex(&word, libc::FUTEX_WAIT, 0, 0);
                awake.fetch_add(1, SeqCst);
                answer
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Woken ones are counted by the call itself; sleepers may come late.
    let mut woken = 0;
    while woken < 2 {
        let count = futex(&word, libc::FUTEX_WAKE, (2 - woken) as u32, 0)?;
        ensure!(count <= 2 - woken);
        woken += count;
        thread::sleep(Duration::from_millis(2));
    }
    thread::sleep(Duration::from_millis(30));
    ensure_eq!(awake.load(SeqCst), 2);
    while woken < 4 {
        woken += futex(&word, libc::FUTEX_WAKE, i32::MAX as u32, 0)?;
        thread::sleep(Duration::from_millis(2));
    }
    for handle in handles {
        ensure_eq!(join(handle)?, Ok(0));
    }
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
