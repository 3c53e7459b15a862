//! Signals: sending, masks, and handlers that only record what they saw.
//!
//! A handler of ours stores numbers in atomics and returns; tests read them afterwards. Handlers that do more
//! (end the process, disturb the registers) are named for it.

use std::mem::zeroed;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use super::process::{exit_now, last_errno};
use super::{Errno, Result, call};

const COUNT: usize = 65;

/// How often each signal was handled.
static HANDLED: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];
/// The order in which signals were handled, one byte each, newest lowest.
static ORDER: AtomicU64 = AtomicU64::new(0);
static LAST_CODE: AtomicI32 = AtomicI32::new(0);
static LAST_PID: AtomicI32 = AtomicI32::new(0);
static LAST_VALUE: AtomicUsize = AtomicUsize::new(0);
static LAST_MASK: AtomicU64 = AtomicU64::new(0);
static LAST_STACK: AtomicUsize = AtomicUsize::new(0);
/// How deep handlers are nested now, and the deepest so far.
static DEPTH: AtomicUsize = AtomicUsize::new(0);
static DEEPEST: AtomicUsize = AtomicUsize::new(0);

/// What the newest handled signal came with (`SA_SIGINFO`).
#[derive(Debug, PartialEq)]
pub(crate) struct Last {
    pub(crate) code: i32,
    pub(crate) pid: i32,
    pub(crate) value: usize,
    /// The mask while the handler ran.
    pub(crate) mask: u64,
    /// An address on the stack that the handler ran on.
    pub(crate) stack: usize,
}

/// The set with this one signal.
pub(crate) const fn set_of(signal: i32) -> u64 {
    1 << (signal - 1)
}

pub(crate) fn handled(signal: i32) -> usize {
    HANDLED[signal as usize].load(SeqCst)
}

/// The last eight handled signals, oldest first.
pub(crate) fn order() -> Vec<i32> {
    ORDER.load(SeqCst).to_be_bytes().into_iter().filter(|signal| *signal != 0).map(i32::from).collect()
}

pub(crate) fn last() -> Last {
    Last {
        code: LAST_CODE.load(SeqCst),
        pid: LAST_PID.load(SeqCst),
        value: LAST_VALUE.load(SeqCst),
        mask: LAST_MASK.load(SeqCst),
        stack: LAST_STACK.load(SeqCst),
    }
}

/// How deep handlers were nested at most.
pub(crate) fn deepest() -> usize {
    DEEPEST.load(SeqCst)
}

extern "C" fn record(signal: i32) {
    let depth = DEPTH.fetch_add(1, SeqCst) + 1;
    DEEPEST.fetch_max(depth, SeqCst);
    note(signal);
    DEPTH.fetch_sub(1, SeqCst);
}

fn note(signal: i32) {
    HANDLED[signal as usize].fetch_add(1, SeqCst);
    ORDER.store(ORDER.load(SeqCst) << 8 | signal as u64, SeqCst);
    let here = 0_u8;
    LAST_STACK.store(&raw const here as usize, SeqCst);
    LAST_MASK.store(mask().unwrap_or(u64::MAX), SeqCst);
}

extern "C" fn record_info(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes the address of a live record.
    let info = unsafe { &*info };
    LAST_CODE.store(info.si_code, SeqCst);
    // SAFETY: for signals that processes send, these fields are filled in; else they are some number.
    LAST_PID.store(unsafe { info.si_pid() }, SeqCst);
    // SAFETY: as above.
    LAST_VALUE.store(unsafe { info.si_value() }.sival_ptr as usize, SeqCst);
    record(signal);
}

/// Records, and sends the same signal again the first time, from within the handler.
extern "C" fn record_nested(signal: i32) {
    let depth = DEPTH.fetch_add(1, SeqCst) + 1;
    DEEPEST.fetch_max(depth, SeqCst);
    note(signal);
    if handled(signal) == 1 {
        let _ = raise(signal);
    }
    DEPTH.fetch_sub(1, SeqCst);
}

