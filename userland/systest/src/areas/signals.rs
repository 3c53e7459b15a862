//! Signals: handlers, masks, sending, and waiting for them.

use std::time::{Duration, Instant};

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::pause_forever;
use crate::sys::signals::{
    self, Action, act, block, handled, kill, order, pending, raise, set_of, suspend, unblock,
};
use crate::sys::time::{nanosleep, setitimer};
use crate::sys::{Errno, probe};

tests! {
    handler_runs_and_execution_goes_on,
    handler_is_told_the_sender,
    handler_blocks_its_own_signal,
    nodefer_lets_a_handler_interrupt_itself,
    handler_blocks_the_signals_of_its_set,
    mask_is_restored_after_a_handler,
    resethand_works_once,
    ignored_signals_do_nothing,
    default_of_some_signals_is_nothing,
    default_of_the_others_is_death,
    kill_and_stop_cannot_be_caught,
    wrong_signal_numbers_are_refused,
    blocked_signals_are_pending,
    blocked_signals_come_once,
    realtime_signals_queue_in_order,
    ignoring_a_pending_signal_drops_it,
    mask_calls_check,
    kill_and_stop_cannot_be_blocked,
    suspend_waits_under_another_mask,
    suspend_takes_a_pending_signal,
    pause_returns_after_a_handler,
    kill_reaches_a_group,
    kill_checks_its_target,
    kill_binds_users,
    thread_directed_signals_arrive,
    queued_values_arrive,
    timed_wait_takes_signals,
    timed_wait_gives_up,
    timed_wait_loses_no_signal,
    many_signals_between_two_processes,
}

const SHORT: Duration = Duration::from_millis(30);

fn handler_runs_and_execution_goes_on() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    for count in 1..=5 {
        raise(libc::SIGUSR1)?;
        ensure_eq!(handled(libc::SIGUSR1), count);
    }
    ensure_eq!(signals::mask()?, 0);
    Ok(())
}

fn handler_is_told_the_sender() -> Outcome {
    act(libc::SIGUSR1, Action::RecordInfo, 0, &[])?;
    let me = process::getpid()?;
    kill(me, libc::SIGUSR1)?;
    ensure_eq!((signals::last().code, signals::last().pid), (libc::SI_USER, me));
    raise(libc::SIGUSR1)?;
    ensure_eq!((signals::last().code, signals::last().pid), (libc::SI_TKILL, me));
    let before = block(libc::SIGUSR1)?;
    let child = fork(|| i32::from(kill(me, libc::SIGUSR1).is_err()))?;
    ensure_eq!(suspend(before), Errno(libc::EINTR));
    ensure_eq!(signals::last().pid, child.pid());
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn handler_blocks_its_own_signal() -> Outcome {
    act(libc::SIGUSR1, Action::RecordNested, 0, &[])?;
    raise(libc::SIGUSR1)?;
    ensure_eq!((handled(libc::SIGUSR1), signals::deepest()), (2, 1));
    Ok(())
}

fn nodefer_lets_a_handler_interrupt_itself() -> Outcome {
    act(libc::SIGUSR1, Action::RecordNested, libc::SA_NODEFER, &[])?;
    raise(libc::SIGUSR1)?;
    ensure_eq!((handled(libc::SIGUSR1), signals::deepest()), (2, 2));
    Ok(())
}

fn handler_blocks_the_signals_of_its_set() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[libc::SIGUSR2, libc::SIGTERM])?;
    raise(libc::SIGUSR1)?;
    let expected = set_of(libc::SIGUSR1) | set_of(libc::SIGUSR2) | set_of(libc::SIGTERM);
    ensure_eq!(signals::last().mask, expected);
    Ok(())
}

fn mask_is_restored_after_a_handler() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[libc::SIGUSR2])?;
    block(libc::SIGHUP)?;
    raise(libc::SIGUSR1)?;
    ensure_eq!(signals::last().mask, set_of(libc::SIGUSR1) | set_of(libc::SIGUSR2) | set_of(libc::SIGHUP));
    ensure_eq!(signals::mask()?, set_of(libc::SIGHUP));
    Ok(())
}

fn resethand_works_once() -> Outcome {
    act(libc::SIGUSR1, Action::Record, libc::SA_RESETHAND, &[])?;
    raise(libc::SIGUSR1)?;
    ensure_eq!(handled(libc::SIGUSR1), 1);
    ensure_eq!(signals::disposition(libc::SIGUSR1)?, Some(Action::Default));
    let child = fork(|| {
        let _ = raise(libc::SIGUSR1);
        0
    })?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGUSR1));
    Ok(())
}

