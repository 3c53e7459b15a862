//! Plain copies through raw addresses, for memory that programs or devices may change meanwhile.
//!
//! # Soundness
//! Such memory must never be seen as a Rust reference, and `ptr::copy` on it would be a data race
//! in the language's sense; string instructions in assembly have no such opinion.

use core::arch::asm;

/// Copies bytes from `source` to `destination`.
///
/// # Safety
/// Both ranges must be mapped (the destination writable) and must not overlap, and writing the
/// destination must not break anybody's Rust reference.
pub(crate) unsafe fn copy_bytes(destination: *mut u8, source: *const u8, length: usize) {
    // SAFETY: the caller vouches for both ranges; words first, then the rest of the same ranges.
    unsafe {
        asm!(
            "rep movsq",
            "mov rcx, {rest}",
            "rep movsb",
            rest = in(reg) length % 8,
            inout("rcx") length / 8 => _,
            inout("rdi") destination => _,
            inout("rsi") source => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Sets bytes to zero.
///
/// # Safety
/// The range must be mapped writable, and writing it must not break anybody's Rust reference.
pub(crate) unsafe fn clear_bytes(destination: *mut u8, length: usize) {
    // SAFETY: the caller vouches for the range; words first, then the rest of the same range.
    unsafe {
        asm!(
            "rep stosq",
            "mov rcx, {rest}",
            "rep stosb",
            rest = in(reg) length % 8,
            inout("rcx") length / 8 => _,
            inout("rdi") destination => _,
            in("rax") 0,
            options(nostack, preserves_flags)
        );
    }
}
