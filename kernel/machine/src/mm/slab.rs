//! Small objects of the kernel heap: size classes, slabs, and per-CPU magazines.
//!
//! A slab is one frame in the direct map, cut into objects of one class. What is known of it stands in the frame's record:
//! how many objects are in use, the first free one (each free object names the next by its number, in its
//! first two bytes), and the neighbours in the class's list of slabs that have room.
//!
//! Each CPU has a magazine for each class, a stack of free objects under a lock that nobody else wants as a rule; it is
//! filled from the class and emptied to it by halves. [`trim`] empties all magazines and gives back all slabs
//! of which nothing is used. All locks disable interrupts: interrupt handlers may allocate and free.
//! Order: magazine, class, frames.
//!
//! # Soundness
//! A frame of [`Owner::Slab`] belongs to one class until it is given back, and its objects to the class, to a magazine,
//! or to whoever allocated them: to one of these at a time. Objects are disjoint, and aligned to the largest power of two that
//! divides the class's size, as slabs begin on pages.

use super::{
    OutOfMemory,
    allocator::{self, Owner, Record},
    layout,
};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    cpu::{self, MAX_CPUS},
    sync::IrqSpinLock,
};
use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};
use frames::{Links, Zone};

/// Object sizes; each is a multiple of 16.
const SIZES: [usize; CLASSES] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048];
/// How many there are.
pub(super) const CLASSES: usize = 14;
/// Names for reports, as Linux has them.
const NAMES: [&str; CLASSES] = [
    "kmalloc-16",
    "kmalloc-32",
    "kmalloc-48",
    "kmalloc-64",
    "kmalloc-96",
    "kmalloc-128",
    "kmalloc-192",
    "kmalloc-256",
    "kmalloc-384",
    "kmalloc-512",
    "kmalloc-768",
    "kmalloc-1024",
    "kmalloc-1360",
    "kmalloc-2048",
];
/// No free object follows.
const END: u16 = u16::MAX;

/// What all sizes are multiples of.
const UNIT: usize = 16;

/// The smallest class for so many units.
const BY_UNITS: [ClassId; SIZES[CLASSES - 1] / UNIT + 1] = {
    let mut classes = [ClassId(0); SIZES[CLASSES - 1] / UNIT + 1];
    let (mut units, mut class) = (0, 0);
    while units < classes.len() {
        if SIZES[class] < units * UNIT {
            class += 1;
        }
        classes[units] = ClassId(class as u8);
        units += 1;
    }
    classes
};

/// How many objects of each class a magazine holds at most: some of the large ones, a page of the small ones.
const MAGAZINE_SIZES: [usize; CLASSES] = {
    let mut sizes = [4; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        let pages = 2 * PAGE_SIZE / SIZES[class];
        if pages > 4 {
            sizes[class] = if pages < 64 { pages } else { 64 };
        }
        class += 1;
    }
    sizes
};

/// A size class, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassId(u8);

impl ClassId {
    /// The smallest class for a size and an alignment; `None` if there is none.
    pub(super) fn for_layout(size: usize, align: usize) -> Option<ClassId> {
        if align <= UNIT {
            return BY_UNITS.get(size.div_ceil(UNIT)).copied();
        }
        let fits = |class: &usize| *class >= size && class.is_multiple_of(align);
        SIZES.iter().position(fits).map(|index| ClassId(index as u8))
    }

    /// Bytes of an object.
    pub(super) fn size(self) -> usize {
        SIZES[usize::from(self.0)]
    }

    /// The name in reports.
    pub(super) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    fn objects(self) -> usize {
        PAGE_SIZE / self.size()
    }

    fn magazine_size(self) -> usize {
        MAGAZINE_SIZES[usize::from(self.0)]
    }
}

/// The slabs of one class.
struct Class {
    id: ClassId,
    /// The frame of the first slab that has a free object, or [`Links::NONE`].
    first: u32,
    /// Slabs of which nothing is used.
    unused: usize,
    slabs: usize,
}

/// So many unused slabs a class keeps.
const UNUSED_MAX: usize = 1;

static CLASS: [IrqSpinLock<Class>; CLASSES] = {
    let mut classes = [const { empty_class(0) }; CLASSES];
    let mut index = 0;
    while index < CLASSES {
        classes[index] = empty_class(index as u8);
        index += 1;
    }
    classes
};

const fn empty_class(number: u8) -> IrqSpinLock<Class> {
    IrqSpinLock::new("heap", Class { id: ClassId(number), first: Links::NONE, unused: 0, slabs: 0 })
}

fn slab_address(frame: u32) -> *mut u8 {
    layout::direct(allocator::address_of(frame))
}

/// The frame of the slab that an object lies in, if it is the heap's.
fn slab_of(object: *mut u8) -> Option<u32> {
    let offset = (object.addr() as u64).checked_sub(layout::DIRECT_MAP)?;
    let frame = allocator::frame_at(PhysAddr::new(offset));
    allocator::record(frame).is_owned_by(Owner::Slab).then_some(frame)
}