fn ignored_signals_do_nothing() -> Outcome {
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGUSR1, libc::SIGTSTP, libc::SIGSEGV, 40] {
        act(signal, Action::Ignore, 0, &[])?;
        raise(signal)?;
        ensure_eq!(signals::disposition(signal)?, Some(Action::Ignore));
    }
    Ok(())
}

fn default_of_some_signals_is_nothing() -> Outcome {
    for signal in [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT] {
        let child = fork(|| {
            let _ = raise(signal);
            5
        })?;
        ensure_eq!(child.wait()?, Status::Exited(5), "signal {signal}");
    }
    Ok(())
}

fn default_of_the_others_is_death() -> Outcome {
    let quiet = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT];
    let stopping = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    for signal in
        (1..=31).filter(|signal| !quiet.contains(signal) && !stopping.contains(signal)).chain([35, 64])
    {
        let child = fork(|| {
            let _ = raise(signal);
            5
        })?;
        ensure_eq!(child.wait()?, Status::Killed(signal));
    }
    Ok(())
}

fn kill_and_stop_cannot_be_caught() -> Outcome {
    for signal in [libc::SIGKILL, libc::SIGSTOP] {
        ensure_errno!(act(signal, Action::Record, 0, &[]), EINVAL);
        ensure_errno!(act(signal, Action::Ignore, 0, &[]), EINVAL);
        ensure_errno!(signals::set_default(signal), EINVAL);
    }
    Ok(())
}

fn wrong_signal_numbers_are_refused() -> Outcome {
    let me = process::getpid()?;
    for signal in [-1, 65, 1000] {
        ensure_errno!(kill(me, signal), EINVAL);
        ensure_errno!(probe(libc::SYS_rt_sigaction, &[signal as usize, 0, 0, 8]), EINVAL);
    }
    ensure_errno!(probe(libc::SYS_rt_sigaction, &[0, 0, 0, 8]), EINVAL);
    ensure_errno!(probe(libc::SYS_rt_sigaction, &[1, 0, 0, 4]), EINVAL);
    kill(me, 0)?;
    Ok(())
}

fn blocked_signals_are_pending() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    block(libc::SIGUSR1)?;
    raise(libc::SIGUSR1)?;
    ensure_eq!(handled(libc::SIGUSR1), 0);
    ensure_eq!(pending()?, set_of(libc::SIGUSR1));
    unblock(libc::SIGUSR1)?;
    ensure_eq!((handled(libc::SIGUSR1), pending()?), (1, 0));
    Ok(())
}

fn blocked_signals_come_once() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    act(libc::SIGUSR2, Action::Record, 0, &[])?;
    signals::set_mask(u64::MAX)?;
    for _ in 0..3 {
        raise(libc::SIGUSR2)?;
        raise(libc::SIGUSR1)?;
    }
    signals::set_mask(0)?;
    ensure_eq!((handled(libc::SIGUSR1), handled(libc::SIGUSR2)), (1, 1));
    Ok(())
}

fn realtime_signals_queue_in_order() -> Outcome {
    let me = process::getpid()?;
    for signal in [40, 41] {
        act(signal, Action::RecordInfo, 0, &[40, 41])?;
    }
    block(40)?;
    block(41)?;
    for value in 1..=3 {
        or_skip!(signals::queue(me, 41, value), ENOSYS);
    }
    signals::queue(me, 40, 9)?;
    signals::set_mask(0)?;
    ensure_eq!((handled(40), handled(41)), (1, 3));
    ensure_eq!(order(), vec![40, 41, 41, 41], "lower numbers first");
    ensure_eq!((signals::last().value, signals::last().code), (3, libc::SI_QUEUE));
    Ok(())
}

fn ignoring_a_pending_signal_drops_it() -> Outcome {
    block(libc::SIGUSR1)?;
    raise(libc::SIGUSR1)?;
    act(libc::SIGUSR1, Action::Ignore, 0, &[])?;
    ensure_eq!(pending()?, 0);
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    unblock(libc::SIGUSR1)?;
    ensure_eq!(handled(libc::SIGUSR1), 0);
    Ok(())
}

