//! The lines: a descriptor for each vector, who has claimed it, the way of an interrupt to its handlers.
//!
//! Locks: [`CLAIMS`] for those who come and go, then a descriptor's own. The own lock is held while handlers run.

use super::ioapic::{self, Input};
use super::storm::{Storm, Verdict};
use super::{Claim, Handled, Handler, IrqError, LineInfo, MessageWriter, MsiMessage, Trigger};
use crate::cpu::{self, CpuEvent, MAX_CPUS, apic, events};
use crate::sync::IrqSpinLock;
use crate::time;
use crate::trap::{FIRST_DEVICE_VECTOR as FIRST, LAST_DEVICE_VECTOR as LAST};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

const COUNT: usize = (LAST - FIRST) as usize + 1;
/// I/O APICs and messages have eight bits for the CPU; the last number stands for all.
const MOST_APIC_ID: u32 = 254;
/// How often the handlers of an edge are asked again while one of them finds something: a device that asks while
/// another one of the same line is being served makes no new edge.
const EDGE_ROUNDS: usize = 16;

/// What raises a line.
enum Source {
    Nothing,
    Wired(Input),
    Message(MessageWriter),
    Software,
}

struct Action {
    claim: u64,
    name: &'static str,
    handler: Handler,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// No handler yet.
    Quiet,
    Open,
    /// Too many interrupts: closed until then.
    Throttled(u64),
    /// Nobody wants its interrupts.
    Disabled,
}

struct State {
    number: u32,
    claim: Claim,
    /// How many claims there are.
    claims: u32,
    source: Source,
    status: Status,
    actions: Vec<Action>,
    /// Interrupts on each CPU.
    counts: Vec<u64>,
    storm: Storm,
    affinity: u64,
}

struct Descriptor {
    state: IrqSpinLock<State>,
    /// The CPU that gets it. Changed with the lock held.
    target: AtomicUsize,
    /// A software line may be raised. Changed with the lock held.
    is_open: AtomicBool,
}

impl State {
    const FREE: State = State {
        number: 0,
        claim: Claim::Exclusive,
        claims: 0,
        source: Source::Nothing,
        status: Status::Quiet,
        actions: Vec::new(),
        counts: Vec::new(),
        storm: Storm::NEW,
        affinity: u64::MAX,
    };

    fn is_level(&self) -> bool {
        matches!(&self.source, Source::Wired(input) if input.trigger().is_level())
    }
}

static DESCRIPTORS: [Descriptor; COUNT] = [const {
    Descriptor {
        state: IrqSpinLock::new("irq line", State::FREE),
        target: AtomicUsize::new(0),
        is_open: AtomicBool::new(false),
    }
}; COUNT];
/// Held while a line is claimed or given back.
static CLAIMS: IrqSpinLock<()> = IrqSpinLock::new("irq claims", ());
/// Lines that each CPU gets.
static LINES_OF: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
/// The first point of time at which a throttled line may go on; `u64::MAX`: there is none.
static RESUME_AT: AtomicU64 = AtomicU64::new(u64::MAX);
static NEXT_CLAIM: AtomicU64 = AtomicU64::new(1);

/// The claim of one user on one line.
pub(super) struct Claimed {
    index: usize,
    id: u64,
}

impl Claimed {
    /// Takes an input, or joins those who share it.
    pub(super) fn wired(
        number: u32,
        interrupt: u32,
        trigger: Trigger,
        claim: Claim,
    ) -> Result<Self, IrqError> {
        let _claims = CLAIMS.lock();
        for (index, descriptor) in DESCRIPTORS.iter().enumerate() {
            let mut state = descriptor.state.lock();
            let Source::Wired(input) = &state.source else { continue };
            if input.interrupt() != interrupt {
                continue;
            }
            if claim == Claim::Exclusive || state.claim == Claim::Exclusive || input.trigger() != trigger {
                return Err(IrqError::Claimed);
            }
            state.claims += 1;
            return Ok(Self::new(index));
        }
        let input = Input::claim(interrupt, trigger)?;
        Self::allocate(Source::Wired(input), Some(number), claim)
    }

    pub(super) fn message(write: MessageWriter) -> Result<Self, IrqError> {
        write(None);
        let _claims = CLAIMS.lock();
        Self::allocate(Source::Message(write), None, Claim::Exclusive)
    }

    pub(super) fn software() -> Result<Self, IrqError> {
        let _claims = CLAIMS.lock();
        Self::allocate(Source::Software, None, Claim::Exclusive)
    }

    fn new(index: usize) -> Self {
        Self { index, id: NEXT_CLAIM.fetch_add(1, Ordering::Relaxed) }
    }

