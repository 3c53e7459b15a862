//! The kernel heap: size classes on slabs of frames, whole blocks of frames above.
//!
//! A slab is an aligned block of frames in the direct map, cut into objects of one class, with its
//! header at the end; so the header of an object is found from its address. Free objects are chained
//! through their first word. Each class has a lock and a list of the slabs that have room; an
//! empty slab goes back to the frame allocator unless it is the class's last with room. All locks disable interrupts: interrupt
//! handlers may allocate and free.
//!
//! # Soundness
//! Objects of one slab are disjoint and aligned to the largest power of two that divides the class size
//! (slabs are aligned to their size and objects start at their beginning). `dealloc` gets the layout
//! that `alloc` got, so both choose the same class or block order.

use super::{OutOfMemory, frame, layout};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    sync::IrqSpinLock,
};
use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};
use frames::Zone;

/// Object sizes; each is a multiple of 16.
const CLASSES: [usize; 14] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];

/// Frames that the heap holds now.
static HEAP_FRAMES: AtomicUsize = AtomicUsize::new(0);

/// How many frames the heap holds.
pub(super) fn frames_in_use() -> usize {
    HEAP_FRAMES.load(Ordering::Relaxed)
}

/// log2 of the frames in a slab of a class.
const fn slab_order(size: usize) -> usize {
    if size <= 256 { 0 } else { 2 }
}

/// Bookkeeping at the end of each slab.
struct Slab {
    /// First free object, chained through first words; null if full.
    free: *mut u8,
    in_use: usize,
    previous: *mut Slab,
    next: *mut Slab,
}

/// The slabs of one class that have a free object.
struct Class {
    size: usize,
    first: *mut Slab,
}

// SAFETY: the pointers lead to slabs that belong to this class alone; the lock around it serialises.
unsafe impl Send for Class {}

impl Class {
    const fn slab_bytes(&self) -> usize {
        PAGE_SIZE << slab_order(self.size)
    }

    fn objects(&self) -> usize {
        (self.slab_bytes() - size_of::<Slab>()) / self.size
    }

    fn allocate(&mut self) -> Result<NonNull<u8>, OutOfMemory> {
        if self.first.is_null() {
            self.grow()?;
        }
        let slab = self.first;
        // SAFETY: slabs on the list are live, belong to this class and have a free object, whose
        // first word is the next one (or null).
        unsafe {
            let object = (*slab).free;
            (*slab).free = object.cast::<*mut u8>().read();
            (*slab).in_use += 1;
            if (*slab).free.is_null() {
                self.unlink(slab);
            }
            Ok(NonNull::new_unchecked(object))
        }
    }

    /// # Safety
    /// `object` must have come from `allocate` of this class and be unused.
    unsafe fn free(&mut self, object: *mut u8) {
        let base = object as usize & !(self.slab_bytes() - 1);
        let slab = self.header(base as *mut u8);
        // SAFETY: the object lies in a live slab of this class; its memory is ours again.
        unsafe {
            object.cast::<*mut u8>().write((*slab).free);
            let was_full = (*slab).free.is_null();
            (*slab).free = object;
            (*slab).in_use -= 1;
            if was_full {
                self.link(slab);
            }
            let alone = (*slab).previous.is_null() && (*slab).next.is_null();
            if (*slab).in_use == 0 && !alone {
                self.unlink(slab);
                release_frames(base as *mut u8, slab_order(self.size));
            }
        }
    }

    fn header(&self, base: *mut u8) -> *mut Slab {
        (base as usize + self.slab_bytes() - size_of::<Slab>()) as *mut Slab
    }

    /// Makes a slab with all objects free and puts it on the list.
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let base = take_frames(slab_order(self.size))?;
        let slab = self.header(base);
        let mut free = ptr::null_mut();
        for index in (0..self.objects()).rev() {
            // SAFETY: the object lies inside the fresh block, before the header.
            unsafe {
                let object = base.add(index * self.size);
                object.cast::<*mut u8>().write(free);
                free = object;
            }
        }
        // SAFETY: the header lies at the end of the fresh block, aligned to its words.
        unsafe {
            slab.write(Slab { free, in_use: 0, previous: ptr::null_mut(), next: ptr::null_mut() });
            self.link(slab);
        }
        Ok(())
    }

    /// # Safety
    /// `slab` must be a live slab of this class, not on the list.
    unsafe fn link(&mut self, slab: *mut Slab) {
        // SAFETY: `slab` by the caller's word, `first` as a member of the list.
        unsafe {
            (*slab).previous = ptr::null_mut();
            (*slab).next = self.first;
            if !self.first.is_null() {
                (*self.first).previous = slab;
            }
        }
        self.first = slab;
    }

    /// # Safety
    /// `slab` must be on the list.
    unsafe fn unlink(&mut self, slab: *mut Slab) {
        // SAFETY: `slab` and its neighbours are live members of the list.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            if previous.is_null() {
                self.first = next;
            } else {
                (*previous).next = next;
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
            (*slab).previous = ptr::null_mut();
            (*slab).next = ptr::null_mut();
        }
    }
}

fn take_frames(order: usize) -> Result<*mut u8, OutOfMemory> {
    let block = frame::allocate_block(order, Zone::Any)?;
    HEAP_FRAMES.fetch_add(1 << order, Ordering::Relaxed);
    Ok(layout::direct(block))
}

fn release_frames(base: *mut u8, order: usize) {
    HEAP_FRAMES.fetch_sub(1 << order, Ordering::Relaxed);
    frame::free_block(PhysAddr::new(base as u64 - layout::DIRECT_MAP), order);
}

static HEAP: [IrqSpinLock<Class>; CLASSES.len()] = {
    let mut classes = [const { empty_class(0) }; CLASSES.len()];
    let mut index = 0;
    while index < CLASSES.len() {
        classes[index] = empty_class(CLASSES[index]);
        index += 1;
    }
    classes
};

const fn empty_class(size: usize) -> IrqSpinLock<Class> {
    IrqSpinLock::new("heap", Class { size, first: ptr::null_mut() })
}

/// The class that holds a layout; `None` if it takes whole frames.
fn class_of(layout: Layout) -> Option<&'static IrqSpinLock<Class>> {
    let fits = |size: &usize| *size >= layout.size() && size.is_multiple_of(layout.align());
    CLASSES.iter().position(fits).map(|index| &HEAP[index])
}

/// The order of the block for a large layout (no block has the largest); blocks are aligned to their size.
fn order_of(layout: Layout) -> usize {
    let frames = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
    frames::order_for(frames).unwrap_or(usize::MAX)
}

struct KernelHeap;

// SAFETY: see `# Soundness` above; failure is null, nothing here panics or unwinds.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = match class_of(layout) {
            Some(class) => class.lock().allocate().map(NonNull::as_ptr),
            None => take_frames(order_of(layout)),
        };
        memory.unwrap_or(ptr::null_mut())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: `memory` came from `alloc` with this layout, so from this class.
            Some(class) => unsafe { class.lock().free(memory) },
            None => release_frames(memory, order_of(layout)),
        }
    }
}

#[global_allocator]
static GLOBAL: KernelHeap = KernelHeap;
