//! Guards around small heap objects, in debug builds: they find double frees, writes behind the end, and writes after
//! the end of an object's life, and name the class.
//!
//! The last eight bytes of an object say whether it is alive. Between its contents and them, all bytes are
//! [`BEHIND`]; while it is free, all others are [`DEAD`], but the first eight, where the heap keeps links. Fresh contents
//! are [`FRESH`], so that nobody takes them for zeros.
//!
//! # Soundness
//! Only the memory of the object itself is touched, between its allocation from its class and its return.

use super::ClassId;
use core::ptr;

/// Bytes that an object has behind its contents at least.
pub(super) const GUARD: usize = 8;
/// Bytes at the beginning of a free object that the heap uses.
const LINKS: usize = 8;

const ALIVE: u64 = 0x616c_6976_6521_a11e;
const FREE: u64 = 0x6672_6565_6421_dead;
const FRESH: u8 = 0xa5;
const BEHIND: u8 = 0xbb;
const DEAD: u8 = 0x6b;

fn state(class: ClassId, object: *mut u8) -> *mut u64 {
    object.wrapping_add(class.size() - GUARD).cast()
}

/// The first byte of a range that is not `expected`.
///
/// # Safety
/// The range must be readable.
unsafe fn first_other(start: *const u8, length: usize, expected: u8) -> Option<(usize, u8)> {
    (0..length).find_map(|offset| {
        // SAFETY: inside the range.
        let byte = unsafe { start.wrapping_add(offset).read() };
        (byte != expected).then_some((offset, byte))
    })
}

/// An object begins to live, with contents of `size` bytes.
///
/// # Safety
/// It must be a fresh one of its class.
pub(super) unsafe fn begin(class: ClassId, object: *mut u8, size: usize) {
    let word = state(class, object);
    // SAFETY: the last bytes of the object.
    let before = unsafe { word.read_unaligned() };
    if before == FREE {
        let body = object.wrapping_add(LINKS);
        // SAFETY: the object's own bytes.
        let touched = unsafe { first_other(body, class.size() - GUARD - LINKS, DEAD) };
        if let Some((offset, byte)) = touched {
            panic!(
                "heap: an object of {} at {object:p} was written to after it was freed: byte {} is {byte:#x}",
                class.name(),
                offset + LINKS
            );
        }
    }
    // SAFETY: the contents.
    unsafe { ptr::write_bytes(object, FRESH, size) };
    // SAFETY: what is between the contents and the state.
    unsafe { ptr::write_bytes(object.wrapping_add(size), BEHIND, class.size() - GUARD - size) };
    // SAFETY: the last bytes of the object.
    unsafe { word.write_unaligned(ALIVE) };
}

/// An object's life is over.
///
/// # Safety
/// It must be of this class.
pub(super) unsafe fn end(class: ClassId, object: *mut u8, size: usize) {
    let word = state(class, object);
    // SAFETY: the last bytes of the object.
    let found = unsafe { word.read_unaligned() };
    assert!(found != FREE, "heap: double free of an object of {} at {object:p}", class.name());
    // SAFETY: the object's own bytes.
    let touched = unsafe { first_other(object.wrapping_add(size), class.size() - GUARD - size, BEHIND) };
    if let Some((offset, byte)) = touched {
        panic!(
            "heap: an object of {} at {object:p}, of {size} bytes, was overrun: byte {} is {byte:#x}",
            class.name(),
            size + offset
        );
    }
    assert!(
        found == ALIVE,
        "heap: an object of {} at {object:p} was overrun: its end is {found:#x}",
        class.name()
    );
    // SAFETY: all of the object but its state.
    unsafe { ptr::write_bytes(object, DEAD, class.size() - GUARD) };
    // SAFETY: the last bytes of the object.
    unsafe { word.write_unaligned(FREE) };
}

/// What can be done wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapFault {
    /// It is freed twice.
    DoubleFree,
    /// A byte behind its end is written.
    Overrun,
    /// A byte is written after it was freed.
    UseAfterFree,
}

/// Does it to an object of its own: for tests, which must see the panic. Interrupts are off meanwhile, so that nobody else
/// gets the object.
pub fn provoke(fault: HeapFault) {
    use alloc::alloc::{GlobalAlloc, Layout};
    let heap = super::KernelHeap;
    let layout = Layout::new::<[u8; 40]>();
    let _interrupts = crate::cpu::disable_interrupts();
    // SAFETY: the layout has a size.
    let object = unsafe { heap.alloc(layout) };
    assert!(!object.is_null(), "no memory for the test");
    if fault == HeapFault::Overrun {
        // SAFETY: not sound, as announced; in its class, the object has more bytes than it was asked for.
        unsafe { object.wrapping_add(layout.size()).write(1) };
    }
    // SAFETY: it was allocated with this layout.
    unsafe { heap.dealloc(object, layout) };
    match fault {
        // SAFETY: not sound, as announced; the check comes before the harm.
        HeapFault::DoubleFree => unsafe { heap.dealloc(object, layout) },
        // SAFETY: not sound, as announced; nobody else has the memory, as the object is this CPU's next one.
        HeapFault::UseAfterFree => unsafe { object.wrapping_add(20).write(1) },
        HeapFault::Overrun => {}
    }
    // SAFETY: the layout has a size.
    let again = unsafe { heap.alloc(layout) };
    // SAFETY: it was allocated with this layout.
    unsafe { heap.dealloc(again, layout) };
}
