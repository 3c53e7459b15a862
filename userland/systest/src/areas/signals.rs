//! Signals: handlers, masks, waiting, stopping, timers, alternate stacks, and faults.

use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::faults::{self, Deafness, Deed};
use crate::sys::files::{pipe, read, write};
use crate::sys::process::{self, Status, fork, wait4, waitid};
use crate::sys::signals::{
    self, Action, act, block, handled, kill, order, pending, raise, set_of, suspend, unblock,
};
use crate::sys::time::{alarm, getitimer, nanosleep, nanosleep_raw, setitimer, timespec};
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
    stop_and_continue_are_told,
    stop_is_told_by_waitid,
    stopped_child_does_not_run,
    continue_wakes_even_if_ignored,
    kill_ends_a_stopped_process,
    sigchld_comes_for_stops_unless_refused,
    sigttin_and_sigtstp_stop_by_default,
    orphaned_group_is_hung_up,
    sleep_is_interrupted_and_tells_the_rest,
    ignored_signal_does_not_interrupt_a_sleep,
    wait_restarts_or_not,
    alarm_rings_once,
    alarm_can_be_replaced_and_cancelled,
    interval_timer_rings_again_and_again,
    virtual_timer_counts_work,
    alternate_stack_is_used,
    alternate_stack_calls_check,
    registers_survive_a_handler,
    registers_survive_many_handlers,
    null_pointer_is_told,
    wrong_protection_is_told,
    division_by_zero_is_told,
    illegal_instruction_is_told,
    breakpoint_is_told,
    privileged_instruction_is_a_segmentation_fault,
    kernel_addresses_cannot_be_touched,
    faults_kill_with_their_signal,
    blocked_or_ignored_faults_kill,
    stack_overflow_kills,
    stack_overflow_is_caught_on_the_alternate_stack,
    many_signals_between_two_processes,
}

const SHORT: Duration = Duration::from_millis(30);

fn forever() -> i32 {
    loop {
        let _ = signals::pause();
    }
}

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
    let child = fork(forever)?;
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
    let children = (0..3).map(|_| fork(forever)).collect::<Result<Vec<_>, _>>()?;
    let outsider = fork(forever)?;
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
    if crate::sys::users::geteuid()? != 0 {
        skip!("needs root");
    }
    let victim = fork(forever)?;
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

fn stop_and_continue_are_told() -> Outcome {
    let child = fork(forever)?;
    for _ in 0..2 {
        kill(child.pid(), libc::SIGSTOP)?;
        ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
        ensure_eq!(wait4(child.pid(), libc::WUNTRACED | libc::WNOHANG)?.0, 0, "told once");
        kill(child.pid(), libc::SIGCONT)?;
        ensure_eq!(child.wait_for(libc::WCONTINUED)?, Status::Continued);
    }
    kill(child.pid(), libc::SIGSTOP)?;
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None, "without WUNTRACED a stop is no news");
    kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    Ok(())
}

fn stop_is_told_by_waitid() -> Outcome {
    let child = fork(forever)?;
    kill(child.pid(), libc::SIGSTOP)?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WSTOPPED), ENOSYS);
    ensure_eq!((info.code, info.status), (libc::CLD_STOPPED, libc::SIGSTOP));
    kill(child.pid(), libc::SIGCONT)?;
    let info = waitid(libc::P_PID, child.pid(), libc::WCONTINUED)?;
    ensure_eq!((info.code, info.status), (libc::CLD_CONTINUED, libc::SIGCONT));
    Ok(())
}

fn stopped_child_does_not_run() -> Outcome {
    let (reader, writer) = pipe(libc::O_NONBLOCK)?;
    let child = fork(|| {
        loop {
            let _ = write(*writer, b".");
            let _ = nanosleep(Duration::from_millis(1));
        }
    })?;
    nanosleep(SHORT)?;
    kill(child.pid(), libc::SIGSTOP)?;
    ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
    let mut bytes = [0; 4096];
    while read(*reader, &mut bytes).is_ok() {}
    nanosleep(SHORT)?;
    ensure_errno!(read(*reader, &mut bytes), EAGAIN);
    kill(child.pid(), libc::SIGCONT)?;
    nanosleep(SHORT * 2)?;
    ensure!(read(*reader, &mut bytes)? > 0);
    Ok(())
}

fn continue_wakes_even_if_ignored() -> Outcome {
    let child = fork(|| {
        let _ = act(libc::SIGCONT, Action::Ignore, 0, &[]);
        let _ = raise(libc::SIGSTOP);
        9
    })?;
    ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(libc::SIGSTOP));
    kill(child.pid(), libc::SIGCONT)?;
    ensure_eq!(child.wait()?, Status::Exited(9));
    Ok(())
}

