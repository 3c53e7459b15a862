//! Reservation windows: the stretch behind each growing file that other files keep out of while they can.
//!
//! A window is only a wish in memory. Two files that grow side by side get long runs each instead of alternating
//! blocks; when space is short the windows are ignored. A file that has not grown yet has none ([`length_for`]): most files
//! are written once, and the windows of thousands of them would be in everybody's way.

use alloc::collections::BTreeMap;

use crate::geometry::{Ino, Run};

/// The length of a window in blocks.
const LENGTHS: core::ops::RangeInclusive<u32> = 8..=64;
/// When there are more windows they are all forgotten; the files that still grow get new ones.
const CAPACITY: usize = 256;

/// The length of the window of a file that has `blocks` blocks and gets more: as many, within limits.
pub(crate) fn length_for(blocks: u32) -> u32 {
    if blocks == 0 { 0 } else { blocks.clamp(*LENGTHS.start(), *LENGTHS.end()) }
}

struct Window {
    end: u32,
    owner: Ino,
}

/// All windows of a file system; they do not overlap.
#[derive(Default)]
pub(super) struct Windows {
    by_start: BTreeMap<u32, Window>,
    by_owner: BTreeMap<Ino, u32>,
}

impl Windows {
    /// If a block lies in another file's window, the end of that window.
    pub(super) fn blocked_until(&self, block: u32, owner: Ino) -> Option<u32> {
        let (_, window) = self.by_start.range(..=block).next_back()?;
        (window.owner != owner && window.end > block).then_some(window.end)
    }

    /// Shortens a run so that it ends where another file's window begins. The run's start lies in no such window.
    pub(super) fn clip(&self, run: Run, owner: Ino) -> Run {
        let next = self.by_start.range(run.start..run.end()).find(|(_, window)| window.owner != owner);
        Run { length: next.map_or(run.end(), |(&start, _)| start) - run.start, ..run }
    }

    /// Moves a file's window to the blocks of a run, as far as other windows allow.
    pub(super) fn place(&mut self, owner: Ino, run: Run) {
        self.release(owner);
        if self.by_owner.len() >= CAPACITY {
            *self = Self::default();
        }
        if run.length == 0 || self.blocked_until(run.start, owner).is_some() {
            return;
        }
        let run = self.clip(run, owner);
        if run.length > 0 {
            self.by_start.insert(run.start, Window { end: run.end(), owner });
            self.by_owner.insert(owner, run.start);
        }
    }

    /// The file does not grow any more.
    pub(super) fn release(&mut self, owner: Ino) {
        if let Some(start) = self.by_owner.remove(&owner) {
            self.by_start.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_others_out() {
        let (first, second) = (Ino(12), Ino(13));
        let mut windows = Windows::default();
        windows.place(first, Run { start: 100, length: 64 });
        assert_eq!(windows.blocked_until(100, second), Some(164));
        assert_eq!(windows.blocked_until(163, second), Some(164));
        assert_eq!(windows.blocked_until(164, second), None);
        assert_eq!(windows.blocked_until(120, first), None);
        assert_eq!(windows.clip(Run { start: 90, length: 40 }, second).length, 10);
        assert_eq!(windows.clip(Run { start: 90, length: 40 }, first).length, 40);
        windows.place(second, Run { start: 80, length: 64 });
        assert_eq!(windows.blocked_until(99, first), Some(100));
        windows.release(first);
        assert_eq!(windows.blocked_until(100, second), None);
    }

    #[test]
    fn only_files_that_grow_have_windows() {
        assert_eq!([0, 1, 9, 1000].map(length_for), [0, 8, 9, 64]);
        let mut windows = Windows::default();
        windows.place(Ino(12), Run { start: 100, length: length_for(0) });
        assert_eq!(windows.blocked_until(100, Ino(13)), None);
    }
}
