//! The frames of RAM: who has which, and where free ones come from.
//!
//! Free memory is kept by the buddy allocator of the crate `frames`, under one lock that disables interrupts (interrupt
//! handlers allocate). In front of it each CPU has a [`Cache`] of single frames, which is filled and emptied in
//! batches, so that CPUs do not wait for each other; [`drain`] empties all of them.
//!
//! Each frame of RAM has a [`Record`] of 16 bytes (0.4 % of memory): the links and the tag of the buddy allocator, its
//! [`Owner`], and a count and a word that belong to the owner. Frame 0 is never handed out.
//!
//! The last frames are kept back for the kernel itself ([`Watermarks`]): what is allocated for a program fails
//! while the kernel's heap can still grow, so that an allocation of the kernel that has no error
//! path practically never fails.

use super::{OutOfMemory, early::Bump, layout};
use crate::{
    addr::{PAGE_SIZE, PhysAddr},
    cpu::{self, MAX_CPUS},
    sync::{IrqSpinLock, Once},
};
use core::ops::Range;
use core::sync::atomic::{AtomicI32, AtomicIsize, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use frames::{Allocator, Links, ORDERS, Tag, Zone};

const PAGE: u64 = PAGE_SIZE as u64;
/// The first frame above 4 GiB.
const HIGH: u32 = 1 << 20;

/// Who has a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Owner {
    /// Nobody: it is free, or was never memory to hand out.
    Nobody = 0,
    /// Programs and the page cache: a [`Frame`](super::Frame).
    Program,
    /// A page table.
    PageTable,
    /// The kernel heap: a slab of small objects.
    Slab,
    /// The kernel heap: a large object.
    Heap,
    /// The kernel heap: a page of a large object in the virtual area.
    Virtual,
    /// A kernel stack.
    Stack,
    /// A device reads and writes it.
    Device,
    /// A hypervisor, until it gives it back: a [`LentFrame`](super::LentFrame).
    Lent,
    /// A hypervisor, until the system asks for it.
    LentOnDemand,
}

/// How many there are.
const OWNERS: usize = Owner::LentOnDemand as usize + 1;

/// What is known of each frame.
pub(super) struct Record {
    links: AtomicU64,
    /// For a [`Frame`](super::Frame) its references, for a page table its used entries, for a slab its used objects.
    pub(super) count: AtomicI32,
    tag: AtomicU8,
    owner: AtomicU8,
    /// The owner's.
    pub(super) word: AtomicU16,
}

const _: () = assert!(size_of::<Record>() == 16);

impl frames::Record for Record {
    fn links(&self) -> Links {
        Links::from_bits(self.links.load(Ordering::Relaxed))
    }
    fn set_links(&self, links: Links) {
        self.links.store(links.to_bits(), Ordering::Relaxed);
    }
    fn tag(&self) -> Tag {
        Tag::from_bits(self.tag.load(Ordering::Relaxed))
    }
    fn set_tag(&self, tag: Tag) {
        self.tag.store(tag.to_bits(), Ordering::Relaxed);
    }
}

impl Record {
    /// The links of an allocated frame are its owner's.
    pub(super) fn owner_links(&self) -> Links {
        frames::Record::links(self)
    }

    /// See [`owner_links`](Self::owner_links).
    pub(super) fn set_owner_links(&self, links: Links) {
        frames::Record::set_links(self, links);
    }

    pub(super) fn is_owned_by(&self, owner: Owner) -> bool {
        self.owner.load(Ordering::Relaxed) == owner as u8
    }
}

static BUDDY: IrqSpinLock<Option<Allocator<'static, Record>>> = IrqSpinLock::new("frames", None);
static RECORDS: Once<&'static [Record]> = Once::new();
/// Frames that are free in the buddy allocator.
static FREE: AtomicUsize = AtomicUsize::new(0);
/// Frames that were handed over at boot.
static MANAGED: AtomicUsize = AtomicUsize::new(0);
/// Those of them below 4 GiB.
static MANAGED_LOW: AtomicUsize = AtomicUsize::new(0);
static WATERMARKS: Once<Watermarks> = Once::new();

