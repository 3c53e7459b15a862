//! What every CPU is doing: asked by a non-maskable interrupt, so that one with interrupts disabled answers too.
//!
//! The CPU that is asked notes where it was, its callers and its thread in a place of its own; the one that asks prints
//! all of them, one after the other. A panic asks the same way, and the others do not go on afterwards. The handler
//! takes no lock, allocates nothing and touches only memory that is mapped, so it may come anywhere: in the entry
//! code, in a lock, in another panic.
//!
//! A non-maskable interrupt that nobody asked for comes from the hardware; it is counted, and reported by the next timer
//! interrupt.

use super::{CpuEvent, MAX_CPUS, apic, count, current_id, events, local};
use crate::sync::SpinLock;
use crate::trap::TrapFrame;
use crate::{backtrace, time, upcalls};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use unwind::Frame;

/// Frames that are noted.
const DEPTH: usize = 24;
/// Bytes of text that the kernel adds.
const NOTE: usize = 80;
/// How long a CPU may take to answer. An emulator may keep one from running for a while.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Where a CPU was. Written by that CPU, read after it says [`ANSWERED`].
struct Place {
    state: AtomicU32,
    rip: AtomicU64,
    rsp: AtomicU64,
    rflags: AtomicU64,
    is_user: AtomicBool,
    frames: [AtomicU64; DEPTH],
    depth: AtomicUsize,
    note: [AtomicU8; NOTE],
    note_length: AtomicUsize,
}

const QUIET: u32 = 0;
const ASKED: u32 = 1;
const ANSWERED: u32 = 2;

static PLACES: [Place; MAX_CPUS] = [const {
    Place {
        state: AtomicU32::new(QUIET),
        rip: AtomicU64::new(0),
        rsp: AtomicU64::new(0),
        rflags: AtomicU64::new(0),
        is_user: AtomicBool::new(false),
        frames: [const { AtomicU64::new(0) }; DEPTH],
        depth: AtomicUsize::new(0),
        note: [const { AtomicU8::new(0) }; NOTE],
        note_length: AtomicUsize::new(0),
    }
}; MAX_CPUS];

/// The CPU that stops all others for good; [`NOBODY`]: none.
static STOPPER: AtomicU32 = AtomicU32::new(NOBODY);
const NOBODY: u32 = u32::MAX;
/// Non-maskable interrupts that nobody has asked for and nobody has reported yet.
static UNKNOWN: AtomicU32 = AtomicU32::new(0);
/// One inspection at a time.
static INSPECTION: SpinLock<()> = SpinLock::new("cpu inspection", ());

