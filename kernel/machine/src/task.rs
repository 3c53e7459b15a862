//! Kernel tasks: a guarded stack and saved registers, and the switch from one to another.
//!
//! This is the mechanism only; states, queues and choice are the kernel's (`kernel/src/sched`).
//!
//! # Soundness
//! A task runs on at most one CPU: `running` is claimed by [`switch`] before the stacks change and given
//! back only when the CPU has left the old stack. So saved registers and FPU state, which only the CPU that
//! claimed the task touches, are never shared; and a task that runs or is being left cannot be dropped.
//!
//! # Extended registers
//! They are saved whenever a task that has some is left, since it may go on elsewhere. They are restored only if the CPU
//! does not hold them any more: tasks of the kernel and the idle one leave them alone, so a program that waits for a
//! moment finds its registers where they were.

use crate::backtrace::{self, Trace};
use crate::cpu::{self, local};
use crate::mm::{OutOfMemory, stack::KernelStack};
use crate::sync::{LockReport, TaskLocks};
use crate::user::fpu::FpuState;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::ptr::from_ref;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The address of the task whose extended registers each CPU holds; 0: of none.
static REGISTERS: [RegistersOf; cpu::MAX_CPUS] = [const { RegistersOf(AtomicU64::new(0)) }; cpu::MAX_CPUS];

/// Each on a cache line of its own: every switch writes the CPU's.
#[repr(align(64))]
struct RegistersOf(AtomicU64);

/// The number of no CPU.
const NOWHERE: usize = usize::MAX;

/// Pages of a kernel stack. 32 KiB: a debug build's deepest path (execve on ext2) takes about half.
const STACK_PAGES: usize = 8;

type Entry = Box<dyn FnOnce() + Send>;

/// A flow of control in the kernel, with a stack of its own. Dropping one that runs is a panic.
pub struct Task {
    /// The stack pointer, while it does not run; the callee-saved registers lie there.
    stack_pointer: UnsafeCell<u64>,
    fpu: UnsafeCell<Option<FpuState>>,
    /// The CPU that loaded the extended registers last.
    fpu_cpu: AtomicUsize,
    entry: UnsafeCell<Option<Entry>>,
    running: AtomicBool,
    stack: Stack,
    /// The sleeping locks it holds, as far as that is watched.
    locks: TaskLocks,
}

enum Stack {
    Own(KernelStack),
    /// What the CPU started on.
    Boot(core::ops::Range<u64>),
}

// SAFETY: the cells are touched only by the CPU that has claimed the task, see Soundness.
unsafe impl Sync for Task {}
// SAFETY: a task is not bound to a CPU.
unsafe impl Send for Task {}

/// What `switch_stacks` pops: the callee-saved registers and where to go on.
#[repr(C)]
struct Saved {
    registers: [u64; 6],
    rip: u64,
    /// The return address of `task_start`: none. It also gives the ABI's stack alignment at entry.
    end: u64,
}

impl Task {
    /// A task that will call `entry` with interrupts disabled when it is first switched to; `entry` must not
    /// return. `user_fpu`: it will run a program, so the extended registers are its own.
    pub fn new(entry: Entry, user_fpu: Option<FpuState>) -> Result<Task, OutOfMemory> {
        let stack = KernelStack::allocate(STACK_PAGES)?;
        let saved = stack.range().end - size_of::<Saved>() as u64;
        let initial = Saved { registers: [0; 6], rip: task_start as *const () as u64, end: 0 };
        // SAFETY: the top of a fresh stack that nobody else knows, aligned by the size of `Saved`.
        unsafe { (saved as *mut Saved).write(initial) };
        Ok(Task {
            stack_pointer: UnsafeCell::new(saved),
            fpu: UnsafeCell::new(user_fpu),
            fpu_cpu: AtomicUsize::new(NOWHERE),
            entry: UnsafeCell::new(Some(entry)),
            running: AtomicBool::new(false),
            stack: Stack::Own(stack),
            locks: TaskLocks::new(),
        })
    }

