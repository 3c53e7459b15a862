//! What threads wait for each other with: locks, conditions, channels, futexes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::threads::{join, start};
use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::{Errno, probe};

tests! {
    contended_mutex_loses_nothing,
    read_write_lock_excludes_writers,
    condition_variable_wakes,
    condition_variable_gives_up,
    barrier_holds_until_all_are_there,
    channel_hands_over,
    parked_thread_is_woken,
    futex_calls_check,
    futex_wakes_as_many_as_asked,
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
