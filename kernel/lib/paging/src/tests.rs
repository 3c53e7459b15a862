//! Tests on tables in host memory, the last one against a model.

extern crate std;
use super::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::vec::Vec;

struct FakeMemory {
    tables: RefCell<HashMap<u64, [u64; 512]>>,
    used: RefCell<HashMap<u64, i32>>,
    next: RefCell<u64>,
    limit: usize,
}

impl FakeMemory {
    fn new(limit: usize) -> FakeMemory {
        FakeMemory { tables: RefCell::default(), used: RefCell::default(), next: RefCell::new(0x1000), limit }
    }
}

impl TableMemory for FakeMemory {
    fn read(&self, table: PhysAddr, index: usize) -> Entry {
        Entry::from_bits(self.tables.borrow()[&table.as_u64()][index])
    }
    fn compare_exchange(
        &self,
        table: PhysAddr,
        index: usize,
        current: Entry,
        new: Entry,
    ) -> Result<(), Entry> {
        let mut tables = self.tables.borrow_mut();
        let slot = &mut tables.get_mut(&table.as_u64()).expect("a table that is in use")[index];
        if *slot != current.to_bits() {
            return Err(Entry::from_bits(*slot));
        }
        *slot = new.to_bits();
        Ok(())
    }
    fn allocate(&self) -> Option<PhysAddr> {
        if self.tables.borrow().len() == self.limit {
            return None;
        }
        let table = self.next.replace_with(|next| *next + 0x1000);
        self.tables.borrow_mut().insert(table, [0; 512]);
        Some(PhysAddr::new(table))
    }
    fn note_used(&self, table: PhysAddr, change: i32) {
        *self.used.borrow_mut().entry(table.as_u64()).or_default() += change;
    }
    fn used(&self, table: PhysAddr) -> i32 {
        let used = self.used.borrow().get(&table.as_u64()).copied().unwrap_or_default();
        let counted = self.tables.borrow()[&table.as_u64()].iter().filter(|entry| **entry != 0).count();
        assert_eq!(used, counted as i32, "the count of used entries is wrong");
        used
    }
    fn free(&self, table: PhysAddr) {
        self.used.borrow_mut().remove(&table.as_u64());
        assert!(self.tables.borrow_mut().remove(&table.as_u64()).is_some(), "table freed twice");
    }
}

const DATA: EntryFlags = EntryFlags::WRITABLE.union(EntryFlags::NO_EXECUTE);

fn page<S: LeafSize>(address: u64) -> Page<S> {
    Page::from_start_address(VirtAddr::new(address)).unwrap()
}

fn frame<S: LeafSize>(address: u64) -> PhysFrame<S> {
    PhysFrame::from_start_address(PhysAddr::new(address)).unwrap()
}

fn map4k(table: &PageTable<&FakeMemory>, at: u64, to: u64) -> Result<(), MapError> {
    table.map(page::<Size4KiB>(at), frame(to), DATA, PageKind::Frame)
}

#[test]
fn all_sizes_translate() {
    let memory = FakeMemory::new(100);
    let table = PageTable::new(&memory).unwrap();
    map4k(&table, 0x1000, 0x5000).unwrap();
    table.map(page::<Size2MiB>(0x20_0000), frame(0x40_0000), DATA, PageKind::Plain).unwrap();
    table.map(page::<Size1GiB>(0xffff_8000_4000_0000), frame(0x8000_0000), DATA, PageKind::Direct).unwrap();
    let physical = |address| match table.query(VirtAddr::new(address)) {
        Translation::Mapped { physical, level, entry } => Some((physical.as_u64(), level, entry.kind())),
        _ => None,
    };
    assert_eq!(physical(0x1234), Some((0x5234, Level::Page4KiB, PageKind::Frame)));
    assert_eq!(physical(0x2f_ffff), Some((0x4f_ffff, Level::Page2MiB, PageKind::Plain)));
    assert_eq!(physical(0xffff_8000_7fff_fff0), Some((0xbfff_fff0, Level::Page1GiB, PageKind::Direct)));
    assert_eq!(physical(0x2000), None);
}

#[test]
fn what_is_there_is_not_mapped_over() {
    let memory = FakeMemory::new(100);
    let mut table = PageTable::new(&memory).unwrap();
    map4k(&table, 0x20_1000, 0).unwrap();
    assert_eq!(map4k(&table, 0x20_1000, 0), Err(MapError::Occupied));
    let huge = page::<Size2MiB>(0x20_0000);
    assert_eq!(table.map(huge, frame(0), DATA, PageKind::Plain), Err(MapError::Occupied));
    assert_eq!(table.unmap(huge), Err(UnmapError::Smaller));
    table.unmap(page::<Size4KiB>(0x20_1000)).unwrap();
    table.map(huge, frame(0), DATA, PageKind::Plain).unwrap();
    assert_eq!(map4k(&table, 0x20_1000, 0), Err(MapError::Occupied));
    assert_eq!(table.unmap(page::<Size4KiB>(0x20_1000)), Err(UnmapError::WrongSize(Level::Page2MiB)));
    assert_eq!(table.unmap(page::<Size4KiB>(0x100_0000)), Err(UnmapError::NotMapped));
}

