//! The x87, SSE and AVX registers of user threads.
//!
//! The kernel itself never uses them (it is built without), so those of the current task stay live in the
//! CPU while it is in the kernel; a task switch saves them (XSAVEOPT where the CPU has it, which writes only what has
//! changed since the last XRSTOR), and restores those of the next task unless they are still in this CPU
//! ([`crate::task`]). The format is that of XSAVE (standard, not compacted: XSAVEC's would have to be
//! converted for signal frames) where the CPU has it, else of FXSAVE; Linux's signal frames use the same.
//!
//! Source: Intel SDM vol. 1, chapters 10.5 (FXSAVE) and 13 (XSAVE).
//!
//! # Soundness
//! A state's memory is 64-byte aligned and as long as the CPU said for the enabled components. States that
//! come from programs are corrected by [`FpuState::from_bytes`] so that XRSTOR cannot fault.

use crate::cpu::msr;
use crate::sync::Once;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::{asm, x86_64::__cpuid_count};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
const CONTROL_WORD: u16 = 0x37f;
const MXCSR: u32 = 0x1f80;
const MXCSR_OFFSET: usize = 24;
const MXCSR_MASK: u32 = 0xffff;
/// x87, SSE, AVX, and AVX-512's three.
const WANTED: u64 = 0b1110_0111;

/// Enabled state components (XCR0); 0: no XSAVE, FXSAVE is used.
static COMPONENTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU32 = AtomicU32::new(LEGACY_BYTES as u32);
/// Whether every CPU has XSAVEOPT (they are all of one kind).
static HAS_XSAVEOPT: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A copy of one thread's extended registers.
pub struct FpuState(Box<[Line]>);

