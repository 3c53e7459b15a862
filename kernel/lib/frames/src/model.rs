//! A model of the allocator, and a search for sequences of requests on which an allocator and the model differ.
//!
//! The same search runs on the host and inside the kernel, where nothing unwinds: so a difference is a value, not a
//! panic. The sequence found is made short before it is reported: it is cut at the step that fails, and then each
//! step goes without which it still fails.

use crate::{Allocator, FreeError, ORDERS, Record, Zone};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::{fmt, ops::Range};

/// What is tested.
pub trait Subject {
    /// See [`Allocator::allocate`].
    fn allocate(&mut self, order: usize, zone: Zone) -> Option<u32>;
    /// See [`Allocator::free`].
    fn free(&mut self, frame: u32, order: usize) -> Result<(), FreeError>;
    /// See [`Allocator::free_frames`].
    fn free_frames(&self) -> usize;
    /// See [`Allocator::check`].
    fn check(&self) -> Result<(), &'static str>;
}

impl<R: Record> Subject for Allocator<'_, R> {
    fn allocate(&mut self, order: usize, zone: Zone) -> Option<u32> {
        Allocator::allocate(self, order, zone)
    }
    fn free(&mut self, frame: u32, order: usize) -> Result<(), FreeError> {
        Allocator::free(self, frame, order)
    }
    fn free_frames(&self) -> usize {
        Allocator::free_frames(self)
    }
    fn check(&self) -> Result<(), &'static str> {
        Allocator::check(self)
    }
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// For a block.
    Allocate(usize, Zone),
    /// To take back one of the blocks that are out: the n-th by address, counted round.
    Free(usize),
}

/// The memory that a subject was given.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Ranges of frames.
    pub ranges: Vec<Range<u32>>,
    /// The first frame of high memory, a multiple of the largest block.
    pub border: u32,
}

/// A sequence of steps on which a subject goes wrong.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The steps; the last is the one that fails.
    pub steps: Vec<Step>,
    /// What is wrong.
    pub why: String,
    /// The number that the steps were made from, before they were made few.
    pub seed: u64,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:?} (seed {})", self.why, self.steps, self.seed)
    }
}

/// The blocks that are out, by first frame.
struct Model<'a> {
    memory: &'a Memory,
    blocks: BTreeMap<u32, usize>,
    free: usize,
}

impl Model<'_> {
    fn is_out(&self, range: Range<u32>) -> bool {
        let last = self.blocks.range(..range.end).next_back();
        last.is_some_and(|(&start, &order)| start + (1 << order) > range.start)
    }

    /// What is wrong with a block that was handed out.
    fn judge(&self, frame: u32, order: usize, zone: Zone) -> Result<(), String> {
        let range = frame..frame + (1 << order);
        let is_inside = |part: &Range<u32>| part.start <= range.start && range.end <= part.end;
        if !frame.is_multiple_of(1 << order) {
            return Err(format!("block {frame} of order {order} is not aligned"));
        }
        if zone == Zone::Low && range.end > self.memory.border {
            return Err(format!("block {frame} of order {order} is not low"));
        }
        // Neighbouring ranges may hold a block together.
        let is_known = self.memory.ranges.iter().any(is_inside)
            || range.clone().all(|frame| self.memory.ranges.iter().any(|part| part.contains(&frame)));
        if !is_known {
            return Err(format!("block {frame} of order {order} was never handed over"));
        }
        if self.is_out(range) {
            return Err(format!("block {frame} of order {order} is handed out twice"));
        }
        Ok(())
    }

    fn make(&mut self, subject: &mut dyn Subject, step: Step) -> Result<(), String> {
        match step {
            Step::Allocate(order, zone) => {
                if let Some(frame) = subject.allocate(order, zone) {
                    self.judge(frame, order, zone)?;
                    self.blocks.insert(frame, order);
                    self.free -= 1 << order;
                } else if order == 0 && zone == Zone::Any && self.free > 0 {
                    return Err(format!("no frame, although {} are free", self.free));
                }
            }
            Step::Free(which) => {
                let count = self.blocks.len().max(1);
                let Some((&frame, &order)) = self.blocks.iter().nth(which % count) else { return Ok(()) };
                subject
                    .free(frame, order)
                    .map_err(|error| format!("freeing block {frame} of order {order}: {error}"))?;
                self.blocks.remove(&frame);
                self.free += 1 << order;
            }
        }
        match subject.free_frames() {
            free if free == self.free => Ok(()),
            free => Err(format!("{free} frames are free, and should be {}", self.free)),
        }
    }
}