fn mask_calls_check() -> Outcome {
    ensure_errno!(signals::change_mask_oddly(77), EINVAL);
    ensure_errno!(probe(libc::SYS_rt_sigprocmask, &[0, 0, 0, 16]), EINVAL);
    let before = signals::set_mask(set_of(5))?;
    ensure_eq!(before, 0);
    ensure_eq!(block(7)?, set_of(5));
    ensure_eq!(unblock(5)?, set_of(5) | set_of(7));
    ensure_eq!(signals::mask()?, set_of(7));
    Ok(())
}

fn kill_and_stop_cannot_be_blocked() -> Outcome {
    signals::set_mask(u64::MAX)?;
    let mask = signals::mask()?;
    ensure_eq!(mask & (set_of(libc::SIGKILL) | set_of(libc::SIGSTOP)), 0);
    let child = fork(pause_forever)?;
    kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    Ok(())
}

fn suspend_waits_under_another_mask() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    act(libc::SIGUSR2, Action::Record, 0, &[])?;
    signals::set_mask(set_of(libc::SIGUSR1) | set_of(libc::SIGUSR2))?;
    let me = process::getpid()?;
    let child = fork(|| {
        let _ = kill(me, libc::SIGUSR1);
        let _ = nanosleep(SHORT);
        i32::from(kill(me, libc::SIGUSR2).is_err())
    })?;
    ensure_eq!(suspend(set_of(libc::SIGUSR1)), Errno(libc::EINTR));
    ensure_eq!((handled(libc::SIGUSR1), handled(libc::SIGUSR2)), (0, 1));
    ensure_eq!(signals::mask()?, set_of(libc::SIGUSR1) | set_of(libc::SIGUSR2));
    ensure_eq!(pending()?, set_of(libc::SIGUSR1));
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn suspend_takes_a_pending_signal() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    block(libc::SIGUSR1)?;
    raise(libc::SIGUSR1)?;
    ensure_eq!(suspend(0), Errno(libc::EINTR));
    ensure_eq!(handled(libc::SIGUSR1), 1);
    Ok(())
}

