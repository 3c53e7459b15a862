//! Backtraces: who called whom, by a table of call frames and one of names behind the kernel image.
//!
//! Both tables are put into the ELF after linking (`embed-symbols` of `kernel/lib/ksyms`); what they hold and how a stack
//! is walked with them is in `kernel/lib/unwind`. A kernel without tables prints addresses that it finds on the stack. Nothing
//! here takes a lock, allocates or can fault, so it works in panics and non-maskable interrupts, whatever they strike.
//!
//! # Soundness
//! Words are read only inside the stack of the current (or a claimed) task and this CPU's interrupt stacks, which are
//! mapped as a whole. Another CPU may be writing them, so the reads are volatile and nothing is believed.

use crate::cpu::{gdt, local};
use crate::trap::{TrapFrame, exception_name};
use core::arch::asm;
use core::fmt::{self, Write};
use core::ops::Range;
use unwind::{Frame, Memory, Registers, Walk};

/// How many frames a backtrace has at most.
pub const MOST_FRAMES: usize = 48;

/// The bytes of the tables, as the linker script and the tool leave it: a length, then the tables.
#[used]
#[unsafe(link_section = ".symbols")]
static TABLES: [u64; 2] = [TABLES_MAGIC, 0];
/// Bytes in front of the tables.
const TABLES_HEADER: u64 = 16;
/// Says "here the tables begin" to the tool.
const TABLES_MAGIC: u64 = u64::from_le_bytes(*b"KSYMTAB1");

/// Where the tables end, in addresses of the image; [`crate::mm`] does not map them there.
pub(crate) fn symbols_end() -> u64 {
    let header = &raw const TABLES;
    // SAFETY: a static; volatile, since the tool writes it after compilation. Read only while the boot
    // loader's mapping of the image is in use.
    let [_, length] = unsafe { header.read_volatile() };
    header as u64 + TABLES_HEADER + length
}

/// The tables, through the direct map; `None` in early boot, or if there are none.
fn tables() -> Option<ksyms::Bundle<'static>> {
    let header = crate::boot::image_in_direct_map(&raw const TABLES as u64)?;
    // SAFETY: a part of the image, mapped for ever.
    let [_, length] = unsafe { (header as *const [u64; 2]).read_volatile() };
    if length == 0 {
        return None;
    }
    let start = (header + TABLES_HEADER) as *const u8;
    // SAFETY: the tool put `length` bytes there and enlarged the segment; nobody writes them.
    ksyms::Bundle::parse(unsafe { core::slice::from_raw_parts(start, length as usize) }).ok()
}

/// The name of the function around an address of code, and how far into it that is.
fn symbol(address: u64) -> Option<ksyms::Symbol<'static>> {
    ksyms::Table::parse(tables()?.names).ok()?.lookup(address)
}

/// The stacks that a walk may look at.
#[derive(Clone)]
struct Stacks {
    task: Range<u64>,
    /// Those of this CPU's interrupts, if the walk begins on this CPU.
    interrupts: [Range<u64>; 3],
}

impl Memory for Stacks {
    fn word(&self, address: u64) -> Option<u64> {
        let end = address.checked_add(8)?;
        let holds = |stack: &Range<u64>| address >= stack.start && end <= stack.end;
        if !address.is_multiple_of(8) || !(holds(&self.task) || self.interrupts.iter().any(holds)) {
            return None;
        }
        // SAFETY: a mapped stack, see Soundness.
        Some(unsafe { (address as *const u64).read_volatile() })
    }
}

/// Visits the frames from `registers` on; without tables, every word of the stack that points into code.
fn walk(registers: Registers, stacks: Stacks, visit: &mut dyn FnMut(Frame)) {
    let table = tables().and_then(|tables| unwind::Table::parse(tables.frames).ok());
    match table {
        Some(table) => Walk::new(table, stacks, registers).take(MOST_FRAMES).for_each(visit),
        None => {
            visit(Frame::Code { address: registers.rip, is_guess: false });
            let addresses = (registers.rsp..).step_by(8);
            let words = addresses.map_while(|address| stacks.word(address));
            words
                .filter(|word| crate::boot::is_code(*word))
                .take(MOST_FRAMES)
                .for_each(|word| visit(Frame::Code { address: word - 1, is_guess: true }));
        }
    }
}

/// The stacks of the flow that this CPU runs.
fn own_stacks() -> Stacks {
    Stacks { task: crate::task::current_stack(), interrupts: gdt::ist_stacks(local::get()) }
}

