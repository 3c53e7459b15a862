//! Setting and steering the clock, POSIX timers, timer descriptors, and the vDSO.

use std::mem::{transmute, zeroed};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use super::files::Fd;
use super::time::timespec;
use super::{Result, call};

fn duration(time: libc::timespec) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn set_clock(clock: i32, time: Duration) -> Result<()> {
    let time = timespec(time);
    call!(SYS_clock_settime, clock, &raw const time).map(drop)
}

/// `adjtimex`: the state of the clock.
pub(crate) fn adjust(timex: &mut libc::timex) -> Result<usize> {
    call!(SYS_adjtimex, &raw mut *timex)
}

/// A request that asks for nothing.
pub(crate) fn timex() -> libc::timex {
    // SAFETY: all fields are numbers.
    unsafe { zeroed() }
}

/// `clock_nanosleep` for a length; what was left of it.
pub(crate) fn sleep_on(clock: i32, length: Duration) -> (Result<()>, Duration) {
    let (length, mut left) = (timespec(length), timespec(Duration::ZERO));
    let answer = call!(SYS_clock_nanosleep, clock, 0, &raw const length, &raw mut left).map(drop);
    (answer, duration(left))
}

/// The clock of a process's CPU time.
pub(crate) fn clock_of_process(pid: i32) -> i32 {
    !pid << 3 | 2
}

fn itimerspec(first: Duration, interval: Duration) -> libc::itimerspec {
    libc::itimerspec { it_interval: timespec(interval), it_value: timespec(first) }
}

/// A timer of `timer_create` that sends a signal with a value.
pub(crate) struct Timer(i32);

impl Timer {
    pub(crate) fn new(clock: i32, signal: i32, value: usize) -> Result<Timer> {
        // SAFETY: all fields are numbers or null.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = signal;
        event.sigev_value.sival_ptr = value as *mut libc::c_void;
        let mut id = 0;
        call!(SYS_timer_create, clock, &raw const event, &raw mut id)?;
        Ok(Timer(id))
    }

    /// One that tells nobody.
    pub(crate) fn silent(clock: i32) -> Result<Timer> {
        // SAFETY: all fields are numbers or null.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_NONE;
        let mut id = 0;
        call!(SYS_timer_create, clock, &raw const event, &raw mut id)?;
        Ok(Timer(id))
    }

    pub(crate) fn set(&self, flags: i32, first: Duration, interval: Duration) -> Result<()> {
        let new = itimerspec(first, interval);
        call!(SYS_timer_settime, self.0, flags, &raw const new, 0).map(drop)
    }

    /// What is left, and the interval.
    pub(crate) fn get(&self) -> Result<(Duration, Duration)> {
        let mut now = itimerspec(Duration::ZERO, Duration::ZERO);
        call!(SYS_timer_gettime, self.0, &raw mut now)?;
        Ok((duration(now.it_value), duration(now.it_interval)))
    }

    pub(crate) fn overruns(&self) -> Result<usize> {
        call!(SYS_timer_getoverrun, self.0)
    }

    pub(crate) fn id(&self) -> i32 {
        self.0
    }
}

/// What a timer's signal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rang {
    pub(crate) code: i32,
    pub(crate) id: i32,
    pub(crate) overruns: i32,
    pub(crate) value: usize,
}

/// Takes a pending signal out of `set`, or waits for one.
pub(crate) fn wait_for_timer(set: u64, limit: Duration) -> Result<Rang> {
    let mut info = [0u64; 16];
    let limit = timespec(limit);
    call!(SYS_rt_sigtimedwait, &raw const set, info.as_mut_ptr(), &raw const limit, 8)?;
    Ok(Rang {
        code: info[1] as i32,
        id: info[2] as i32,
        overruns: (info[2] >> 32) as i32,
        value: info[3] as usize,
    })
}

/// A timer descriptor.
pub(crate) fn timer_descriptor(clock: i32, flags: i32) -> Result<Fd> {
    call!(SYS_timerfd_create, clock, flags).map(Fd::own)
}

pub(crate) fn set_timer_descriptor(fd: i32, flags: i32, first: Duration, interval: Duration) -> Result<()> {
    let new = itimerspec(first, interval);
    call!(SYS_timerfd_settime, fd, flags, &raw const new, 0).map(drop)
}

