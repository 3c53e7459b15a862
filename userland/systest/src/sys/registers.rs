//! Extended registers: what they hold before and after a system call, and what a signal frame says of them.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

use super::signals::Frame;

/// The contents of the sixteen vector registers, 32 bytes each; without AVX the upper half of each is not used.
#[derive(Clone, PartialEq)]
pub(crate) struct Vectors(Vec<u8>);

const SIZE: usize = 16 * 32;

impl Vectors {
    /// Every byte another one, and other ones for other seeds.
    pub(crate) fn of(seed: u8) -> Vectors {
        let is_used = |index: usize| has_avx() || index % 32 < 16;
        let byte =
            |index: usize| (index as u8).wrapping_mul(37).wrapping_add(seed).wrapping_add((index >> 8) as u8);
        Vectors((0..SIZE).map(|index| if is_used(index) { byte(index) } else { 0 }).collect())
    }
}

/// Whether programs may use AVX here.
pub(crate) fn has_avx() -> bool {
    std::is_x86_feature_detected!("avx")
}

/// A system call with all of `ymm0` to `ymm15` in use.
///
/// # Safety
/// The system call must touch no memory of this program.
unsafe fn call_with_avx(number: i64, arguments: [usize; 2], before: &Vectors, after: &mut Vectors) -> isize {
    let answer: isize;
    // SAFETY: all registers that change are named; both buffers are as long as the offsets go; the call is the caller's.
    unsafe {
        asm!(
            "vmovdqu ymm0, [r12 + 0]",
            "vmovdqu ymm1, [r12 + 32]",
            "vmovdqu ymm2, [r12 + 64]",
            "vmovdqu ymm3, [r12 + 96]",
            "vmovdqu ymm4, [r12 + 128]",
            "vmovdqu ymm5, [r12 + 160]",
            "vmovdqu ymm6, [r12 + 192]",
            "vmovdqu ymm7, [r12 + 224]",
            "vmovdqu ymm8, [r12 + 256]",
            "vmovdqu ymm9, [r12 + 288]",
            "vmovdqu ymm10, [r12 + 320]",
            "vmovdqu ymm11, [r12 + 352]",
            "vmovdqu ymm12, [r12 + 384]",
            "vmovdqu ymm13, [r12 + 416]",
            "vmovdqu ymm14, [r12 + 448]",
            "vmovdqu ymm15, [r12 + 480]",
            "syscall",
            "vmovdqu [r13 + 0], ymm0",
            "vmovdqu [r13 + 32], ymm1",
            "vmovdqu [r13 + 64], ymm2",
            "vmovdqu [r13 + 96], ymm3",
            "vmovdqu [r13 + 128], ymm4",
            "vmovdqu [r13 + 160], ymm5",
            "vmovdqu [r13 + 192], ymm6",
            "vmovdqu [r13 + 224], ymm7",
            "vmovdqu [r13 + 256], ymm8",
            "vmovdqu [r13 + 288], ymm9",
            "vmovdqu [r13 + 320], ymm10",
            "vmovdqu [r13 + 352], ymm11",
            "vmovdqu [r13 + 384], ymm12",
            "vmovdqu [r13 + 416], ymm13",
            "vmovdqu [r13 + 448], ymm14",
            "vmovdqu [r13 + 480], ymm15",
            "vzeroupper",
            in("r12") before.0.as_ptr(), in("r13") after.0.as_mut_ptr(),
            inlateout("rax") number => answer, in("rdi") arguments[0], in("rsi") arguments[1],
            lateout("rcx") _, lateout("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    answer
}

/// A system call with `xmm0` to `xmm15` in use.
///
/// # Safety
/// The system call must touch no memory of this program.
unsafe fn call_with_sse(number: i64, arguments: [usize; 2], before: &Vectors, after: &mut Vectors) -> isize {
    let answer: isize;
    // SAFETY: all registers that change are named; both buffers are as long as the offsets go; the call is the caller's.
    unsafe {
        asm!(
            "movdqu xmm0, [r12 + 0]",
            "movdqu xmm1, [r12 + 32]",
            "movdqu xmm2, [r12 + 64]",
            "movdqu xmm3, [r12 + 96]",
            "movdqu xmm4, [r12 + 128]",
            "movdqu xmm5, [r12 + 160]",
            "movdqu xmm6, [r12 + 192]",
            "movdqu xmm7, [r12 + 224]",
            "movdqu xmm8, [r12 + 256]",
            "movdqu xmm9, [r12 + 288]",
            "movdqu xmm10, [r12 + 320]",
            "movdqu xmm11, [r12 + 352]",
            "movdqu xmm12, [r12 + 384]",
            "movdqu xmm13, [r12 + 416]",
            "movdqu xmm14, [r12 + 448]",
            "movdqu xmm15, [r12 + 480]",
            "syscall",
            "movdqu [r13 + 0], xmm0",
            "movdqu [r13 + 32], xmm1",
            "movdqu [r13 + 64], xmm2",
            "movdqu [r13 + 96], xmm3",
            "movdqu [r13 + 128], xmm4",
            "movdqu [r13 + 160], xmm5",
            "movdqu [r13 + 192], xmm6",
            "movdqu [r13 + 224], xmm7",
            "movdqu [r13 + 256], xmm8",
            "movdqu [r13 + 288], xmm9",
            "movdqu [r13 + 320], xmm10",
            "movdqu [r13 + 352], xmm11",
            "movdqu [r13 + 384], xmm12",
            "movdqu [r13 + 416], xmm13",
            "movdqu [r13 + 448], xmm14",
            "movdqu [r13 + 480], xmm15",
            in("r12") before.0.as_ptr(), in("r13") after.0.as_mut_ptr(),
            inlateout("rax") number => answer, in("rdi") arguments[0], in("rsi") arguments[1],
            lateout("rcx") _, lateout("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    answer
}

/// Makes a system call that takes numbers only, with the vector registers filled; what they hold when it is over, and
/// its answer.
pub(crate) fn across(number: i64, arguments: [usize; 2], before: &Vectors) -> (Vectors, isize) {
    let mut after = Vectors(vec![0; SIZE]);
    let answer = if has_avx() {
        // SAFETY: `kill`, `fork` and `sched_yield`, with which the tests call this, touch no memory; a child runs on.
        unsafe { call_with_avx(number, arguments, before, &mut after) }
    } else {
        // SAFETY: as above.
        unsafe { call_with_sse(number, arguments, before, &mut after) }
    };
    (after, answer)
}

/// The control words with which a program starts: all exceptions masked, rounding to nearest.
pub(crate) const FRESH: (u32, u16) = (0x1f80, 0x37f);

/// The control words of SSE and x87.
pub(crate) fn control_words() -> (u32, u16) {
    let (mut sse, mut x87) = (0_u32, 0_u16);
    // SAFETY: stores two words into live variables.
    unsafe {
        asm!("stmxcsr [{}]", "fnstcw [{}]", in(reg) &raw mut sse, in(reg) &raw mut x87, options(nostack))
    };
    (sse, x87)
}

/// Sets them; only rounding, which no other test depends on, may differ from the default.
pub(crate) fn set_control_words((sse, x87): (u32, u16)) {
    // SAFETY: loads two words; rounding does not matter to the tests' own code.
    unsafe {
        asm!("ldmxcsr [{}]", "fldcw [{}]", in(reg) &raw const sse, in(reg) &raw const x87, options(nostack))
    };
}

/// The state's size in bytes by CPUID, and its components (XCR0); `None` if the system does not use XSAVE.
pub(crate) fn extended_state() -> Option<(u32, u64)> {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid_count(1, 0).ecx & OSXSAVE == 0 {
        return None;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that programs may read XCR0.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    Some((__cpuid_count(0xd, 0).ebx, u64::from(high) << 32 | u64::from(low)))
}

/// What the kernel wrote into a signal frame about the state in it, at byte 464.
pub(super) fn read_frame(context: *const libc::c_void) -> Frame {
    /// Where `ucontext` has the address of the state.
    const STATE: usize = 40 + 23 * 8;
    const SOFTWARE: usize = 464;
    let word = |address: usize| {
        // SAFETY: inside the frame that the kernel pushed for the handler that calls this.
        unsafe { (address as *const u32).read_unaligned() }
    };
    let at = context as usize + STATE;
    let state = word(at) as usize | (word(at + 4) as usize) << 32;
    let [magic, extended, features, features_high, size] =
        [0, 4, 8, 12, 16].map(|offset| word(state + SOFTWARE + offset));
    let end = if magic == 0x4650_5853 { word(state + size as usize) } else { 0 };
    Frame { magic, extended, features: u64::from(features_high) << 32 | u64::from(features), size, end }
}
