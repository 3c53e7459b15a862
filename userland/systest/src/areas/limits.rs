//! Limits, shares, and what the system tells about itself.

use std::time::Duration;

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::files::{self, pipe, write};
use crate::sys::process::{self, Status, fork};
use crate::sys::signals::{self, Action};
use crate::sys::time::work_for;
use crate::sys::{Errno, probe};

tests! {
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
}

fn microseconds(time: libc::timeval) -> i64 {
    time.tv_sec * 1_000_000 + time.tv_usec
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
    ensure!(info.procs >= 1);
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