/// Where this is called from.
#[inline(always)]
fn here() -> Registers {
    let (rip, rsp, rbp): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!(
            "lea {}, [rip]",
            "mov {}, rsp",
            "mov {}, rbp",
            out(reg) rip,
            out(reg) rsp,
            out(reg) rbp,
            options(nomem, nostack, preserves_flags)
        )
    };
    Registers { rip, rsp, rbp }
}

fn of_trap(frame: &TrapFrame) -> Registers {
    Registers { rip: frame.rip, rsp: frame.rsp, rbp: frame.rbp }
}

/// Frames of a stack at some time, the latest first. Displayed with names, a line each.
#[derive(Clone)]
pub struct Trace {
    frames: [Frame; MOST_FRAMES],
    length: usize,
}

impl Trace {
    fn take(registers: Registers, stacks: Stacks) -> Self {
        let mut trace = Self { frames: [Frame::Lost; MOST_FRAMES], length: 0 };
        walk(registers, stacks, &mut |frame| {
            if let Some(place) = trace.frames.get_mut(trace.length) {
                *place = frame;
                trace.length += 1;
            }
        });
        trace
    }

    /// That of the caller.
    #[inline(never)]
    pub fn here() -> Self {
        Self::take(here(), own_stacks())
    }

    fn frames(&self) -> &[Frame] {
        &self.frames[..self.length]
    }

    /// The functions, as far as their names are known, and how far into each the code is.
    pub fn symbols(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.frames().iter().filter_map(|frame| match frame {
            Frame::Code { address, .. } => symbol(*address).map(|symbol| (symbol.name, symbol.offset)),
            _ => None,
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frames().iter().try_for_each(|frame| write_frame(f, frame))
    }
}

/// A frame, as a line of its own.
fn write_frame(out: &mut dyn Write, frame: &Frame) -> fmt::Result {
    match *frame {
        Frame::Code { address, is_guess } => {
            let mark = if is_guess { '?' } else { ' ' };
            match symbol(address) {
                Some(symbol) => writeln!(out, "{mark} {address:016x} {}+{:#x}", symbol.name, symbol.offset),
                None => writeln!(out, "{mark} {address:016x}"),
            }
        }
        Frame::Trap { vector } => writeln!(out, "  {}", TrapName(vector)),
        Frame::User { vector, rip } => writeln!(out, "  {} of a program at {rip:#x}", TrapName(vector)),
        Frame::Lost => writeln!(out, "? nothing more that could be a caller"),
    }
}

/// `<page fault>`, `<interrupt 0xf0>`.
struct TrapName(Option<u8>);

impl fmt::Display for TrapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => write!(f, "<trap>"),
            Some(vector @ 0..32) => write!(f, "<{}>", exception_name(vector.into())),
            Some(vector) => write!(f, "<interrupt {vector:#x}>"),
        }
    }
}

/// That of a task which does not run and left these registers and a return address at `stack_pointer`, see
/// `switch_stacks`.
pub(crate) fn of_switched(stack_pointer: u64, stack: Range<u64>) -> Trace {
    /// Words from there: R15, R14, R13, R12, RBP, RBX, the return address.
    const RBP: u64 = 4;
    const RIP: u64 = 6;
    let stacks = Stacks { task: stack, interrupts: [const { 0..0 }; 3] };
    let word = |index: u64| stacks.word(stack_pointer.wrapping_add(index * 8)).unwrap_or(0);
    let rsp = stack_pointer.wrapping_add((RIP + 1) * 8);
    let registers = Registers { rip: word(RIP), rsp, rbp: word(RBP) };
    Trace::take(registers, stacks)
}

/// Prints where a trap struck, and the callers there.
pub(crate) fn print_trap(out: &mut dyn Write, frame: &TrapFrame) {
    visit_trap(frame, &mut |frame| print_frame(out, &frame));
}

/// Visits where a trap struck on this CPU, and the callers there.
pub(crate) fn visit_trap(frame: &TrapFrame, visit: &mut dyn FnMut(Frame)) {
    walk(of_trap(frame), own_stacks(), visit);
}

/// Prints a frame.
pub(crate) fn print_frame(out: &mut dyn Write, frame: &Frame) {
    // Nothing can be done about a console that fails.
    let _ = write_frame(out, frame);
}

/// Prints the caller and its callers.
#[inline(never)]
pub fn print_here(out: &mut dyn Write) {
    walk(here(), own_stacks(), &mut |frame| {
        // Nothing can be done about a console that fails.
        let _ = write_frame(out, &frame);
    });
}
