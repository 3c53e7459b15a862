//! Backtraces by frame pointers, with the names of functions from a table behind the kernel image.
//!
//! The table is put into the ELF after linking (`kernel/lib/ksyms`); a kernel without it prints addresses.
//!
//! # Soundness
//! A frame pointer is followed only inside the kernel's stacks (mapped as a whole) and upwards, so a
//! damaged chain ends the trace and cannot fault or loop.

use core::arch::asm;
use core::fmt::Write;
use core::ops::Range;

const MOST_FRAMES: usize = 64;

/// The bytes of the symbol table, as the linker script and the tool leave it: a length, then the table.
#[used]
#[unsafe(link_section = ".symbols")]
static SYMBOLS: [u64; 2] = [SYMBOLS_MAGIC, 0];
/// Bytes in front of the table.
const SYMBOLS_HEADER: u64 = 16;
/// Says "here the table begins" to the tool.
const SYMBOLS_MAGIC: u64 = u64::from_le_bytes(*b"KSYMTAB1");

/// Where the symbol table ends, in addresses of the image; [`crate::mm`] does not map it there.
pub(crate) fn symbols_end() -> u64 {
    let header = &raw const SYMBOLS;
    // SAFETY: a static; volatile, since the tool writes it after compilation. Read only while the boot
    // loader's mapping of the image is in use.
    let [_, length] = unsafe { header.read_volatile() };
    header as u64 + SYMBOLS_HEADER + length
}

/// The table, through the direct map; `None` in early boot, or if there is none.
fn symbols() -> Option<ksyms::Table<'static>> {
    let header = crate::boot::image_in_direct_map(&raw const SYMBOLS as u64)?;
    // SAFETY: a part of the image, mapped for ever.
    let [_, length] = unsafe { (header as *const [u64; 2]).read_volatile() };
    if length == 0 {
        return None;
    }
    let start = (header + SYMBOLS_HEADER) as *const u8;
    // SAFETY: the tool put `length` bytes there and enlarged the segment; nobody writes them.
    ksyms::Table::parse(unsafe { core::slice::from_raw_parts(start, length as usize) }).ok()
}

/// Visits the return addresses of a chain of frame pointers that lies in `stack`.
pub(crate) fn walk(mut frame: u64, stack: Range<u64>, visit: &mut dyn FnMut(u64)) {
    for _ in 0..MOST_FRAMES {
        let whole = frame.checked_add(16).is_some_and(|end| frame >= stack.start && end <= stack.end);
        if !whole || !frame.is_multiple_of(8) {
            return;
        }
        // SAFETY: inside a mapped kernel stack.
        let [next, address] = unsafe { (frame as *const [u64; 2]).read_volatile() };
        if address == 0 {
            return;
        }
        visit(address);
        if next <= frame {
            return;
        }
        frame = next;
    }
}

/// Prints one address with its function.
pub fn print_one(out: &mut dyn Write, address: u64) {
    // Nothing can be done about a console that fails.
    let _ = match symbols().and_then(|table| table.lookup(address)) {
        Some(symbol) => writeln!(out, "  {address:016x} {}+{:#x}", symbol.name, symbol.offset),
        None => writeln!(out, "  {address:016x}"),
    };
}

/// Prints the callers of a frame on the stack that is in use.
pub(crate) fn print_from(out: &mut dyn Write, frame: u64) {
    let stack = crate::task::current_stack();
    // A return address is behind the call; one less is inside the calling function.
    walk(frame, stack, &mut |address| print_one(out, address - 1));
}

/// Prints the callers of the caller.
pub fn print_here(out: &mut dyn Write) {
    let frame: u64;
    // SAFETY: reads the frame pointer.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    print_from(out, frame);
}
