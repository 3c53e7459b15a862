//! Processes: forking, ending, waiting, executing, groups, limits.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int};
use std::fmt;
use std::mem::{MaybeUninit, zeroed};

use super::{Errno, Result, call, path};

/// How a process changed, decoded from a wait status.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Status {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
    Continued,
}

impl Status {
    pub(crate) fn of(raw: i32) -> Self {
        if libc::WIFEXITED(raw) {
            Status::Exited(libc::WEXITSTATUS(raw))
        } else if libc::WIFSTOPPED(raw) {
            Status::Stopped(libc::WSTOPSIG(raw))
        } else if libc::WIFCONTINUED(raw) {
            Status::Continued
        } else {
            Status::Killed(libc::WTERMSIG(raw))
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exited(code) => write!(out, "exited with status {code}"),
            Status::Killed(signal) => write!(out, "was killed by signal {signal}"),
            Status::Stopped(signal) => write!(out, "was stopped by signal {signal}"),
            Status::Continued => write!(out, "was continued"),
        }
    }
}

/// A child of ours. One that nobody waited for is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: i32,
    is_reaped: Cell<bool>,
}

impl Child {
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> Result<Status> {
        loop {
            match wait4(self.pid, 0) {
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
                Ok((_, status)) => {
                    self.is_reaped.set(true);
                    return Ok(status);
                }
            }
        }
    }

    /// Its end, if it has come.
    pub(crate) fn try_wait(&self) -> Result<Option<Status>> {
        let (pid, status) = wait4(self.pid, libc::WNOHANG)?;
        if pid == 0 {
            return Ok(None);
        }
        self.is_reaped.set(true);
        Ok(Some(status))
    }

    /// The next change of state, with the options of `wait4`.
    pub(crate) fn wait_for(&self, options: i32) -> Result<Status> {
        let (_, status) = wait4(self.pid, options)?;
        self.is_reaped.set(matches!(status, Status::Exited(_) | Status::Killed(_)));
        Ok(status)
    }

    /// Says that somebody else reaped it.
    pub(crate) fn forget(&self) {
        self.is_reaped.set(true);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped.get() {
            let _ = super::signals::kill(self.pid, libc::SIGKILL);
            let _ = self.wait();
        }
    }
}

/// Runs `body` in a forked child and ends the child with its answer.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> Result<Child> {
    // SAFETY: the process has one thread; the child runs safe code and never returns from here.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => exit_now(body()),
        pid => Ok(Child { pid, is_reaped: Cell::new(false) }),
    }
}

/// `fork` by its bare system call number, ended at once with `code` in the child.
pub(crate) fn vfork_and_exit(code: i32) -> Result<Child> {
    let pid: isize;
    // SAFETY: the child shares this stack until it ends; it runs the two instructions before label 2
    // only, which touch registers alone.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {exit_group}",
            "mov edi, {code:e}",
            "syscall",
            "2:",
            exit_group = const libc::SYS_exit_group,
            code = in(reg) code,
            inlateout("rax") libc::SYS_vfork as isize => pid,
            out("rdi") _,
            out("rcx") _,
            out("r11") _,
        );
    }
    if pid < 0 { Err(Errno(-pid as i32)) } else { Ok(Child { pid: pid as i32, is_reaped: Cell::new(false) }) }
}

/// `clone` with a stack of its own, flags as given; the child runs `body` and ends with its answer.
/// With `CLONE_VM` the child must come with `CLONE_VFORK`, so that `body` outlives it.
pub(crate) fn clone_with(flags: i32, body: fn() -> i32) -> Result<Child> {
    extern "C" fn start(body: *mut libc::c_void) -> c_int {
        // SAFETY: `clone_with` passed this very function pointer.
        let body: fn() -> i32 = unsafe { std::mem::transmute(body) };
        exit_now(body())
    }
    let mut stack = vec![0_u128; 16 * 1024];
    let top = stack.as_mut_ptr_range().end.cast();
    // SAFETY: the stack is 256 KiB, aligned to 16, and lives until the child ends (VFORK) or is copied (no VM).
    let pid = unsafe { libc::clone(start, top, flags, body as *mut libc::c_void) };
    if pid == -1 { Err(last_errno()) } else { Ok(Child { pid, is_reaped: Cell::new(false) }) }
}

