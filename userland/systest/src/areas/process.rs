//! Processes: forking, ending, waiting, orphans, groups, sessions, limits.

use std::time::Duration;

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::files::{self, pipe, read, read_to_end, write};
use crate::sys::process::{self, Status, fork, wait4, waitid};
use crate::sys::signals::{self, Action};
use crate::sys::time::nanosleep;
use crate::sys::{Errno, probe};

tests! {
    exit_status_reaches_the_parent,
    death_by_signal_reaches_the_parent,
    abort_is_a_death_by_sigabrt,
    child_knows_its_parent,
    child_pids_are_distinct,
    vfork_child_runs_and_parent_goes_on,
    clone_with_shared_memory_writes_into_the_parent,
    clone_without_signal_needs_a_special_wait,
    wait_without_children_fails,
    wait_for_a_stranger_fails,
    wait_refuses_unknown_options,
    wait_without_hanging_returns_at_once,
    wait_picks_the_named_child,
    wait_picks_by_group,
    wait_tells_a_childs_resources,
    waitid_describes_the_end,
    waitid_can_leave_the_child_waitable,
    zombie_exists_until_it_is_reaped,
    ignored_sigchld_reaps_by_itself,
    sa_nocldwait_reaps_by_itself,
    sigchld_tells_about_the_child,
    orphan_gets_another_parent,
    fifty_children_are_all_reaped,
    generations_of_children_come_back,
    child_inherits_mask_directory_and_umask,
    child_inherits_no_pending_signals_and_no_alarm,
    child_shares_file_positions,
    child_closing_leaves_the_parents_descriptor,
    group_of_a_child_can_be_set,
    group_calls_refuse_what_is_wrong,
    session_leader_is_its_own_group,
    group_leader_cannot_start_a_session,
    dead_childs_group_can_still_be_signalled_alive,
    descriptor_limit_is_kept,
    file_size_limit_is_kept,
    limits_are_checked,
    nice_value_is_kept_and_inherited,
    uname_has_linux_names,
    name_can_be_set,
    cpus_to_run_on_are_known,
    yield_succeeds,
    times_advance_with_work,
    sysinfo_is_plausible,
    random_bytes_differ,
    parent_death_signal_arrives,
}

fn exit_status_reaches_the_parent() -> Outcome {
    for (code, expected) in [(0, 0), (1, 1), (42, 42), (127, 127), (255, 255), (256 + 3, 3), (-1, 255)] {
        ensure_eq!(fork(|| code)?.wait()?, Status::Exited(expected));
    }
    Ok(())
}

fn death_by_signal_reaches_the_parent() -> Outcome {
    for signal in
        [libc::SIGHUP, libc::SIGKILL, libc::SIGTERM, libc::SIGUSR1, libc::SIGPIPE, libc::SIGALRM, 40]
    {
        let child = fork(|| {
            let _ = signals::raise(signal);
            7
        })?;
        ensure_eq!(child.wait()?, Status::Killed(signal));
    }
    Ok(())
}

fn abort_is_a_death_by_sigabrt() -> Outcome {
    let status = fork(|| std::process::abort())?.wait()?;
    ensure_eq!(status, Status::Killed(libc::SIGABRT));
    Ok(())
}

