//! Deliberate faults, each in a forked child, and what the child's handler was told.

use std::arch::asm;
use std::mem::zeroed;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use super::Result;
use super::memory::Mapping;
use super::process::{self, Status, exit_now};
use super::signals::{self, Action};

/// What the child does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Read(usize),
    Write(usize),
    /// Calls the address; only a `ret` may stand there.
    Execute(usize),
    Divide,
    IllegalInstruction,
    Breakpoint,
    /// An instruction that only the kernel may use.
    Privileged,
    /// Uses up the stack by endless recursion.
    ExhaustStack,
}

/// What a handler is told about a fault.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) signal: i32,
    pub(crate) code: i32,
    pub(crate) address: usize,
}

/// Where the handler leaves its findings: a page shared with the parent.
static FINDINGS: AtomicUsize = AtomicUsize::new(0);

#[repr(C)]
struct Findings {
    signal: AtomicU64,
    code: AtomicU64,
    address: AtomicU64,
}

extern "C" fn tell(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: `catch` stored the address of a mapping that lives as long as this process.
    let findings = unsafe { &*(FINDINGS.load(SeqCst) as *const Findings) };
    // SAFETY: the kernel passes the address of a live record.
    let info = unsafe { &*info };
    findings.code.store(info.si_code as i64 as u64, SeqCst);
    // SAFETY: filled in for faults, else some number.
    findings.address.store(unsafe { info.si_addr() } as u64, SeqCst);
    findings.signal.store(signal as u64, SeqCst);
    exit_now(0);
}

/// Does the deed in a child without handlers; how the child ended, 0 if nothing happened.
pub(crate) fn attempt(deed: Deed) -> Result<Status> {
    process::fork(|| {
        commit(deed);
        0
    })?
    .wait()
}

/// Does the deed in a child with a handler; what the handler was told, `None` if it did not run.
pub(crate) fn catch(deed: Deed) -> Result<Option<Fault>> {
    let page = Mapping::shared(4096)?;
    let child = process::fork(|| {
        FINDINGS.store(page.address(), SeqCst);
        let prepared = signals::alternate_stack(64 * 1024).and_then(|_| {
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP]
                .into_iter()
                .try_for_each(listen)
        });
        if prepared.is_err() {
            return 90;
        }
        commit(deed);
        91
    })?;
    child.wait()?;
    // SAFETY: the page is mapped, aligned, and all numbers are valid.
    let findings = unsafe { &*(page.address() as *const Findings) };
    let signal = findings.signal.load(SeqCst) as i32;
    let fault = Fault {
        signal,
        code: findings.code.load(SeqCst) as i32,
        address: findings.address.load(SeqCst) as usize,
    };
    Ok((signal != 0).then_some(fault))
}

fn listen(signal: i32) -> Result<()> {
    // SAFETY: all fields are numbers, no handler at first.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = tell as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler stores numbers and ends the process.
    match unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(process::last_errno()),
    }
}

/// Runs in a child that ends right after.
fn commit(deed: Deed) {
    match deed {
        Deed::Read(address) => {
            // SAFETY: a wild read ends this child at worst.
            unsafe { (address as *const u8).read_volatile() };
        }
        Deed::Write(address) => {
            // SAFETY: what is hit belongs to this child, which ends right after.
            unsafe { (address as *mut u8).write_volatile(1) };
        }
        Deed::Execute(address) => {
            // SAFETY: the caller put a `ret` there, or the call faults.
            unsafe { asm!("call {}", in(reg) address, clobber_abi("C")) };
        }
        Deed::Divide => {
            // SAFETY: faults.
            unsafe {
                asm!("xor edx, edx", "xor ecx, ecx", "mov eax, 1", "div ecx", out("eax") _, out("ecx") _, out("edx") _)
            };
        }
        Deed::IllegalInstruction => {
            // SAFETY: faults.
            unsafe { asm!("ud2") };
        }
        Deed::Breakpoint => {
            // SAFETY: traps.
            unsafe { asm!("int3") };
        }
        Deed::Privileged => {
            // SAFETY: faults.
            unsafe { asm!("hlt") };
        }
        Deed::ExhaustStack => {
            std::hint::black_box(recurse(0));
        }
    }
}

#[allow(unconditional_recursion, reason = "it is meant to use up the stack")]
fn recurse(depth: u64) -> u64 {
    let buffer = std::hint::black_box([depth; 64]);
    recurse(depth + 1) + std::hint::black_box(buffer)[0]
}

/// Ignores or blocks the signal first, then does the deed: the kernel must end the process all the same.
pub(crate) fn attempt_deaf(deed: Deed, signal: i32, is_blocked: Deafness) -> Result<Status> {
    process::fork(|| {
        let prepared = match is_blocked {
            Deafness::Blocks => signals::block(signal).map(drop),
            Deafness::Ignores => signals::act(signal, Action::Ignore, 0, &[]),
        };
        if prepared.is_err() {
            return 90;
        }
        commit(deed);
        91
    })?
    .wait()
}

/// How a process does not listen to a signal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deafness {
    Blocks,
    Ignores,
}
