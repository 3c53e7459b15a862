//! The stack frame of a signal handler: pushing it, and taking it back at the handler's end.
//!
//! Layout and register conventions stand in `abi::sigframe`. What comes back from the program is a claim: flags, addresses
//! and floating-point state are made harmless by `machine` before they reach the CPU.

use super::thread_signals::NO_STACK;
use crate::error::Result;
use crate::sched::Thread;
use abi::errno::Errno;
use abi::sigframe::{
    FP_SW_BYTES_OFFSET, FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FpSwBytes, RED_ZONE, RtSigFrame, SigContext,
    UContext, UcFlags,
};
use abi::signal::{
    KernelSigaction, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, SaFlags, SigInfo, SigSet, Signal, StackT,
};
use alloc::sync::Arc;
use alloc::vec;
use machine::mm::user;
use machine::user::UserContext;
use machine::user::fpu::{self, FpuState};
use zerocopy::{FromBytes, IntoBytes};

const USER_CODE_SELECTOR: u16 = 0x33;
const USER_DATA_SELECTOR: u16 = 0x2b;
/// The part of a floating-point state that every CPU has.
const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// TF, DF and RF are cleared for a handler.
const FLAGS_CLEARED: u64 = 0x1_0500;

/// Pushes the frame for a handler and points `context` at it. `mask` is what the return restores.
///
/// # Errors
/// EFAULT if the stack cannot take it.
pub(super) fn push(
    context: &mut UserContext,
    thread: &Arc<Thread>,
    signal: Signal,
    info: &SigInfo,
    action: &KernelSigaction,
    mask: SigSet,
) -> Result<()> {
    let signals = thread.user().ok_or(Errno::EFAULT)?.signals();
    let stack = signals.stack();
    let top = stack_top(context.rsp, &stack, action)?;
    let fpu = FpuState::save_current();
    let has_header = fpu::state_components() != 0;
    let fpu_bytes = fpu.as_bytes().len() + if has_header { size_of::<u32>() } else { 0 };
    let fpu_address = top.checked_sub(fpu_bytes as u64).ok_or(Errno::EFAULT)? & !63;
    let below = fpu_address.checked_sub(size_of::<RtSigFrame>() as u64).ok_or(Errno::EFAULT)?;
    // As after a call: the stack pointer is 8 below a multiple of 16.
    let address = (below & !15).checked_sub(8).ok_or(Errno::EFAULT)?;
    if is_on(context.rsp, &stack) && !is_on(address, &stack) {
        return Err(Errno::EFAULT.into());
    }
    push_fpu(fpu_address, &fpu)?;
    let frame = RtSigFrame {
        return_address: action.restorer,
        ucontext: UContext {
            flags: flags(has_header),
            link: 0,
            stack: reported_stack(context.rsp, stack),
            mcontext: to_sigcontext(context, thread, mask, fpu_address),
            sigmask: mask,
        },
        info: *info,
    };
    user::copy_to(address, frame.as_bytes())?;
    if stack.flags as u32 & SS_AUTODISARM != 0 {
        signals.set_stack(NO_STACK);
    }
    context.rdi = u64::from(signal.number());
    context.rsi = address + core::mem::offset_of!(RtSigFrame, info) as u64;
    context.rdx = address + core::mem::offset_of!(RtSigFrame, ucontext) as u64;
    context.rax = 0;
    context.rsp = address;
    context.rip = action.handler;
    context.rflags &= !FLAGS_CLEARED;
    // A handler starts with fresh extended registers, whatever the program was in the middle of.
    fpu::reset_current();
    Ok(())
}