/// The errno that the C library kept.
pub(super) fn last_errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or_default())
}

/// Ends the process at once, all threads included.
pub(crate) fn exit_now(code: i32) -> ! {
    loop {
        let _ = call!(SYS_exit_group, code);
    }
}

/// Waits for children as `wait4` does: the pid (0 for none) and the status.
pub(crate) fn wait4(pid: i32, options: i32) -> Result<(i32, Status)> {
    let mut status: c_int = 0;
    let pid = call!(SYS_wait4, pid, &raw mut status, options, 0)?;
    Ok((pid as i32, Status::of(status)))
}

/// The same with the resources that the child used.
pub(crate) fn wait4_usage(pid: i32) -> Result<libc::rusage> {
    // SAFETY: all fields are numbers.
    let mut usage: libc::rusage = unsafe { zeroed() };
    let mut status: c_int = 0;
    call!(SYS_wait4, pid, &raw mut status, 0, &raw mut usage)?;
    Ok(usage)
}

/// What `waitid` tells about a child: pid, code (`CLD_*`), exit status or signal.
#[derive(Debug, PartialEq)]
pub(crate) struct ChildInfo {
    pub(crate) signal: i32,
    pub(crate) pid: i32,
    pub(crate) code: i32,
    pub(crate) status: i32,
}

/// `waitid` for one pid (`P_PID`) or all (`P_ALL`).
pub(crate) fn waitid(kind: u32, id: i32, options: i32) -> Result<ChildInfo> {
    // SAFETY: all fields are numbers or addresses that nobody follows.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    call!(SYS_waitid, kind, id, &raw mut info, options, 0)?;
    // SAFETY: the kernel filled in the child's part, or left zeros.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok(ChildInfo { signal: info.si_signo, pid, code: info.si_code, status })
}

/// Replaces the program; answers only the error.
pub(crate) fn execve(file: &str, arguments: &[&str], environment: &[&str]) -> Errno {
    let strings = |list: &[&str]| list.iter().map(|text| path(text)).collect::<Result<Vec<CString>>>();
    let (file, arguments, environment) = match (path(file), strings(arguments), strings(environment)) {
        (Ok(file), Ok(arguments), Ok(environment)) => (file, arguments, environment),
        _ => return Errno(libc::EINVAL),
    };
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    match call!(SYS_execve, &file, arguments.as_ptr(), environment.as_ptr()) {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}

/// The auxiliary vector's value of a kind; 0 if absent.
pub(crate) fn auxiliary(kind: u64) -> u64 {
    // SAFETY: reads the vector that the kernel gave.
    unsafe { libc::getauxval(kind) }
}

/// The 16 random bytes of the auxiliary vector.
pub(crate) fn auxiliary_random() -> Option<[u8; 16]> {
    let address = auxiliary(libc::AT_RANDOM) as *const [u8; 16];
    // SAFETY: the kernel put 16 bytes there, for the process's whole life.
    (!address.is_null()).then(|| unsafe { address.read_unaligned() })
}

/// The file name of the auxiliary vector.
pub(crate) fn auxiliary_file_name() -> Option<String> {
    let address = auxiliary(libc::AT_EXECFN) as *const c_char;
    // SAFETY: the kernel put a terminated string there, for the process's whole life.
    (!address.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(address) }.to_string_lossy().into_owned())
}

macro_rules! plain_calls {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) = $number:ident;)*) => {
        $($(#[$doc])* pub(crate) fn $name($($argument: $kind),*) -> Result<i32> {
            call!($number $(, $argument)*).map(|answer| answer as i32)
        })*
    };
}

