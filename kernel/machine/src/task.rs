//! Kernel tasks: a guarded stack and saved registers, and the switch from one to another.
//!
//! This is the mechanism only; states, queues and choice are the kernel's (`kernel/src/sched`).

use crate::mm::OutOfMemory;
use alloc::boxed::Box;

/// A flow of control in the kernel, with a stack of its own. Dropping one that runs is a panic.
pub struct Task(());

impl Task {
    /// A task that will call `entry` with interrupts disabled when it is first switched to; `entry` must not return.
    /// `user_fpu`: it will run a program, so the extended registers are its own.
    pub fn new(entry: Box<dyn FnOnce() + Send>, user_fpu: Option<crate::user::fpu::FpuState>) -> Result<Task, OutOfMemory> { todo!() }

    /// The task that this CPU has been running since it was started (boot stack). Once per CPU.
    pub fn adopt_current() -> Task { todo!() }

    /// Lowest and highest address of the stack (end exclusive).
    pub fn stack(&self) -> core::ops::Range<u64> { todo!() }

    /// The return addresses on the stack of a task that does not run.
    pub fn backtrace(&self, visit: &mut dyn FnMut(u64)) { todo!() }
}

/// Leaves `previous`, which must be the task that runs on this CPU, for `next`, which must run nowhere;
/// returns when somebody switches back. Interrupts must be disabled. Both are checked (a panic).
pub fn switch(previous: &Task, next: &Task) { todo!() }