/// How many free frames are too few.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermarks {
    /// Only the kernel's own small allocations go below.
    pub min: usize,
    /// Below, caches are to give frames back.
    pub low: usize,
    /// Until so many are free.
    pub high: usize,
}

impl Watermarks {
    /// For so much memory, in frames. As Linux does, `min` grows with the square root: what the kernel needs at
    /// once grows more slowly than memory.
    fn new(frames: usize) -> Self {
        const FRAME_KIB: usize = PAGE_SIZE / 1024;
        let min = ((frames * FRAME_KIB * 16).isqrt() / FRAME_KIB).clamp(32, 16384);
        Self { min, low: min + min / 4, high: min + min / 2 }
    }
}

/// The limits for this machine's memory.
pub(super) fn watermarks() -> Watermarks {
    WATERMARKS.get().copied().unwrap_or_default()
}

/// Takes over the memory that is left after the kernel's tables were built.
pub(super) fn init(mut bump: Bump<'_>) {
    let count = (bump.end() / PAGE).min(u64::from(u32::MAX)) as usize;
    let records = layout::direct(bump.take((count * size_of::<Record>()) as u64)).cast::<Record>();
    // SAFETY: zeroed memory of this size that nobody else has, for ever; zeros are valid records.
    let records: &'static [Record] = unsafe { core::slice::from_raw_parts(records, count) };
    RECORDS.call_once(|| records);

    let mut allocator = Allocator::new(records, HIGH);
    bump.rest(|range| add(&mut allocator, range));
    let later: u64 = bump.usable_later().map(|range| (range.end - range.start) / PAGE).sum();
    let managed = allocator.managed_frames();
    WATERMARKS.call_once(|| Watermarks::new(managed + later as usize));
    *BUDDY.lock() = Some(allocator);
}

/// Takes over whole pages more, which nobody uses any more.
pub(super) fn hand_over(range: Range<u64>) {
    add(BUDDY.lock().as_mut().expect("memory was taken over before"), range);
}

fn add(allocator: &mut Allocator<'static, Record>, range: Range<u64>) {
    let (start, end) = ((range.start / PAGE) as u32, (range.end / PAGE).min(u64::from(u32::MAX)) as u32);
    MANAGED_LOW.fetch_add(allocator.add_range(start..end.min(HIGH)), Ordering::Relaxed);
    allocator.add_range(start.max(HIGH)..end);
    MANAGED.store(allocator.managed_frames(), Ordering::Relaxed);
    FREE.store(allocator.free_frames(), Ordering::Relaxed);
}

/// How many frames of whole pages the allocator has, or has handed out. Looks at each.
pub(super) fn managed_in(pages: Range<u64>) -> usize {
    let records = RECORDS.get().copied().unwrap_or_default();
    // The block around a frame begins where the frame's number is rounded down to the block's size, or to a smaller one.
    let is_managed = |frame: usize| {
        (0..ORDERS).any(|order| {
            let Some(record) = records.get(frame >> order << order) else { return false };
            let tag = frames::Record::tag(record);
            tag.free_order().or(tag.allocated_order()).is_some_and(|found| found >= order)
        })
    };
    let _blocks_stay = BUDDY.lock();
    let frames = (pages.start / PAGE) as usize..((pages.end / PAGE) as usize).min(records.len());
    frames.filter(|frame| is_managed(*frame)).count()
}

/// The record of a frame of RAM.
pub(super) fn record(frame: u32) -> &'static Record {
    let records = RECORDS.get().expect("frames come from the allocator");
    &records[frame as usize]
}

/// Whether a frame belongs to a block that an owner has.
#[cfg(feature = "tests")]
pub(super) fn is_owned_by(frame: u64, owner: Owner) -> bool {
    let records = RECORDS.get().copied().unwrap_or_default();
    // As in `managed_in`; what a CPU has at hand is owned by nobody.
    (0..ORDERS).any(|order| {
        let Some(record) = records.get((frame >> order << order) as usize) else { return false };
        let is_whole = frames::Record::tag(record).allocated_order().is_some_and(|found| found >= order);
        is_whole && record.is_owned_by(owner)
    })
}

/// The frame at an address.
pub(super) fn frame_at(address: PhysAddr) -> u32 {
    (address.as_u64() / PAGE) as u32
}

