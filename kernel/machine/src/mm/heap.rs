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

/// A free object: the next one of its slab.
struct Free {
    next: Option<NonNull<Free>>,
}

/// Bookkeeping at the end of each slab.
struct Slab {
    /// First free object; `None` if the slab is full.
    free: Option<NonNull<Free>>,
    in_use: usize,
    previous: Option<NonNull<Slab>>,
    next: Option<NonNull<Slab>>,
}

/// The slabs of one class that have a free object.
struct Class {
    size: usize,
    first: Option<NonNull<Slab>>,
}

// SAFETY: the pointers lead to slabs that belong to this class alone; the lock around it serialises.
unsafe impl Send for Class {}
// SAFETY: a shared reference gives no way to the slabs.
unsafe impl Sync for Class {}

impl Class {
    const fn slab_bytes(&self) -> usize {
        PAGE_SIZE << slab_order(self.size)
    }

    fn objects(&self) -> usize {
        (self.slab_bytes() - size_of::<Slab>()) / self.size
    }

    /// The header of the slab that holds an address.
    fn header(&self, address: *mut u8) -> NonNull<Slab> {
        let base = address.addr() & !(self.slab_bytes() - 1);
        let header = address.with_addr(base + self.slab_bytes() - size_of::<Slab>());
        NonNull::new(header.cast()).expect("slabs lie in the direct map")
    }

    fn allocate(&mut self) -> Result<*mut u8, OutOfMemory> {
        let mut first = match self.first {
            Some(first) => first,
            None => self.grow()?,
        };
        // SAFETY: slabs on the list are live and belong to this class, which is borrowed exclusively.
        let slab = unsafe { first.as_mut() };
        let object = slab.free.expect("slabs on the list have a free object");
        // SAFETY: a free object of the slab holds the link to the next.
        slab.free = unsafe { object.read() }.next;
        slab.in_use += 1;
        if slab.free.is_none() {
            // SAFETY: it was found on the list.
            unsafe { self.unlink(first) };
        }
        Ok(object.as_ptr().cast())
    }

    /// # Safety
    /// `object` must have come from `allocate` of this class and be unused.
    unsafe fn free(&mut self, object: *mut u8) {
        let mut header = self.header(object);
        // SAFETY: the slab of a live object is live and belongs to this class.
        let slab = unsafe { header.as_mut() };
        let object: NonNull<Free> = NonNull::new(object.cast()).expect("objects have an address");
        // SAFETY: the object's memory is the slab's again, and large enough and aligned for a link.
        unsafe { object.write(Free { next: slab.free }) };
        let was_full = slab.free.replace(object).is_none();
        slab.in_use -= 1;
        let is_unused = slab.in_use == 0;
        if was_full {
            // SAFETY: full slabs are not on the list.
            unsafe { self.link(header) };
        }
        let is_alone = self.first == Some(header) && {
            // SAFETY: the slab is live.
            unsafe { header.as_ref() }.next.is_none()
        };
        if is_unused && !is_alone {
            // SAFETY: with a free object, it is on the list.
            unsafe { self.unlink(header) };
            let base = header.as_ptr().cast::<u8>().map_addr(|address| address & !(self.slab_bytes() - 1));
            release_frames(base, slab_order(self.size));
        }
    }

    /// Makes a slab with all objects free and puts it on the list.
    fn grow(&mut self) -> Result<NonNull<Slab>, OutOfMemory> {
        let base = take_frames(slab_order(self.size))?;
        let mut free = None;
        for index in (0..self.objects()).rev() {
            let object = base.wrapping_add(index * self.size).cast::<Free>();
            // SAFETY: the object lies inside the fresh block, before the header.
            unsafe { object.write(Free { next: free }) };
            free = NonNull::new(object);
        }
        let slab = self.header(base);
        // SAFETY: the header lies at the end of the fresh block, aligned to its words.
        unsafe { slab.write(Slab { free, in_use: 0, previous: None, next: None }) };
        // SAFETY: it is new.
        unsafe { self.link(slab) };
        Ok(slab)
    }

    /// # Safety
    /// `slab` must be a live slab of this class, not on the list.
    unsafe fn link(&mut self, mut slab: NonNull<Slab>) {
        let next = self.first.replace(slab);
        // SAFETY: live by the caller's word.
        let header = unsafe { slab.as_mut() };
        header.previous = None;
        header.next = next;
        if let Some(mut next) = next {
            // SAFETY: members of the list are live, and this one is another.
            unsafe { next.as_mut() }.previous = Some(slab);
        }
    }

    /// # Safety
    /// `slab` must be on the list.
    unsafe fn unlink(&mut self, mut slab: NonNull<Slab>) {
        // SAFETY: members of the list are live.
        let header = unsafe { slab.as_mut() };
        let (previous, next) = (header.previous.take(), header.next.take());
        match previous {
            None => self.first = next,
            // SAFETY: as above, another member.
            Some(mut previous) => unsafe { previous.as_mut() }.next = next,
        }
        if let Some(mut next) = next {
            // SAFETY: as above, another member.
            unsafe { next.as_mut() }.previous = previous;
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
    IrqSpinLock::new("heap", Class { size, first: None })
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
            Some(class) => class.lock().allocate(),
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