/// Handles a non-maskable interrupt.
pub(crate) fn nmi(frame: &TrapFrame) {
    events::note(CpuEvent::Nmi);
    let me = current_id();
    let place = &PLACES[me];
    let is_asked = place.state.load(Ordering::Acquire) == ASKED;
    if is_asked {
        place.take(frame);
        place.state.store(ANSWERED, Ordering::Release);
    }
    let stopper = STOPPER.load(Ordering::Acquire);
    if stopper != NOBODY && stopper != me as u32 {
        super::halt_for_good();
    }
    if !is_asked {
        UNKNOWN.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says in the log what came for no known reason. Called where logging is allowed.
pub(crate) fn report_unknown() {
    if UNKNOWN.load(Ordering::Relaxed) != 0 {
        let number = UNKNOWN.swap(0, Ordering::Relaxed);
        log::warn!("nmi: {number} non-maskable interrupts for an unknown reason");
    }
}

/// Stops all other CPUs for good; each has then noted what it was doing. The second to call this stops, too.
pub(crate) fn stop_others() {
    let me = current_id();
    let first = STOPPER.compare_exchange(NOBODY, me as u32, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err_and(|stopper| stopper != me as u32) {
        super::halt_for_good();
    }
    if first.is_ok() {
        ask(others());
    }
}

fn others() -> impl Iterator<Item = usize> + Clone {
    let me = current_id();
    (0..count()).filter(move |&cpu| cpu != me)
}

/// Has CPUs note where they are; waits for those that answer in time.
fn ask(cpus: impl Iterator<Item = usize> + Clone) {
    for cpu in cpus.clone() {
        PLACES[cpu].state.store(ASKED, Ordering::Release);
        apic::send_nmi(cpu);
    }
    let begun = time::monotonic_ns();
    let answered = |cpu: usize| PLACES[cpu].state.load(Ordering::Acquire) == ANSWERED;
    while !cpus.clone().all(answered) && time::monotonic_ns().wrapping_sub(begun) < PATIENCE_NS {
        core::hint::spin_loop();
    }
}

/// Prints what the other CPUs were doing when they were stopped.
pub(crate) fn write_stopped(out: &mut dyn Write) {
    others().for_each(|cpu| PLACES[cpu].write(cpu, out));
}

/// Prints what every CPU is doing, this one last.
pub fn write_all(out: &mut dyn Write) {
    let _one = INSPECTION.lock();
    ask(others());
    for cpu in others() {
        PLACES[cpu].write(cpu, out);
        PLACES[cpu].state.store(QUIET, Ordering::Release);
    }
    // The reader of the report has no use for an error while it is made.
    let _ = write!(out, "CPU {}: ", current_id());
    if let Some(kernel) = upcalls::registered() {
        kernel.cpu_note(out);
    }
    let _ = writeln!(out, ", asks");
    backtrace::print_here(out);
}

impl Place {
    /// Notes where this CPU was interrupted.
    fn take(&self, frame: &TrapFrame) {
        let is_user = frame.cs & 3 != 0;
        self.rip.store(frame.rip, Ordering::Relaxed);
        self.rsp.store(frame.rsp, Ordering::Relaxed);
        self.rflags.store(frame.rflags, Ordering::Relaxed);
        self.is_user.store(is_user, Ordering::Relaxed);
        let mut depth = 0;
        if !is_user {
            backtrace::visit_trap(frame, &mut |frame| {
                // A number below 256 stands for the vector of a trap: there is no code.
                let word = match frame {
                    Frame::Code { address, .. } => address,
                    Frame::Trap { vector } | Frame::User { vector, .. } => vector.map_or(0, u64::from),
                    Frame::Lost => return,
                };
                if let Some(place) = self.frames.get(depth) {
                    place.store(word, Ordering::Relaxed);
                    depth += 1;
                }
            });
        }
        self.depth.store(depth, Ordering::Relaxed);
        let mut note = Note { place: self, length: 0 };
        if local::get().task.load(Ordering::Relaxed) != 0
            && let Some(kernel) = upcalls::registered()
        {
            kernel.cpu_note(&mut note);
        }
        self.note_length.store(note.length, Ordering::Relaxed);
    }

    fn write(&self, cpu: usize, out: &mut dyn Write) {
        // A report that cannot be written has nobody to tell.
        let _ = self.try_write(cpu, out);
    }

    fn try_write(&self, cpu: usize, out: &mut dyn Write) -> fmt::Result {
        if self.state.load(Ordering::Acquire) != ANSWERED {
            return writeln!(out, "CPU {cpu}: does not answer");
        }
        write!(out, "CPU {cpu}: ")?;
        for byte in &self.note[..self.note_length.load(Ordering::Relaxed)] {
            out.write_char(char::from(byte.load(Ordering::Relaxed)))?;
        }
        let rip = self.rip.load(Ordering::Relaxed);
        if self.is_user.load(Ordering::Relaxed) {
            return writeln!(out, ", in the program at {rip:#x}");
        }
        let rflags = self.rflags.load(Ordering::Relaxed);
        let interrupts = if rflags & crate::trap::INTERRUPT_FLAG != 0 { "on" } else { "off" };
        let rsp = self.rsp.load(Ordering::Relaxed);
        writeln!(out, ", interrupts {interrupts}, rsp {rsp:016x}")?;
        for frame in &self.frames[..self.depth.load(Ordering::Relaxed)] {
            let frame = match frame.load(Ordering::Relaxed) {
                0 => Frame::Trap { vector: None },
                vector @ 1..256 => Frame::Trap { vector: Some(vector as u8) },
                address => Frame::Code { address, is_guess: false },
            };
            backtrace::print_frame(out, &frame);
        }
        Ok(())
    }
}

/// Text for a [`Place`]; what is too long is cut.
struct Note<'a> {
    place: &'a Place,
    length: usize,
}

impl Write for Note<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(room) = self.place.note.get(self.length) {
                room.store(if byte.is_ascii_graphic() { byte } else { b' ' }, Ordering::Relaxed);
                self.length += 1;
            }
        }
        Ok(())
    }
}