#[test]
fn rules_are_kept() {
    let memory = FakeMemory::new(100);
    let table = PageTable::new(&memory).unwrap();
    let upper = page::<Size4KiB>(0xffff_9000_0000_0000);
    assert_eq!(map4k(&table, 0, 0x1000), Err(MapError::Forbidden));
    assert_eq!(table.map(upper, frame(0), EntryFlags::WRITABLE, PageKind::Plain), Err(MapError::Forbidden));
    assert_eq!(
        table.map(upper, frame(0), DATA | EntryFlags::USER, PageKind::Plain),
        Err(MapError::Forbidden)
    );
    table.map(upper, frame(0), EntryFlags::empty(), PageKind::Plain).unwrap();
    assert_eq!(table.protect(upper, EntryFlags::WRITABLE), Err(UnmapError::Forbidden));
    // Tables in the upper half are not for user mode, in the lower half they are.
    let root = table.root().start_address();
    assert!(!memory.read(root, 0x120).flags().contains(EntryFlags::USER));
    map4k(&table, 0x1000, 0).unwrap();
    assert!(memory.read(root, 0).flags().contains(EntryFlags::USER | EntryFlags::WRITABLE));
}

#[test]
fn guard_markers_stay_and_are_reported() {
    let memory = FakeMemory::new(100);
    let mut table = PageTable::new(&memory).unwrap();
    let guard = page::<Size4KiB>(0xffff_a000_0000_0000);
    table.mark(guard, PageKind::Guard).unwrap();
    assert_eq!(table.query(guard.start_address()), Translation::Marked(PageKind::Guard));
    assert_eq!(table.map(guard, frame(0x1000), DATA, PageKind::Stack), Err(MapError::Occupied));
    table.replace(guard, frame(0x1000), DATA, PageKind::Stack).unwrap();
    assert_eq!(table.unmap_to_marker(guard, PageKind::Guard).unwrap().address(), PhysAddr::new(0x1000));
    assert_eq!(table.query(guard.start_address()), Translation::Marked(PageKind::Guard));
    table.unmark(guard).unwrap();
    assert_eq!(table.query(guard.start_address()), Translation::Unmapped);
}

#[test]
fn empty_tables_are_freed_but_shared_ones_stay() {
    let memory = FakeMemory::new(1000);
    let mut kernel = PageTable::new(&memory).unwrap();
    kernel.fill_upper_half().unwrap();
    let mut process = PageTable::new(&memory).unwrap();
    kernel.share_upper_half(&process);
    assert_eq!(memory.tables.borrow().len(), 258);
    map4k(&process, 0x40_0000, 0x1000).unwrap();
    assert_eq!(memory.tables.borrow().len(), 261);
    process.unmap(page::<Size4KiB>(0x40_0000)).unwrap();
    assert_eq!(memory.tables.borrow().len(), 258);
    // A later kernel mapping is visible in the process, and its first table outlives it.
    let late = page::<Size4KiB>(0xffff_c000_0000_0000);
    kernel.map(late, frame(0x9000), DATA, PageKind::Heap).unwrap();
    assert!(matches!(process.query(late.start_address()), Translation::Mapped { .. }));
    kernel.unmap(late).unwrap();
    assert_eq!(memory.tables.borrow().len(), 258);
    process.free();
    assert_eq!(memory.tables.borrow().len(), 257);
}

#[test]
fn running_out_of_memory_is_an_error() {
    let memory = FakeMemory::new(3);
    let table = PageTable::new(&memory).unwrap();
    assert_eq!(map4k(&table, 0x1000, 0), Err(MapError::OutOfMemory));
}

#[test]
fn protecting_keeps_dirty_bits_and_splits_huge_pages() {
    let memory = FakeMemory::new(100);
    let mut table = PageTable::new(&memory).unwrap();
    let flags = DATA | EntryFlags::USER | EntryFlags::DIRTY;
    table.map(page::<Size2MiB>(0x40_0000), frame(0x80_0000), flags, PageKind::Frame).unwrap();
    let range = VirtAddr::new(0x40_1000)..VirtAddr::new(0x40_3000);
    table.protect_range(range, EntryFlags::USER | EntryFlags::NO_EXECUTE).unwrap();
    let mut leaves = Vec::new();
    table.visit(VirtAddr::new(0)..VirtAddr::new(1 << 30), &mut |leaf| leaves.push(leaf));
    assert_eq!(leaves.len(), 512);
    for (index, leaf) in leaves.iter().enumerate() {
        let is_writable = !(1..3).contains(&index);
        assert_eq!(leaf.entry.flags().contains(EntryFlags::WRITABLE), is_writable);
        assert!(leaf.entry.flags().contains(EntryFlags::DIRTY));
        assert_eq!(leaf.entry.address().as_u64(), 0x80_0000 + index as u64 * 4096);
        assert_eq!(leaf.entry.kind(), PageKind::Frame);
    }
}

