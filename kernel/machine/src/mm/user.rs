//! Copies between the kernel and the program whose address space is active. Addresses are claims:
//! they are checked, faults are resolved through
//! [`Upcalls::user_page_fault`](crate::upcalls::Upcalls::user_page_fault).
//!
//! # Soundness
//! A range is used only if it lies below [`USER_END`], so no access here can reach kernel memory.
//! The instructions that touch it have entries in the exception table: a fault that cannot be
//! resolved ends the copy behind the instruction, with the registers telling how far it came.

use super::{Frame, fault::extable};
use crate::addr::USER_END;
use crate::cpu::MAX_CPUS;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

/// A part of the range is not there, or not accessible that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// User memory is accessible while this lives. (Exception entry closes it, return opens it again.)
struct UserAccess(bool);

impl UserAccess {
    fn open() -> Self {
        if cfg!(debug_assertions) && WITHOUT_FAULTS[crate::cpu::current_id()].load(Ordering::Relaxed) == 0 {
            crate::sync::assert_may_sleep("user memory");
        }
        let smap = crate::cpu::has_smap();
        if smap {
            // SAFETY: the CPU has SMAP, so the instruction exists; it only sets RFLAGS.AC.
            unsafe { asm!("stac", options(nostack)) };
        }
        Self(smap)
    }
}

impl Drop for UserAccess {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: as above; it clears RFLAGS.AC.
            unsafe { asm!("clac", options(nostack)) };
        }
    }
}

/// Calls `action`, in which copies wait for nothing: a page that is absent fails the copy, whoever could bring it.
/// Preemption is disabled meanwhile.
pub fn without_faults<R>(action: impl FnOnce() -> R) -> R {
    let _here = crate::cpu::disable_preemption();
    let depth = &WITHOUT_FAULTS[crate::cpu::current_id()];
    depth.fetch_add(1, Ordering::Relaxed);
    let result = action();
    depth.fetch_sub(1, Ordering::Relaxed);
    result
}

/// How many calls of [`without_faults`] each CPU is in.
static WITHOUT_FAULTS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// Checks that `address .. address + length` lies in user space.
fn check(address: u64, length: usize) -> Result<(), Fault> {
    match address.checked_add(length as u64) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(Fault),
    }
}

/// How much of `address .. address + length` lies in user space.
fn clip(address: u64, length: usize) -> usize {
    USER_END.saturating_sub(address).min(length as u64) as usize
}

/// Copies until done or a fault; returns how many bytes were *not* copied.
///
/// # Safety
/// The side that is kernel memory must be valid for `length` bytes, the other must be a checked user range.
unsafe fn copy(destination: u64, source: u64, length: usize) -> usize {
    let _access = UserAccess::open();
    let (words_left, rest_destination, rest_source): (usize, u64, u64);
    // SAFETY: the kernel side is valid by the caller's word, the user side may fault and then
    // execution goes on at label 3 with the registers as they were at the fault.
    unsafe {
        asm!(
            "2: rep movsq",
            "3:",
            extable!("2b", "3b"),
            inout("rcx") length / 8 => words_left,
            inout("rdi") destination => rest_destination,
            inout("rsi") source => rest_source,
            options(nostack, preserves_flags)
        );
    }
    let rest: usize;
    // SAFETY: as above, for the rest of the same ranges; byte by byte, so that the count is exact.
    unsafe {
        asm!(
            "2: rep movsb",
            "3:",
            extable!("2b", "3b"),
            inout("rcx") words_left * 8 + length % 8 => rest,
            inout("rdi") rest_destination => _,
            inout("rsi") rest_source => _,
            options(nostack, preserves_flags)
        );
    }
    rest
}

/// Copies in; all or an error (the buffer may then hold a part).
pub fn copy_from(destination: &mut [u8], source: u64) -> Result<(), Fault> {
    check(source, destination.len())?;
    // SAFETY: the destination is an exclusive slice, the source was checked.
    let rest = unsafe { copy(destination.as_mut_ptr() as u64, source, destination.len()) };
    if rest == 0 { Ok(()) } else { Err(Fault) }
}

/// Copies out; all or an error (a part may have been written).
pub fn copy_to(destination: u64, source: &[u8]) -> Result<(), Fault> {
    check(destination, source.len())?;
    // SAFETY: the source is a slice, the destination was checked.
    let rest = unsafe { copy(destination, source.as_ptr() as u64, source.len()) };
    if rest == 0 { Ok(()) } else { Err(Fault) }
}

/// Like [`copy_to`], and tells how many bytes got there.
pub fn copy_to_partial(destination: u64, source: &[u8]) -> usize {
    let length = clip(destination, source.len());
    // SAFETY: the source is a slice, the destination was clipped to user space.
    length - unsafe { copy(destination, source.as_ptr() as u64, length) }
}

/// Like [`copy_from`], and tells how many bytes were copied.
pub fn copy_from_partial(destination: &mut [u8], source: u64) -> usize {
    let length = clip(source, destination.len());
    // SAFETY: the destination is an exclusive slice, the source was clipped to user space.
    length - unsafe { copy(destination.as_mut_ptr() as u64, source, length) }
}