/// Enables the units on this CPU, and finds out how large a state is.
pub(crate) fn init_cpu(has_xsave: bool) {
    const CR0_MONITOR: u64 = 1 << 1;
    const CR0_EMULATE: u64 = 1 << 2;
    const CR0_NUMERIC_ERROR: u64 = 1 << 5;
    const CR4_FXSR: u64 = 1 << 9;
    const CR4_SIMD_EXCEPTIONS: u64 = 1 << 10;
    const CR4_XSAVE: u64 = 1 << 18;
    // SAFETY: every x86-64 CPU has x87 and SSE; paging is untouched.
    unsafe { msr::set_cr0(msr::cr0() & !CR0_EMULATE | CR0_MONITOR | CR0_NUMERIC_ERROR) };
    // SAFETY: as above.
    unsafe { msr::set_cr4(msr::cr4() | CR4_FXSR | CR4_SIMD_EXCEPTIONS) };
    if !has_xsave {
        return;
    }
    // SAFETY: CPUID says that it is there.
    unsafe { msr::set_cr4(msr::cr4() | CR4_XSAVE) };
    let leaf = __cpuid_count(0xd, 0);
    let mut components = (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & WANTED;
    // AVX-512's components come together or not at all.
    if components & 0b1110_0000 != 0b1110_0000 {
        components &= 0b111;
    }
    // SAFETY: components that CPUID lists; x87 and SSE are always among them.
    unsafe { asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") (components >> 32) as u32) };
    COMPONENTS.store(components, Ordering::Relaxed);
    BYTES.store(__cpuid_count(0xd, 0).ebx, Ordering::Relaxed);
    HAS_XSAVEOPT.store(__cpuid_count(0xd, 1).eax & 1 != 0, Ordering::Relaxed);
}

/// Length in bytes of a state on this CPU (and of [`FpuState::as_bytes`]).
pub fn state_size() -> usize {
    BYTES.load(Ordering::Relaxed) as usize
}

/// Gives the current task the registers of a program that has just been started. For signal handlers, too.
pub fn reset_current() {
    static INITIAL: Once<FpuState> = Once::new();
    INITIAL.call_once(FpuState::initial).load_current();
}

/// The state components that a state holds (XCR0), 0 if it is an FXSAVE image only.
pub fn state_components() -> u64 {
    COMPONENTS.load(Ordering::Relaxed)
}

impl FpuState {
    fn zeroed() -> Self {
        let lines = state_size().div_ceil(64);
        let mut memory = Vec::with_capacity(lines);
        memory.resize(lines, Line([0; 64]));
        Self(memory.into_boxed_slice())
    }

    /// The state of a program that has just been started.
    pub fn initial() -> Self {
        let mut state = Self::zeroed();
        let bytes = state.bytes_mut();
        bytes[..2].copy_from_slice(&CONTROL_WORD.to_le_bytes());
        bytes[MXCSR_OFFSET..MXCSR_OFFSET + 4].copy_from_slice(&MXCSR.to_le_bytes());
        if state_components() != 0 {
            // XSTATE_BV: x87 and SSE are in the image.
            bytes[LEGACY_BYTES] = 0b11;
        }
        state
    }

    /// Copies the registers of the current task.
    pub fn save_current() -> Self {
        let mut state = Self::zeroed();
        state.save();
        state
    }

    /// Makes this the registers of the current task.
    pub fn load_current(&self) {
        let components = state_components();
        let memory = self.0.as_ptr();
        if components != 0 {
            // SAFETY: see Soundness.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) memory, in("eax") components as u32, in("edx") (components >> 32) as u32,
                    options(nostack, readonly));
            }
        } else {
            // SAFETY: see Soundness.
            unsafe { asm!("fxrstor64 [{}]", in(reg) memory, options(nostack, readonly)) };
        }
    }

    /// Copies the registers of the task that is being left into its state; what has not changed since they were
    /// loaded from there is not written again.
    pub(crate) fn save_changes(&mut self) {
        if !HAS_XSAVEOPT.load(Ordering::Relaxed) {
            return self.save();
        }
        let components = state_components();
        let memory = self.0.as_mut_ptr();
        // SAFETY: see Soundness; the memory is exclusively borrowed.
        unsafe {
            asm!("xsaveopt64 [{}]", in(reg) memory, in("eax") components as u32, in("edx") (components >> 32) as u32,
                options(nostack));
        }
    }

    /// Copies the current registers into this memory, all of them.
    fn save(&mut self) {
        let components = state_components();
        let memory = self.0.as_mut_ptr();
        if components != 0 {
            // SAFETY: see Soundness; the memory is exclusively borrowed.
            unsafe {
                asm!("xsave64 [{}]", in(reg) memory, in("eax") components as u32, in("edx") (components >> 32) as u32,
                    options(nostack));
            }
        } else {
            // SAFETY: as above.
            unsafe { asm!("fxsave64 [{}]", in(reg) memory, options(nostack)) };
        }
    }

    /// The bytes, for a signal frame: 512 of FXSAVE image, then the XSAVE header and areas.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the lines are plain bytes, contiguous.
        let all = unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast::<u8>(), self.0.len() * 64) };
        &all[..state_size()]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, exclusively borrowed.
        let all =
            unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast::<u8>(), self.0.len() * 64) };
        &mut all[..state_size()]
    }

    /// From the bytes of a signal frame; what the CPU would refuse is corrected. An image of 512 bytes
    /// leaves the rest in its initial state. `None`: neither that nor a whole state.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut state = Self::zeroed();
        let size = state_size();
        let components = state_components();
        if bytes.len() != LEGACY_BYTES && bytes.len() != size {
            return None;
        }
        let memory = state.bytes_mut();
        memory[..bytes.len()].copy_from_slice(bytes);
        let mxcsr =
            u32::from_le_bytes(memory[MXCSR_OFFSET..MXCSR_OFFSET + 4].try_into().expect("four bytes"));
        memory[MXCSR_OFFSET..MXCSR_OFFSET + 4].copy_from_slice(&(mxcsr & MXCSR_MASK).to_le_bytes());
        if components != 0 {
            let header = &mut memory[LEGACY_BYTES..LEGACY_BYTES + HEADER_BYTES];
            let present = if bytes.len() == LEGACY_BYTES {
                0b11
            } else {
                u64::from_le_bytes(header[..8].try_into().expect("eight bytes")) & components
            };
            header.fill(0);
            header[..8].copy_from_slice(&present.to_le_bytes());
        }
        Some(state)
    }
}

impl Clone for FpuState {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
