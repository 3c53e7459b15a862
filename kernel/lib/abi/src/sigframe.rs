//! The frame that the kernel pushes on a user stack to call a signal handler, and that `rt_sigreturn` takes back.
//!
//! From the stack pointer upwards: return address (the restorer), `ucontext`, `siginfo`; above them, 64-byte aligned,
//! the floating-point state in XSAVE format. The handler sees `rdi` = signal, `rsi` = siginfo, `rdx` = ucontext,
//! `rax` = 0, and a stack aligned as after a call (`rsp + 8` divisible by 16). The 128 bytes below the interrupted stack
//! pointer (red zone) are left alone. Source: Linux's asm/sigcontext.h and asm/ucontext.h.

use crate::signal::{SigInfo, SigSet, StackT};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct sigcontext`: the machine state, 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the same name")]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    /// Error code of the exception.
    pub err: u64,
    /// Vector of the exception.
    pub trapno: u64,
    /// The low word of the signal mask.
    pub oldmask: u64,
    /// Faulting address.
    pub cr2: u64,
    /// Address of the floating-point state, 0 if there is none.
    pub fpstate: u64,
    /// Reserved.
    pub _reserved: [u64; 8],
}

/// `struct ucontext`, 304 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UContext {
    /// [`UcFlags`].
    pub flags: u64,
    /// Unused by the kernel.
    pub link: u64,
    /// The alternate stack at the time.
    pub stack: StackT,
    /// The interrupted state.
    pub mcontext: SigContext,
    /// The mask to return to.
    pub sigmask: SigSet,
}

flags! {
    /// Flags of [`UContext`].
    UcFlags: u64;
    UC_FP_XSTATE = 0x1, "`fpstate` is in XSAVE format.";
    UC_SIGCONTEXT_SS = 0x2, "`ss` is saved.";
    UC_STRICT_RESTORE_SS = 0x4, "`ss` is to be restored as saved.";
}

/// `struct rt_sigframe`: all that lies on the stack but the floating-point state, 440 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RtSigFrame {
    /// Where the handler returns to: the action's restorer.
    pub return_address: u64,
    /// The interrupted state.
    pub ucontext: UContext,
    /// What the handler is told.
    pub info: SigInfo,
}

/// What stands in bytes 464 to 511 of the floating-point state and tells its format (`struct _fpx_sw_bytes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FpSwBytes {
    /// [`FP_XSTATE_MAGIC1`] if XSAVE state follows.
    pub magic1: u32,
    /// Size of all, [`FP_XSTATE_MAGIC2`] included.
    pub extended_size: u32,
    /// State components, as in XCR0.
    pub xfeatures: u64,
    /// Size of the XSAVE state.
    pub xstate_size: u32,
    /// Reserved.
    pub _padding: [u32; 7],
}

/// Says that XSAVE state follows.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// Stands in the four bytes after the XSAVE state.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// Where [`FpSwBytes`] stands in the floating-point state.
pub const FP_SW_BYTES_OFFSET: usize = 464;
/// What a handler may assume untouched below its interrupted stack pointer.
pub const RED_ZONE: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn layouts_match_linux() {
        assert_eq!(size_of::<SigContext>(), 256);
        assert_eq!(offset_of!(UContext, mcontext), offset_of!(libc::ucontext_t, uc_mcontext));
        assert_eq!(offset_of!(UContext, sigmask), offset_of!(libc::ucontext_t, uc_sigmask));
        assert_eq!(offset_of!(UContext, stack), offset_of!(libc::ucontext_t, uc_stack));
        let reg = |index: libc::c_int| offset_of!(libc::mcontext_t, gregs) + index as usize * 8;
        assert_eq!(offset_of!(SigContext, r8), reg(libc::REG_R8));
        assert_eq!(offset_of!(SigContext, rdi), reg(libc::REG_RDI));
        assert_eq!(offset_of!(SigContext, rip), reg(libc::REG_RIP));
        assert_eq!(offset_of!(SigContext, cs), reg(libc::REG_CSGSFS));
        assert_eq!(offset_of!(SigContext, cr2), reg(libc::REG_CR2));
        assert_eq!(offset_of!(SigContext, fpstate), offset_of!(libc::mcontext_t, fpregs));
        assert_eq!(size_of::<RtSigFrame>(), 440);
        assert_eq!(size_of::<FpSwBytes>(), 48);
    }
}