impl Class {
    fn object(&self, frame: u32, number: u16) -> *mut u8 {
        slab_address(frame).wrapping_add(usize::from(number) * self.id.size())
    }

    fn allocate(&mut self) -> Result<*mut u8, OutOfMemory> {
        let frame = if self.first == Links::NONE { self.grow()? } else { self.first };
        let record = allocator::record(frame);
        let number = record.word.load(Ordering::Relaxed);
        let object = self.object(frame, number);
        // SAFETY: a free object of a slab of this class begins with the number of the next.
        let next = unsafe { object.cast::<u16>().read() };
        record.word.store(next, Ordering::Relaxed);
        if record.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.unused -= 1;
        }
        if next == END {
            self.unlink(frame, record);
        }
        Ok(object)
    }

    /// # Safety
    /// `object` must have come from `allocate` of this class and be unused.
    unsafe fn free(&mut self, object: *mut u8) {
        let frame = slab_of(object).expect("objects lie in slabs");
        let record = allocator::record(frame);
        let number = (object.addr() % PAGE_SIZE / self.id.size()) as u16;
        let next = record.word.swap(number, Ordering::Relaxed);
        // SAFETY: the object is the slab's again, and has room for a number.
        unsafe { object.cast::<u16>().write(next) };
        if next == END {
            self.link(frame, record);
        }
        if record.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.unused += 1;
            if self.unused > UNUSED_MAX {
                self.release(frame, record);
            }
        }
    }

    /// Makes a slab with all objects free and puts it on the list.
    fn grow(&mut self) -> Result<u32, OutOfMemory> {
        let frame = allocator::allocate(Owner::Slab, 0, Zone::Any)?;
        // What was freed in another class must not be taken for a free object of this one.
        #[cfg(debug_assertions)]
        // SAFETY: the frame is fresh and ours.
        unsafe {
            super::copy::clear_bytes(slab_address(frame), PAGE_SIZE)
        };
        let objects = self.id.objects() as u16;
        for number in 0..objects {
            let next = if number + 1 == objects { END } else { number + 1 };
            // SAFETY: the object lies inside the fresh frame.
            unsafe { self.object(frame, number).cast::<u16>().write(next) };
        }
        let record = allocator::record(frame);
        record.count.store(0, Ordering::Relaxed);
        record.word.store(0, Ordering::Relaxed);
        self.slabs += 1;
        self.unused += 1;
        self.link(frame, record);
        Ok(frame)
    }

    /// Gives back a slab of which nothing is used.
    fn release(&mut self, frame: u32, record: &Record) {
        self.unlink(frame, record);
        self.slabs -= 1;
        self.unused -= 1;
        allocator::free(Owner::Slab, frame, 0);
    }

    fn trim(&mut self) {
        let mut next = self.first;
        while next != Links::NONE && self.unused > 0 {
            let (frame, record) = (next, allocator::record(next));
            next = record.owner_links().next;
            if record.count.load(Ordering::Relaxed) == 0 {
                self.release(frame, record);
            }
        }
    }

    fn link(&mut self, frame: u32, record: &Record) {
        let next = core::mem::replace(&mut self.first, frame);
        record.set_owner_links(Links { next, previous: Links::NONE });
        if next != Links::NONE {
            let neighbour = allocator::record(next);
            neighbour.set_owner_links(Links { previous: frame, ..neighbour.owner_links() });
        }
    }

    fn unlink(&mut self, _frame: u32, record: &Record) {
        let Links { next, previous } = record.owner_links();
        if next != Links::NONE {
            let neighbour = allocator::record(next);
            neighbour.set_owner_links(Links { previous, ..neighbour.owner_links() });
        }
        if previous == Links::NONE {
            self.first = next;
        } else {
            let neighbour = allocator::record(previous);
            neighbour.set_owner_links(Links { next, ..neighbour.owner_links() });
        }
    }
}

/// Free objects of one class that a CPU has at hand: a chain through their first words.
#[derive(Clone, Copy)]
struct Magazine {
    first: *mut u8,
    count: usize,
}

// SAFETY: the objects belong to the magazine; the lock around it serialises.
unsafe impl Send for Magazine {}

impl Magazine {
    const EMPTY: Magazine = Magazine { first: ptr::null_mut(), count: 0 };

    fn pop(&mut self) -> Option<*mut u8> {
        if self.count == 0 {
            return None;
        }
        let object = self.first;
        // SAFETY: an object in the magazine begins with the link to the next.
        self.first = unsafe { object.cast::<*mut u8>().read() };
        self.count -= 1;
        Some(object)
    }

    /// # Safety
    /// `object` must be an object of the magazine's class that is nobody else's.
    unsafe fn push(&mut self, object: *mut u8) {
        // SAFETY: by the caller's word; every object has room for a pointer and its alignment.
        unsafe { object.cast::<*mut u8>().write(self.first) };
        self.first = object;
        self.count += 1;
    }
}