fn kill_ends_a_stopped_process() -> Outcome {
    let child = fork(forever)?;
    kill(child.pid(), libc::SIGSTOP)?;
    child.wait_for(libc::WUNTRACED)?;
    kill(child.pid(), libc::SIGTERM)?; // waits for the continuation
    nanosleep(SHORT)?;
    ensure_eq!(child.try_wait()?, None);
    kill(child.pid(), libc::SIGKILL)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGKILL));
    Ok(())
}

fn sigchld_comes_for_stops_unless_refused() -> Outcome {
    for (flags, expected) in [(0, true), (libc::SA_NOCLDSTOP, false)] {
        act(libc::SIGCHLD, Action::RecordInfo, flags, &[])?;
        let before = handled(libc::SIGCHLD);
        let child = fork(forever)?;
        kill(child.pid(), libc::SIGSTOP)?;
        while child.wait_for(libc::WUNTRACED).is_err_and(|errno| errno.0 == libc::EINTR) {}
        ensure_eq!(handled(libc::SIGCHLD) > before, expected, "flags {flags}");
        if expected {
            ensure_eq!(signals::last().code, libc::CLD_STOPPED);
        }
        signals::set_default(libc::SIGCHLD)?;
    }
    Ok(())
}

fn sigttin_and_sigtstp_stop_by_default() -> Outcome {
    // In a group that is not orphaned: its leader's parent is in this session, in another group.
    for signal in [libc::SIGTTIN, libc::SIGTTOU, libc::SIGTSTP] {
        let child = fork(|| {
            let _ = process::setpgid(0, 0);
            let _ = raise(signal);
            3
        })?;
        ensure_eq!(child.wait_for(libc::WUNTRACED)?, Status::Stopped(signal));
        kill(child.pid(), libc::SIGCONT)?;
        ensure_eq!(child.wait()?, Status::Exited(3));
    }
    Ok(())
}

fn orphaned_group_is_hung_up() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let parent = fork(|| {
        let grandchild = fork(|| {
            let _ = process::setpgid(0, 0);
            let _ = act(libc::SIGHUP, Action::EndProcess, 0, &[]);
            let _ = act(libc::SIGCONT, Action::Record, 0, &[]);
            let _ = write(*writer, b"r");
            let _ = raise(libc::SIGSTOP);
            // Continued by the kernel, after the hang-up was handled.
            0
        });
        let Ok(grandchild) = grandchild else { return 1 };
        if grandchild.wait_for(libc::WUNTRACED) != Ok(Status::Stopped(libc::SIGSTOP)) {
            return 2;
        }
        grandchild.forget();
        0
    })?;
    drop(writer);
    ensure_eq!(parent.wait()?, Status::Exited(0));
    // The grandchild holds the writing end until it ends.
    ensure_eq!(crate::sys::files::read_to_end(*reader)?, b"r");
    Ok(())
}