/// FUTEX_WAIT with a limit, or FUTEX_WAIT_BITSET until a time of a clock.
pub(crate) fn futex_wait(
    word: &std::sync::atomic::AtomicU32,
    until: Option<i32>,
    time: Duration,
) -> Result<()> {
    let time = timespec(time);
    let operation = match until {
        None => libc::FUTEX_WAIT,
        Some(libc::CLOCK_REALTIME) => libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME,
        Some(_) => libc::FUTEX_WAIT_BITSET,
    };
    call!(SYS_futex, word.as_ptr().cast_const(), operation, 0, &raw const time, 0, -1).map(drop)
}

/// An epoll descriptor that watches nothing, waited for.
pub(crate) fn epoll_wait_for_nothing(limit_ms: i32) -> Result<usize> {
    let epoll = call!(SYS_epoll_create1, 0).map(Fd::own)?;
    let mut events = [0u64; 4];
    call!(SYS_epoll_wait, epoll.raw(), events.as_mut_ptr(), 1, limit_ms)
}

/// `prctl` with a number.
pub(crate) fn timer_slack(set: Option<u64>) -> Result<usize> {
    match set {
        Some(ns) => call!(SYS_prctl, libc::PR_SET_TIMERSLACK, ns),
        None => call!(SYS_prctl, libc::PR_GET_TIMERSLACK),
    }
}

/// Keeps this thread on one CPU.
pub(crate) fn stay_on(cpu: usize) -> Result<()> {
    let mut set = [0u64; 16];
    set[cpu / 64] |= 1 << (cpu % 64);
    call!(SYS_sched_setaffinity, 0, 128, set.as_ptr()).map(drop)
}

type GetTime = unsafe extern "C" fn(i32, *mut libc::timespec) -> i32;
type GetDay = unsafe extern "C" fn(*mut libc::timeval, usize) -> i32;
type GetSeconds = unsafe extern "C" fn(usize) -> i64;
type GetCpu = unsafe extern "C" fn(*mut u32, *mut u32, usize) -> i64;

/// The functions of the vDSO.
#[derive(Clone, Copy)]
pub(crate) struct Vdso {
    pub(crate) base: usize,
    clock_gettime: GetTime,
    clock_getres: GetTime,
    gettimeofday: GetDay,
    time: GetSeconds,
    getcpu: GetCpu,
}

/// Reads a value of the vDSO's image.
fn at<T: Copy>(address: usize) -> T {
    // SAFETY: the caller follows the image's own tables, which the kernel made.
    unsafe { (address as *const T).read_unaligned() }
}

fn text(address: usize) -> String {
    // SAFETY: as above; names are terminated.
    unsafe { std::ffi::CStr::from_ptr(address as *const libc::c_char) }.to_string_lossy().into_owned()
}

/// The addresses in the dynamic section of the vDSO, by tag; its soname; its functions of version LINUX_2.6.
fn exports(base: usize) -> (String, Vec<(String, usize)>) {
    const PT_DYNAMIC: u32 = 2;
    const DT_HASH: u64 = 4;
    const DT_STRTAB: u64 = 5;
    const DT_SYMTAB: u64 = 6;
    const DT_SONAME: u64 = 14;
    const DT_VERSYM: u64 = 0x6fff_fff0;
    const DT_VERDEF: u64 = 0x6fff_fffc;
    let headers = base + at::<u64>(base + 32) as usize;
    let count = usize::from(at::<u16>(base + 56));
    let dynamic =
        (0..count).map(|index| headers + index * 56).find(|header| at::<u32>(*header) == PT_DYNAMIC);
    let dynamic = base + at::<u64>(dynamic.unwrap_or(headers) + 16) as usize;
    let entries: Vec<(u64, u64)> = (0..)
        .map(|index| (at::<u64>(dynamic + index * 16), at::<u64>(dynamic + index * 16 + 8)))
        .take_while(|entry| entry.0 != 0)
        .collect();
    let value = |tag: u64| entries.iter().find(|entry| entry.0 == tag).map_or(0, |entry| entry.1 as usize);
    let strings = base + value(DT_STRTAB);
    let (symbols, versions, hash) = (base + value(DT_SYMTAB), base + value(DT_VERSYM), base + value(DT_HASH));
    // Version definitions: index and name of each.
    let mut definition = base + value(DT_VERDEF);
    let mut wanted = None;
    loop {
        let name = text(strings + at::<u32>(definition + at::<u32>(definition + 12) as usize) as usize);
        if name == "LINUX_2.6" {
            wanted = Some(at::<u16>(definition + 4));
        }
        match at::<u32>(definition + 16) {
            0 => break,
            next => definition += next as usize,
        }
    }
    let functions = (0..at::<u32>(hash + 4) as usize)
        .filter(|index| Some(at::<u16>(versions + index * 2) & 0x7fff) == wanted)
        .map(|index| {
            let symbol = symbols + index * 24;
            (text(strings + at::<u32>(symbol) as usize), base + at::<u64>(symbol + 8) as usize)
        })
        .filter(|(_, address)| *address != base)
        .collect();
    (text(strings + value(DT_SONAME)), functions)
}

