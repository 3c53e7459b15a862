//! Process control. Source: prctl(2), arch_prctl(2), capabilities(7).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32, like linux_raw_sys::prctl;
    PR_SET_PDEATHSIG = 1, "Signal when the parent ends.";
    PR_GET_PDEATHSIG = 2, "Signal when the parent ends?";
    PR_GET_DUMPABLE = 3, "May it be traced?";
    PR_SET_DUMPABLE = 4, "May it be traced.";
    PR_GET_KEEPCAPS = 7, "Are capabilities kept?";
    PR_SET_KEEPCAPS = 8, "Keep capabilities when the user id changes.";
    PR_SET_NAME = 15, "The thread's name, 16 bytes.";
    PR_GET_NAME = 16, "The thread's name?";
    PR_GET_SECCOMP = 21, "System-call filter?";
    PR_SET_SECCOMP = 22, "System-call filter.";
    PR_CAPBSET_READ = 23, "Is it in the bounding set?";
    PR_CAPBSET_DROP = 24, "Drop from the bounding set.";
    PR_GET_TSC = 25, "May it read the time-stamp counter?";
    PR_SET_TSC = 26, "May it read the time-stamp counter.";
    PR_GET_SECUREBITS = 27, "Secure bits?";
    PR_SET_SECUREBITS = 28, "Secure bits.";
    PR_SET_TIMERSLACK = 29, "How late a timer may be.";
    PR_GET_TIMERSLACK = 30, "How late may a timer be?";
    PR_SET_MM = 35, "Fields of the memory description.";
    PR_SET_CHILD_SUBREAPER = 36, "Adopt orphans.";
    PR_GET_CHILD_SUBREAPER = 37, "Does it adopt orphans?";
    PR_SET_NO_NEW_PRIVS = 38, "Exec gives no privileges.";
    PR_GET_NO_NEW_PRIVS = 39, "Does exec give privileges?";
    PR_GET_TID_ADDRESS = 40, "Address given to `set_tid_address`.";
    PR_SET_THP_DISABLE = 41, "No huge pages.";
    PR_GET_THP_DISABLE = 42, "No huge pages?";
    PR_CAP_AMBIENT = 47, "Ambient capabilities.";
    PR_SET_VMA = 0x5356_4d41, "Name a range of memory.";
    PR_SET_PTRACER = 0x5961_6d61, "Who may trace.";
}

constants! { u32;
    ARCH_SET_GS = 0x1001, "Set the GS base.";
    ARCH_SET_FS = 0x1002, "Set the FS base.";
    ARCH_GET_FS = 0x1003, "Get the FS base.";
    ARCH_GET_GS = 0x1004, "Get the GS base.";
    ARCH_GET_CPUID = 0x1011, "May it execute CPUID?";
    ARCH_SET_CPUID = 0x1012, "May it execute CPUID.";
    ARCH_CET_STATUS = 0x3001, "Control-flow enforcement (old number).";
}

/// Bytes of a thread's name, the final NUL included.
pub const TASK_COMM_LEN: usize = 16;

/// The header of `capget` and `capset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CapHeader {
    /// [`LINUX_CAPABILITY_VERSION_3`].
    pub version: u32,
    /// Whose; 0 means the caller.
    pub pid: i32,
}

/// 32 capabilities; version 3 passes two of these, the low half first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CapData {
    /// In force.
    pub effective: u32,
    /// Can be put in force.
    pub permitted: u32,
    /// Kept by exec.
    pub inheritable: u32,
}

/// The version that uses 64 bits.
pub const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// The greatest capability number of Linux 6.x.
pub const CAP_LAST_CAP: u32 = 40;
