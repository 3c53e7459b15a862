//! What the processor does to a program and a program's handlers: faults, registers, the alternate stack.

use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::faults::{self, Deafness, Deed};
use crate::sys::probe;
use crate::sys::process::Status;
use crate::sys::signals::{self, Action, act, handled, raise};
use crate::sys::time::setitimer;

tests! {
    alternate_stack_is_used,
    alternate_stack_calls_check,
    registers_survive_a_handler,
    registers_survive_many_handlers,
    null_pointer_is_told,
    wrong_protection_is_told,
    division_by_zero_is_told,
    illegal_instruction_is_told,
    breakpoint_is_told,
    privileged_instruction_is_a_segmentation_fault,
    kernel_addresses_cannot_be_touched,
    faults_kill_with_their_signal,
    blocked_or_ignored_faults_kill,
    stack_overflow_kills,
    stack_overflow_is_caught_on_the_alternate_stack,
}

fn alternate_stack_is_used() -> Outcome {
    let stack = signals::alternate_stack(32 * 1024)?;
    act(libc::SIGUSR1, Action::Record, libc::SA_ONSTACK, &[])?;
    act(libc::SIGUSR2, Action::Record, 0, &[])?;
    raise(libc::SIGUSR1)?;
    ensure!(stack.contains(&signals::last().stack));
    raise(libc::SIGUSR2)?;
    ensure!(!stack.contains(&signals::last().stack));
    signals::no_alternate_stack()?;
    raise(libc::SIGUSR1)?;
    ensure!(!stack.contains(&signals::last().stack));
    ensure_eq!(handled(libc::SIGUSR1), 2);
    Ok(())
}

fn alternate_stack_calls_check() -> Outcome {
    ensure_errno!(signals::alternate_stack(100), ENOMEM);
    signals::alternate_stack(16 * 1024)?;
    ensure_eq!(signals::alternate_stack_state()?, (0, 16 * 1024));
    signals::no_alternate_stack()?;
    ensure_eq!(signals::alternate_stack_state()?.0, libc::SS_DISABLE);
    ensure_errno!(probe(libc::SYS_sigaltstack, &[8, 0]), EFAULT);
    Ok(())
}

fn registers_survive_a_handler() -> Outcome {
    act(libc::SIGUSR1, Action::DisturbRegisters, 0, &[])?;
    ensure_eq!(signals::registers_changed_by(libc::SIGUSR1)?, 0);
    ensure_eq!(handled(libc::SIGUSR1), 1);
    Ok(())
}

fn registers_survive_many_handlers() -> Outcome {
    act(libc::SIGALRM, Action::DisturbRegisters, 0, &[])?;
    act(libc::SIGUSR1, Action::DisturbRegisters, libc::SA_NODEFER, &[])?;
    setitimer(libc::ITIMER_REAL, Duration::from_millis(1), Duration::from_millis(1))?;
    let start = Instant::now();
    let mut sum = 0.0_f64;
    let mut rounds = 0_u32;
    while start.elapsed() < Duration::from_millis(100) || rounds < 10 {
        ensure_eq!(signals::registers_changed_by(libc::SIGUSR1)?, 0);
        let part: f64 = (1..1000).map(|number| 1.0 / f64::from(std::hint::black_box(number))).sum();
        sum += part;
        rounds += 1;
    }
    setitimer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    let expected: f64 = (1..1000).map(|number| 1.0 / f64::from(number)).sum();
    ensure!((sum / f64::from(rounds) - expected).abs() < 1e-9, "floating point went wrong");
    ensure!(handled(libc::SIGALRM) > 0);
    Ok(())
}

/// What the handler of a fault was told.
fn fault_of(deed: Deed) -> Result<(i32, i32, usize), Stop> {
    match faults::catch(deed)? {
        Some(fault) => Ok((fault.signal, fault.code, fault.address)),
        None => Err(Stop::fail(format!("{deed:?} reached no handler"))),
    }
}

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const FPE_INTDIV: i32 = 1;