/// Fills all vector registers and the flags with other values than the interrupted code has.
extern "C" fn disturb_registers(signal: i32) {
    // SAFETY: all registers that change are named; the x87 and SSE control words are the kernel's to restore.
    unsafe {
        std::arch::asm!(
            "pcmpeqd xmm0, xmm0", "movdqa xmm1, xmm0", "movdqa xmm2, xmm0", "movdqa xmm3, xmm0",
            "movdqa xmm4, xmm0", "movdqa xmm5, xmm0", "movdqa xmm6, xmm0", "movdqa xmm7, xmm0",
            "movdqa xmm8, xmm0", "movdqa xmm9, xmm0", "movdqa xmm10, xmm0", "movdqa xmm11, xmm0",
            "movdqa xmm12, xmm0", "movdqa xmm13, xmm0", "movdqa xmm14, xmm0", "movdqa xmm15, xmm0",
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack),
        );
    }
    if super::registers::has_avx() {
        // SAFETY: as above, with the upper halves.
        unsafe {
            std::arch::asm!(
                "vcmpps ymm0, ymm0, ymm0, 15", "vcmpps ymm1, ymm1, ymm1, 15", "vcmpps ymm2, ymm2, ymm2, 15",
                "vcmpps ymm3, ymm3, ymm3, 15", "vcmpps ymm4, ymm4, ymm4, 15", "vcmpps ymm5, ymm5, ymm5, 15",
                "vcmpps ymm6, ymm6, ymm6, 15", "vcmpps ymm7, ymm7, ymm7, 15", "vcmpps ymm8, ymm8, ymm8, 15",
                "vcmpps ymm9, ymm9, ymm9, 15", "vcmpps ymm10, ymm10, ymm10, 15", "vcmpps ymm11, ymm11, ymm11, 15",
                "vcmpps ymm12, ymm12, ymm12, 15", "vcmpps ymm13, ymm13, ymm13, 15", "vcmpps ymm14, ymm14, ymm14, 15",
                "vcmpps ymm15, ymm15, ymm15, 15",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack),
            );
        }
    }
    record(signal);
}

/// What a signal frame says of the extended state in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Frame {
    pub(crate) magic: u32,
    pub(crate) extended: u32,
    pub(crate) features: u64,
    pub(crate) size: u32,
    /// The word behind the state.
    pub(crate) end: u32,
}

static FRAME: std::sync::Mutex<(Frame, (u32, u16))> =
    std::sync::Mutex::new((Frame { magic: 0, extended: 0, features: 0, size: 0, end: 0 }, (0, 0)));

/// The newest frame that [`Action::RecordRegisters`] saw, and the control words with which its handler began.
pub(crate) fn last_frame() -> (Frame, (u32, u16)) {
    FRAME.lock().map_or((Frame::default(), (0, 0)), |frame| *frame)
}

/// Notes what the handler starts with. The program is in a system call, so nobody has the lock.
extern "C" fn record_registers(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let words = super::registers::control_words();
    if let Ok(mut frame) = FRAME.try_lock() {
        *frame = (super::registers::read_frame(context), words);
    }
    record(signal);
}

/// Ends the process with status 100 + signal.
extern "C" fn end_process(signal: i32) {
    exit_now(100 + signal);
}

/// What to do on a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Default,
    Ignore,
    Record,
    RecordInfo,
    RecordNested,
    DisturbRegisters,
    RecordRegisters,
    EndProcess,
}

