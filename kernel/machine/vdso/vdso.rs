//! The vDSO: the kernel's code in every program, which tells the time without a system call.
//!
//! A shared object with one read-only, executable segment, built by `kernel/machine/build.rs` and mapped by execve
//! right behind the page that the clocks are read from ([`page::SharedPage`]; the kernel writes it, see `src/time`). C
//! libraries find its functions by name and version (`LINUX_2.6`) through the auxiliary vector's AT_SYSINFO_EHDR.
//! What the page cannot answer is passed on to the system call.
//!
//! Source: vdso(7); the System V ABI for x86-64.
//!
//! # Soundness
//! This code runs in programs with their rights. It writes where the program tells it to, as the C functions of the same
//! names do, and nowhere else.
#![no_std]

#[path = "../../lib/timekeeping/src/page.rs"]
mod page;
#[path = "../../lib/timekeeping/src/rate.rs"]
mod rate;

use core::arch::asm;
use page::{COARSE_NS, CpuNumber, Reading, SharedPage, Source};

const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_MONOTONIC_RAW: i32 = 4;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_MONOTONIC_COARSE: i32 = 6;
const CLOCK_BOOTTIME: i32 = 7;
const CLOCK_TAI: i32 = 11;

const SYS_GETTIMEOFDAY: usize = 96;
const SYS_TIME: usize = 201;
const SYS_CLOCK_GETTIME: usize = 228;
const SYS_CLOCK_GETRES: usize = 229;
const SYS_GETCPU: usize = 309;

const SECOND_NS: u64 = 1_000_000_000;
/// Linux's numbers: bits of TSC_AUX for the CPU, above them the node.
const CPU_BITS: u32 = 12;

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

#[repr(C)]
pub struct Timezone {
    minutes_west: i32,
    daylight_saving: i32,
}

/// The page before the ELF header.
#[inline(always)]
fn shared() -> &'static SharedPage {
    let address: *const SharedPage;
    // SAFETY: computes an address.
    unsafe {
        asm!("lea {}, [rip + __ehdr_start - 4096]", out(reg) address, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: execve has mapped the page there; all of it is atomic.
    unsafe { &*address }
}

/// The counter, read no earlier than what comes before in the program.
#[inline(always)]
fn counter(source: Source) -> Option<u64> {
    if source != Source::Tsc {
        return None;
    }
    let (low, high): (u32, u32);
    // SAFETY: reads the counter.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    Some(u64::from(high) << 32 | u64::from(low))
}

#[inline(always)]
fn pause() -> Option<u64> {
    core::hint::spin_loop();
    None
}

#[inline(always)]
fn now(reading: Reading) -> Option<u64> {
    shared().clock.read(reading, counter, pause)
}

/// A system call with two arguments.
///
/// # Safety
/// The kernel writes where the arguments say.
#[inline(always)]
unsafe fn system_call(number: usize, first: usize, second: usize, third: usize) -> isize {
    let result: isize;
    // SAFETY: the caller's.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second, in("rdx") third,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// clock_gettime(2).
///
/// # Safety
/// `time` points to room for a `struct timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_gettime(clock: i32, time: *mut Timespec) -> i32 {
    // Each clock's code is its own, made for it.
    let ns = match clock {
        CLOCK_REALTIME => now(Reading::Realtime),
        CLOCK_MONOTONIC | CLOCK_BOOTTIME => now(Reading::Monotonic),
        CLOCK_MONOTONIC_RAW => now(Reading::Raw),
        CLOCK_REALTIME_COARSE => now(Reading::RealtimeCoarse),
        CLOCK_MONOTONIC_COARSE => now(Reading::MonotonicCoarse),
        CLOCK_TAI => now(Reading::Tai),
        _ => None,
    };
    if let Some(ns) = ns {
        let value = Timespec { seconds: (ns / SECOND_NS) as i64, nanoseconds: (ns % SECOND_NS) as i64 };
        // SAFETY: the caller's.
        unsafe { time.write(value) };
        return 0;
    }
    // SAFETY: the caller's.
    unsafe { system_call(SYS_CLOCK_GETTIME, clock as usize, time as usize, 0) as i32 }
}

/// gettimeofday(2).
///
/// # Safety
/// The pointers are null or point to room for what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_gettimeofday(time: *mut Timeval, zone: *mut Timezone) -> i32 {
    if !time.is_null() {
        let Some(ns) = now(Reading::Realtime) else {
            // SAFETY: the caller's.
            return unsafe { system_call(SYS_GETTIMEOFDAY, time as usize, zone as usize, 0) as i32 };
        };
        let value =
            Timeval { seconds: (ns / SECOND_NS) as i64, microseconds: (ns % SECOND_NS / 1000) as i64 };
        // SAFETY: the caller's.
        unsafe { time.write(value) };
    }
    if !zone.is_null() {
        let (minutes_west, daylight_saving) = shared().time_zone();
        // SAFETY: the caller's.
        unsafe { zone.write(Timezone { minutes_west, daylight_saving }) };
    }
    0
}

/// time(2).
///
/// # Safety
/// `time` is null or points to room for a `time_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_time(time: *mut i64) -> i64 {
    let Some(ns) = now(Reading::Realtime) else {
        // SAFETY: the caller's.
        return unsafe { system_call(SYS_TIME, time as usize, 0, 0) as i64 };
    };
    let seconds = (ns / SECOND_NS) as i64;
    if !time.is_null() {
        // SAFETY: the caller's.
        unsafe { time.write(seconds) };
    }
    seconds
}

/// clock_getres(2).
///
/// # Safety
/// `resolution` is null or points to room for a `struct timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_getres(clock: i32, resolution: *mut Timespec) -> i32 {
    let nanoseconds = match clock {
        CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE => COARSE_NS as i64,
        CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_MONOTONIC_RAW | CLOCK_TAI => 1,
        // SAFETY: the caller's.
        _ => return unsafe { system_call(SYS_CLOCK_GETRES, clock as usize, resolution as usize, 0) as i32 },
    };
    if !resolution.is_null() {
        // SAFETY: the caller's.
        unsafe { resolution.write(Timespec { seconds: 0, nanoseconds }) };
    }
    0
}

/// getcpu(2).
///
/// # Safety
/// The first two pointers are null or point to room for an `unsigned`; the third means nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_getcpu(cpu: *mut u32, node: *mut u32, unused: *mut u8) -> i64 {
    let number: u32 = match shared().cpu_number() {
        CpuNumber::Rdpid => {
            let value: u64;
            // SAFETY: the kernel says that the CPU has the instruction.
            unsafe { asm!("rdpid {}", out(reg) value, options(nomem, nostack, preserves_flags)) };
            value as u32
        }
        CpuNumber::Rdtscp => {
            let value: u32;
            // SAFETY: the kernel says that the CPU has the instruction.
            unsafe {
                asm!("rdtscp", out("eax") _, out("edx") _, out("ecx") value, options(nomem, nostack, preserves_flags));
            }
            value
        }
        CpuNumber::Kernel => {
            // SAFETY: the caller's.
            return unsafe { system_call(SYS_GETCPU, cpu as usize, node as usize, unused as usize) as i64 };
        }
    };
    if !cpu.is_null() {
        // SAFETY: the caller's.
        unsafe { cpu.write(number & ((1 << CPU_BITS) - 1)) };
    }
    if !node.is_null() {
        // SAFETY: the caller's.
        unsafe { node.write(number >> CPU_BITS) };
    }
    0
}
