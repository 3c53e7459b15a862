//! Sequence locks: several words that are read together, far more often than they are written.
//!
//! Readers write nothing: they look at a number before and after, and read again if it was odd (somebody writes) or has
//! changed. So readers never hold up a writer, nor each other. A writer disables interrupts, so a handler on the
//! same CPU never finds it half done; a non-maskable interrupt must not read.
//!
//! The words are atomic, so what a reader throws away is nothing worse than a mixture. Orderings as in H.-J. Boehm, "Can
//! seqlocks get along with programming language memory models?" (MSPC 2012).

use super::{IrqSpinLock, SpinGuard};
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// `N` words that are read and written together.
pub struct SequenceLock<const N: usize> {
    /// Odd while somebody writes.
    sequence: AtomicU64,
    words: [AtomicU64; N],
    writer: IrqSpinLock<()>,
}

impl<const N: usize> SequenceLock<N> {
    /// A lock of the class `class`, with these words.
    pub const fn new(class: &'static str, values: [u64; N]) -> Self {
        let mut words = [const { AtomicU64::new(0) }; N];
        let mut index = 0;
        while index < N {
            words[index] = AtomicU64::new(values[index]);
            index += 1;
        }
        Self { sequence: AtomicU64::new(0), words, writer: IrqSpinLock::new(class, ()) }
    }

    /// The words as they were at one time.
    pub fn read(&self) -> [u64; N] {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let words = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return words;
            }
            core::hint::spin_loop();
        }
    }

    /// Replaces the words by what `change` makes of them.
    #[track_caller]
    pub fn update(&self, change: impl FnOnce([u64; N]) -> [u64; N]) {
        let writer: SpinGuard<'_, (), _> = self.writer.lock();
        let old = self.words.each_ref().map(|word| word.load(Ordering::Relaxed));
        let new = change(old);
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, value) in self.words.iter().zip(new) {
            word.store(value, Ordering::Relaxed);
        }
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
        drop(writer);
    }
}