plain_calls! {
    getpid() = SYS_getpid;
    getppid() = SYS_getppid;
    gettid() = SYS_gettid;
    getpgrp() = SYS_getpgrp;
    getpgid(pid: i32) = SYS_getpgid;
    setpgid(pid: i32, group: i32) = SYS_setpgid;
    getsid(pid: i32) = SYS_getsid;
    setsid() = SYS_setsid;
    /// The kernel's answer: 20 minus the nice value.
    getpriority(which: u32, who: i32) = SYS_getpriority;
    setpriority(which: u32, who: i32, nice: i32) = SYS_setpriority;
    sched_yield() = SYS_sched_yield;
    prctl(option: i32, value: u64) = SYS_prctl;
}

/// Soft and hard limit of a resource.
pub(crate) fn getrlimit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    call!(SYS_prlimit64, 0, resource, 0, &raw mut limit)?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

pub(crate) fn setrlimit(resource: u32, (soft, hard): (u64, u64)) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    call!(SYS_setrlimit, resource, &raw const limit).map(drop)
}

pub(crate) fn getrusage(who: i32) -> Result<libc::rusage> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    call!(SYS_getrusage, who, usage.as_mut_ptr())?;
    // SAFETY: zeroed and filled in; all fields are numbers.
    Ok(unsafe { usage.assume_init() })
}

/// Clock ticks: process (user, system), children (user, system); and the ticks since some start.
pub(crate) fn times() -> Result<(libc::tms, usize)> {
    // SAFETY: all fields are numbers.
    let mut used: libc::tms = unsafe { zeroed() };
    let now = call!(SYS_times, &raw mut used)?;
    Ok((used, now))
}

/// The fields of `uname`: system, node, release, version, machine.
pub(crate) fn uname() -> Result<[String; 5]> {
    // SAFETY: all fields are bytes.
    let mut name: libc::utsname = unsafe { zeroed() };
    call!(SYS_uname, &raw mut name)?;
    let text = |field: &[c_char]| -> String {
        field.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect()
    };
    Ok([
        text(&name.sysname),
        text(&name.nodename),
        text(&name.release),
        text(&name.version),
        text(&name.machine),
    ])
}

/// The process's name, up to 15 bytes.
pub(crate) fn name() -> Result<String> {
    let mut name = [0_u8; 16];
    call!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr())?;
    Ok(name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

pub(crate) fn set_name(name: &str) -> Result<()> {
    call!(SYS_prctl, libc::PR_SET_NAME, &path(name)?).map(drop)
}

/// The CPUs that the process may run on.
pub(crate) fn affinity() -> Result<Vec<usize>> {
    let mut mask = [0_u64; 16];
    let bytes = call!(SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr())?;
    Ok((0..bytes * 8).filter(|cpu| mask[cpu / 64] & (1 << (cpu % 64)) != 0).collect())
}

/// Totals of the machine.
pub(crate) fn sysinfo() -> Result<libc::sysinfo> {
    // SAFETY: all fields are numbers.
    let mut info: libc::sysinfo = unsafe { zeroed() };
    call!(SYS_sysinfo, &raw mut info)?;
    Ok(info)
}

/// Random bytes; the number that came.
pub(crate) fn getrandom(buffer: &mut [u8], flags: u32) -> Result<usize> {
    call!(SYS_getrandom, buffer.as_mut_ptr(), buffer.len(), flags)
}

/// syslog(2) without a buffer.
pub(crate) fn syslog(action: i32, length: i32) -> Result<usize> {
    call!(SYS_syslog, action, 0, length)
}

/// syslog(2) with a buffer of that size: what came.
pub(crate) fn syslog_buffer(action: i32, size: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0_u8; size];
    let length = call!(SYS_syslog, action, buffer.as_mut_ptr(), buffer.len())?;
    buffer.truncate(length);
    Ok(buffer)
}