/// Installs an action with flags of `sigaction` and the signals that are blocked meanwhile.
pub(crate) fn act(signal: i32, action: Action, flags: i32, blocked: &[i32]) -> Result<()> {
    // SAFETY: all fields are numbers, no handler at first.
    let mut new: libc::sigaction = unsafe { zeroed() };
    let plain = |handler: extern "C" fn(i32)| handler as *const () as usize;
    (new.sa_sigaction, new.sa_flags) = match action {
        Action::Default => (libc::SIG_DFL, flags),
        Action::Ignore => (libc::SIG_IGN, flags),
        Action::Record => (plain(record), flags),
        Action::RecordInfo => (record_info as *const () as usize, flags | libc::SA_SIGINFO),
        Action::RecordNested => (plain(record_nested), flags),
        Action::DisturbRegisters => (plain(disturb_registers), flags),
        Action::RecordRegisters => (record_registers as *const () as usize, flags | libc::SA_SIGINFO),
        Action::EndProcess => (plain(end_process), flags),
    };
    for signal in blocked {
        // SAFETY: the set is a live object; the library refuses numbers out of range.
        unsafe { libc::sigaddset(&raw mut new.sa_mask, *signal) };
    }
    // SAFETY: the handlers above are async-signal-safe: atomics, system calls, registers.
    match unsafe { libc::sigaction(signal, &raw const new, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

pub(crate) fn set_default(signal: i32) -> Result<()> {
    act(signal, Action::Default, 0, &[])
}

/// Undoes what was inherited or what the language's runtime installed: no handlers, nothing ignored or blocked.
pub(crate) fn forget_all() -> Result<()> {
    for signal in
        (1..COUNT as i32).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, 32, 33, 34].contains(signal))
    {
        set_default(signal)?;
    }
    no_alternate_stack()?;
    set_mask(0).map(drop)
}

/// What is installed now: the default, ignoring, or some handler (`None`).
pub(crate) fn disposition(signal: i32) -> Result<Option<Action>> {
    // SAFETY: all fields are numbers.
    let mut old: libc::sigaction = unsafe { zeroed() };
    // SAFETY: asks only.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) } != 0 {
        return Err(last_errno());
    }
    Ok(match old.sa_sigaction {
        libc::SIG_DFL => Some(Action::Default),
        libc::SIG_IGN => Some(Action::Ignore),
        _ => None,
    })
}

pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    call!(SYS_kill, pid, signal).map(drop)
}

pub(crate) fn tgkill(process: i32, thread: i32, signal: i32) -> Result<()> {
    call!(SYS_tgkill, process, thread, signal).map(drop)
}

pub(crate) fn tkill(thread: i32, signal: i32) -> Result<()> {
    call!(SYS_tkill, thread, signal).map(drop)
}

/// Sends a signal to this thread; it is handled before the call returns, unless blocked.
pub(crate) fn raise(signal: i32) -> Result<()> {
    tgkill(super::process::getpid()?, super::process::gettid()?, signal)
}