/// Like [`copy_to_partial`], from a part of a frame; panics beyond the frame.
pub fn copy_frame_to_partial(destination: u64, frame: &Frame, offset: usize, length: usize) -> usize {
    let source = frame.part(offset, length);
    let length = clip(destination, length);
    // SAFETY: the source is inside the frame, whose bytes nobody borrows, the destination was clipped.
    length - unsafe { copy(destination, source as u64, length) }
}

/// Like [`copy_from_partial`], into a part of a frame; panics beyond the frame.
pub fn copy_frame_from_partial(frame: &Frame, offset: usize, source: u64, length: usize) -> usize {
    let destination = frame.part(offset, length);
    let length = clip(source, length);
    // SAFETY: the destination is inside the frame, whose bytes nobody borrows, the source was clipped.
    length - unsafe { copy(destination as u64, source, length) }
}

/// Writes zeros.
pub fn clear(destination: u64, length: usize) -> Result<(), Fault> {
    check(destination, length)?;
    let _access = UserAccess::open();
    let (words_left, position): (usize, u64);
    // SAFETY: the range was checked to be user space; a fault goes on at label 3.
    unsafe {
        asm!(
            "2: rep stosq",
            "3:",
            extable!("2b", "3b"),
            inout("rcx") length / 8 => words_left,
            inout("rdi") destination => position,
            in("rax") 0,
            options(nostack, preserves_flags)
        );
    }
    if words_left != 0 {
        return Err(Fault);
    }
    let rest: usize;
    // SAFETY: as above, for the rest of the range.
    unsafe {
        asm!(
            "2: rep stosb",
            "3:",
            extable!("2b", "3b"),
            inout("rcx") length % 8 => rest,
            inout("rdi") position => _,
            in("al") 0u8,
            options(nostack, preserves_flags)
        );
    }
    if rest == 0 { Ok(()) } else { Err(Fault) }
}

/// Copies a string up to its NUL byte (not included); returns its length, or `Ok(buffer.len())` if no NUL came. What lies
/// behind the string in the buffer is unspecified.
pub fn copy_string_from(buffer: &mut [u8], source: u64) -> Result<usize, Fault> {
    const WORD: usize = size_of::<u64>();
    /// Has the bits of its first zero byte set, and none before.
    fn zeros(word: u64) -> u64 {
        const ONES: u64 = u64::MAX / 255;
        word.wrapping_sub(ONES) & !word & ONES << 7
    }
    let _access = UserAccess::open();
    // Whole words, which never reach into a page that the string does not touch: the first may begin before it.
    let before = (source % WORD as u64) as usize;
    let mut address = source - before as u64;
    let mut done = 0;
    while done < buffer.len() {
        let skipped = if done == 0 { before } else { 0 };
        let word = load_word(address)? >> (8 * skipped);
        let end = zeros(word).trailing_zeros() as usize / 8;
        let length = end.min(WORD - skipped).min(buffer.len() - done);
        match buffer[done..].first_chunk_mut::<WORD>() {
            Some(place) => *place = word.to_le_bytes(),
            None => buffer[done..done + length].copy_from_slice(&word.to_le_bytes()[..length]),
        }
        done += length;
        if end < WORD - skipped && length == end {
            return Ok(done);
        }
        address += WORD as u64;
    }
    Ok(done)
}

/// Atomic load of an aligned word of user memory, between [`UserAccess::open`] and its end.
fn load_word(address: u64) -> Result<u64, Fault> {
    check(address, size_of::<u64>())?;
    let (value, failed): (u64, u32);
    // SAFETY: an aligned word in user space; a fault skips the instruction that clears `failed`.
    unsafe {
        asm!(
            "2: mov {value}, [{address}]",
            "xor {failed:e}, {failed:e}",
            "3:",
            extable!("2b", "3b"),
            address = in(reg) address,
            value = out(reg) value,
            failed = inout(reg) 1u32 => failed,
            options(nostack)
        );
    }
    if failed == 0 { Ok(value) } else { Err(Fault) }
}

/// Checks the address of a 32-bit word for the atomic accesses.
fn check_word(address: u64) -> Result<(), Fault> {
    if address.is_multiple_of(4) { check(address, 4) } else { Err(Fault) }
}

/// Atomic load of an aligned 32-bit word (futex).
pub fn load_u32(address: u64) -> Result<u32, Fault> {
    check_word(address)?;
    let _access = UserAccess::open();
    // The aligned 64 bits around it lie in the same page.
    let around = load_word(address & !7)?;
    Ok((around >> (8 * (address & 4))) as u32)
}

/// Atomic compare and exchange of an aligned 32-bit word: the value that was there.
pub fn compare_exchange_u32(address: u64, expected: u32, new: u32) -> Result<u32, Fault> {
    check_word(address)?;
    let _access = UserAccess::open();
    let (value, failed): (u32, u32);
    // SAFETY: an aligned word in user space; a fault skips the instruction that clears `failed`.
    unsafe {
        asm!(
            "2: lock cmpxchg [{address}], {new:e}",
            "mov {failed:e}, 0",
            "3:",
            extable!("2b", "3b"),
            address = in(reg) address,
            new = in(reg) new,
            failed = inout(reg) 1u32 => failed,
            inout("eax") expected => value,
            options(nostack)
        );
    }
    if failed == 0 { Ok(value) } else { Err(Fault) }
}
