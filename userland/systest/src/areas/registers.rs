//! Extended registers (x87, SSE, AVX): whose they are, and that they survive what programs do not see.

use crate::report::{Outcome, ensure, ensure_eq, skip, tests};
use crate::sys::process::{self, Status, exit_now, fork};
use crate::sys::registers::{
    FRESH, Vectors, across, control_words, extended_state, has_avx, set_control_words,
};
use crate::sys::schedule::set_affinity;
use crate::sys::signals::{Action, act, handled, last_frame, raise};

tests! {
    vectors_survive_a_handler,
    vectors_survive_other_processes,
    vectors_survive_other_cpus,
    a_child_has_its_parents_vectors,
    a_program_starts_with_fresh_control_words,
    a_handler_starts_with_fresh_control_words,
    a_frame_says_what_is_in_it,
}

/// Rounding down, in both units.
const ROUND_DOWN: (u32, u16) = (0x3f80, 0x77f);

fn vectors_survive_a_handler() -> Outcome {
    act(libc::SIGUSR1, Action::DisturbRegisters, 0, &[])?;
    let me = process::getpid()? as usize;
    for seed in 1..50 {
        let before = Vectors::of(seed);
        let (after, answer) = across(libc::SYS_kill, [me, libc::SIGUSR1 as usize], &before);
        ensure_eq!(answer, 0);
        ensure_eq!(handled(libc::SIGUSR1), usize::from(seed));
        ensure!(after == before, "changed by handler number {seed} (AVX: {})", has_avx());
    }
    Ok(())
}

/// Yields again and again with vectors of its own; 0 if they stayed.
fn keep_vectors(seed: u8, rounds: u32) -> i32 {
    let before = Vectors::of(seed);
    let stays = (0..rounds).all(|_| across(libc::SYS_sched_yield, [0, 0], &before).0 == before);
    i32::from(!stays)
}

fn vectors_survive_other_processes() -> Outcome {
    let first = process::affinity()?[0];
    set_affinity(0, 1 << first)?;
    let mut children = Vec::new();
    for seed in [3, 77, 150, 222] {
        children.push(fork(|| keep_vectors(seed, 500))?);
    }
    for child in children {
        ensure_eq!(child.wait()?, Status::Exited(0));
    }
    Ok(())
}

fn vectors_survive_other_cpus() -> Outcome {
    let cpus = process::affinity()?;
    if cpus.len() < 2 {
        skip!("there is one CPU");
    }
    let noise = fork(|| keep_vectors(9, u32::MAX))?;
    let before = Vectors::of(40);
    for round in 0..100 {
        set_affinity(0, 1 << cpus[round % cpus.len()])?;
        let (after, _) = across(libc::SYS_sched_yield, [0, 0], &before);
        ensure!(after == before, "changed by move number {round}");
    }
    drop(noise);
    Ok(())
}

fn a_child_has_its_parents_vectors() -> Outcome {
    let before = Vectors::of(5);
    let (after, child) = across(libc::SYS_fork, [0, 0], &before);
    if child == 0 {
        exit_now(i32::from(after != before));
    }
    ensure!(child > 0 && after == before);
    ensure_eq!(process::wait4(child as i32, 0)?.1, Status::Exited(0));
    Ok(())
}

fn a_program_starts_with_fresh_control_words() -> Outcome {
    let child = fork(|| {
        set_control_words(ROUND_DOWN);
        process::execve("/proc/self/exe", &["systest", crate::role::WORD, "control-words-are-fresh"], &[]).0
    })?;
    ensure_eq!(child.wait()?, Status::Exited(0));
    Ok(())
}

fn a_handler_starts_with_fresh_control_words() -> Outcome {
    act(libc::SIGUSR1, Action::RecordRegisters, 0, &[])?;
    set_control_words(ROUND_DOWN);
    raise(libc::SIGUSR1)?;
    let after = control_words();
    set_control_words(FRESH);
    ensure_eq!(last_frame().1, FRESH, "in the handler");
    ensure_eq!(after, ROUND_DOWN, "behind the handler");
    Ok(())
}

fn a_frame_says_what_is_in_it() -> Outcome {
    const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
    const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
    const LEAST: u32 = 576;
    const X87_SSE_AVX: u64 = 7;
    act(libc::SIGUSR1, Action::RecordRegisters, 0, &[])?;
    raise(libc::SIGUSR1)?;
    let (frame, _) = last_frame();
    match extended_state() {
        None => ensure_eq!(frame.magic, 0, "without XSAVE a frame has the 512 bytes of FXSAVE"),
        Some((size, components)) => {
            ensure_eq!((frame.magic, frame.end), (FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2));
            ensure!((LEAST..=size).contains(&frame.size), "{frame:x?}, CPUID says {size}");
            ensure_eq!(frame.extended, frame.size + 4);
            ensure_eq!(frame.features & X87_SSE_AVX, components & X87_SSE_AVX);
            ensure_eq!(frame.features & !components, 0);
        }
    }
    Ok(())
}
