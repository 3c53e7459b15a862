//! Locks that spin, data that is read without a lock, and the watch over all locks.
//!
//! | file | what |
//! |---|---|
//! | `spin.rs` | spin locks whose type says what they disable while held |
//! | `pair.rs` | two locks of a kind at a time, in a fixed order |
//! | `sequence.rs` | values that are read without writing anything, and again if they changed meanwhile |
//! | `rcu.rs` | values that are replaced as a whole, and freed when nobody reads the old one any more |
//! | `context.rs` | what the CPU is doing, and what it may do then |
//! | `watch.rs` | the name of a lock, and when it is checked |
//! | `checks.rs` | the checks of debug builds (`unchecked.rs`: none, in release builds) |
//! | `waiting.rs` | who waits for a spin lock, and for how long |
//! | `report.rs` | which locks are held, for panics and for whoever asks |
//!
//! In debug builds (`debug_assertions`) every taking of a lock is checked: its order, its nesting, and whether it fits
//! what the CPU is doing. A violation is printed at once and counted, and the system goes on; what cannot go on (a
//! lock taken twice, sleeping with a spin lock held) is a panic. Release builds have what costs nothing: a
//! lock knows the CPU that holds it and where it was taken, and one that is held too long is reported.

#[cfg_attr(not(debug_assertions), path = "unchecked.rs")]
mod checks;
mod context;
mod pair;
mod place;
mod rcu;
mod report;
mod sequence;
mod spin;
mod waiting;
mod watch;

pub use ::lockdep::{Nesting, Place};
pub use ::spin::{LazyLock as Lazy, Once};
pub(crate) use checks::TaskLocks;
pub use checks::{
    assert_none_held, class_name, declare_nesting, declare_order, statistics, take_violations, visit_classes,
};
pub use context::{Situation, assert_may_sleep, may_sleep, situation};
pub use pair::lock_both;
pub use place::PlaceCell;
pub use rcu::{Rcu, RcuGuard};
pub use report::{ClassReport, LockReport, Statistics, write_cpu_locks};
pub use sequence::SequenceLock;
pub use spin::{Context, Interrupts, IrqSpinLock, Preemption, SpinGuard, SpinLock};
pub use waiting::{SPIN_LIMIT_NS, set_spin_limit_ns};
pub use watch::{Kind, Taking, Watch};

/// The running task will never go on (a test that panicked): what this CPU holds, reads and waits for is forgotten.
/// Preemption is disabled.
pub(crate) fn abandon() {
    checks::abandon();
    waiting::abandon();
    rcu::abandon();
}