    /// The task that this CPU has been running since it was started, on its boot stack. Once per CPU, before
    /// the first [`switch`]; [`adopt`](Self::adopt) then makes it the current one.
    pub fn boot() -> Task {
        Task {
            stack_pointer: UnsafeCell::new(0),
            fpu: UnsafeCell::new(None),
            fpu_cpu: AtomicUsize::new(NOWHERE),
            entry: UnsafeCell::new(None),
            running: AtomicBool::new(true),
            stack: Stack::Boot(cpu::boot_stack()),
            locks: TaskLocks::new(),
        }
    }

    /// Declares a [`boot`](Self::boot) task, in its final place, to be what this CPU runs.
    pub fn adopt(&self) {
        let local = local::get();
        assert!(
            matches!(self.stack, Stack::Boot(_)) && local.task.load(Ordering::Relaxed) == 0,
            "a CPU adopts one boot task"
        );
        local.task.store(from_ref(self) as u64, Ordering::Relaxed);
    }

    /// Lowest and highest address of the stack (end exclusive).
    pub fn stack(&self) -> core::ops::Range<u64> {
        match &self.stack {
            Stack::Own(stack) => stack.range(),
            Stack::Boot(range) => range.clone(),
        }
    }

    /// Notes the thread that it is, for the report if its stack overflows.
    pub fn set_owner(&self, thread: u64) {
        if let Stack::Own(stack) = &self.stack {
            stack.set_owner(thread);
        }
    }

    /// Bytes of its stack that were ever used, from the top; `None` for the stack that a CPU started on.
    pub fn stack_used(&self) -> Option<usize> {
        match &self.stack {
            Stack::Own(stack) => Some(stack.used()),
            Stack::Boot(_) => None,
        }
    }

    /// Where a task that does not run is, and who called it there; `None` for one that runs.
    pub fn backtrace(&self) -> Option<Trace> {
        // Whoever wants to run it waits meanwhile, so nothing may come in between.
        let _interrupts = cpu::disable_interrupts();
        self.running.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: claimed above, so the cell is this CPU's.
        let stack_pointer = unsafe { *self.stack_pointer.get() };
        let trace = backtrace::of_switched(stack_pointer, self.stack());
        self.running.store(false, Ordering::Release);
        Some(trace)
    }

    /// Visits the sleeping locks that it holds, the first taken first; only debug builds know them. Waits for nothing.
    pub fn visit_locks(&self, visit: &mut dyn FnMut(LockReport)) {
        self.locks.visit(visit);
    }

    /// Makes this CPU the one that runs it; waits for a CPU that is just leaving it.
    fn claim(&self) {
        let mut patience = 1u64 << 30;
        while self.running.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            patience -= 1;
            assert!(patience > 0, "switched to a task that runs");
            core::hint::spin_loop();
        }
    }

    /// Loads its extended registers, if it has some and this CPU, which has claimed it, does not hold them. Interrupts
    /// are disabled.
    fn load_registers(&self) {
        // SAFETY: claimed by this CPU, so its cells are this CPU's.
        let Some(fpu) = (unsafe { &*self.fpu.get() }) else { return };
        let cpu = cpu::current_id();
        let address = from_ref(self) as u64;
        let holder = REGISTERS[cpu].0.swap(address, Ordering::Relaxed);
        // Both must agree: a new task may lie where another one was, and one that ran elsewhere has newer registers.
        if self.fpu_cpu.swap(cpu, Ordering::Relaxed) != cpu || holder != address {
            fpu.load_current();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        assert!(!self.running.load(Ordering::Acquire), "a running task was dropped");
    }
}

/// The stack of the task that this CPU runs; the boot stack before there are tasks.
pub(crate) fn current_stack() -> core::ops::Range<u64> {
    match local::get().task.load(Ordering::Relaxed) as *const Task {
        task if task.is_null() => cpu::boot_stack(),
        // SAFETY: `switch` or `adopt` stored it, and a running task is not dropped.
        task => unsafe { &*task }.stack(),
    }
}

