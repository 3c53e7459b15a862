//! Tests of areas, the last one against a model that knows each page.

extern crate std;
use super::*;
use std::vec;

const BOUNDS: Range<u64> = 0x1000..0x8000_0000_0000;

/// A mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    file: u64,
    offset: u64,
    flags: u32,
    gap: u64,
}

impl Payload for Mapping {
    fn split_at(&self, offset: u64) -> Self {
        Mapping { offset: self.offset + offset, ..*self }
    }
    fn can_merge(&self, len: u64, next: &Self) -> bool {
        *next == Mapping { offset: self.offset + len, ..*self }
    }
    fn gap_below(&self) -> u64 {
        self.gap
    }
}

fn file(file: u64, offset: u64) -> Mapping {
    Mapping { file, offset, flags: 0, gap: 0 }
}

fn ranges(map: &AreaMap<Mapping>) -> Vec<Range<u64>> {
    map.iter().map(|(range, _)| range).collect()
}

#[test]
fn neighbours_that_continue_each_other_are_one() {
    let mut map = AreaMap::new(BOUNDS);
    map.insert(0x1000..0x3000, file(1, 0)).unwrap();
    map.insert(0x5000..0x6000, file(1, 0x4000)).unwrap();
    map.insert(0x3000..0x5000, file(1, 0x2000)).unwrap();
    map.insert(0x6000..0x7000, file(2, 0x5000)).unwrap();
    assert_eq!(ranges(&map), vec![0x1000..0x6000, 0x6000..0x7000]);
    assert_eq!(map.mapped_bytes(), 0x6000);
}

#[test]
fn removing_the_middle_splits_and_moves_the_offset() {
    let mut map = AreaMap::new(BOUNDS);
    map.insert(0x1000..0x9000, file(1, 0)).unwrap();
    let removed = map.remove(0x3000..0x5000).unwrap();
    assert_eq!(removed, vec![Area { range: 0x3000..0x5000, payload: file(1, 0x2000) }]);
    assert_eq!(map.find(0x5000), Some((0x5000..0x9000, &file(1, 0x4000))));
    assert_eq!(map.find(0x4fff), None);
    assert_eq!(map.find_at_or_above(0x4000).unwrap().0, 0x5000..0x9000);
    assert_eq!(map.first_gap(0x1000..0x9000), Some(0x3000));
    assert_eq!(map.first_gap(0x5000..0x9000), None);
}

#[test]
fn protecting_a_part_and_back_leaves_one_area() {
    let mut map = AreaMap::new(BOUNDS);
    map.insert(0x1000..0x9000, file(1, 0)).unwrap();
    map.update(0x2000..0x3000, |_, mapping| mapping.flags = 1).unwrap();
    assert_eq!(ranges(&map), vec![0x1000..0x2000, 0x2000..0x3000, 0x3000..0x9000]);
    map.update(0x1000..0x4000, |_, mapping| mapping.flags = 0).unwrap();
    assert_eq!(ranges(&map), vec![0x1000..0x9000]);
}

#[test]
fn bad_ranges_are_refused() {
    let mut map = AreaMap::new(BOUNDS);
    assert_eq!(map.insert(0x1001..0x2000, file(1, 0)), Err(RangeError::Invalid));
    assert_eq!(map.insert(0x2000..0x2000, file(1, 0)), Err(RangeError::Invalid));
    assert_eq!(map.insert(0..0x2000, file(1, 0)), Err(RangeError::OutOfRange));
    assert_eq!(map.remove(0x2000..!0xfff), Err(RangeError::OutOfRange));
    map.insert(0x2000..0x3000, file(1, 0)).unwrap();
    assert_eq!(map.insert(0x1000..0x4000, file(2, 0)), Err(RangeError::Occupied));
    assert_eq!(page_range(0x1000, 1), Some(0x1000..0x2000));
    assert_eq!(
        (page_range(0x1000, 0), page_range(0x1001, 1), page_range(0x1000, u64::MAX)),
        (None, None, None)
    );
}

#[test]
fn free_ranges_are_found_from_the_top() {
    let mut map = AreaMap::new(BOUNDS);
    let place = |len, align, hint| Placement { len, align, hint, window: 0x1_0000..0x10_0000 };
    assert_eq!(map.find_free(&place(0x1000, 0x1000, None)), Some(0xf_f000));
    map.insert(0xf_0000..0x10_0000, file(1, 0)).unwrap();
    assert_eq!(map.find_free(&place(0x1000, 0x1000, None)), Some(0xe_f000));
    assert_eq!(map.find_free(&place(0x1000, 0x8000, None)), Some(0xe_8000));
    assert_eq!(map.find_free(&place(0x1000, 0x1000, Some(0x2000))), Some(0x2000));
    assert_eq!(map.find_free(&place(0x1000, 0x1000, Some(0xf_8000))), Some(0xe_f000));
    assert_eq!(map.find_free(&place(0x1000, 0x1000, Some(!0xfff))), Some(0xe_f000));
    assert_eq!(map.find_free(&place(0xe_0000, 0x1000, None)), Some(0x1_0000));
    assert_eq!(map.find_free(&place(0xe_1000, 0x1000, None)), None);
    assert_eq!(map.find_free(&place(!0xfff, 0x1000, None)), None);
    // A hole between areas.
    map.insert(0x1_0000..0xe_0000, file(1, 0)).unwrap();
    assert_eq!(map.find_free(&place(0x1_0000, 0x1000, None)), Some(0xe_0000));
    assert_eq!(map.find_free(&place(0x1_1000, 0x1000, None)), None);
}

