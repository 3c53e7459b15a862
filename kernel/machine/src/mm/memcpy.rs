//! `memcpy`, which the compiler calls wherever a value or a slice moves: most of these are short.
//!
//! The one that comes with the compiler is three string instructions whatever the length, and each costs more to begin
//! than a short copy to do. Up to 16 bytes here are two words that may overlap, up to [`LONG`] a loop of them.

use core::arch::naked_asm;

/// From here on the string instruction is faster, in bytes.
const LONG: usize = 256;

/// Copies `length` bytes and returns the destination.
///
/// # Safety
/// Both ranges must be valid and must not overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(destination: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "cmp rdx, 16",
        "ja 4f",
        "cmp edx, 8",
        "jae 3f",
        "cmp edx, 4",
        "jae 2f",
        "test edx, edx",
        "jz 1f",
        // 1 to 3: the first, the middle, the last.
        "mov ecx, edx",
        "shr ecx, 1",
        "movzx r8d, byte ptr [rsi]",
        "movzx r9d, byte ptr [rsi + rcx]",
        "movzx r10d, byte ptr [rsi + rdx - 1]",
        "mov byte ptr [rdi], r8b",
        "mov byte ptr [rdi + rcx], r9b",
        "mov byte ptr [rdi + rdx - 1], r10b",
        "1: ret",
        // 4 to 7.
        "2: mov ecx, dword ptr [rsi]",
        "mov r8d, dword ptr [rsi + rdx - 4]",
        "mov dword ptr [rdi], ecx",
        "mov dword ptr [rdi + rdx - 4], r8d",
        "ret",
        // 8 to 16.
        "3: mov rcx, qword ptr [rsi]",
        "mov r8, qword ptr [rsi + rdx - 8]",
        "mov qword ptr [rdi], rcx",
        "mov qword ptr [rdi + rdx - 8], r8",
        "ret",
        // More: the last 16 are kept for the end, as the steps before need not come out even.
        "4: cmp rdx, {long}",
        "jae 6f",
        "mov r8, qword ptr [rsi + rdx - 16]",
        "mov r9, qword ptr [rsi + rdx - 8]",
        "lea r10, [rdi + rdx - 16]",
        "5: mov rcx, qword ptr [rsi]",
        "mov rdx, qword ptr [rsi + 8]",
        "mov qword ptr [rdi], rcx",
        "mov qword ptr [rdi + 8], rdx",
        "add rsi, 16",
        "add rdi, 16",
        "cmp rdi, r10",
        "jb 5b",
        "mov qword ptr [r10], r8",
        "mov qword ptr [r10 + 8], r9",
        "ret",
        "6: mov r8, qword ptr [rsi + rdx - 8]",
        "lea r9, [rdi + rdx - 8]",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "mov qword ptr [r9], r8",
        "ret",
        ".cfi_endproc",
        long = const LONG,
    )
}
