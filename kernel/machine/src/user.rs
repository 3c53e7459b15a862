//! User mode: the registers of a user thread, and the way in and back.
//!
//! A thread that runs a program is an ordinary kernel task that calls [`UserContext::run`] in a loop.
//! `run` returns what happened as a value, so a system call, a fault, the first start and the child of
//! a fork all take one path. Interrupts are disabled from the moment the CPU leaves user mode until
//! `run` returns, and in the few instructions before it goes there.
//!
//! Source: Intel SDM vol. 2 (SYSCALL, SYSRET), vol. 3, 6.14; AMD APM vol. 2, 6.1.
//!
//! # Soundness
//! `enter_user` (trap/entry.s) gets a context that this CPU alone uses, keeps its address on the task's
//! own stack while the program runs, and comes back there. Only a user-mode code segment, a canonical
//! user `rip` and flags without privilege are ever loaded, so neither `sysret` nor `iret` can fault
//! in the kernel. The base of GS never is a kernel address, which the entry code relies on.

use crate::addr::USER_END;
use crate::cpu::{self, local, msr};
use crate::trap;
use core::sync::atomic::Ordering;

pub mod fpu;

/// The registers of a user thread, as the program sees them. Offsets are known to `trap/entry.s`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the same names")]
pub struct UserContext {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

const _: () = assert!(core::mem::offset_of!(UserContext, rip) == 128);

/// A fault or trap raised by a user instruction.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Vector, 0 to 31 (Intel SDM vol. 3, 6.3.1).
    pub vector: u8,
    /// The error code that the CPU pushed, 0 where it pushes none.
    pub error_code: u64,
    /// CR2, for a page fault (vector 14).
    pub fault_address: u64,
}

impl Exception {
    /// What a page fault (vector 14) wanted to do.
    pub fn access(&self) -> crate::upcalls::Access {
        trap::access(self.error_code)
    }
}

/// Why the CPU came back from user mode.
#[derive(Clone, Copy, Debug)]
pub enum ReturnReason {
    /// A `syscall` instruction: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`; `rip` is behind it.
    Syscall,
    /// An exception; `rip` is at the faulting instruction (behind it for traps).
    Exception(Exception),
    /// An interrupt; it has been handled. Look whether there is something else to do.
    Interrupt,
}

/// What `enter_user` answers.
#[repr(C)]
struct Left {
    /// 0-255: the vector; 256: a system call.
    vector: u64,
    error_code: u64,
}

unsafe extern "sysv64" {
    fn enter_user(context: *mut UserContext, by_sysret: u64) -> Left;
}

const SYSCALL: u64 = 256;
const GENERAL_PROTECTION: u8 = 13;
const PAGE_FAULT: u64 = 14;
const NMI: u64 = 2;

/// Flags that a program may have: CF PF AF ZF SF TF DF OF NT RF AC ID.
const USER_FLAGS: u64 = 0x0025_4dd5;
/// IF and the bit that is always one.
const FORCED_FLAGS: u64 = 0x202;
/// TF and RF: `sysret` would set them too early or lose them.
const NO_SYSRET_FLAGS: u64 = 0x1_0100;

impl UserContext {
    /// A fresh context: starts at `entry` with the stack pointer `stack`, all else zero.
    pub fn new(entry: u64, stack: u64) -> Self {
        Self { rip: entry, rsp: stack, rflags: FORCED_FLAGS, ..Self::default() }
    }

    /// Runs the program on this CPU, in the address space that is active, until something needs the
    /// kernel. Call with interrupts enabled and preemption allowed, from the thread's own task, in a loop:
    /// run, handle the reason, deliver signals, reschedule if asked, run again.
    ///
    /// Privileged bits of `rflags` are corrected; an impossible `rip` comes back as a general protection
    /// exception, an impossible FS or GS base is taken as 0.
    pub fn run(&mut self) -> ReturnReason {
        self.run_unless(|| false, || {})
    }

