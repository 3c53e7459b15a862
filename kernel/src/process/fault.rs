//! Exceptions that a program raises: a page that is to be filled in, or a signal.
//!
//! Source: Intel SDM vol. 3, chapter 6.15; signal codes as on Linux.

use super::{oom, signal};
use crate::log::RateLimit;
use crate::mm::{self, FaultError};
use crate::sched::Thread;
use abi::signal::{
    BUS_ADRALN, BUS_ADRERR, FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND, FPE_INTDIV,
    ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SigInfo, Signal, TRAP_TRACE,
};
use alloc::sync::Arc;
use machine::user::fpu::FpuState;
use machine::user::{Exception, UserContext};

/// The exception that a thread raised last, as signal frames show it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastFault {
    pub(super) vector: u64,
    pub(super) error_code: u64,
    pub(super) address: u64,
}

/// Resolves an exception, or leaves the thread the signal for it.
pub(super) fn handle(thread: &Arc<Thread>, context: &mut UserContext, exception: Exception) {
    let user = thread.user().expect("only programs come here");
    if exception.vector == 14 {
        mm::balance();
        let resolved = user.process.address_space().handle_fault(exception.fault_address, exception.access());
        let Err(error) = resolved else { return };
        remember(thread, &exception);
        return report_page_fault(thread, context, &exception, error);
    }
    remember(thread, &exception);
    let at = context.rip;
    let (signal, code, address) = match exception.vector {
        0 => (Signal::SIGFPE, FPE_INTDIV, at),
        1 => (Signal::SIGTRAP, TRAP_TRACE, at),
        // Linux gives no address for a breakpoint.
        3 => (Signal::SIGTRAP, SI_KERNEL, 0),
        4 | 5 | 13 => (Signal::SIGSEGV, SI_KERNEL, 0),
        6 => (Signal::SIGILL, ILL_ILLOPN, at),
        11 | 12 => (Signal::SIGBUS, SI_KERNEL, 0),
        16 => (Signal::SIGFPE, x87_code(), at),
        17 => (Signal::SIGBUS, BUS_ADRALN, 0),
        19 => (Signal::SIGFPE, sse_code(), at),
        _ => (Signal::SIGSEGV, SI_KERNEL, 0),
    };
    report(thread, context, &exception, signal);
    signal::force(thread, signal, SigInfo::fault(signal, code, address));
}

fn remember(thread: &Arc<Thread>, exception: &Exception) {
    if let Some(user) = thread.user() {
        *user.last_fault.lock() = LastFault {
            vector: u64::from(exception.vector),
            error_code: exception.error_code,
            address: exception.fault_address,
        };
    }
}

fn report_page_fault(thread: &Arc<Thread>, context: &UserContext, exception: &Exception, error: FaultError) {
    let (signal, code) = match error {
        FaultError::NotMapped => (Signal::SIGSEGV, SEGV_MAPERR),
        FaultError::NotAllowed => (Signal::SIGSEGV, SEGV_ACCERR),
        FaultError::NoData => (Signal::SIGBUS, BUS_ADRERR),
        FaultError::OutOfMemory => {
            // With memory, or dying, the program goes on where it was.
            if !mm::wait_for_memory() {
                oom::end_current();
            }
            return;
        }
    };
    report(thread, context, exception, signal);
    signal::force(thread, signal, SigInfo::fault(signal, code, exception.fault_address));
}

/// A line in the log, as on Linux, if the program has no handler.
fn report(thread: &Arc<Thread>, context: &UserContext, exception: &Exception, signal: Signal) {
    static LIMIT: RateLimit = RateLimit::new("faults of programs");
    let process = thread.process().expect("only programs come here");
    let handler = process.actions().get(signal).handler;
    if handler != abi::signal::SIG_DFL || signal == Signal::SIGTRAP || !LIMIT.admits() {
        return;
    }
    let place = match exception.vector {
        14 => process.address_space().explain(exception.fault_address),
        _ => "",
    };
    log::info!(
        "{}[{}]: {signal:?}, exception {} error {:#x} address {:#x} ip {:#x} sp {:#x} {place}",
        thread.name(),
        process.pid(),
        exception.vector,
        exception.error_code,
        exception.fault_address,
        context.rip,
        context.rsp,
    );
}

/// Why the x87 unit complains: its status word without what its control word masks.
fn x87_code() -> i32 {
    let state = FpuState::save_current();
    let bytes = state.as_bytes();
    let control = u16::from_le_bytes([bytes[0], bytes[1]]);
    let status = u16::from_le_bytes([bytes[2], bytes[3]]);
    floating_point_code(u32::from(status & !control))
}

/// The same of the SSE unit: flags and masks are both in MXCSR.
fn sse_code() -> i32 {
    let state = FpuState::save_current();
    let bytes = state.as_bytes();
    let mxcsr = u32::from_le_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    floating_point_code(mxcsr & !(mxcsr >> 7))
}

fn floating_point_code(raised: u32) -> i32 {
    const INVALID: u32 = 1;
    const DENORMAL: u32 = 1 << 1;
    const ZERO_DIVIDE: u32 = 1 << 2;
    const OVERFLOW: u32 = 1 << 3;
    const UNDERFLOW: u32 = 1 << 4;
    const PRECISION: u32 = 1 << 5;
    [
        (INVALID, FPE_FLTINV),
        (ZERO_DIVIDE, FPE_FLTDIV),
        (OVERFLOW, FPE_FLTOVF),
        (UNDERFLOW | DENORMAL, FPE_FLTUND),
        (PRECISION, FPE_FLTRES),
    ]
    .into_iter()
    .find(|(mask, _)| raised & mask != 0)
    .map_or(SI_KERNEL, |(_, code)| code)
}