    /// Takes a free vector. Lines without a number of their own are numbered behind the inputs of the I/O APICs.
    fn allocate(source: Source, number: Option<u32>, claim: Claim) -> Result<Self, IrqError> {
        let counts = alloc::vec![0; MAX_CPUS];
        for (index, descriptor) in DESCRIPTORS.iter().enumerate() {
            let mut state = descriptor.state.lock();
            if state.claims == 0 {
                let number = number.unwrap_or_else(|| ioapic::inputs() + index as u32);
                *state = State { number, claim, claims: 1, source, counts, ..State::FREE };
                return Ok(Self::new(index));
            }
        }
        Err(IrqError::NoVector)
    }

    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTORS[self.index]
    }

    pub(super) fn vector(&self) -> u8 {
        FIRST + self.index as u8
    }

    pub(super) fn number(&self) -> u32 {
        self.descriptor().state.lock().number
    }

    pub(super) fn set_handler(&self, name: &'static str, handler: Handler) {
        let descriptor = self.descriptor();
        let mut action = Some(Action { claim: self.id, name, handler });
        let mut state = descriptor.state.lock();
        match state.actions.iter_mut().find(|action| action.claim == self.id) {
            Some(old) => core::mem::swap(old, action.as_mut().expect("it was just made")),
            None => state.actions.extend(action.take()),
        }
        if state.status == Status::Quiet {
            let target = choose_target(state.affinity).unwrap_or(0);
            LINES_OF[target].fetch_add(1, Ordering::Relaxed);
            descriptor.target.store(target, Ordering::Relaxed);
            descriptor.open(&mut state);
        }
        drop(state);
        // A handler that was replaced goes with interrupts as they were.
        drop(action);
    }

    pub(super) fn raise(&self) {
        let descriptor = self.descriptor();
        if descriptor.is_open.load(Ordering::Acquire) {
            apic::send(descriptor.target.load(Ordering::Relaxed), self.vector());
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let descriptor = self.descriptor();
        let claims = CLAIMS.lock();
        let mut state = descriptor.state.lock();
        let position = state.actions.iter().position(|action| action.claim == self.id);
        let action = position.map(|position| state.actions.remove(position));
        state.claims -= 1;
        let mut old = None;
        if state.claims == 0 {
            if state.status != Status::Quiet {
                LINES_OF[descriptor.target.load(Ordering::Relaxed)].fetch_sub(1, Ordering::Relaxed);
            }
            descriptor.close(&state);
            old = Some(core::mem::replace(&mut *state, State::FREE));
        }
        drop((state, claims));
        // What handlers and writers own is dropped with interrupts as they were.
        drop((action, old));
    }
}

impl Descriptor {
    fn vector(&self) -> u8 {
        let index = (core::ptr::from_ref(self) as usize - DESCRIPTORS.as_ptr() as usize) / size_of::<Self>();
        FIRST + index as u8
    }

    /// Lets interrupts through to the target.
    fn open(&self, state: &mut State) {
        let vector = self.vector();
        let apic_id = cpu::apic_id(self.target.load(Ordering::Relaxed)).unwrap_or_else(apic::boot_id) as u8;
        match &state.source {
            Source::Nothing => {}
            Source::Software => self.is_open.store(true, Ordering::Release),
            Source::Wired(input) => input.unmask(vector, apic_id),
            // Fixed delivery to one CPU by its physical id, by edges (Intel SDM vol. 3, 11.11.1 and .2).
            Source::Message(write) => write(Some(MsiMessage {
                address: 0xfee0_0000 | u64::from(apic_id) << 12,
                data: vector.into(),
            })),
        }
        state.status = Status::Open;
    }

    fn close(&self, state: &State) {
        match &state.source {
            Source::Nothing => {}
            Source::Software => self.is_open.store(false, Ordering::Release),
            Source::Wired(input) => input.mask(),
            Source::Message(write) => write(None),
        }
    }

    /// Runs the handlers for an interrupt that has come.
    fn handle(&self) {
        let mut state = self.state.lock();
        if let Some(count) = state.counts.get_mut(cpu::current_id()) {
            *count += 1;
        }
        let is_level = state.is_level();
        if !is_level {
            apic::end_of_interrupt();
        }
        if state.actions.is_empty() {
            // The line was just given back.
            events::note(CpuEvent::Stray);
        } else {
            let was_handled = run(&state.actions, is_level);
            self.judge(&mut state, was_handled);
        }
        if is_level {
            apic::end_of_interrupt();
        }
    }

    /// Sees to it that the line does not take all of the CPU.
    fn judge(&self, state: &mut State, was_handled: bool) {
        let verdict = state.storm.note(was_handled, time::monotonic_ns());
        let (number, name) = (state.number, state.actions.first().map_or("", |action| action.name));
        match verdict {
            Verdict::Fine => {}
            Verdict::NobodyCared => {
                self.close(state);
                state.status = Status::Disabled;
                log::error!("irq {number}: nobody cared: {name} does not know the interrupts; disabled");
            }
            Verdict::TooMany { until, say_so } => {
                self.close(state);
                state.status = Status::Throttled(until);
                RESUME_AT.fetch_min(until, Ordering::AcqRel);
                if say_so {
                    log::warn!("irq {number}: too many interrupts of {name}; it has to wait now and then");
                }
            }
        }
    }
}