    /// Like [`run`](Self::run), but asks `stay` with interrupts disabled, as the last thing before user mode;
    /// if it says yes, returns [`ReturnReason::Interrupt`] at once. So a wake-up or signal that comes
    /// between the caller's last look and the program cannot be missed. `left` is called as the first thing behind user
    /// mode, also with interrupts disabled.
    pub fn run_unless(&mut self, stay: impl FnOnce() -> bool, left: impl FnOnce()) -> ReturnReason {
        if self.rip >= USER_END {
            return ReturnReason::Exception(Exception {
                vector: GENERAL_PROTECTION,
                error_code: 0,
                fault_address: 0,
            });
        }
        self.rflags = self.rflags & USER_FLAGS | FORCED_FLAGS;
        debug_assert!(cpu::preemption_count() == 0, "to user mode with preemption disabled");
        crate::sync::assert_none_held("to user mode");
        cpu::disable_interrupts_for_good();
        if stay() {
            cpu::enable_interrupts();
            return ReturnReason::Interrupt;
        }
        self.load_bases();
        let by_sysret = self.rcx == self.rip && self.r11 == self.rflags && self.rflags & NO_SYSRET_FLAGS == 0;
        // SAFETY: see Soundness; rip, rflags and the bases have just been made harmless.
        let event = unsafe { enter_user(self, u64::from(by_sysret)) };
        cpu::forbid_user_access();
        left();
        let reason = match event.vector {
            SYSCALL => ReturnReason::Syscall,
            vector @ 0..32 => {
                // An NMI does not come this way (it has its own stack), so CR2 is still the fault's.
                debug_assert!(vector != NMI);
                let fault_address = if vector == PAGE_FAULT { msr::cr2() } else { 0 };
                ReturnReason::Exception(Exception {
                    vector: vector as u8,
                    error_code: event.error_code,
                    fault_address,
                })
            }
            vector => {
                trap::interrupt(vector as u8);
                ReturnReason::Interrupt
            }
        };
        cpu::enable_interrupts();
        reason
    }

    /// Arguments of the system call that was just made.
    pub fn syscall_arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Loads the FS and GS bases where this CPU has others. Interrupts are disabled.
    fn load_bases(&mut self) {
        for base in [&mut self.fs_base, &mut self.gs_base] {
            if *base >= USER_END {
                *base = 0;
            }
        }
        let local = local::get();
        if local.loaded_fs.load(Ordering::Relaxed) != self.fs_base {
            local.loaded_fs.store(self.fs_base, Ordering::Relaxed);
            // SAFETY: a user address; the kernel does not use FS.
            unsafe { msr::write(msr::FS_BASE, self.fs_base) };
        }
        if local.loaded_gs.load(Ordering::Relaxed) != self.gs_base {
            local.loaded_gs.store(self.gs_base, Ordering::Relaxed);
            // SAFETY: a user address, which `swapgs` loads on the way out.
            unsafe { msr::write(msr::KERNEL_GS_BASE, self.gs_base) };
        }
    }
}

/// Sets the `syscall` instruction up on this CPU.
pub(crate) fn init_cpu() {
    unsafe extern "C" {
        fn syscall_entry();
    }
    /// Everything that must not be as the program had it: IF, TF, DF, AC, NT, IOPL.
    const MASK: u64 = 0x4_7700;
    const SYSCALL_ENABLE: u64 = 1;
    let entry = syscall_entry as *const () as u64;
    let steps = [(msr::STAR, crate::cpu::gdt::STAR_VALUE), (msr::LSTAR, entry), (msr::SFMASK, MASK)];
    for (register, value) in steps {
        // SAFETY: the registers exist on every x86-64 CPU; the values are the kernel's own entry.
        unsafe { msr::write(register, value) };
    }
    // SAFETY: EFER exists on every x86-64 CPU.
    let efer = unsafe { msr::read(msr::EFER) };
    // SAFETY: adds the enable bit for what has just been set up.
    unsafe { msr::write(msr::EFER, efer | SYSCALL_ENABLE) };
}
