//! User mode: the registers of a user thread, and the way in and back.

/// The registers of a user thread, as the program sees them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the same names")]
pub struct UserContext {
    pub rax: u64, pub rbx: u64, pub rcx: u64, pub rdx: u64, pub rsi: u64, pub rdi: u64, pub rbp: u64, pub rsp: u64,
    pub r8: u64, pub r9: u64, pub r10: u64, pub r11: u64, pub r12: u64, pub r13: u64, pub r14: u64, pub r15: u64,
    pub rip: u64, pub rflags: u64, pub fs_base: u64, pub gs_base: u64,
}

/// A fault or trap raised by a user instruction.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Vector, 0 to 31 (Intel SDM vol. 3, 6.3.1).
    pub vector: u8,
    /// The error code that the CPU pushed, 0 where it pushes none.
    pub error_code: u64,
    /// CR2, for a page fault (vector 14).
    pub fault_address: u64,
}

/// Why the CPU came back from user mode.
#[derive(Clone, Copy, Debug)]
pub enum ReturnReason {
    /// A `syscall` instruction: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`. `rip` is behind the instruction.
    Syscall,
    /// An exception; `rip` is at the faulting instruction (behind it for traps).
    Exception(Exception),
    /// An interrupt; it has been handled. Look whether there is something else to do.
    Interrupt,
}

impl UserContext {
    /// A fresh context: starts at `entry` with the stack pointer `stack`, all else zero.
    pub fn new(entry: u64, stack: u64) -> Self { todo!() }

    /// Runs the program on this CPU, in the address space that is active, until something needs the
    /// kernel. Call with interrupts enabled and preemption allowed, from the thread's own task, in a loop:
    /// run, handle the reason, deliver signals, reschedule if asked, run again.
    /// Privileged bits of `rflags` are corrected; a non-canonical `rip` comes back as a general protection exception.
    pub fn run(&mut self) -> ReturnReason { todo!() }

    /// Arguments of the system call that was just made.
    pub fn syscall_arguments(&self) -> [u64; 6] { [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9] }
}

pub mod fpu {
    //! The FPU, SSE and AVX registers of user threads. The kernel itself never uses them, so those of
    //! the current task stay live in the CPU while it is in the kernel; a task switch saves and restores them.

    /// A copy of one thread's extended registers, in the XSAVE (else FXSAVE) format that Linux's signal frames use.
    #[derive(Clone)]
    pub struct FpuState(());

    impl FpuState {
        /// The state of a program that has just been started.
        pub fn initial() -> Self { todo!() }
        /// Copies the registers of the current task.
        pub fn save_current() -> Self { todo!() }
        /// Makes this the registers of the current task.
        pub fn load_current(&self) { todo!() }
        /// The bytes, for a signal frame (512 bytes of FXSAVE image, then the XSAVE header and areas).
        pub fn as_bytes(&self) -> &[u8] { todo!() }
        /// From the bytes of a signal frame; what the CPU would refuse is corrected. `None`: wrong length.
        pub fn from_bytes(bytes: &[u8]) -> Option<Self> { todo!() }
    }
    /// The length of [`FpuState::as_bytes`] on this CPU.
    pub fn state_size() -> usize { todo!() }
}