#[test]
fn ranges_use_the_largest_pages() {
    let memory = FakeMemory::new(5000);
    let mut table = PageTable::new(&memory).unwrap();
    let start = VirtAddr::new(0xffff_8000_0000_0000);
    table.map_range(start, PhysAddr::new(0), 0x8060_3000, DATA, PageKind::Direct, Level::Page1GiB).unwrap();
    let mut sizes = [0; 4];
    let everything = start..VirtAddr::new(0xffff_ffff_ffff_f000);
    table.visit(everything.clone(), &mut |leaf| sizes[leaf.level as usize] += 1);
    assert_eq!(sizes, [0, 3, 3, 2]);
    table.unmap_range(everything, &mut |_, _| {}).unwrap();
    // The root and the table directly below it, which is never freed.
    assert_eq!(memory.tables.borrow().len(), 2);
}

/// Random operations on pages of all sizes agree with a map from addresses to mappings.
#[test]
fn random_use_agrees_with_a_model() {
    const SPAN: u64 = 3 << 30;
    const BASES: [u64; 3] = [0x10_0000_0000, 0x7fff_0000_0000, 0xffff_b000_0000_0000];
    for seed in 1..=12u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let memory = FakeMemory::new(100_000);
        let mut table = PageTable::new(&memory).unwrap();
        let mut model: BTreeMap<u64, (u64, Entry)> = BTreeMap::new();
        for _ in 0..3000 {
            let base = BASES[random(3) as usize];
            let size = [4096u64, 4096, 0x20_0000, 0x4000_0000][random(4) as usize];
            // Few distinct addresses, so that operations meet.
            let offset = random(3) * 0x4000_0000 + random(3) * 0x20_0000 + random(4) * 4096;
            let at = base + offset / size * size;
            let physical = random(1 << 20) * 0x4000_0000 % (1 << 45);
            let covering = |model: &BTreeMap<u64, (u64, Entry)>| {
                model.range(..at + size).next_back().filter(|(start, (len, _))| *start + len > at).is_some()
            };
            match random(6) {
                0..=2 => {
                    let result = match size {
                        4096 => table.map(page::<Size4KiB>(at), frame(physical), DATA, PageKind::Frame),
                        0x20_0000 => table.map(page::<Size2MiB>(at), frame(physical), DATA, PageKind::Frame),
                        _ => table.map(page::<Size1GiB>(at), frame(physical), DATA, PageKind::Frame),
                    };
                    if covering(&model) {
                        assert_eq!(result, Err(MapError::Occupied));
                    } else if result.is_ok() {
                        let level = [Level::Page4KiB, Level::Page2MiB, Level::Page1GiB]
                            .into_iter()
                            .find(|level| level.size() == size)
                            .unwrap();
                        let entry = Entry::page(PhysAddr::new(physical), level, DATA, PageKind::Frame);
                        model.insert(at, (size, entry));
                    } else {
                        panic!("{result:?}");
                    }
                }
                3 => {
                    let old = match size {
                        4096 => table.unmap(page::<Size4KiB>(at)),
                        0x20_0000 => table.unmap(page::<Size2MiB>(at)),
                        _ => table.unmap(page::<Size1GiB>(at)),
                    };
                    match model.get(&at) {
                        Some(&(len, entry)) if len == size => {
                            assert_eq!(old, Ok(entry));
                            model.remove(&at);
                        }
                        _ => assert!(old.is_err()),
                    }
                }
                4 => {
                    let address = at + random(size);
                    let expected = model
                        .range(..=address)
                        .next_back()
                        .filter(|(start, (len, _))| *start + len > address);
                    match (table.query(VirtAddr::new(address)), expected) {
                        (Translation::Mapped { physical, entry, .. }, Some((start, (_, known)))) => {
                            assert_eq!(entry, *known);
                            assert_eq!(physical, known.address() + (address - start));
                        }
                        (Translation::Unmapped, None) => {}
                        other => panic!("{other:?}"),
                    }
                }
                _ => {
                    // Whole gibibytes, so that no huge page is cut.
                    let start = base + random(3) * 0x4000_0000;
                    let range = VirtAddr::new(start)..VirtAddr::new(start + 0x4000_0000);
                    let mut gone = Vec::new();
                    table
                        .unmap_range(range, &mut |_, leaf| gone.push((leaf.start.as_u64(), leaf.entry)))
                        .unwrap();
                    let known: Vec<_> = model
                        .range(start..start + 0x4000_0000)
                        .map(|(at, (_, entry))| (*at, *entry))
                        .collect();
                    assert_eq!(gone, known);
                    model.retain(|at, _| !(start..start + 0x4000_0000).contains(at));
                }
            }
        }
        for base in BASES {
            let mut found = Vec::new();
            let range = VirtAddr::new(base)..VirtAddr::new(base + SPAN);
            table.visit(range.clone(), &mut |leaf| found.push((leaf.start.as_u64(), leaf.entry)));
            let known: Vec<_> =
                model.range(base..base + SPAN).map(|(at, (_, entry))| (*at, *entry)).collect();
            assert_eq!(found, known);
            table.unmap_range(range, &mut |_, _| {}).unwrap();
        }
        assert!(memory.tables.borrow().len() <= 2);
    }
}