#[test]
fn a_stack_keeps_its_gap_and_grows() {
    let mut map = AreaMap::new(BOUNDS);
    map.insert(0x10_0000..0x11_0000, Mapping { gap: 0x8000, ..file(9, 0) }).unwrap();
    let placement = Placement { len: 0x1000, align: 0x1000, hint: Some(0xf_8000), window: 0x1000..0x10_0000 };
    let found = map.find_free(&placement).unwrap();
    assert_eq!(found, 0xf_7000);
    map.insert(found..found + 0x1000, file(1, 0)).unwrap();
    assert_eq!(map.grow_down(0x10_0000, 0xf_f000), Err(RangeError::Occupied));
    map.remove(found..found + 0x1000).unwrap();
    map.grow_down(0x10_0000, 0xf_f000).unwrap();
    assert_eq!(ranges(&map), vec![0xf_f000..0x11_0000]);
    assert_eq!(map.grow_down(0x10_0000, 0xf_e000), Err(RangeError::NotMapped));
}

/// Random operations agree with a table of pages, and neighbours are always merged.
#[test]
fn random_use_agrees_with_a_model() {
    const PAGES: u64 = 64;
    let address = |page: u64| BOUNDS.start + page * PAGE_SIZE;
    for seed in 1..=40u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut map = AreaMap::<Mapping>::new(address(0)..address(PAGES));
        let mut model: Vec<Option<Mapping>> = vec![None; PAGES as usize];
        for _ in 0..1500 {
            let first = random(PAGES);
            let last = (first + random(12) + 1).min(PAGES);
            let range = address(first)..address(last);
            let pages = first as usize..last as usize;
            // Offsets that often continue the neighbour's.
            let mapping = Mapping { flags: random(2) as u32, ..file(random(2), address(first)) };
            let page_of =
                |mapping: &Mapping, page: usize| mapping.split_at((page as u64 - first) * PAGE_SIZE);
            match random(7) {
                5 => {
                    // mremap: the pieces of a range go elsewhere, in place of what is there.
                    let length = last - first;
                    let target = random(PAGES - length + 1);
                    if target < last && first < target + length {
                        continue;
                    }
                    let moved = map.remove(range).unwrap();
                    map.remove(address(target)..address(target + length)).ok();
                    for Area { range, payload } in moved {
                        let shifted = |at: u64| at - address(first) + address(target);
                        map.insert(shifted(range.start)..shifted(range.end), payload).unwrap();
                    }
                    for page in 0..length as usize {
                        model[target as usize + page] = model[first as usize + page].take();
                    }
                }
                6 => {
                    // A stack grows down from where the model has an area's first page.
                    let Some((area, payload)) =
                        map.iter().next_back().map(|(area, mapping)| (area, *mapping))
                    else {
                        continue;
                    };
                    let start = ((area.start - BOUNDS.start) / PAGE_SIZE) as usize;
                    let new = start.saturating_sub(random(4) as usize + 1);
                    let is_free = new < start && model[new..start].iter().all(Option::is_none);
                    let grown = map.grow_down(area.start, address(new as u64));
                    assert_eq!(grown.is_ok(), is_free);
                    if is_free {
                        // The payload's offset now belongs to the new start.
                        let end = ((area.end - BOUNDS.start) / PAGE_SIZE) as usize;
                        for (index, page) in model[new..end].iter_mut().enumerate() {
                            *page = Some(payload.split_at(index as u64 * PAGE_SIZE));
                        }
                    }
                }
                0 => {
                    let is_free = model[pages.clone()].iter().all(Option::is_none);
                    assert_eq!(map.insert(range, mapping).is_ok(), is_free);
                    if is_free {
                        pages.for_each(|page| model[page] = Some(page_of(&mapping, page)));
                    }
                }
                1 => {
                    map.replace(range, mapping).unwrap();
                    pages.for_each(|page| model[page] = Some(page_of(&mapping, page)));
                }
                2 => {
                    let removed = map.remove(range).unwrap();
                    let bytes: u64 = removed.iter().map(|area| area.range.end - area.range.start).sum();
                    assert_eq!(bytes / PAGE_SIZE, model[pages.clone()].iter().flatten().count() as u64);
                    model[pages].fill(None);
                }
                3 => {
                    let flags = random(2) as u32;
                    map.update(range, |_, mapping| mapping.flags = flags).unwrap();
                    model[pages].iter_mut().flatten().for_each(|mapping| mapping.flags = flags);
                }
                _ => {
                    let len = (random(20) + 1) * PAGE_SIZE;
                    let placement = Placement { len, align: PAGE_SIZE, hint: None, window: map.bounds() };
                    let count = (len / PAGE_SIZE) as usize;
                    let known = (0..PAGES as usize + 1 - count)
                        .rev()
                        .find(|&page| model[page..page + count].iter().all(Option::is_none));
                    assert_eq!(map.find_free(&placement), known.map(|page| address(page as u64)));
                }
            }
            for (page, known) in model.iter().enumerate() {
                let at = address(page as u64);
                let found = map.find(at).map(|(area, mapping)| mapping.split_at(at - area.start));
                assert_eq!(found, *known);
            }
            let areas: Vec<_> = map.iter().collect();
            for pair in areas.windows(2) {
                let ((low, payload), (high, next)) = (&pair[0], &pair[1]);
                assert!(low.end <= high.start);
                assert!(low.end < high.start || !payload.can_merge(low.end - low.start, next));
            }
            assert_eq!(map.mapped_bytes(), model.iter().flatten().count() as u64 * PAGE_SIZE);
        }
    }
}