/// Takes the frame back (rt_sigreturn) and returns the `rax` that the program had.
///
/// # Errors
/// EFAULT if the frame is not there or makes no sense.
pub(crate) fn restore(context: &mut UserContext, thread: &Arc<Thread>) -> Result<u64> {
    let address = context.rsp.wrapping_sub(size_of::<u64>() as u64);
    let mut bytes = [0; size_of::<RtSigFrame>()];
    user::copy_from(&mut bytes, address)?;
    let frame = RtSigFrame::read_from_bytes(&bytes).map_err(|_| Errno::EFAULT)?;
    let registers = &frame.ucontext.mcontext;
    match registers.fpstate {
        0 => fpu::reset_current(),
        address => restore_fpu(address)?,
    }
    from_sigcontext(context, registers);
    super::set_mask(thread, frame.ucontext.sigmask);
    let stack = frame.ucontext.stack;
    // As on Linux, a stack that makes no sense is passed over in silence.
    set_alternate_stack(thread, context.rsp, stack).unwrap_or(());
    Ok(registers.rax)
}

/// Checks and installs an alternate stack (sigaltstack).
///
/// # Errors
/// EPERM while the thread runs on the present one, EINVAL, ENOMEM if it is too small.
pub(crate) fn set_alternate_stack(thread: &Arc<Thread>, stack_pointer: u64, stack: StackT) -> Result<()> {
    let signals = thread.user().ok_or(Errno::EINVAL)?.signals();
    if is_on(stack_pointer, &signals.stack()) {
        return Err(Errno::EPERM.into());
    }
    let mode = stack.flags as u32 & !SS_AUTODISARM;
    if mode != 0 && mode != SS_ONSTACK as u32 && mode != SS_DISABLE as u32 {
        return Err(Errno::EINVAL.into());
    }
    if mode == SS_DISABLE as u32 {
        signals.set_stack(NO_STACK);
        return Ok(());
    }
    if stack.size < abi::signal::MINSIGSTKSZ {
        return Err(Errno::ENOMEM.into());
    }
    let flags = (stack.flags as u32 & SS_AUTODISARM) as i32;
    signals.set_stack(StackT { sp: stack.sp, flags, _pad: 0, size: stack.size });
    Ok(())
}

/// The alternate stack as sigaltstack reports it.
pub(crate) fn reported_stack(stack_pointer: u64, mut stack: StackT) -> StackT {
    if is_on(stack_pointer, &stack) {
        stack.flags |= SS_ONSTACK;
    }
    stack
}

/// The least that an alternate stack must hold on this CPU (AT_MINSIGSTKSZ).
pub(crate) fn smallest_stack() -> u64 {
    (size_of::<RtSigFrame>() + fpu::state_size() + size_of::<u32>() + 64 + 16) as u64 + RED_ZONE
}

fn flags(has_header: bool) -> u64 {
    let xstate = if has_header { UcFlags::UC_FP_XSTATE } else { UcFlags::empty() };
    (xstate | UcFlags::UC_SIGCONTEXT_SS | UcFlags::UC_STRICT_RESTORE_SS).bits()
}

/// Where the frame may begin: below the red zone, or at the end of the alternate stack.
fn stack_top(stack_pointer: u64, stack: &StackT, action: &KernelSigaction) -> Result<u64> {
    let wants_alternate = action.flags & SaFlags::SA_ONSTACK.bits() != 0;
    let is_enabled = stack.flags & SS_DISABLE == 0 && stack.size != 0;
    if wants_alternate && is_enabled && !is_on(stack_pointer, stack) {
        return Ok(stack.sp.checked_add(stack.size).ok_or(Errno::EFAULT)?);
    }
    Ok(stack_pointer.checked_sub(RED_ZONE).ok_or(Errno::EFAULT)?)
}

/// Whether the thread runs on its alternate stack. One that disarms itself counts as never in use.
fn is_on(stack_pointer: u64, stack: &StackT) -> bool {
    stack.flags & SS_DISABLE == 0
        && stack.flags as u32 & SS_AUTODISARM == 0
        && stack_pointer > stack.sp
        && stack_pointer - stack.sp <= stack.size
}

fn push_fpu(address: u64, fpu: &FpuState) -> Result<()> {
    let mut bytes = fpu.as_bytes().to_vec();
    let components = fpu::state_components();
    let mut software = FpSwBytes::default();
    if components != 0 {
        software.magic1 = FP_XSTATE_MAGIC1;
        software.extended_size = (bytes.len() + size_of::<u32>()) as u32;
        software.xfeatures = components;
        software.xstate_size = bytes.len() as u32;
        bytes.extend_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    }
    bytes[FP_SW_BYTES_OFFSET..LEGACY_BYTES].copy_from_slice(software.as_bytes());
    Ok(user::copy_to(address, &bytes)?)
}