/// Sends a signal with a value.
pub(crate) fn queue(pid: i32, signal: i32, value: usize) -> Result<()> {
    let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
    // SAFETY: passes numbers.
    match unsafe { libc::sigqueue(pid, signal, value) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn change_mask(how: i32, set: Option<u64>) -> Result<u64> {
    let mut old = 0_u64;
    let new = set.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    call!(SYS_rt_sigprocmask, how, new, &raw mut old, 8)?;
    Ok(old)
}

/// The signals that are blocked.
pub(crate) fn mask() -> Result<u64> {
    change_mask(libc::SIG_BLOCK, None)
}

/// Sets the blocked signals; the old ones.
pub(crate) fn set_mask(set: u64) -> Result<u64> {
    change_mask(libc::SIG_SETMASK, Some(set))
}

pub(crate) fn block(signal: i32) -> Result<u64> {
    change_mask(libc::SIG_BLOCK, Some(set_of(signal)))
}

pub(crate) fn unblock(signal: i32) -> Result<u64> {
    change_mask(libc::SIG_UNBLOCK, Some(set_of(signal)))
}

/// Changes the mask in a way (`how`) that need not exist.
pub(crate) fn change_mask_oddly(how: i32) -> Result<u64> {
    change_mask(how, Some(0))
}

/// The signals that wait for being unblocked.
pub(crate) fn pending() -> Result<u64> {
    let mut set = 0_u64;
    call!(SYS_rt_sigpending, &raw mut set, 8)?;
    Ok(set)
}

/// Sleeps under another mask until a handler ran; the errno it answers.
pub(crate) fn suspend(mask: u64) -> Errno {
    call!(SYS_rt_sigsuspend, &raw const mask, 8).err().unwrap_or(Errno(0))
}

pub(crate) fn pause() -> Errno {
    call!(SYS_pause).err().unwrap_or(Errno(0))
}

/// What a child does that only waits for signals.
pub(crate) fn pause_forever() -> i32 {
    loop {
        let _ = pause();
    }
}

/// Takes a pending signal out of `set`, or waits for one: signal, code, sender, value.
pub(crate) fn timed_wait(set: u64, limit: Option<std::time::Duration>) -> Result<(i32, i32, i32, usize)> {
    // SAFETY: all fields are numbers.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    let limit = limit.map(super::time::timespec);
    let pointer = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let signal = call!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, pointer, 8)?;
    // SAFETY: filled in for signals that processes send.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let value = unsafe { info.si_value() }.sival_ptr as usize;
    Ok((signal as i32, info.si_code, pid, value))
}

/// A stack of its own for handlers with `SA_ONSTACK`, for the rest of the process's life.
pub(crate) fn alternate_stack(bytes: usize) -> Result<std::ops::Range<usize>> {
    let memory: &'static mut [u8] = Box::leak(vec![0; bytes].into_boxed_slice());
    let range = memory.as_ptr() as usize..memory.as_ptr() as usize + bytes;
    set_alternate_stack(memory.as_mut_ptr(), 0, bytes)?;
    Ok(range)
}

pub(crate) fn no_alternate_stack() -> Result<()> {
    set_alternate_stack(std::ptr::null_mut(), libc::SS_DISABLE, 0)
}

fn set_alternate_stack(memory: *mut u8, flags: i32, bytes: usize) -> Result<()> {
    let stack = libc::stack_t { ss_sp: memory.cast(), ss_flags: flags, ss_size: bytes };
    call!(SYS_sigaltstack, &raw const stack, 0).map(drop)
}

/// Flags and size of the alternate stack.
pub(crate) fn alternate_stack_state() -> Result<(i32, usize)> {
    // SAFETY: all fields are numbers or addresses that nobody follows.
    let mut stack: libc::stack_t = unsafe { zeroed() };
    call!(SYS_sigaltstack, 0, &raw mut stack)?;
    Ok((stack.ss_flags, stack.ss_size))
}

/// Loads patterns into the SSE registers and flags, sends `signal` to this thread, and counts the registers (and
/// control words) that differ afterwards.
pub(crate) fn registers_changed_by(signal: i32) -> Result<usize> {
    let (process, thread) = (super::process::getpid()?, super::process::gettid()?);
    let pattern: [u64; 4] =
        [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x5555_aaaa_5555_aaaa, 0x1111_2222_3333_4444];
    let mut seen = [0_u64; 4];
    let mut general = [0_u64; 3];
    // SAFETY: the call takes no addresses; each register that changes is named; the buffers are 32 and 24 bytes.
    unsafe {
        std::arch::asm!(
            "movdqu xmm0, [{pattern}]",
            "movdqu xmm7, [{pattern} + 16]",
            "movdqu xmm9, [{pattern}]",
            "movdqu xmm15, [{pattern} + 16]",
            "mov r12, 0x1212", "mov r13, 0x1313", "mov r14, 0x1414",
            "syscall",
            "movq [{seen}], xmm0",
            "movq [{seen} + 8], xmm7",
            "movhlps xmm9, xmm9",
            "movq [{seen} + 16], xmm9",
            "movhlps xmm15, xmm15",
            "movq [{seen} + 24], xmm15",
            "mov [{general}], r12", "mov [{general} + 8], r13", "mov [{general} + 16], r14",
            pattern = in(reg) pattern.as_ptr(),
            seen = in(reg) seen.as_mut_ptr(),
            general = in(reg) general.as_mut_ptr(),
            inlateout("rax") libc::SYS_tgkill => _,
            in("rdi") process as usize, in("rsi") thread as usize, in("rdx") signal as usize,
            out("rcx") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _,
            out("xmm0") _, out("xmm7") _, out("xmm9") _, out("xmm15") _,
        );
    }
    let expected = [pattern[0], pattern[2], pattern[1], pattern[3]];
    let vector = seen.iter().zip(expected).filter(|(seen, expected)| **seen != *expected).count();
    let general =
        general.iter().zip([0x1212, 0x1313, 0x1414]).filter(|(seen, expected)| **seen != *expected).count();
    Ok(vector + general)
}