/// Where a frame lies.
pub(super) fn address_of(frame: u32) -> PhysAddr {
    PhysAddr::new(u64::from(frame) * PAGE)
}

/// Single frames that a CPU has at hand.
struct Cache {
    frames: [u32; CACHE_MAX],
    length: usize,
}

/// The most frames that a CPU keeps.
const CACHE_MAX: usize = 64;

/// How many frames go to a CPU or come from it at a time: fewer on a small machine.
fn batch() -> usize {
    (MANAGED.load(Ordering::Relaxed) / 1024).clamp(1, CACHE_MAX / 4)
}

/// What a CPU has, on cache lines of its own.
#[repr(align(64))]
struct PerCpu {
    cache: IrqSpinLock<Cache>,
    /// The cache's length, to be read without its lock.
    length: AtomicUsize,
    /// Frames taken less frames given back here, by owner: the sum over the CPUs is what the owner has.
    owned: [AtomicIsize; OWNERS],
}

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        cache: IrqSpinLock::new("frame cache", Cache { frames: [0; CACHE_MAX], length: 0 }),
        length: AtomicUsize::new(0),
        owned: [const { AtomicIsize::new(0) }; OWNERS],
    }
}; MAX_CPUS];

/// This CPU's, or the one that it was a moment ago: all of it may be used from anywhere.
fn here() -> &'static PerCpu {
    &CPUS[cpu::current_id()]
}

/// Frames that are free, those at hand of a CPU not counted: what the watermarks are about.
pub(super) fn free_frames() -> usize {
    FREE.load(Ordering::Relaxed)
}

/// Whether what is kept for the kernel would have to be touched for so many frames.
pub(super) fn is_short_of(frames: usize) -> bool {
    free_frames() < watermarks().min.saturating_add(frames)
}

/// Frames that were handed to the allocator at boot, and that are free now.
pub(super) fn totals() -> (usize, usize) {
    let at_hand: usize = CPUS.iter().map(|cpu| cpu.length.load(Ordering::Relaxed)).sum();
    (MANAGED.load(Ordering::Relaxed), free_frames() + at_hand)
}

/// Frames that an owner has.
pub(super) fn owned(owner: Owner) -> usize {
    let sum: isize = CPUS.iter().map(|cpu| cpu.owned[owner as usize].load(Ordering::Relaxed)).sum();
    // While CPUs work, the sum may be of different moments.
    sum.max(0) as usize
}

/// Free blocks by order, below 4 GiB and above.
pub(super) fn free_blocks() -> [[usize; ORDERS]; 2] {
    BUDDY.lock().as_ref().map_or([[0; ORDERS]; 2], Allocator::free_blocks)
}

/// Frames handed over below 4 GiB and above.
pub(super) fn managed_by_zone() -> [usize; 2] {
    let low = MANAGED_LOW.load(Ordering::Relaxed);
    [low, MANAGED.load(Ordering::Relaxed) - low]
}

/// Blocks of the kernel of this order and above are large.
const LARGE_ORDER: usize = 2;

/// How many frames must be free for a block, so that enough stay for those whose allocations have no way to fail.
fn needed(owner: Owner, order: usize) -> usize {
    let reserve = match owner {
        Owner::Program | Owner::PageTable | Owner::Lent | Owner::LentOnDemand => watermarks().min,
        _ if order >= LARGE_ORDER => watermarks().min / 2,
        _ => 0,
    };
    reserve + (1 << order)
}

/// Takes a block of 2^order frames, aligned to its size, with unspecified contents.
pub(super) fn allocate(owner: Owner, order: usize, zone: Zone) -> Result<u32, OutOfMemory> {
    let frame = if order == 0 && zone == Zone::Any {
        allocate_single(owner)?
    } else {
        match allocate_block(owner, order, zone) {
            Ok(frame) => frame,
            // What the CPUs have at hand may be what is missing.
            Err(error) if drain() == 0 => return Err(error),
            Err(_) => allocate_block(owner, order, zone)?,
        }
    };
    let before = record(frame).owner.swap(owner as u8, Ordering::Relaxed);
    debug_assert!(
        before == Owner::Nobody as u8,
        "frame {frame:#x} was handed out while owner {before} has it"
    );
    here().owned[owner as usize].fetch_add(1 << order, Ordering::Relaxed);
    Ok(frame)
}

