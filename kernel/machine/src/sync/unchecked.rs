//! What `checks.rs` is in release builds: nothing.

use super::{ClassReport, Kind, LockReport, Nesting, Statistics, Taking, Watch};
use alloc::string::String;
use core::fmt::{self, Write};

/// The class of a lock: not needed.
pub(super) struct ClassCell;

impl ClassCell {
    pub(super) const fn new() -> ClassCell {
        ClassCell
    }
}

/// The sleeping locks that a task holds: not known.
pub(crate) struct TaskLocks;

impl TaskLocks {
    pub(crate) const fn new() -> TaskLocks {
        TaskLocks
    }

    pub(crate) fn visit(&self, _visit: &mut dyn FnMut(LockReport)) {}
}

#[inline(always)]
pub(super) fn will_lock(_: &Watch, _: Taking) {}

#[inline(always)]
pub(super) fn locked(_: &Watch, _: Taking) {}

#[inline(always)]
pub(super) fn locked_at_once(_: &Watch, _: Taking) {}

#[inline(always)]
pub(super) fn contended(_: &Watch) {}

#[inline(always)]
pub(super) fn unlocked(_: &Watch, _: Kind) {}

pub(super) fn innermost_spin_lock() -> Option<LockReport> {
    None
}

pub(super) fn write_held_by_cpu(_: &mut dyn Write, _: usize) -> fmt::Result {
    Ok(())
}

pub(super) fn abandon() {}

/// In debug builds: panics if the running task holds a lock. `what` says what is going to happen.
#[inline(always)]
pub fn assert_none_held(_what: &str) {}

/// Says how locks of a class nest; debug builds check it.
pub fn declare_nesting(_name: &'static str, _nesting: Nesting) {}

/// Says that the classes of each row are taken before those of the next; debug builds check it.
pub fn declare_order(_rows: &[&[&'static str]]) {}

/// What was seen of locks; `None` in release builds.
pub fn statistics() -> Option<Statistics> {
    None
}

/// Visits all classes; there are none in release builds.
pub fn visit_classes(_visit: &mut dyn FnMut(&ClassReport)) {}

/// The name of a class; there are none in release builds.
pub fn class_name(_class: ::lockdep::Class) -> &'static str {
    "?"
}

/// The number of violations since the last call, and what the last one said. None in release builds.
pub fn take_violations() -> (usize, String) {
    (0, String::new())
}
