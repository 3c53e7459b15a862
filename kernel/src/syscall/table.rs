//! The table of system calls: one row for each, by family.
//!
//! To add a call: write its function in the family's file, add a row here. A number that stands twice does not
//! compile. What is not listed answers ENOSYS and is logged once, by name.

use super::{
    Function, attribute, descriptor, directory, file, futex, identity, mount, open, poll, process, schedule,
    signal, system, time, transfer,
};
use abi::syscall as number;

/// Size of the lookup table: above the highest number there is.
const LIMIT: usize = 512;

/// Every call this kernel has: number and function.
#[rustfmt::skip]
const TABLE: &[(usize, Function)] = &[
    // Files
    (number::READ, transfer::read),
    (number::WRITE, transfer::write),
    (number::PREAD64, transfer::pread64),
    (number::PWRITE64, transfer::pwrite64),
    (number::READV, transfer::readv),
    (number::WRITEV, transfer::writev),
    (number::PREADV, transfer::preadv),
    (number::PWRITEV, transfer::pwritev),
    (number::PREADV2, transfer::preadv2),
    (number::PWRITEV2, transfer::pwritev2),
    (number::SENDFILE, transfer::sendfile),
    (number::COPY_FILE_RANGE, transfer::copy_file_range),
    (number::OPEN, open::open),
    (number::OPENAT, open::openat),
    (number::OPENAT2, open::openat2),
    (number::CREAT, open::creat),
    (number::CLOSE, open::close),
    (number::CLOSE_RANGE, open::close_range),
    (number::PIPE, open::pipe),
    (number::PIPE2, open::pipe2),
    (number::LSEEK, file::lseek),
    (number::TRUNCATE, file::truncate),
    (number::FTRUNCATE, file::ftruncate),
    (number::FALLOCATE, file::fallocate),
    (number::FSYNC, file::fsync),
    (number::FDATASYNC, file::fdatasync),
    (number::SYNC, file::sync),
    (number::SYNCFS, file::syncfs),
    (number::SYNC_FILE_RANGE, file::sync_file_range),
    (number::FADVISE64, file::fadvise64),
    (number::READAHEAD, file::readahead),
    (number::STAT, attribute::stat),
    (number::LSTAT, attribute::lstat),
    (number::FSTAT, attribute::fstat),
    (number::NEWFSTATAT, attribute::newfstatat),
    (number::STATX, attribute::statx),
    (number::STATFS, attribute::statfs),
    (number::FSTATFS, attribute::fstatfs),
    (number::ACCESS, attribute::access),
    (number::FACCESSAT, attribute::faccessat),
    (number::FACCESSAT2, attribute::faccessat2),
    (number::CHMOD, attribute::chmod),
    (number::FCHMOD, attribute::fchmod),
    (number::FCHMODAT, attribute::fchmodat),
    (number::FCHMODAT2, attribute::fchmodat2),
    (number::CHOWN, attribute::chown),
    (number::FCHOWN, attribute::fchown),
    (number::LCHOWN, attribute::lchown),
    (number::FCHOWNAT, attribute::fchownat),
    (number::UTIME, attribute::utime),
    (number::UTIMES, attribute::utimes),
    (number::FUTIMESAT, attribute::futimesat),
    (number::UTIMENSAT, attribute::utimensat),
    (number::READLINK, attribute::readlink),
    (number::READLINKAT, attribute::readlinkat),
    (number::UMASK, attribute::umask),
    // Directories
    (number::GETDENTS, directory::getdents),
    (number::GETDENTS64, directory::getdents64),
    (number::MKDIR, directory::mkdir),
    (number::MKDIRAT, directory::mkdirat),
    (number::MKNOD, directory::mknod),
    (number::MKNODAT, directory::mknodat),
    (number::LINK, directory::link),
    (number::LINKAT, directory::linkat),
    (number::SYMLINK, directory::symlink),
    (number::SYMLINKAT, directory::symlinkat),
    (number::UNLINK, directory::unlink),
    (number::UNLINKAT, directory::unlinkat),
    (number::RMDIR, directory::rmdir),
    (number::RENAME, directory::rename),
    (number::RENAMEAT, directory::renameat),
    (number::RENAMEAT2, directory::renameat2),
    (number::GETCWD, directory::getcwd),
    (number::CHDIR, directory::chdir),
    (number::FCHDIR, directory::fchdir),
    (number::CHROOT, directory::chroot),
    (number::MOUNT, mount::mount),
    (number::UMOUNT2, mount::umount2),
    // Descriptors
    (number::DUP, descriptor::dup),
    (number::DUP2, descriptor::dup2),
    (number::DUP3, descriptor::dup3),
    (number::FCNTL, descriptor::fcntl),
    (number::IOCTL, descriptor::ioctl),
    (number::FLOCK, descriptor::flock),
    (number::POLL, poll::poll),
    (number::PPOLL, poll::ppoll),
    (number::SELECT, poll::select),
    (number::PSELECT6, poll::pselect6),
    // Memory
    (number::FUTEX, futex::futex),
    // Processes
    (number::FORK, process::fork),
    (number::VFORK, process::vfork),
    (number::CLONE, process::clone),
    (number::CLONE3, process::clone3),
    (number::EXIT, process::exit),
    (number::EXIT_GROUP, process::exit_group),
    (number::WAIT4, process::wait4),
    (number::WAITID, process::waitid),
    (number::GETPID, process::getpid),
    (number::GETPPID, process::getppid),
    (number::GETTID, process::gettid),
    (number::SET_TID_ADDRESS, process::set_tid_address),
    (number::SET_ROBUST_LIST, process::set_robust_list),
    (number::GET_ROBUST_LIST, process::get_robust_list),
    (number::ARCH_PRCTL, process::arch_prctl),
    (number::PRCTL, process::prctl),
    // Signals
    (number::RT_SIGACTION, signal::rt_sigaction),
    (number::RT_SIGPROCMASK, signal::rt_sigprocmask),
    (number::RT_SIGRETURN, signal::rt_sigreturn),
    (number::RT_SIGSUSPEND, signal::rt_sigsuspend),
    (number::RT_SIGPENDING, signal::rt_sigpending),
    (number::RT_SIGTIMEDWAIT, signal::rt_sigtimedwait),
    (number::RT_SIGQUEUEINFO, signal::rt_sigqueueinfo),
    (number::RT_TGSIGQUEUEINFO, signal::rt_tgsigqueueinfo),
    (number::SIGALTSTACK, signal::sigaltstack),
    (number::PAUSE, signal::pause),
    (number::KILL, signal::kill),
    (number::TKILL, signal::tkill),
    (number::TGKILL, signal::tgkill),
    (number::RESTART_SYSCALL, signal::restart_syscall),
    // Identity
    (number::GETUID, identity::getuid),
    (number::GETEUID, identity::geteuid),
    (number::GETGID, identity::getgid),
    (number::GETEGID, identity::getegid),
    (number::GETRESUID, identity::getresuid),
    (number::GETRESGID, identity::getresgid),
    (number::GETGROUPS, identity::getgroups),
    (number::SETGROUPS, identity::setgroups),
    (number::SETUID, identity::setuid),
    (number::SETGID, identity::setgid),
    (number::SETREUID, identity::setreuid),
    (number::SETREGID, identity::setregid),
    (number::SETRESUID, identity::setresuid),
    (number::SETRESGID, identity::setresgid),
    (number::SETFSUID, identity::setfsuid),
    (number::SETFSGID, identity::setfsgid),
    (number::CAPGET, identity::capget),
    (number::CAPSET, identity::capset),
    (number::GETPGID, identity::getpgid),
    (number::SETPGID, identity::setpgid),
    (number::GETPGRP, identity::getpgrp),
    (number::GETSID, identity::getsid),
    (number::SETSID, identity::setsid),
    // Time
    (number::CLOCK_GETTIME, time::clock_gettime),
    (number::CLOCK_GETRES, time::clock_getres),
    (number::CLOCK_SETTIME, time::clock_settime),
    (number::GETTIMEOFDAY, time::gettimeofday),
    (number::SETTIMEOFDAY, time::settimeofday),
    (number::TIME, time::time),
    (number::NANOSLEEP, time::nanosleep),
    (number::CLOCK_NANOSLEEP, time::clock_nanosleep),
    (number::TIMES, time::times),
    (number::GETRUSAGE, time::getrusage),
    (number::GETITIMER, time::getitimer),
    (number::SETITIMER, time::setitimer),
    (number::ALARM, time::alarm),
    (number::TIMER_CREATE, time::timer_create),
    (number::TIMER_SETTIME, time::timer_settime),
    (number::TIMER_GETTIME, time::timer_gettime),
    (number::TIMER_GETOVERRUN, time::timer_getoverrun),
    (number::TIMER_DELETE, time::timer_delete),
    // Scheduling
    (number::SCHED_YIELD, schedule::sched_yield),
    (number::SCHED_SETSCHEDULER, schedule::sched_setscheduler),
    (number::SCHED_GETSCHEDULER, schedule::sched_getscheduler),
    (number::SCHED_SETPARAM, schedule::sched_setparam),
    (number::SCHED_GETPARAM, schedule::sched_getparam),
    (number::SCHED_SETATTR, schedule::sched_setattr),
    (number::SCHED_GETATTR, schedule::sched_getattr),
    (number::SCHED_GET_PRIORITY_MAX, schedule::sched_get_priority_max),
    (number::SCHED_GET_PRIORITY_MIN, schedule::sched_get_priority_min),
    (number::SCHED_RR_GET_INTERVAL, schedule::sched_rr_get_interval),
    (number::SCHED_SETAFFINITY, schedule::sched_setaffinity),
    (number::SCHED_GETAFFINITY, schedule::sched_getaffinity),
    (number::GETCPU, schedule::getcpu),
    (number::GETPRIORITY, schedule::getpriority),
    (number::SETPRIORITY, schedule::setpriority),
    // System
    (number::UNAME, system::uname),
    (number::SETHOSTNAME, system::sethostname),
    (number::SETDOMAINNAME, system::setdomainname),
    (number::SYSINFO, system::sysinfo),
    (number::GETRLIMIT, system::getrlimit),
    (number::SETRLIMIT, system::setrlimit),
    (number::PRLIMIT64, system::prlimit64),
    (number::PERSONALITY, system::personality),
    (number::REBOOT, system::reboot),
    (number::MEMBARRIER, system::membarrier),
    (number::RSEQ, system::rseq),
];

static LOOKUP: [Option<Function>; LIMIT] = index(TABLE);

/// The function for a number, if there is one.
pub(super) fn lookup(number: u64) -> Option<Function> {
    LOOKUP.get(usize::try_from(number).ok()?).copied().flatten()
}

/// Linux's name of a number.
pub(crate) fn name_of(number: u64) -> Option<&'static str> {
    number::ALL.iter().find(|row| row.0 as u64 == number).map(|row| row.1)
}

const fn index(rows: &[(usize, Function)]) -> [Option<Function>; LIMIT] {
    let mut lookup = [None; LIMIT];
    let mut i = 0;
    while i < rows.len() {
        assert!(lookup[rows[i].0].is_none(), "a system call number stands twice in the table");
        lookup[rows[i].0] = Some(rows[i].1);
        i += 1;
    }
    lookup
}