fn child_knows_its_parent() -> Outcome {
    let me = process::getpid()?;
    ensure!(me > 1, "pid {me} for a test");
    ensure_eq!(process::gettid()?, me);
    let (reader, writer) = pipe(0)?;
    let child = fork(|| {
        let ids = [process::getppid(), process::getpid(), process::gettid()].map(|id| id.unwrap_or(-1));
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        i32::from(write(*writer, &bytes) != Ok(bytes.len()))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    let mut bytes = [0; 12];
    ensure_eq!(read(*reader, &mut bytes)?, 12);
    let expected: Vec<u8> = [me, child.pid(), child.pid()].iter().flat_map(|id| id.to_le_bytes()).collect();
    ensure_eq!(bytes.as_slice(), expected.as_slice());
    Ok(())
}

fn child_pids_are_distinct() -> Outcome {
    let children: Vec<_> = (0..10).map(|_| fork(|| 0)).collect::<Result<_, _>>()?;
    let mut pids: Vec<i32> = children.iter().map(process::Child::pid).collect();
    pids.sort_unstable();
    pids.dedup();
    ensure_eq!(pids.len(), 10);
    ensure!(!pids.contains(&process::getpid()?));
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn vfork_child_runs_and_parent_goes_on() -> Outcome {
    ensure_eq!(process::vfork_and_exit(33)?.wait()?, Status::Exited(33));
    Ok(())
}

fn clone_with_shared_memory_writes_into_the_parent() -> Outcome {
    use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
    static NOTE: AtomicI32 = AtomicI32::new(0);
    let child = process::clone_with(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, || {
        NOTE.store(17, SeqCst);
        4
    })?;
    ensure_eq!(NOTE.load(SeqCst), 17);
    ensure_eq!(child.wait()?, Status::Exited(4));
    let child = process::clone_with(libc::SIGCHLD, || {
        NOTE.store(18, SeqCst);
        5
    })?;
    ensure_eq!(child.wait()?, Status::Exited(5));
    ensure_eq!(NOTE.load(SeqCst), 17, "without CLONE_VM");
    Ok(())
}

fn clone_without_signal_needs_a_special_wait() -> Outcome {
    let child = process::clone_with(0, || 6)?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    ensure_eq!(child.wait_for(libc::__WALL)?, Status::Exited(6));
    Ok(())
}

fn wait_without_children_fails() -> Outcome {
    ensure_errno!(wait4(-1, 0), ECHILD);
    ensure_errno!(wait4(-1, libc::WNOHANG), ECHILD);
    let child = fork(|| 0)?;
    child.wait()?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    Ok(())
}

fn wait_for_a_stranger_fails() -> Outcome {
    let _mine = fork(pause_forever)?;
    ensure_errno!(wait4(1, libc::WNOHANG), ECHILD);
    ensure_errno!(wait4(process::getpid()?, libc::WNOHANG), ECHILD);
    ensure_errno!(wait4(0x3fff_fffe, libc::WNOHANG), ECHILD);
    Ok(())
}

fn wait_refuses_unknown_options() -> Outcome {
    ensure_errno!(wait4(-1, 0x1000), EINVAL);
    ensure_errno!(waitid(libc::P_ALL, 0, 0), EINVAL);
    ensure_errno!(waitid(99, 0, libc::WEXITED), EINVAL);
    Ok(())
}

fn wait_without_hanging_returns_at_once() -> Outcome {
    let child = fork(pause_forever)?;
    ensure_eq!(child.try_wait()?, None);
    ensure_eq!(wait4(-1, libc::WNOHANG)?.0, 0);
    signals::kill(child.pid(), libc::SIGTERM)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGTERM));
    Ok(())
}

fn wait_picks_the_named_child() -> Outcome {
    let children: Vec<_> = (1..=3).map(|code| fork(move || code)).collect::<Result<_, _>>()?;
    for (child, code) in children.iter().zip([1, 2, 3]).rev() {
        ensure_eq!(wait4(child.pid(), 0)?, (child.pid(), Status::Exited(code)));
        child.forget();
    }
    Ok(())
}

fn wait_picks_by_group() -> Outcome {
    let in_my_group = fork(|| 1)?;
    let leader = fork(|| {
        let _ = process::setpgid(0, 0);
        2
    })?;
    let _ = process::setpgid(leader.pid(), leader.pid());
    ensure_eq!(wait4(0, 0)?, (in_my_group.pid(), Status::Exited(1)));
    in_my_group.forget();
    ensure_errno!(wait4(0, 0), ECHILD);
    ensure_eq!(wait4(-leader.pid(), 0)?, (leader.pid(), Status::Exited(2)));
    leader.forget();
    ensure_errno!(wait4(-leader.pid(), 0), ECHILD);
    Ok(())
}

fn wait_tells_a_childs_resources() -> Outcome {
    let child = fork(|| {
        work_for(Duration::from_millis(150));
        0
    })?;
    let usage = process::wait4_usage(child.pid())?;
    child.forget();
    let used = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    ensure!(used >= 20_000, "150 ms of work counted as {used} us");
    let children = process::getrusage(libc::RUSAGE_CHILDREN)?;
    ensure!(microseconds(children.ru_utime) + microseconds(children.ru_stime) >= 20_000);
    Ok(())
}

fn waitid_describes_the_end() -> Outcome {
    let child = fork(|| 9)?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED), ENOSYS);
    child.forget();
    let expected =
        process::ChildInfo { signal: libc::SIGCHLD, pid: child.pid(), code: libc::CLD_EXITED, status: 9 };
    ensure_eq!(info, expected);
    let child = fork(pause_forever)?;
    signals::kill(child.pid(), libc::SIGKILL)?;
    let info = waitid(libc::P_ALL, 0, libc::WEXITED)?;
    child.forget();
    ensure_eq!((info.code, info.status, info.pid), (libc::CLD_KILLED, libc::SIGKILL, child.pid()));
    ensure_errno!(waitid(libc::P_ALL, 0, libc::WEXITED), ECHILD);
    Ok(())
}