fn sleep_is_interrupted_and_tells_the_rest() -> Outcome {
    act(libc::SIGALRM, Action::Record, libc::SA_RESTART, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
    let (answer, left) = nanosleep_raw(timespec(Duration::from_secs(10)));
    ensure_errno!(answer, EINTR);
    ensure!(left > Duration::from_secs(5) && left < Duration::from_secs(10), "{left:?} left");
    Ok(())
}

fn ignored_signal_does_not_interrupt_a_sleep() -> Outcome {
    act(libc::SIGALRM, Action::Ignore, 0, &[])?;
    setitimer(libc::ITIMER_REAL, SHORT / 3, Duration::ZERO)?;
    let start = Instant::now();
    nanosleep(SHORT)?;
    ensure!(start.elapsed() >= SHORT);
    Ok(())
}

fn wait_restarts_or_not() -> Outcome {
    for (flags, is_restarted) in [(libc::SA_RESTART, true), (0, false)] {
        act(libc::SIGALRM, Action::Record, flags, &[])?;
        let child = fork(|| {
            let _ = nanosleep(SHORT * 4);
            8
        })?;
        setitimer(libc::ITIMER_REAL, SHORT, Duration::ZERO)?;
        let answer = wait4(child.pid(), 0);
        if is_restarted {
            ensure_eq!(answer, Ok((child.pid(), Status::Exited(8))));
            child.forget();
        } else {
            ensure_errno!(answer, EINTR);
        }
    }
    Ok(())
}

fn alarm_rings_once() -> Outcome {
    act(libc::SIGALRM, Action::Record, 0, &[])?;
    let start = Instant::now();
    ensure_eq!(alarm(1)?, 0);
    ensure_eq!(signals::pause(), Errno(libc::EINTR));
    let passed = start.elapsed();
    ensure!(passed >= Duration::from_millis(999) && passed < Duration::from_secs(4), "rang after {passed:?}");
    ensure_eq!((handled(libc::SIGALRM), alarm(0)?), (1, 0));
    Ok(())
}

fn alarm_can_be_replaced_and_cancelled() -> Outcome {
    ensure_eq!(alarm(100)?, 0);
    ensure!((99..=100).contains(&alarm(50)?));
    let (left, interval) = getitimer(libc::ITIMER_REAL)?;
    ensure!(left > Duration::from_secs(48) && interval.is_zero());
    ensure!((49..=50).contains(&alarm(0)?));
    ensure_eq!(getitimer(libc::ITIMER_REAL)?.0, Duration::ZERO);
    Ok(())
}

fn interval_timer_rings_again_and_again() -> Outcome {
    act(libc::SIGALRM, Action::Record, 0, &[])?;
    let before = block(libc::SIGALRM)?;
    let start = Instant::now();
    setitimer(libc::ITIMER_REAL, Duration::from_millis(20), Duration::from_millis(10))?;
    while handled(libc::SIGALRM) < 5 {
        ensure_eq!(suspend(before), Errno(libc::EINTR));
    }
    let passed = start.elapsed();
    ensure!(passed >= Duration::from_millis(60), "five rings in {passed:?}");
    let (_, interval) = setitimer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    ensure_eq!(interval, Duration::from_millis(10));
    Ok(())
}

fn virtual_timer_counts_work() -> Outcome {
    act(libc::SIGVTALRM, Action::Record, 0, &[])?;
    or_skip!(setitimer(libc::ITIMER_VIRTUAL, Duration::from_millis(30), Duration::ZERO), EINVAL | ENOSYS);
    nanosleep(Duration::from_millis(60))?;
    ensure_eq!(handled(libc::SIGVTALRM), 0, "sleeping is no work");
    while handled(libc::SIGVTALRM) == 0 {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
    ensure_errno!(setitimer(9, SHORT, SHORT), EINVAL);
    Ok(())
}

fn alternate_stack_is_used() -> Outcome {
    let stack = signals::alternate_stack(32 * 1024)?;
    act(libc::SIGUSR1, Action::Record, libc::SA_ONSTACK, &[])?;
    act(libc::SIGUSR2, Action::Record, 0, &[])?;
    raise(libc::SIGUSR1)?;
    ensure!(stack.contains(&signals::last().stack));
    raise(libc::SIGUSR2)?;
    ensure!(!stack.contains(&signals::last().stack));
    signals::no_alternate_stack()?;
    raise(libc::SIGUSR1)?;
    ensure!(!stack.contains(&signals::last().stack));
    ensure_eq!(handled(libc::SIGUSR1), 2);
    Ok(())
}

fn alternate_stack_calls_check() -> Outcome {
    ensure_errno!(signals::alternate_stack(100), ENOMEM);
    signals::alternate_stack(16 * 1024)?;
    ensure_eq!(signals::alternate_stack_state()?, (0, 16 * 1024));
    signals::no_alternate_stack()?;
    ensure_eq!(signals::alternate_stack_state()?.0, libc::SS_DISABLE);
    ensure_errno!(probe(libc::SYS_sigaltstack, &[8, 0]), EFAULT);
    Ok(())
}

fn registers_survive_a_handler() -> Outcome {
    act(libc::SIGUSR1, Action::DisturbRegisters, 0, &[])?;
    ensure_eq!(signals::registers_changed_by(libc::SIGUSR1)?, 0);
    ensure_eq!(handled(libc::SIGUSR1), 1);
    Ok(())
}

fn registers_survive_many_handlers() -> Outcome {
    act(libc::SIGALRM, Action::DisturbRegisters, 0, &[])?;
    act(libc::SIGUSR1, Action::DisturbRegisters, libc::SA_NODEFER, &[])?;
    setitimer(libc::ITIMER_REAL, Duration::from_millis(1), Duration::from_millis(1))?;
    let start = Instant::now();
    let mut sum = 0.0_f64;
    let mut rounds = 0_u32;
    while start.elapsed() < Duration::from_millis(100) || rounds < 10 {
        ensure_eq!(signals::registers_changed_by(libc::SIGUSR1)?, 0);
        let part: f64 = (1..1000).map(|number| 1.0 / f64::from(std::hint::black_box(number))).sum();
        sum += part;
        rounds += 1;
    }
    setitimer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    let expected: f64 = (1..1000).map(|number| 1.0 / f64::from(number)).sum();
    ensure!((sum / f64::from(rounds) - expected).abs() < 1e-9, "floating point went wrong");
    ensure!(handled(libc::SIGALRM) > 0);
    Ok(())
}

/// What the handler of a fault was told.
fn fault_of(deed: Deed) -> Result<(i32, i32, usize), Stop> {
    match faults::catch(deed)? {
        Some(fault) => Ok((fault.signal, fault.code, fault.address)),
        None => Err(Stop::fail(format!("{deed:?} reached no handler"))),
    }
}

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const FPE_INTDIV: i32 = 1;

fn null_pointer_is_told() -> Outcome {
    ensure_eq!(fault_of(Deed::Read(0))?, (libc::SIGSEGV, SEGV_MAPERR, 0));
    ensure_eq!(fault_of(Deed::Write(0x123))?, (libc::SIGSEGV, SEGV_MAPERR, 0x123));
    ensure_eq!(fault_of(Deed::Execute(0x40))?, (libc::SIGSEGV, SEGV_MAPERR, 0x40));
    Ok(())
}

fn wrong_protection_is_told() -> Outcome {
    let page = crate::sys::memory::Mapping::private(8192)?;
    page.set(0, 0xc3);
    page.protect(0, 4096, libc::PROT_READ)?;
    page.protect(4096, 4096, libc::PROT_NONE)?;
    let address = page.address();
    ensure_eq!(fault_of(Deed::Write(address + 5))?, (libc::SIGSEGV, SEGV_ACCERR, address + 5));
    ensure_eq!(fault_of(Deed::Execute(address))?, (libc::SIGSEGV, SEGV_ACCERR, address));
    ensure_eq!(fault_of(Deed::Read(address + 4097))?, (libc::SIGSEGV, SEGV_ACCERR, address + 4097));
    Ok(())
}

fn division_by_zero_is_told() -> Outcome {
    let (signal, code, address) = fault_of(Deed::Divide)?;
    ensure_eq!((signal, code), (libc::SIGFPE, FPE_INTDIV));
    ensure!(address != 0, "the address of the instruction");
    Ok(())
}

fn illegal_instruction_is_told() -> Outcome {
    let (signal, code, address) = fault_of(Deed::IllegalInstruction)?;
    ensure_eq!(signal, libc::SIGILL);
    ensure!(code > 0 && address != 0);
    Ok(())
}

fn breakpoint_is_told() -> Outcome {
    let (signal, _, _) = fault_of(Deed::Breakpoint)?;
    ensure_eq!(signal, libc::SIGTRAP);
    Ok(())
}

fn privileged_instruction_is_a_segmentation_fault() -> Outcome {
    let (signal, _, _) = fault_of(Deed::Privileged)?;
    ensure_eq!(signal, libc::SIGSEGV);
    Ok(())
}

fn kernel_addresses_cannot_be_touched() -> Outcome {
    for address in
        [0xffff_ffff_8100_0000, 0xffff_8000_0000_0000, 0xffff_ffff_ffff_f000, 0x8000_0000_0000_0000_usize]
    {
        for deed in [Deed::Read(address), Deed::Write(address), Deed::Execute(address)] {
            let (signal, _, _) = fault_of(deed)?;
            ensure_eq!(signal, libc::SIGSEGV, "{deed:x?}");
        }
    }
    Ok(())
}

fn faults_kill_with_their_signal() -> Outcome {
    for (deed, signal) in [
        (Deed::Read(0), libc::SIGSEGV),
        (Deed::Write(0xffff_ffff_8100_0000), libc::SIGSEGV),
        (Deed::Divide, libc::SIGFPE),
        (Deed::IllegalInstruction, libc::SIGILL),
        (Deed::Breakpoint, libc::SIGTRAP),
        (Deed::Privileged, libc::SIGSEGV),
    ] {
        ensure_eq!(faults::attempt(deed)?, Status::Killed(signal), "{deed:?}");
    }
    Ok(())
}

fn blocked_or_ignored_faults_kill() -> Outcome {
    for deafness in [Deafness::Blocks, Deafness::Ignores] {
        let status = faults::attempt_deaf(Deed::Read(0), libc::SIGSEGV, deafness)?;
        ensure_eq!(status, Status::Killed(libc::SIGSEGV), "{deafness:?}");
        let status = faults::attempt_deaf(Deed::Divide, libc::SIGFPE, deafness)?;
        ensure_eq!(status, Status::Killed(libc::SIGFPE), "{deafness:?}");
    }
    Ok(())
}

fn stack_overflow_kills() -> Outcome {
    ensure_eq!(faults::attempt(Deed::ExhaustStack)?, Status::Killed(libc::SIGSEGV));
    Ok(())
}

fn stack_overflow_is_caught_on_the_alternate_stack() -> Outcome {
    let (signal, _, address) = fault_of(Deed::ExhaustStack)?;
    ensure_eq!(signal, libc::SIGSEGV);
    ensure!(address != 0);
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