fn null_pointer_is_told() -> Outcome {
    ensure_eq!(fault_of(Deed::Read(0))?, (libc::SIGSEGV, SEGV_MAPERR, 0));
    ensure_eq!(fault_of(Deed::Write(0x123))?, (libc::SIGSEGV, SEGV_MAPERR, 0x123));
    ensure_eq!(fault_of(Deed::Execute(0x40))?, (libc::SIGSEGV, SEGV_MAPERR, 0x40));
    Ok(())
}

fn wrong_protection_is_told() -> Outcome {
    let page = crate::sys::memory::Mapping::private(8192)?;
    page.set(0, 0xc3);
    page.protect(0, 4096, libc::PROT_READ)?;
    page.protect(4096, 4096, libc::PROT_NONE)?;
    let address = page.address();
    ensure_eq!(fault_of(Deed::Write(address + 5))?, (libc::SIGSEGV, SEGV_ACCERR, address + 5));
    ensure_eq!(fault_of(Deed::Execute(address))?, (libc::SIGSEGV, SEGV_ACCERR, address));
    ensure_eq!(fault_of(Deed::Read(address + 4097))?, (libc::SIGSEGV, SEGV_ACCERR, address + 4097));
    Ok(())
}

fn division_by_zero_is_told() -> Outcome {
    let (signal, code, address) = fault_of(Deed::Divide)?;
    ensure_eq!((signal, code), (libc::SIGFPE, FPE_INTDIV));
    ensure!(address != 0, "the address of the instruction");
    Ok(())
}

fn illegal_instruction_is_told() -> Outcome {
    let (signal, code, address) = fault_of(Deed::IllegalInstruction)?;
    ensure_eq!(signal, libc::SIGILL);
    ensure!(code > 0 && address != 0);
    Ok(())
}

fn breakpoint_is_told() -> Outcome {
    let (signal, _, _) = fault_of(Deed::Breakpoint)?;
    ensure_eq!(signal, libc::SIGTRAP);
    Ok(())
}

fn privileged_instruction_is_a_segmentation_fault() -> Outcome {
    let (signal, _, _) = fault_of(Deed::Privileged)?;
    ensure_eq!(signal, libc::SIGSEGV);
    Ok(())
}

fn kernel_addresses_cannot_be_touched() -> Outcome {
    for address in
        [0xffff_ffff_8100_0000, 0xffff_8000_0000_0000, 0xffff_ffff_ffff_f000, 0x8000_0000_0000_0000_usize]
    {
        for deed in [Deed::Read(address), Deed::Write(address), Deed::Execute(address)] {
            let (signal, _, _) = fault_of(deed)?;
            ensure_eq!(signal, libc::SIGSEGV, "{deed:x?}");
        }
    }
    Ok(())
}

fn faults_kill_with_their_signal() -> Outcome {
    for (deed, signal) in [
        (Deed::Read(0), libc::SIGSEGV),
        (Deed::Write(0xffff_ffff_8100_0000), libc::SIGSEGV),
        (Deed::Divide, libc::SIGFPE),
        (Deed::IllegalInstruction, libc::SIGILL),
        (Deed::Breakpoint, libc::SIGTRAP),
        (Deed::Privileged, libc::SIGSEGV),
    ] {
        ensure_eq!(faults::attempt(deed)?, Status::Killed(signal), "{deed:?}");
    }
    Ok(())
}

fn blocked_or_ignored_faults_kill() -> Outcome {
    for deafness in [Deafness::Blocks, Deafness::Ignores] {
        let status = faults::attempt_deaf(Deed::Read(0), libc::SIGSEGV, deafness)?;
        ensure_eq!(status, Status::Killed(libc::SIGSEGV), "{deafness:?}");
        let status = faults::attempt_deaf(Deed::Divide, libc::SIGFPE, deafness)?;
        ensure_eq!(status, Status::Killed(libc::SIGFPE), "{deafness:?}");
    }
    Ok(())
}

fn stack_overflow_kills() -> Outcome {
    ensure_eq!(faults::attempt(Deed::ExhaustStack)?, Status::Killed(libc::SIGSEGV));
    Ok(())
}

fn stack_overflow_is_caught_on_the_alternate_stack() -> Outcome {
    let (signal, _, address) = fault_of(Deed::ExhaustStack)?;
    ensure_eq!(signal, libc::SIGSEGV);
    ensure!(address != 0);
    Ok(())
}