fn waitid_can_leave_the_child_waitable() -> Outcome {
    let child = fork(|| 3)?;
    for _ in 0..2 {
        let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOWAIT), ENOSYS);
        ensure_eq!((info.pid, info.status), (child.pid(), 3));
    }
    ensure_eq!(child.wait()?, Status::Exited(3));
    let child = fork(pause_forever)?;
    let info = waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOHANG)?;
    ensure_eq!(info.pid, 0);
    Ok(())
}

fn zombie_exists_until_it_is_reaped() -> Outcome {
    let child = fork(|| 0)?;
    let group = process::getpgid(child.pid())?;
    let info = or_skip!(waitid(libc::P_PID, child.pid(), libc::WEXITED | libc::WNOWAIT), ENOSYS);
    ensure_eq!(info.pid, child.pid());
    signals::kill(child.pid(), 0)?;
    signals::kill(child.pid(), libc::SIGTERM)?;
    ensure_eq!(process::getpgid(child.pid())?, group);
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_errno!(signals::kill(child.pid(), 0), ESRCH);
    ensure_errno!(process::getpgid(child.pid()), ESRCH);
    Ok(())
}

fn ignored_sigchld_reaps_by_itself() -> Outcome {
    signals::act(libc::SIGCHLD, Action::Ignore, 0, &[])?;
    reaps_by_itself()
}

fn sa_nocldwait_reaps_by_itself() -> Outcome {
    signals::act(libc::SIGCHLD, Action::Default, libc::SA_NOCLDWAIT, &[])?;
    reaps_by_itself()
}

fn reaps_by_itself() -> Outcome {
    let child = fork(|| {
        let _ = nanosleep(Duration::from_millis(20));
        5
    })?;
    ensure_errno!(wait4(child.pid(), 0), ECHILD);
    child.forget();
    ensure_errno!(signals::kill(child.pid(), 0), ESRCH);
    Ok(())
}

fn sigchld_tells_about_the_child() -> Outcome {
    signals::act(libc::SIGCHLD, Action::RecordInfo, 0, &[])?;
    let before = signals::block(libc::SIGCHLD)?;
    let child = fork(|| 11)?;
    while signals::handled(libc::SIGCHLD) == 0 {
        ensure_eq!(signals::suspend(before), Errno(libc::EINTR));
    }
    let last = signals::last();
    ensure_eq!((last.code, last.pid), (libc::CLD_EXITED, child.pid()));
    ensure_eq!(child.wait()?, Status::Exited(11));
    Ok(())
}

fn orphan_gets_another_parent() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let parent = fork(|| {
        let me = process::getpid();
        let grandchild = fork(|| {
            while process::getppid() == me {
                let _ = nanosleep(Duration::from_millis(1));
            }
            i32::from(write(*writer, &[2]).is_err())
        });
        let Ok(grandchild) = grandchild else { return 1 };
        grandchild.forget();
        0
    })?;
    ensure_eq!(parent.wait()?, Status::Exited(0));
    let mut byte = [0];
    ensure_eq!(read(*reader, &mut byte)?, 1);
    ensure_eq!(byte[0], 2);
    ensure_errno!(wait4(-1, libc::WNOHANG), ECHILD);
    Ok(())
}

fn fifty_children_are_all_reaped() -> Outcome {
    let children: Vec<_> = (0..50).map(|code| fork(move || code)).collect::<Result<_, _>>()?;
    let mut seen = [false; 50];
    for _ in &children {
        let (pid, status) = wait4(-1, 0)?;
        let index = children.iter().position(|child| child.pid() == pid);
        let Some(index) = index else {
            return Err(crate::report::Stop::fail(format!("reaped a stranger: {pid}")));
        };
        children[index].forget();
        ensure_eq!(status, Status::Exited(index as i32));
        ensure!(!std::mem::replace(&mut seen[index], true));
    }
    ensure_errno!(wait4(-1, 0), ECHILD);
    Ok(())
}