/// The same of single frames that lie one behind the other, aligned to the whole: each is given back by itself.
pub(super) fn allocate_run(owner: Owner, order: usize) -> Result<u32, OutOfMemory> {
    let first = allocate(owner, order, Zone::Any)?;
    let split = BUDDY.lock().as_mut().expect("it has just allocated").split(first, order);
    split.expect("the block was allocated with this order");
    (first..first + (1 << order)).for_each(|frame| record(frame).owner.store(owner as u8, Ordering::Relaxed));
    Ok(first)
}

fn allocate_block(owner: Owner, order: usize, zone: Zone) -> Result<u32, OutOfMemory> {
    let mut buddy = BUDDY.lock();
    let buddy = buddy.as_mut().ok_or(OutOfMemory)?;
    if order > frames::MAX_ORDER || buddy.free_frames() < needed(owner, order) {
        return Err(OutOfMemory);
    }
    let frame = buddy.allocate(order, zone).ok_or(OutOfMemory)?;
    FREE.store(buddy.free_frames(), Ordering::Relaxed);
    Ok(frame)
}

fn allocate_single(owner: Owner) -> Result<u32, OutOfMemory> {
    let cpu = here();
    let mut cache = cpu.cache.lock();
    if cache.length == 0 {
        let mut buddy = BUDDY.lock();
        let buddy = buddy.as_mut().ok_or(OutOfMemory)?;
        let spare = (buddy.free_frames() + 1).saturating_sub(needed(owner, 0));
        for _ in 0..batch().min(spare) {
            let Some(frame) = buddy.allocate(0, Zone::Any) else { break };
            let length = cache.length;
            cache.frames[length] = frame;
            cache.length += 1;
        }
        FREE.store(buddy.free_frames(), Ordering::Relaxed);
    }
    let length = cache.length.checked_sub(1).ok_or(OutOfMemory)?;
    cache.length = length;
    cpu.length.store(length, Ordering::Relaxed);
    Ok(cache.frames[length])
}

/// Gives a block back that [`allocate`] gave with this owner and order.
///
/// # Panics
/// If it did not, or if the block is free already.
pub(super) fn free(owner: Owner, frame: u32, order: usize) {
    let before = record(frame).owner.swap(Owner::Nobody as u8, Ordering::Relaxed);
    assert!(
        before == owner as u8,
        "memory: frame {frame:#x} of owner {before} is freed as one of {owner:?}{}",
        if before == Owner::Nobody as u8 { " (a double free)" } else { "" }
    );
    let cpu = here();
    cpu.owned[owner as usize].fetch_sub(1 << order, Ordering::Relaxed);
    if order > 0 {
        give_back(&[frame], order);
        return;
    }
    let mut cache = cpu.cache.lock();
    let most = 4 * batch();
    if cache.length >= most {
        // Those that came first go first: what was used last is still in the CPU's caches.
        give_back(&cache.frames[..most / 2], 0);
        cache.frames.copy_within(most / 2..most, 0);
        cache.length = most - most / 2;
    }
    let length = cache.length;
    cache.frames[length] = frame;
    cache.length += 1;
    cpu.length.store(cache.length, Ordering::Relaxed);
}

fn give_back(blocks: &[u32], order: usize) {
    let mut buddy = BUDDY.lock();
    let buddy = buddy.as_mut().expect("blocks come from the allocator");
    for &frame in blocks {
        if let Err(error) = buddy.free(frame, order) {
            panic!("memory: freeing frame {frame:#x}, order {order}: {error}");
        }
    }
    FREE.store(buddy.free_frames(), Ordering::Relaxed);
}

/// Gives what the CPUs have at hand back to the buddy allocator; tells how many frames.
pub(super) fn drain() -> usize {
    let mut drained = 0;
    for cpu in CPUS.iter().filter(|cpu| cpu.length.load(Ordering::Relaxed) > 0) {
        let mut cache = cpu.cache.lock();
        give_back(&cache.frames[..cache.length], 0);
        drained += cache.length;
        cache.length = 0;
        cpu.length.store(0, Ordering::Relaxed);
    }
    drained
}