/// A CPU's magazines, on cache lines of its own.
#[repr(align(64))]
struct PerCpu {
    magazines: IrqSpinLock<[Magazine; CLASSES]>,
    /// Objects in them, to be read without the lock.
    counts: [AtomicUsize; CLASSES],
}

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        magazines: IrqSpinLock::new("heap magazine", [Magazine::EMPTY; CLASSES]),
        counts: [const { AtomicUsize::new(0) }; CLASSES],
    }
}; MAX_CPUS];

/// An object that the CPU has at hand.
pub(super) fn allocate_at_hand(id: ClassId) -> Option<*mut u8> {
    let cpu = &CPUS[cpu::current_id()];
    let index = usize::from(id.0);
    let mut magazines = cpu.magazines.lock();
    let magazine = &mut magazines[index];
    let object = magazine.pop()?;
    cpu.counts[index].store(magazine.count, Ordering::Relaxed);
    Some(object)
}

/// An object of a class, with unspecified contents; the CPU gets some more at hand.
pub(super) fn allocate(id: ClassId) -> Result<*mut u8, OutOfMemory> {
    let cpu = &CPUS[cpu::current_id()];
    let index = usize::from(id.0);
    let mut magazines = cpu.magazines.lock();
    let magazine = &mut magazines[index];
    if magazine.count == 0 {
        let mut class = CLASS[index].lock();
        for _ in 0..id.magazine_size() / 2 {
            match class.allocate() {
                // SAFETY: the class has just given it away.
                Ok(object) => unsafe { magazine.push(object) },
                Err(error) if magazine.count == 0 => return Err(error),
                Err(_) => break,
            }
        }
    }
    let object = magazine.pop().ok_or(OutOfMemory);
    cpu.counts[index].store(magazine.count, Ordering::Relaxed);
    object
}

/// Takes an object back.
///
/// # Safety
/// It must have come from [`allocate`] with this class, and be unused.
pub(super) unsafe fn free(id: ClassId, object: *mut u8) {
    assert!(slab_of(object).is_some(), "heap: {object:p} is freed as one of {}, which it is not", id.name());
    let cpu = &CPUS[cpu::current_id()];
    let index = usize::from(id.0);
    let mut magazines = cpu.magazines.lock();
    let magazine = &mut magazines[index];
    if magazine.count >= id.magazine_size() {
        empty(magazine, index, id.magazine_size() / 2);
    }
    // SAFETY: by the caller's word.
    unsafe { magazine.push(object) };
    cpu.counts[index].store(magazine.count, Ordering::Relaxed);
}

/// Gives objects of a magazine back to their class until `keep` are left.
fn empty(magazine: &mut Magazine, index: usize, keep: usize) {
    let mut class = CLASS[index].lock();
    while magazine.count > keep {
        let Some(object) = magazine.pop() else { break };
        // SAFETY: what is in the magazine came from the class, and is unused.
        unsafe { class.free(object) };
    }
}

/// Empties all magazines, and gives back the slabs of which nothing is used.
pub(super) fn trim() {
    for cpu in &CPUS {
        for index in 0..CLASSES {
            if cpu.counts[index].load(Ordering::Relaxed) > 0 {
                let mut magazines = cpu.magazines.lock();
                empty(&mut magazines[index], index, 0);
                cpu.counts[index].store(0, Ordering::Relaxed);
            }
        }
    }
    CLASS.iter().for_each(|class| class.lock().trim());
}

/// A class as /proc/slabinfo shows it.
#[derive(Clone, Copy, Debug)]
pub struct SlabStatistics {
    /// Linux's name for such a class.
    pub name: &'static str,
    /// Bytes of an object.
    pub object_size: usize,
    /// Objects of a slab, which is a frame.
    pub objects_per_slab: usize,
    /// Slabs there are.
    pub slabs: usize,
    /// Objects that somebody uses.
    pub in_use: usize,
    /// Objects that CPUs have at hand.
    pub at_hand: usize,
    /// The most that a CPU has at hand.
    pub magazine_size: usize,
}

/// The size classes. Objects in use are counted by walking the slabs that have room.
pub fn slab_statistics() -> impl Iterator<Item = SlabStatistics> {
    (0..CLASSES).map(|index| {
        let id = ClassId(index as u8);
        let at_hand = CPUS.iter().map(|cpu| cpu.counts[index].load(Ordering::Relaxed)).sum();
        let class = CLASS[index].lock();
        let mut free = 0;
        let mut next = class.first;
        while next != Links::NONE {
            let record = allocator::record(next);
            free += id.objects() - record.count.load(Ordering::Relaxed).max(0) as usize;
            next = record.owner_links().next;
        }
        SlabStatistics {
            name: id.name(),
            object_size: id.size(),
            objects_per_slab: id.objects(),
            slabs: class.slabs,
            in_use: (class.slabs * id.objects()).saturating_sub(free + at_hand),
            at_hand,
            magazine_size: id.magazine_size(),
        }
    })
}
