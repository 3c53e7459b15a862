//! Trees of processes. Each changes its copy of the memory; nobody must see another's changes, and private memory
//! must keep what it had before the fork.

use std::sync::atomic::Ordering::SeqCst;

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, ensure_eq, same_bytes};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process::{self, Child};
use crate::worker::Context;

/// Words of the shared page: processes forked, and those that ran.
const FORKED: usize = 0;
const RAN: usize = 1;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let random = &mut context.random;
    let pages = random.within(1..=32);
    let memory = Mapping::private(pages * PAGE)?;
    let mut model = random.bytes(pages * PAGE);
    memory.write(0, &model);
    let shared = Mapping::shared(PAGE)?;
    let levels = random.within(1..=3);
    mark!(context);
    family(random, levels, &memory, &mut model, &shared)?;
    ensure_eq!(shared.word(RAN).load(SeqCst), shared.word(FORKED).load(SeqCst), "processes that ran");
    Ok(())
}

/// Has children, which have children.
fn family(
    random: &mut Random,
    levels: usize,
    memory: &Mapping,
    model: &mut [u8],
    shared: &Mapping,
) -> Outcome {
    let mut children: Vec<(Child, i32)> = Vec::new();
    for _ in 0..random.within(1..=3) {
        scribble(random, memory, model);
        let mut own = random.fork();
        let code = random.below(100) as i32;
        let child = process::fork(|| {
            shared.word(RAN).fetch_add(1, SeqCst);
            let mut model = model.to_vec();
            check(memory, &model)?;
            scribble(&mut own.fork(), memory, &mut model);
            if levels > 1 && own.once_in(2) {
                family(&mut own, levels - 1, memory, &mut model, shared)?;
            }
            check(memory, &model)?;
            Ok(code)
        })?;
        children.push((child, code));
        shared.word(FORKED).fetch_add(1, SeqCst);
        scribble(random, memory, model);
    }
    for (child, code) in &children {
        ensure_eq!(child.wait()?.code()?, *code, "exit status of child {}", child.pid());
    }
    check(memory, model)
}

/// Changes some bytes of some pages.
fn scribble(random: &mut Random, memory: &Mapping, model: &mut [u8]) {
    for _ in 0..random.below(12) {
        let at = random.below(model.len());
        let end = (at + random.within(1..=64)).min(model.len());
        random.fill(&mut model[at..end]);
        memory.write(at, &model[at..end]);
    }
}

fn check(memory: &Mapping, model: &[u8]) -> Outcome {
    let mut seen = vec![0; model.len()];
    memory.read(0, &mut seen);
    same_bytes("private memory", &seen, model)
}