fn generations_of_children_come_back() -> Outcome {
    fn descend(depth: i32) -> i32 {
        if depth == 0 {
            return 0;
        }
        match fork(|| descend(depth - 1)).and_then(|child| child.wait()) {
            Ok(Status::Exited(below)) => below + 1,
            _ => 200,
        }
    }
    ensure_eq!(descend(20), 20);
    Ok(())
}

fn child_inherits_mask_directory_and_umask() -> Outcome {
    files::mkdir("below", 0o755)?;
    files::chdir("below")?;
    signals::block(libc::SIGUSR2)?;
    files::umask(0o027);
    let here = files::getcwd(4096)?;
    let child = fork(|| {
        let mask = signals::mask() == Ok(signals::set_of(libc::SIGUSR2));
        let directory = files::getcwd(4096) == Ok(here.clone());
        let umask = files::umask(0) == 0o027;
        let _ = files::chdir("/");
        i32::from(!mask) | i32::from(!directory) << 1 | i32::from(!umask) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(files::getcwd(4096)?, here);
    ensure_eq!(files::umask(0o022), 0o027);
    Ok(())
}

fn child_inherits_no_pending_signals_and_no_alarm() -> Outcome {
    signals::block(libc::SIGUSR1)?;
    signals::raise(libc::SIGUSR1)?;
    ensure_eq!(signals::pending()?, signals::set_of(libc::SIGUSR1));
    crate::sys::time::alarm(100)?;
    let child = fork(|| {
        let pending = signals::pending() == Ok(0);
        let alarm = crate::sys::time::alarm(0) == Ok(0);
        i32::from(!pending) | i32::from(!alarm) << 1
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(signals::pending()?, signals::set_of(libc::SIGUSR1));
    Ok(())
}

fn child_shares_file_positions() -> Outcome {
    files::put("file", b"abcdef")?;
    let file = files::open("file", libc::O_RDONLY, 0)?;
    let child = fork(|| {
        let mut bytes = [0; 4];
        i32::from(read(*file, &mut bytes) != Ok(4))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(read_to_end(*file)?, b"ef");
    Ok(())
}

fn child_closing_leaves_the_parents_descriptor() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let number = *writer;
    let child = fork(|| i32::from(files::close(number).is_err()))?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    ensure_eq!(write(*writer, b"x")?, 1);
    writer.close()?;
    ensure_eq!(read_to_end(*reader)?, b"x");
    Ok(())
}

fn group_of_a_child_can_be_set() -> Outcome {
    let mine = process::getpgrp()?;
    let child = fork(pause_forever)?;
    ensure_eq!(process::getpgid(child.pid())?, mine);
    process::setpgid(child.pid(), child.pid())?;
    ensure_eq!(process::getpgid(child.pid())?, child.pid());
    let second = fork(pause_forever)?;
    process::setpgid(second.pid(), child.pid())?;
    ensure_eq!(process::getpgid(second.pid())?, child.pid());
    signals::kill(-child.pid(), libc::SIGTERM)?;
    ensure_eq!(child.wait()?, Status::Killed(libc::SIGTERM));
    ensure_eq!(second.wait()?, Status::Killed(libc::SIGTERM));
    ensure_errno!(signals::kill(-child.pid(), 0), ESRCH);
    Ok(())
}

fn group_calls_refuse_what_is_wrong() -> Outcome {
    let me = process::getpid()?;
    ensure_errno!(process::setpgid(0, -1), EINVAL);
    ensure_errno!(process::setpgid(-1, 0), EINVAL | ESRCH);
    ensure_errno!(process::setpgid(0x3fff_fffe, 0), ESRCH);
    ensure_errno!(process::setpgid(1, 1), ESRCH | EPERM);
    ensure_errno!(process::setpgid(me, 0), EPERM); // a session leader
    ensure_errno!(process::getpgid(0x3fff_fffe), ESRCH);
    ensure_errno!(process::getsid(0x3fff_fffe), ESRCH);
    let child = fork(pause_forever)?;
    ensure_errno!(process::setpgid(child.pid(), 0x3fff_fffe), EPERM); // no such group in this session
    Ok(())
}

fn session_leader_is_its_own_group() -> Outcome {
    let me = process::getpid()?;
    ensure_eq!((process::getsid(0)?, process::getpgrp()?, process::getpgid(0)?), (me, me, me));
    let child = fork(|| {
        let Ok(pid) = process::getpid() else { return 1 };
        let is_old = process::getsid(0) == Ok(me) && process::getpgrp() == Ok(me);
        let is_made = process::setsid() == Ok(pid);
        let is_new = process::getsid(0) == Ok(pid) && process::getpgrp() == Ok(pid);
        i32::from(!is_old) | i32::from(!is_made) << 1 | i32::from(!is_new) << 2
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn group_leader_cannot_start_a_session() -> Outcome {
    ensure_errno!(process::setsid(), EPERM);
    let child = fork(|| {
        let made = process::setpgid(0, 0).is_ok();
        i32::from(!made || process::setsid() != Err(Errno(libc::EPERM)))
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn dead_childs_group_can_still_be_signalled_alive() -> Outcome {
    let leader = fork(pause_forever)?;
    process::setpgid(leader.pid(), leader.pid())?;
    let member = fork(pause_forever)?;
    process::setpgid(member.pid(), leader.pid())?;
    signals::kill(leader.pid(), libc::SIGKILL)?;
    leader.wait()?;
    ensure_eq!(process::getpgid(member.pid())?, leader.pid());
    signals::kill(-leader.pid(), libc::SIGINT)?;
    ensure_eq!(member.wait()?, Status::Killed(libc::SIGINT));
    Ok(())
}

fn descriptor_limit_is_kept() -> Outcome {
    let (_, hard) = process::getrlimit(libc::RLIMIT_NOFILE as u32)?;
    process::setrlimit(libc::RLIMIT_NOFILE as u32, (20, hard))?;
    ensure_eq!(process::getrlimit(libc::RLIMIT_NOFILE as u32)?, (20, hard));
    let mut open = Vec::new();
    let refusal = loop {
        match files::open("/dev/null", libc::O_RDONLY, 0) {
            Ok(fd) => open.push(fd),
            Err(errno) => break errno,
        }
        ensure!(open.len() <= 20);
    };
    ensure_eq!(refusal, Errno(libc::EMFILE));
    ensure_errno!(pipe(0), EMFILE);
    ensure_errno!(files::dup(1), EMFILE);
    ensure_errno!(files::dup2(1, 20), EBADF);
    ensure_errno!(files::fcntl(1, libc::F_DUPFD, 20), EINVAL);
    let last = open.pop().map_or(-1, |fd| *fd);
    ensure_eq!(*files::dup(1)?, last);
    Ok(())
}

fn file_size_limit_is_kept() -> Outcome {
    let file = files::open("file", libc::O_RDWR | libc::O_CREAT, 0o644)?;
    process::setrlimit(libc::RLIMIT_FSIZE as u32, (100, libc::RLIM_INFINITY))?;
    signals::act(libc::SIGXFSZ, Action::Record, 0, &[])?;
    let bytes = [1; 80];
    ensure_eq!(write(*file, &bytes)?, 80);
    ensure_eq!(write(*file, &bytes)?, 20, "up to the limit");
    ensure_errno!(write(*file, &bytes), EFBIG);
    ensure_eq!(signals::handled(libc::SIGXFSZ), 1);
    ensure_errno!(files::ftruncate(*file, 101), EFBIG);
    Ok(())
}

fn limits_are_checked() -> Outcome {
    ensure_errno!(process::getrlimit(99), EINVAL);
    ensure_errno!(process::setrlimit(libc::RLIMIT_CORE as u32, (2, 1)), EINVAL);
    let stack = process::getrlimit(libc::RLIMIT_STACK as u32)?;
    ensure!(stack.0 >= 64 * 1024, "a stack of {} bytes", stack.0);
    Ok(())
}

fn nice_value_is_kept_and_inherited() -> Outcome {
    let before = process::getpriority(libc::PRIO_PROCESS as u32, 0)?;
    ensure_eq!(before, 20);
    process::setpriority(libc::PRIO_PROCESS as u32, 0, 5)?;
    ensure_eq!(process::getpriority(libc::PRIO_PROCESS as u32, 0)?, 15);
    let child = fork(|| process::getpriority(libc::PRIO_PROCESS as u32, 0).unwrap_or(0))?;
    ensure_eq!(child.wait()?, Status::Exited(15));
    process::setpriority(libc::PRIO_PROCESS as u32, 0, 1000)?;
    ensure_eq!(process::getpriority(libc::PRIO_PROCESS as u32, 0)?, 1);
    ensure_errno!(process::getpriority(libc::PRIO_PROCESS as u32, 0x3fff_fffe), ESRCH);
    ensure_errno!(process::getpriority(9, 0), EINVAL);
    Ok(())
}

fn uname_has_linux_names() -> Outcome {
    let [system, node, release, version, machine] = process::uname()?;
    ensure_eq!(system, "Linux");
    ensure_eq!(machine, "x86_64");
    ensure!(!node.is_empty() && !version.is_empty());
    let major: u32 = release.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    ensure!(major >= 4, "release `{release}`");
    Ok(())
}

fn name_can_be_set() -> Outcome {
    process::set_name("a-name")?;
    ensure_eq!(process::name()?, "a-name");
    process::set_name("longer-than-fifteen-bytes")?;
    ensure_eq!(process::name()?, "longer-than-fif");
    ensure_errno!(process::prctl(0x7fff_0000, 0), EINVAL);
    Ok(())
}

fn cpus_to_run_on_are_known() -> Outcome {
    ensure!(!process::affinity()?.is_empty());
    ensure_errno!(probe(libc::SYS_sched_getaffinity, &[0x3fff_fffe, 128, 0]), ESRCH);
    ensure_errno!(probe(libc::SYS_sched_getaffinity, &[0, 3, 0]), EINVAL);
    Ok(())
}

fn yield_succeeds() -> Outcome {
    ensure_eq!(process::sched_yield()?, 0);
    Ok(())
}

fn times_advance_with_work() -> Outcome {
    let (_, start) = process::times()?;
    work_for(Duration::from_millis(150));
    let (used, end) = process::times()?;
    ensure!(end - start >= 14, "150 ms are {} ticks", end - start);
    ensure!(used.tms_utime + used.tms_stime >= 2, "{} ticks of work", used.tms_utime + used.tms_stime);
    let usage = process::getrusage(libc::RUSAGE_SELF)?;
    ensure!(microseconds(usage.ru_utime) + microseconds(usage.ru_stime) >= 20_000);
    ensure_errno!(process::getrusage(7), EINVAL);
    Ok(())
}

fn sysinfo_is_plausible() -> Outcome {
    let info = process::sysinfo()?;
    let unit = u64::from(info.mem_unit.max(1));
    ensure!(info.totalram * unit > 1 << 20 && info.freeram <= info.totalram);
    ensure!(info.procs >= 1 && info.uptime >= 0);
    Ok(())
}

fn random_bytes_differ() -> Outcome {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    ensure_eq!(process::getrandom(&mut first, 0)?, 32);
    ensure_eq!(process::getrandom(&mut second, libc::GRND_NONBLOCK)?, 32);
    ensure!(first != second && first != [0; 32]);
    ensure_eq!(process::getrandom(&mut [], 0)?, 0);
    ensure_errno!(process::getrandom(&mut first, 0x80), EINVAL);
    Ok(())
}

fn parent_death_signal_arrives() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let middle = fork(|| {
        let grandchild = fork(|| {
            let armed = process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR1 as u64)
                .and_then(|_| signals::act(libc::SIGUSR1, Action::Record, 0, &[]).map(|()| 0))
                .and_then(|_| signals::block(libc::SIGUSR1));
            let Ok(before) = armed else { return 1 };
            let _ = write(*writer, &[1]);
            let _ = signals::suspend(before);
            let _ = write(*writer, &[2]);
            0
        });
        let Ok(grandchild) = grandchild else { return 1 };
        grandchild.forget();
        let _ = signals::pause();
        0
    })?;
    let mut byte = [0];
    ensure_eq!(read(*reader, &mut byte)?, 1);
    if byte[0] != 1 {
        skip!("no PR_SET_PDEATHSIG");
    }
    signals::kill(middle.pid(), libc::SIGKILL)?;
    middle.wait()?;
    ensure_eq!(read(*reader, &mut byte)?, 1);
    ensure_eq!(byte[0], 2);
    Ok(())
}

fn pause_forever() -> i32 {
    loop {
        let _ = signals::pause();
    }
}

fn work_for(length: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < length {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
}

fn microseconds(time: libc::timeval) -> i64 {
    time.tv_sec * 1_000_000 + time.tv_usec
}
