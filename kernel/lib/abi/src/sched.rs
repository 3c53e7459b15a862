//! Making and scheduling threads. Source: clone(2), sched(7), sched_setattr(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// What a new thread shares with its parent; the low eight bits of `clone`'s flags are the exit signal instead.
    CloneFlags: u64, like linux_raw_sys::general;
    CLONE_NEWTIME = 0x80, "A new time namespace (`clone3` only).";
    CLONE_VM = 0x100, "The address space.";
    CLONE_FS = 0x200, "Root, working directory, umask.";
    CLONE_FILES = 0x400, "The descriptor table.";
    CLONE_SIGHAND = 0x800, "The signal actions.";
    CLONE_PIDFD = 0x1000, "Return a process descriptor.";
    CLONE_PTRACE = 0x2000, "The tracer traces the child too.";
    CLONE_VFORK = 0x4000, "The parent waits until the child execs or ends.";
    CLONE_PARENT = 0x8000, "The same parent.";
    CLONE_THREAD = 0x1_0000, "The same thread group.";
    CLONE_NEWNS = 0x2_0000, "A new mount namespace.";
    CLONE_SYSVSEM = 0x4_0000, "Semaphore undo values.";
    CLONE_SETTLS = 0x8_0000, "Set the thread pointer.";
    CLONE_PARENT_SETTID = 0x10_0000, "Write the thread id in the parent.";
    CLONE_CHILD_CLEARTID = 0x20_0000, "Clear the thread id and wake a futex when the child ends.";
    CLONE_DETACHED = 0x40_0000, "Ignored.";
    CLONE_UNTRACED = 0x80_0000, "No `CLONE_PTRACE` can be forced.";
    CLONE_CHILD_SETTID = 0x100_0000, "Write the thread id in the child.";
    CLONE_NEWCGROUP = 0x200_0000, "A new cgroup namespace.";
    CLONE_NEWUTS = 0x400_0000, "A new host-name namespace.";
    CLONE_NEWIPC = 0x800_0000, "A new IPC namespace.";
    CLONE_NEWUSER = 0x1000_0000, "A new user namespace.";
    CLONE_NEWPID = 0x2000_0000, "A new pid namespace.";
    CLONE_NEWNET = 0x4000_0000, "A new network namespace.";
    CLONE_IO = 0x8000_0000, "The I/O context.";
    CLONE_CLEAR_SIGHAND = 0x1_0000_0000, "All handlers back to the default (`clone3` only).";
    CLONE_INTO_CGROUP = 0x2_0000_0000, "Into the given cgroup (`clone3` only).";
}

impl CloneFlags {
    /// In `clone`'s flags: the bits of the exit signal.
    pub const CSIGNAL: u64 = 0xff;
}

/// The argument of `clone3`, 88 bytes; older programs pass 64 or 80.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CloneArgs {
    /// [`CloneFlags`].
    pub flags: u64,
    /// Where to store the process descriptor.
    pub pidfd: u64,
    /// Where the child stores its thread id.
    pub child_tid: u64,
    /// Where the parent stores the thread id.
    pub parent_tid: u64,
    /// Signal to the parent when the child ends; 0 for none.
    pub exit_signal: u64,
    /// Lowest address of the stack.
    pub stack: u64,
    /// Its size.
    pub stack_size: u64,
    /// Thread pointer.
    pub tls: u64,
    /// Address of the wanted pids.
    pub set_tid: u64,
    /// Their number.
    pub set_tid_size: u64,
    /// Descriptor of a cgroup.
    pub cgroup: u64,
}

impl CloneArgs {
    /// Size of the first published version: the least that `clone3` takes.
    pub const SIZE_VER0: usize = 64;
}

flags! {
    /// [`SchedAttr::flags`]; those of deadline scheduling and of utilisation limits are not known here.
    SchedFlags: u64, like linux_raw_sys::general;
    SCHED_FLAG_RESET_ON_FORK = 0x1, "Children start as `SCHED_NORMAL`.";
    SCHED_FLAG_KEEP_POLICY = 0x8, "The policy stays.";
    SCHED_FLAG_KEEP_PARAMS = 0x10, "Nice value, priority and runtime stay.";
}

constants! { u32, like linux_raw_sys::general;
    SCHED_NORMAL = 0, "Fair; also `SCHED_OTHER`.";
    SCHED_FIFO = 1, "Real time, runs until it sleeps.";
    SCHED_RR = 2, "Real time, in turns.";
    SCHED_BATCH = 3, "Fair, for work without a user.";
    SCHED_IDLE = 5, "When nothing else runs.";
    SCHED_DEADLINE = 6, "By deadline.";
    SCHED_RESET_ON_FORK = 0x4000_0000, "Children start as `SCHED_NORMAL`.";
}

/// `struct sched_param`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SchedParam {
    /// Real-time priority, 1 to 99; 0 for the fair classes.
    pub priority: i32,
}

/// `struct sched_attr`, first version, 48 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SchedAttr {
    /// Size of the struct.
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value, -20 to 19.
    pub nice: i32,
    /// Real-time priority.
    pub priority: u32,
    /// Nanoseconds of run time.
    pub runtime: u64,
    /// Relative deadline in nanoseconds.
    pub deadline: u64,
    /// Period in nanoseconds.
    pub period: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_linux() {
        assert_eq!(size_of::<CloneArgs>(), size_of::<linux_raw_sys::general::clone_args>());
        assert_eq!(core::mem::offset_of!(CloneArgs, tls), core::mem::offset_of!(libc::clone_args, tls));
        assert_eq!(CloneFlags::CLONE_CLEAR_SIGHAND.bits(), linux_raw_sys::general::CLONE_CLEAR_SIGHAND);
        assert_eq!(size_of::<SchedAttr>(), 48);
    }
}