fn restore_fpu(address: u64) -> Result<()> {
    let size = fpu::state_size();
    let mut bytes = vec![0; size];
    user::copy_from(&mut bytes[..LEGACY_BYTES], address)?;
    let software =
        FpSwBytes::read_from_bytes(&bytes[FP_SW_BYTES_OFFSET..LEGACY_BYTES]).map_err(|_| Errno::EFAULT)?;
    let is_extended = size > LEGACY_BYTES
        && software.magic1 == FP_XSTATE_MAGIC1
        && software.xstate_size as usize == size
        && ends_with_magic(address, size)?;
    if is_extended {
        let rest = address.checked_add(LEGACY_BYTES as u64).ok_or(Errno::EFAULT)?;
        user::copy_from(&mut bytes[LEGACY_BYTES..], rest)?;
        // Components that the frame does not speak for start afresh.
        let header = &mut bytes[LEGACY_BYTES..LEGACY_BYTES + size_of::<u64>()];
        let present = u64::from_le_bytes(header.try_into().map_err(|_| Errno::EFAULT)?);
        header.copy_from_slice(&(present & software.xfeatures).to_le_bytes());
    } else if size >= LEGACY_BYTES + HEADER_BYTES {
        // Only x87 and SSE were given; everything else starts afresh.
        bytes[LEGACY_BYTES] = 0b11;
    }
    // The software's words are no part of the CPU's image.
    bytes[FP_SW_BYTES_OFFSET..LEGACY_BYTES].fill(0);
    FpuState::from_bytes(&bytes).ok_or(Errno::EFAULT)?.load_current();
    Ok(())
}

/// Whether the second magic number stands behind a state of `size` bytes: nothing was cut off when it was copied.
fn ends_with_magic(address: u64, size: usize) -> Result<bool> {
    let mut magic = [0; size_of::<u32>()];
    user::copy_from(&mut magic, address.checked_add(size as u64).ok_or(Errno::EFAULT)?)?;
    Ok(u32::from_le_bytes(magic) == FP_XSTATE_MAGIC2)
}

fn to_sigcontext(context: &UserContext, thread: &Thread, mask: SigSet, fpstate: u64) -> SigContext {
    let fault = thread.user().map(|user| *user.last_fault.lock()).unwrap_or_default();
    SigContext {
        r8: context.r8,
        r9: context.r9,
        r10: context.r10,
        r11: context.r11,
        r12: context.r12,
        r13: context.r13,
        r14: context.r14,
        r15: context.r15,
        rdi: context.rdi,
        rsi: context.rsi,
        rbp: context.rbp,
        rbx: context.rbx,
        rdx: context.rdx,
        rax: context.rax,
        rcx: context.rcx,
        rsp: context.rsp,
        rip: context.rip,
        eflags: context.rflags,
        cs: USER_CODE_SELECTOR,
        ss: USER_DATA_SELECTOR,
        oldmask: mask.0,
        err: fault.error_code,
        trapno: fault.vector,
        cr2: fault.address,
        fpstate,
        ..SigContext::default()
    }
}

fn from_sigcontext(context: &mut UserContext, saved: &SigContext) {
    *context = UserContext {
        r8: saved.r8,
        r9: saved.r9,
        r10: saved.r10,
        r11: saved.r11,
        r12: saved.r12,
        r13: saved.r13,
        r14: saved.r14,
        r15: saved.r15,
        rdi: saved.rdi,
        rsi: saved.rsi,
        rbp: saved.rbp,
        rbx: saved.rbx,
        rdx: saved.rdx,
        rax: saved.rax,
        rcx: saved.rcx,
        rsp: saved.rsp,
        rip: saved.rip,
        rflags: saved.eflags,
        fs_base: context.fs_base,
        gs_base: context.gs_base,
    };
}
