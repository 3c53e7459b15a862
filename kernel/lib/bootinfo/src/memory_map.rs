//! A memory map under construction: sorted stretches without overlaps, in a fixed array, since there is
//! no allocator yet. What is said later overrides what was said before.

/// A stretch of memory of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch<K> {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// What it is for.
    pub kind: K,
}

/// At most `N` stretches.
#[derive(Debug)]
pub struct MemoryMap<K, const N: usize> {
    stretches: [Stretch<K>; N],
    count: usize,
    overflowed: bool,
}

impl<K: Copy + PartialEq, const N: usize> MemoryMap<K, N> {
    /// An empty map; `unused` fills the array.
    pub const fn new(unused: K) -> Self {
        Self { stretches: [Stretch { start: 0, end: 0, kind: unused }; N], count: 0, overflowed: false }
    }

    /// The stretches, sorted.
    pub fn stretches(&self) -> &[Stretch<K>] {
        &self.stretches[..self.count]
    }

    /// Whether something could not be noted for want of room.
    pub fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Says that `start .. start + length` is of a kind, whatever was said before.
    pub fn set(&mut self, start: u64, length: u64, kind: K) {
        let end = start.saturating_add(length);
        if start >= end {
            return;
        }
        let mut index = 0;
        while index < self.count {
            let old = self.stretches[index];
            if old.end <= start || old.start >= end {
                index += 1;
                continue;
            }
            self.remove(index);
            if old.start < start {
                self.insert(Stretch { end: start, ..old });
            }
            if old.end > end {
                self.insert(Stretch { start: end, ..old });
            }
            index = 0;
        }
        self.insert(Stretch { start, end, kind });
        self.join();
    }

    fn remove(&mut self, index: usize) {
        self.stretches.copy_within(index + 1..self.count, index);
        self.count -= 1;
    }

    fn insert(&mut self, stretch: Stretch<K>) {
        if self.count == N {
            self.overflowed = true;
            return;
        }
        let at = self.stretches().partition_point(|old| old.start < stretch.start);
        self.stretches.copy_within(at..self.count, at + 1);
        self.stretches[at] = stretch;
        self.count += 1;
    }

    /// Makes neighbours of one kind one.
    fn join(&mut self) {
        let mut index = 1;
        while index < self.count {
            let (before, this) = (self.stretches[index - 1], self.stretches[index]);
            if before.end == this.start && before.kind == this.kind {
                self.stretches[index - 1].end = this.end;
                self.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn later_statements_override_and_neighbours_join() {
        let mut map = MemoryMap::<char, 8>::new(' ');
        map.set(0, 100, 'u');
        map.set(100, 100, 'u');
        map.set(50, 20, 'k');
        map.set(190, 50, 'r');
        let seen: Vec<_> = map.stretches().iter().map(|s| (s.start, s.end, s.kind)).collect();
        assert_eq!(seen, [(0, 50, 'u'), (50, 70, 'k'), (70, 190, 'u'), (190, 240, 'r')]);
        map.set(0, 0, 'x');
        map.set(10, u64::MAX, 'y');
        assert_eq!(map.stretches().len(), 2);
    }

    #[test]
    fn agrees_with_a_model_of_single_bytes() {
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let mut map = MemoryMap::<u8, 256>::new(0);
        let mut model = [0u8; 200];
        for _ in 0..2000 {
            let (start, length, kind) = (random(200), random(40), 1 + random(4) as u8);
            map.set(start, length, kind);
            for byte in &mut model[start as usize..(start + length).min(200) as usize] {
                *byte = kind;
            }
            let mut seen = [0u8; 200];
            for s in map.stretches() {
                assert!(s.start < s.end);
                seen[s.start.min(200) as usize..s.end.min(200) as usize].fill(s.kind);
            }
            assert_eq!(seen, model);
            assert!(map.stretches().windows(2).all(|w| w[0].end <= w[1].start));
        }
        assert!(!map.has_overflowed());
    }
}