impl Vdso {
    /// The soname, and the vDSO; `None` if the kernel gives none, or it lacks a function.
    pub(crate) fn find() -> Option<(String, Vdso)> {
        let base = super::process::auxiliary(libc::AT_SYSINFO_EHDR) as usize;
        if base == 0 || at::<[u8; 4]>(base) != *b"\x7fELF" {
            return None;
        }
        let (soname, functions) = exports(base);
        let address = |name: &str| Some(functions.iter().find(|function| function.0 == name)?.1);
        let (clock_gettime, clock_getres) =
            (address("__vdso_clock_gettime")?, address("__vdso_clock_getres")?);
        let (gettimeofday, time) = (address("__vdso_gettimeofday")?, address("__vdso_time")?);
        let getcpu = address("__vdso_getcpu")?;
        let vdso = Vdso {
            base,
            // SAFETY: the type of each function is the kernel's documented interface.
            clock_gettime: unsafe { transmute::<usize, GetTime>(clock_gettime) },
            // SAFETY: as above.
            clock_getres: unsafe { transmute::<usize, GetTime>(clock_getres) },
            // SAFETY: as above.
            gettimeofday: unsafe { transmute::<usize, GetDay>(gettimeofday) },
            // SAFETY: as above.
            time: unsafe { transmute::<usize, GetSeconds>(time) },
            // SAFETY: as above.
            getcpu: unsafe { transmute::<usize, GetCpu>(getcpu) },
        };
        Some((soname, vdso))
    }

    pub(crate) fn clock(&self, clock: i32) -> std::result::Result<Duration, i32> {
        let mut time = timespec(Duration::ZERO);
        // SAFETY: the place is live.
        match unsafe { (self.clock_gettime)(clock, &raw mut time) } {
            0 => Ok(duration(time)),
            error => Err(error),
        }
    }

    pub(crate) fn resolution(&self, clock: i32) -> std::result::Result<Duration, i32> {
        let mut time = timespec(Duration::ZERO);
        // SAFETY: the place is live.
        match unsafe { (self.clock_getres)(clock, &raw mut time) } {
            0 => Ok(duration(time)),
            error => Err(error),
        }
    }

    pub(crate) fn day(&self) -> Duration {
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: the place is live.
        unsafe { (self.gettimeofday)(&raw mut time, 0) };
        Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
    }

    pub(crate) fn seconds(&self) -> u64 {
        // SAFETY: null is allowed.
        unsafe { (self.time)(0) as u64 }
    }

    /// CPU and node.
    pub(crate) fn cpu(&self) -> (u32, u32) {
        let (mut cpu, mut node) = (u32::MAX, u32::MAX);
        // SAFETY: the places are live.
        unsafe { (self.getcpu)(&raw mut cpu, &raw mut node, 0) };
        (cpu, node)
    }
}

static STEPS: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note_step(_signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel gives a handler its context.
    let next = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] } as usize;
    STEPS.fetch_add(1, Relaxed);
    if at::<[u8; 2]>(next) == [0x0f, 0x05] {
        CALLS.fetch_add(1, Relaxed);
    }
}

/// Runs `body` one instruction at a time: how many there were, and how many of them were system calls.
pub(crate) fn count_system_calls(body: impl FnOnce()) -> Result<(usize, usize)> {
    use std::arch::asm;
    // SAFETY: the handler touches two counters.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = note_step as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a handler of the right type.
    if unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(super::process::last_errno());
    }
    STEPS.store(0, Relaxed);
    CALLS.store(0, Relaxed);
    // SAFETY: the trap flag makes the CPU trap after each instruction; the handler takes that.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    body();
    // SAFETY: undoes it.
    unsafe { asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
    Ok((STEPS.load(Relaxed), CALLS.load(Relaxed)))
}