/// Makes the steps, and gives everything back at the end. On a difference, the number of the step, and what it is.
pub fn run(memory: &Memory, subject: &mut dyn Subject, steps: &[Step]) -> Result<(), (usize, String)> {
    let free = memory.ranges.iter().map(|range| range.len()).sum();
    let mut model = Model { memory, blocks: BTreeMap::new(), free };
    for (at, step) in steps.iter().enumerate() {
        model.make(subject, *step).map_err(|why| (at, why))?;
        if at % 256 == 255 {
            subject.check().map_err(|why| (at, why.into()))?;
        }
    }
    let end = steps.len().saturating_sub(1);
    while !model.blocks.is_empty() {
        model.make(subject, Step::Free(0)).map_err(|why| (end, why))?;
    }
    subject.check().map_err(|why| (end, why.into()))
}

/// Random steps: phases that take more than they give back, and the other way round.
pub fn random_steps(seed: u64, count: usize) -> Vec<Step> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let step = |at: usize| {
        let takes = if (at / 500).is_multiple_of(2) { 7 } else { 3 };
        if random(10) < takes {
            let most = random(ORDERS + 1) + 1;
            let order = random(most);
            Step::Allocate(order, if random(4) == 0 { Zone::Low } else { Zone::Any })
        } else {
            Step::Free(random(1 << 16))
        }
    };
    (0..count).map(step).collect()
}

/// Runs a sequence from the beginning, as [`run`] does.
pub type Attempt<'a> = dyn FnMut(&[Step]) -> Result<(), (usize, String)> + 'a;

/// Tries sequences of `count` random steps, one for each seed.
///
/// # Errors
/// The first difference, made short.
pub fn search(seeds: Range<u64>, count: usize, attempt: &mut Attempt<'_>) -> Result<(), Counterexample> {
    for seed in seeds {
        let mut steps = random_steps(seed, count);
        if let Err((at, why)) = attempt(&steps) {
            steps.truncate(at + 1);
            return Err(shorten(Counterexample { steps, why, seed }, attempt));
        }
    }
    Ok(())
}

/// Makes the steps few and simple, as long as something gets better by it.
fn shorten(mut found: Counterexample, attempt: &mut Attempt<'_>) -> Counterexample {
    loop {
        let before = found.steps.clone();
        found = leave_out(found, attempt);
        found = simplify(found, attempt);
        if found.steps == before {
            return found;
        }
    }
}

/// Takes other steps if they fail too.
fn try_instead(found: &mut Counterexample, steps: Vec<Step>, attempt: &mut Attempt<'_>) -> bool {
    match attempt(&steps) {
        Err((at, why)) if !steps.is_empty() => {
            found.steps = steps;
            found.steps.truncate(at + 1);
            found.why = why;
            true
        }
        _ => false,
    }
}

/// Leaves out all steps that are not needed: many at a time first, then single ones.
fn leave_out(mut found: Counterexample, attempt: &mut Attempt<'_>) -> Counterexample {
    let mut width = found.steps.len().next_power_of_two() / 2;
    while width > 0 {
        let mut from = 0;
        while from < found.steps.len() {
            let mut fewer = found.steps.clone();
            fewer.drain(from..(from + width).min(found.steps.len()));
            if !try_instead(&mut found, fewer, attempt) {
                from += width;
            }
        }
        width /= 2;
    }
    found
}

/// Has the first or the second block given back, not the 55,788th; that lets go of the steps that made them so many.
fn simplify(mut found: Counterexample, attempt: &mut Attempt<'_>) -> Counterexample {
    for at in 0..found.steps.len() {
        for simple in 0..2 {
            let mut simpler = found.steps.clone();
            match simpler.get_mut(at) {
                Some(Step::Free(which)) if *which > simple => *which = simple,
                _ => continue,
            }
            if try_instead(&mut found, simpler, attempt) {
                break;
            }
        }
    }
    found
}

/// An allocator with a fault, to see that the search finds it: a large block that was given back is remembered, and
/// handed out as a single frame although it is free.
pub struct Broken<S> {
    inner: S,
    stale: Option<u32>,
}

impl<S: Subject> Broken<S> {
    /// Breaks an allocator.
    pub fn new(inner: S) -> Self {
        Self { inner, stale: None }
    }
}

impl<S: Subject> Subject for Broken<S> {
    fn allocate(&mut self, order: usize, zone: Zone) -> Option<u32> {
        let stale = self.stale.take_if(|_| order == 0 && zone == Zone::Any);
        let frame = self.inner.allocate(order, zone)?;
        Some(stale.unwrap_or(frame))
    }

    fn free(&mut self, frame: u32, order: usize) -> Result<(), FreeError> {
        /// Smaller ones are treated well.
        const LARGE: usize = 5;
        self.stale = self.stale.or((order >= LARGE).then_some(frame));
        self.inner.free(frame, order)
    }

    fn free_frames(&self) -> usize {
        self.inner.free_frames()
    }

    fn check(&self) -> Result<(), &'static str> {
        self.inner.check()
    }
}
