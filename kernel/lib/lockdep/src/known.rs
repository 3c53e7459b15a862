//! What has been checked already: a second look at the same edge costs some loads and no lock.

use super::set::{WORDS, position};
use super::{CLASSES, Class, Context, Held};
use core::sync::atomic::{AtomicU64, Ordering};

/// A set of classes that is only added to, by anybody.
struct Bits([AtomicU64; WORDS]);

impl Bits {
    const fn new() -> Bits {
        Bits([const { AtomicU64::new(0) }; WORDS])
    }

    fn contains(&self, class: Class) -> bool {
        let (word, bit) = position(class);
        self.0[word].load(Ordering::Relaxed) & bit != 0
    }

    fn insert(&self, class: Class) {
        let (word, bit) = position(class);
        self.0[word].fetch_or(bit, Ordering::Relaxed);
    }
}

/// See the module.
pub struct Known {
    edges: [Bits; CLASSES],
    contexts: [Bits; 3],
}

impl Default for Known {
    fn default() -> Known {
        Known::new()
    }
}

impl Known {
    /// Nothing.
    pub const fn new() -> Known {
        Known { edges: [const { Bits::new() }; CLASSES], contexts: [const { Bits::new() }; 3] }
    }

    /// Whether taking a lock of this class would tell the graph nothing new. Nesting inside a class always does.
    pub fn covers(&self, held: &[&Held], class: Class, context: Context) -> bool {
        self.contexts[context as usize].contains(class)
            && held
                .iter()
                .flat_map(|held| held.iter())
                .all(|lock| lock.class != class && self.edges[lock.class.index()].contains(class))
    }

    /// Remembers that it was checked.
    pub fn learn(&self, held: &[&Held], class: Class, context: Context) {
        self.contexts[context as usize].insert(class);
        for lock in held.iter().flat_map(|held| held.iter()).filter(|lock| lock.class != class) {
            self.edges[lock.class.index()].insert(class);
        }
    }
}
