//! One flush for all who wait for one.

use alloc::vec::Vec;

/// Those who want the device's cache written. A flush serves only those who asked before it began: what others had
/// written may have arrived later. See the crate.
#[derive(Debug)]
pub struct FlushGate<T> {
    /// Served by the flush that is under way.
    served: Vec<T>,
    /// Served by the next one.
    waiting: Vec<T>,
    is_active: bool,
}

impl<T> FlushGate<T> {
    /// Nobody wants anything.
    pub const fn new() -> Self {
        Self { served: Vec::new(), waiting: Vec::new(), is_active: false }
    }

    /// Somebody wants a flush. `true`: one is to be started now.
    pub fn ask(&mut self, who: T) -> bool {
        if self.is_active {
            self.waiting.push(who);
            return false;
        }
        self.is_active = true;
        self.served.push(who);
        true
    }

    /// The flush has ended: those whom it served, and whether the next one is to be started.
    pub fn end(&mut self) -> (Vec<T>, bool) {
        let served = core::mem::replace(&mut self.served, core::mem::take(&mut self.waiting));
        self.is_active = !self.served.is_empty();
        (served, self.is_active)
    }
}

impl<T> Default for FlushGate<T> {
    fn default() -> Self {
        Self::new()
    }
}