/// The sleeping locks of the task that this CPU runs; `None` before there are tasks. Interrupts are disabled.
#[cfg(debug_assertions)]
pub(crate) fn current_locks() -> Option<&'static TaskLocks> {
    let task = local::get().task.load(Ordering::Relaxed) as *const Task;
    // SAFETY: null, or stored by `switch` or `adopt`; a running task is not dropped, and the caller's interrupts are off.
    unsafe { task.as_ref() }.map(|task| &task.locks)
}

/// Leaves `previous`, which must be the task that runs on this CPU, for `next`, which must run nowhere
/// (one that another CPU is just leaving is waited for); returns when somebody switches back.
/// Interrupts must be disabled, and stay so. All this is checked (a panic).
///
/// The reference to `next` is dropped before: on the stack of a task that sleeps it would keep the memory of one that
/// has ended. The caller sees to it that both live on elsewhere, as for [`exit_to`].
pub fn switch(previous: &Task, next: Arc<Task>) {
    assert!(!cpu::interrupts_enabled(), "a task switch with interrupts enabled");
    let local = local::get();
    assert!(
        local.task.load(Ordering::Relaxed) == from_ref(previous) as u64,
        "switched from a task that does not run"
    );
    next.claim();
    // SAFETY: `previous` runs here, so its cells are this CPU's.
    if let Some(fpu) = unsafe { &mut *previous.fpu.get() } {
        fpu.save_changes();
    }
    next.load_registers();
    local.task.store(Arc::as_ptr(&next) as u64, Ordering::Relaxed);
    // SAFETY: `next`'s stack pointer was saved by this function or by `Task::new`.
    let stack = unsafe { *next.stack_pointer.get() };
    // It counts as running by now: if this is its last owner, the drop panics.
    drop(next);
    // SAFETY: as above; `previous` is given back (`running`) only after its stack was left.
    unsafe { switch_stacks(previous.stack_pointer.get(), stack, &previous.running) };
}

/// Ends the running task: leaves it for `next`, as [`switch`] does, and never comes back. Nothing that is on the
/// stack is dropped, so the caller has dropped what it had; not even a reference to a task is left here. The
/// caller sees to it that both tasks live on elsewhere: dropping one that runs is a panic.
pub fn exit_to(next: Arc<Task>) -> ! {
    assert!(!cpu::interrupts_enabled(), "a task switch with interrupts enabled");
    let local = local::get();
    let previous = local.task.load(Ordering::Relaxed) as *const Task;
    assert!(!previous.is_null(), "no task runs");
    next.claim();
    next.load_registers();
    local.task.store(Arc::as_ptr(&next) as u64, Ordering::Relaxed);
    // SAFETY: as above; `next`'s stack pointer was saved by `switch` or by `Task::new`.
    let stack = unsafe { *next.stack_pointer.get() };
    // From here on `next` counts as running: if this is its last owner, the drop panics.
    drop(next);
    // SAFETY: it runs, so it cannot be dropped before `switch_stacks` gives it back, which is its last use.
    let previous = unsafe { &*previous };
    // SAFETY: as in `switch`.
    unsafe { switch_stacks(previous.stack_pointer.get(), stack, &previous.running) };
    unreachable!("a task that has ended was switched to")
}

/// Saves the callee-saved registers and the stack pointer, takes the others, and gives the old task back.
///
/// # Safety
/// `save` must be the running task's, `stack` a saved stack pointer of a task claimed by this CPU.
#[unsafe(naked)]
unsafe extern "sysv64" fn switch_stacks(save: *mut u64, stack: u64, previous_running: &AtomicBool) {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbx, -16",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbp, -24",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset r12, -32",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset r13, -40",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset r14, -48",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset r15, -56",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "mov byte ptr [rdx], 0",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    );
}

/// Where a new task begins, with interrupts disabled.
extern "sysv64" fn task_start() -> ! {
    let task = local::get().task.load(Ordering::Relaxed) as *const Task;
    // SAFETY: `switch` stored it, and a running task is not dropped.
    let task = unsafe { &*task };
    // SAFETY: the current task's cell.
    let entry = unsafe { (*task.entry.get()).take() }.expect("a task starts once");
    entry();
    panic!("the entry function of a task returned");
}