/// Calls the handlers; whether one of them found something.
fn run(actions: &[Action], is_level: bool) -> bool {
    // All are asked, also behind one that has found something.
    let once = || actions.iter().filter(|action| (action.handler)() == Handled::Yes).count() > 0;
    let was_handled = once();
    if was_handled && !is_level && actions.len() > 1 {
        for _ in 1..EDGE_ROUNDS {
            if !once() {
                break;
            }
        }
    }
    was_handled
}

/// Of the CPUs of a mask the one that has the fewest lines.
fn choose_target(cpus: u64) -> Option<usize> {
    (0..cpu::count())
        .filter(|&id| cpus & 1 << id != 0 && cpu::apic_id(id).is_some_and(|apic| apic <= MOST_APIC_ID))
        .min_by_key(|&id| LINES_OF[id].load(Ordering::Relaxed))
}

/// Handles an interrupt of a device: called by the trap path, with interrupts disabled.
pub(crate) fn dispatch(vector: u8) {
    match vector.checked_sub(FIRST).and_then(|index| DESCRIPTORS.get(usize::from(index))) {
        Some(descriptor) => descriptor.handle(),
        None => apic::end_of_interrupt(),
    }
}

/// Opens throttled lines whose time has come. Called by timer interrupts.
pub(crate) fn resume_throttled() {
    let now = time::monotonic_ns();
    if now < RESUME_AT.load(Ordering::Acquire) {
        return;
    }
    RESUME_AT.store(u64::MAX, Ordering::Release);
    for descriptor in &DESCRIPTORS {
        let mut state = descriptor.state.lock();
        match state.status {
            Status::Throttled(until) if until <= now => descriptor.open(&mut state),
            Status::Throttled(until) => {
                RESUME_AT.fetch_min(until, Ordering::AcqRel);
            }
            _ => {}
        }
    }
}

/// A vector came that is nobody's: counted always, said once.
pub(crate) fn report_stray(vector: u8) {
    static SAID: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
    events::note(CpuEvent::Stray);
    let bit = 1 << (vector % 64);
    if SAID[usize::from(vector / 64)].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        log::warn!("irq: nobody owns vector {vector:#x}");
    }
}

/// Leaves it to CPUs of this mask to handle a line.
///
/// # Errors
/// `NoSuchLine`; `NoCpu` if none of the CPUs runs, or none can be reached.
pub fn set_affinity(number: u32, cpus: u64) -> Result<(), IrqError> {
    for descriptor in &DESCRIPTORS {
        let mut state = descriptor.state.lock();
        if state.claims == 0 || state.number != number {
            continue;
        }
        let old = descriptor.target.load(Ordering::Relaxed);
        let target = choose_target(cpus).ok_or(IrqError::NoCpu)?;
        state.affinity = cpus;
        if state.status == Status::Quiet || cpus & 1 << old != 0 {
            return Ok(());
        }
        LINES_OF[old].fetch_sub(1, Ordering::Relaxed);
        LINES_OF[target].fetch_add(1, Ordering::Relaxed);
        descriptor.target.store(target, Ordering::Relaxed);
        if state.status == Status::Open {
            descriptor.close(&state);
            descriptor.open(&mut state);
        }
        return Ok(());
    }
    Err(IrqError::NoSuchLine)
}

/// All lines that are claimed, by number.
pub fn lines() -> Vec<LineInfo> {
    let mut lines = Vec::new();
    for (vector, descriptor) in (u32::from(FIRST)..).zip(&DESCRIPTORS) {
        let state = descriptor.state.lock();
        let (chip, input) = match &state.source {
            Source::Nothing => continue,
            Source::Wired(input) => ("IO-APIC", input.interrupt()),
            Source::Message(_) => ("PCI-MSI", vector),
            Source::Software => ("software", vector),
        };
        let mut counts = state.counts.clone();
        counts.truncate(cpu::count());
        lines.push(LineInfo {
            number: state.number,
            chip,
            flow: if state.is_level() { "fasteoi" } else { "edge" },
            input,
            names: state.actions.iter().map(|action| action.name).collect(),
            counts,
            unhandled: state.storm.unhandled,
            affinity: state.affinity & cpu::running(),
            target: descriptor.target.load(Ordering::Relaxed),
            is_disabled: state.status == Status::Disabled,
        });
    }
    lines.sort_by_key(|line| line.number);
    lines
}
