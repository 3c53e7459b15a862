//! The auxiliary vector: what the kernel tells a new program beside arguments and environment. Source: getauxval(3).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u64, like linux_raw_sys::auxvec;
    AT_NULL = 0, "The end.";
    AT_IGNORE = 1, "Nothing.";
    AT_EXECFD = 2, "The program's descriptor.";
    AT_PHDR = 3, "Address of the program headers.";
    AT_PHENT = 4, "Size of a program header.";
    AT_PHNUM = 5, "Number of program headers.";
    AT_PAGESZ = 6, "Page size.";
    AT_BASE = 7, "Base address of the interpreter.";
    AT_FLAGS = 8, "Flags: 0.";
    AT_ENTRY = 9, "The program's entry point.";
    AT_NOTELF = 10, "Not an ELF file.";
    AT_UID = 11, "Real user id.";
    AT_EUID = 12, "Effective user id.";
    AT_GID = 13, "Real group id.";
    AT_EGID = 14, "Effective group id.";
    AT_PLATFORM = 15, "Address of the platform's name: \"x86_64\".";
    AT_HWCAP = 16, "CPU features: `cpuid(1).edx`.";
    AT_CLKTCK = 17, "Ticks a second of `times`.";
    AT_SECURE = 23, "Whether to mistrust the environment.";
    AT_BASE_PLATFORM = 24, "Address of the true platform's name.";
    AT_RANDOM = 25, "Address of 16 random bytes.";
    AT_HWCAP2 = 26, "More CPU features: bit 1 is FSGSBASE.";
    AT_RSEQ_FEATURE_SIZE = 27, "Size of restartable sequences' data.";
    AT_RSEQ_ALIGN = 28, "Its alignment.";
    AT_EXECFN = 31, "Address of the program's path.";
    AT_SYSINFO_EHDR = 33, "Address of the vDSO.";
    AT_MINSIGSTKSZ = 51, "Least size of a signal stack.";
}

/// `AT_HWCAP2`: programs may use the FSGSBASE instructions.
pub const HWCAP2_FSGSBASE: u64 = 1 << 1;

/// One entry of the vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AuxEntry {
    /// `AT_*`.
    pub key: u64,
    /// Its value.
    pub value: u64,
}

impl AuxEntry {
    /// An entry.
    pub const fn new(key: u64, value: u64) -> AuxEntry {
        AuxEntry { key, value }
    }
}