fn pause_returns_after_a_handler() -> Outcome {
    act(libc::SIGALRM, Action::Record, libc::SA_RESTART, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
    ensure_eq!(signals::pause(), Errno(libc::EINTR));
    ensure_eq!(handled(libc::SIGALRM), 1);
    Ok(())
}

fn kill_reaches_a_group() -> Outcome {
    let children = (0..3).map(|_| fork(pause_forever)).collect::<Result<Vec<_>, _>>()?;
    let outsider = fork(pause_forever)?;
    for child in &children {
        process::setpgid(child.pid(), children[0].pid())?;
    }
    kill(-children[0].pid(), libc::SIGUSR1)?;
    for child in &children {
        ensure_eq!(child.wait()?, Status::Killed(libc::SIGUSR1));
    }
    ensure_eq!(outsider.try_wait()?, None);
    act(libc::SIGUSR2, Action::Record, 0, &[])?;
    kill(0, libc::SIGUSR2)?;
    ensure_eq!(handled(libc::SIGUSR2), 1);
    ensure_eq!(outsider.wait()?, Status::Killed(libc::SIGUSR2));
    Ok(())
}

fn kill_checks_its_target() -> Outcome {
    ensure_errno!(kill(0x3fff_fffe, 0), ESRCH);
    ensure_errno!(kill(-0x3fff_fffe, 0), ESRCH);
    let me = process::getpid()?;
    ensure_errno!(signals::tgkill(me, 0x3fff_fffe, 0), ESRCH);
    ensure_errno!(signals::tgkill(0x3fff_fffe, me, 0), ESRCH);
    ensure_errno!(signals::tgkill(me, 0, 0), EINVAL);
    ensure_errno!(signals::tgkill(-1, me, 0), EINVAL);
    signals::tgkill(me, me, 0)?;
    Ok(())
}

fn kill_binds_users() -> Outcome {
    if !crate::sys::users::rules_all_users() {
        skip!("needs root over all users");
    }
    let victim = fork(pause_forever)?;
    let stranger = fork(|| {
        if crate::sys::users::setresuid(1234, 1234, 1234).is_err() {
            return 1;
        }
        i32::from(kill(victim.pid(), libc::SIGTERM) != Err(Errno(libc::EPERM))) << 1
            | i32::from(kill(victim.pid(), 0) != Err(Errno(libc::EPERM))) << 2
    })?;
    ensure_eq!(stranger.wait()?, Status::Exited(0));
    ensure_eq!(victim.try_wait()?, None);
    Ok(())
}

fn thread_directed_signals_arrive() -> Outcome {
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    signals::tkill(process::gettid()?, libc::SIGUSR1)?;
    signals::tgkill(process::getpid()?, process::gettid()?, libc::SIGUSR1)?;
    ensure_eq!(handled(libc::SIGUSR1), 2);
    Ok(())
}

fn queued_values_arrive() -> Outcome {
    act(libc::SIGUSR1, Action::RecordInfo, 0, &[])?;
    let me = process::getpid()?;
    or_skip!(signals::queue(me, libc::SIGUSR1, 0x1234_5678_9abc), ENOSYS);
    let last = signals::last();
    ensure_eq!((last.code, last.pid, last.value), (libc::SI_QUEUE, me, 0x1234_5678_9abc));
    Ok(())
}

fn timed_wait_takes_signals() -> Outcome {
    let me = process::getpid()?;
    let set = set_of(libc::SIGUSR1) | set_of(libc::SIGUSR2);
    signals::set_mask(set)?;
    kill(me, libc::SIGUSR2)?;
    let (signal, code, pid, _) = or_skip!(signals::timed_wait(set, None), ENOSYS);
    ensure_eq!((signal, code, pid), (libc::SIGUSR2, libc::SI_USER, me));
    ensure_eq!(pending()?, 0);
    let child = fork(|| {
        let _ = nanosleep(SHORT);
        i32::from(kill(me, libc::SIGUSR1).is_err())
    })?;
    let (signal, _, pid, _) = signals::timed_wait(set, Some(Duration::from_secs(10)))?;
    ensure_eq!((signal, pid), (libc::SIGUSR1, child.pid()));
    Ok(())
}

/// Two processes wait for each other's signals: what comes while one begins to wait must not end the wait alone.
fn timed_wait_loses_no_signal() -> Outcome {
    let (ping, pong) = (libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2);
    let limit = Some(Duration::from_secs(10));
    signals::set_mask(set_of(ping) | set_of(pong))?;
    let parent = process::getpid()?;
    let child = fork(|| {
        for round in 0..500 {
            let taken = signals::timed_wait(set_of(ping), limit);
            if taken.is_err() || signals::queue(parent, pong, round).is_err() {
                return 1;
            }
        }
        0
    })?;
    for round in 0..500 {
        signals::queue(child.pid(), ping, round)?;
        let (signal, _, pid, value) = signals::timed_wait(set_of(pong), limit)?;
        ensure_eq!((signal, pid, value), (pong, child.pid(), round));
    }
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn timed_wait_gives_up() -> Outcome {
    block(libc::SIGUSR1)?;
    let start = Instant::now();
    let answer = signals::timed_wait(set_of(libc::SIGUSR1), Some(SHORT));
    if answer.is_err_and(|errno| errno.0 == libc::ENOSYS) {
        skip!("no rt_sigtimedwait");
    }
    ensure_errno!(answer, EAGAIN);
    ensure!(start.elapsed() >= SHORT);
    ensure_errno!(signals::timed_wait(set_of(libc::SIGUSR1), Some(Duration::ZERO)), EAGAIN);
    act(libc::SIGALRM, Action::Record, 0, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
    ensure_errno!(signals::timed_wait(set_of(libc::SIGUSR1), Some(Duration::from_secs(10))), EINTR);
    Ok(())
}

fn many_signals_between_two_processes() -> Outcome {
    // Ping-pong: each waits for the other's signal before it sends the next.
    act(libc::SIGUSR1, Action::Record, 0, &[])?;
    let before = block(libc::SIGUSR1)?;
    let me = process::getpid()?;
    const ROUNDS: usize = 200;
    let child = fork(|| {
        for round in 1..=ROUNDS {
            while handled(libc::SIGUSR1) < round {
                let _ = suspend(before);
            }
            if kill(me, libc::SIGUSR1).is_err() {
                return 1;
            }
        }
        0
    })?;
    for round in 1..=ROUNDS {
        kill(child.pid(), libc::SIGUSR1)?;
        while handled(libc::SIGUSR1) < round {
            ensure_eq!(suspend(before), Errno(libc::EINTR));
        }
    }
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}
