//! What CPUID says of the CPU, in the words of /proc/cpuinfo.
//!
//! Source: Intel SDM vol. 2 (CPUID); Linux's `cpufeatures.h` for the names.

use alloc::string::String;
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count};

/// What /proc/cpuinfo and AT_HWCAP say of the CPU.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields are those of /proc/cpuinfo")]
pub struct Description {
    pub vendor: String,
    pub family: u32,
    pub model: u32,
    pub stepping: u32,
    pub brand: String,
    pub flags: Vec<&'static str>,
    pub tsc_khz: u64,
    pub hwcap: u32,
    pub hwcap2: u32,
    pub physical_bits: u8,
    pub virtual_bits: u8,
}

/// Names of the flags of leaf 1 EDX, by bit; empty: no name.
const LEAF1_EDX: [&str; 32] = [
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca",
    "cmov", "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht",
    "tm", "", "pbe",
];
/// Leaf 1 ECX.
const LEAF1_ECX: [&str; 32] = [
    "pni",
    "pclmulqdq",
    "dtes64",
    "monitor",
    "ds_cpl",
    "vmx",
    "smx",
    "est",
    "tm2",
    "ssse3",
    "cid",
    "sdbg",
    "fma",
    "cx16",
    "xtpr",
    "pdcm",
    "",
    "pcid",
    "dca",
    "sse4_1",
    "sse4_2",
    "x2apic",
    "movbe",
    "popcnt",
    "tsc_deadline_timer",
    "aes",
    "xsave",
    "",
    "avx",
    "f16c",
    "rdrand",
    "hypervisor",
];
/// Leaf 7 EBX.
const LEAF7_EBX: [&str; 32] = [
    "fsgsbase",
    "tsc_adjust",
    "",
    "bmi1",
    "hle",
    "avx2",
    "",
    "smep",
    "bmi2",
    "erms",
    "invpcid",
    "rtm",
    "",
    "",
    "mpx",
    "",
    "avx512f",
    "avx512dq",
    "rdseed",
    "adx",
    "smap",
    "avx512ifma",
    "",
    "clflushopt",
    "clwb",
    "",
    "",
    "",
    "",
    "sha_ni",
    "avx512bw",
    "avx512vl",
];
/// Leaf 7 ECX.
const LEAF7_ECX: [&str; 32] = [
    "",
    "",
    "umip",
    "pku",
    "",
    "",
    "",
    "",
    "gfni",
    "vaes",
    "vpclmulqdq",
    "",
    "",
    "",
    "",
    "",
    "la57",
    "",
    "",
    "",
    "",
    "",
    "rdpid",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
];
/// Leaf 0x80000001 EDX.
const EXTENDED_EDX: [&str; 32] = [
    "", "", "", "", "", "", "", "", "", "", "", "syscall", "", "", "", "", "", "", "", "", "nx", "",
    "mmxext", "", "", "fxsr_opt", "pdpe1gb", "rdtscp", "", "lm", "3dnowext", "3dnow",
];
/// Leaf 0x80000001 ECX.
const EXTENDED_ECX: [&str; 32] = [
    "lahf_lm",
    "cmp_legacy",
    "svm",
    "extapic",
    "cr8_legacy",
    "abm",
    "sse4a",
    "misalignsse",
    "3dnowprefetch",
    "osvw",
    "",
    "xop",
    "",
    "",
    "",
    "fma4",
    "tce",
    "",
    "",
    "",
    "tbm",
    "topoext",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
];

/// What the CPU that runs this says of itself.
pub fn description() -> Description {
    let leaf0 = __cpuid(0);
    let leaf1 = __cpuid(1);
    let leaf7 = if leaf0.eax >= 7 { __cpuid_count(7, 0) } else { __cpuid(0x7fff_ffff) };
    let last_extended = __cpuid(0x8000_0000).eax;
    let mut vendor = Vec::new();
    for register in [leaf0.ebx, leaf0.edx, leaf0.ecx] {
        vendor.extend_from_slice(&register.to_le_bytes());
    }
    let mut brand = Vec::new();
    if last_extended >= 0x8000_0004 {
        for leaf in 0x8000_0002..=0x8000_0004 {
            let part = __cpuid(leaf);
            for register in [part.eax, part.ebx, part.ecx, part.edx] {
                brand.extend_from_slice(&register.to_le_bytes());
            }
        }
    }
    let mut flags = Vec::new();
    let mut add = |register: u32, names: &[&'static str; 32]| {
        flags.extend(
            names
                .iter()
                .enumerate()
                .filter(|(bit, n)| register & 1 << bit != 0 && !n.is_empty())
                .map(|(_, n)| n),
        );
    };
    add(leaf1.edx, &LEAF1_EDX);
    if last_extended >= 0x8000_0001 {
        let extended = __cpuid(0x8000_0001);
        add(extended.edx, &EXTENDED_EDX);
        add(leaf1.ecx, &LEAF1_ECX);
        add(extended.ecx, &EXTENDED_ECX);
    } else {
        add(leaf1.ecx, &LEAF1_ECX);
    }
    if leaf0.eax >= 7 {
        add(leaf7.ebx, &LEAF7_EBX);
        add(leaf7.ecx, &LEAF7_ECX);
    }
    // The kernel keeps CR4.FSGSBASE off (see `user`), so programs must not be told of it.
    flags.retain(|&flag| flag != "fsgsbase");
    let sizes = if last_extended >= 0x8000_0008 { __cpuid(0x8000_0008).eax } else { 0x3024 };
    let family = leaf1.eax >> 8 & 0xf;
    let model = leaf1.eax >> 4 & 0xf;
    Description {
        vendor: String::from_utf8_lossy(&vendor).into_owned(),
        family: if family == 0xf { family + (leaf1.eax >> 20 & 0xff) } else { family },
        model: if family == 6 || family == 0xf { model | leaf1.eax >> 12 & 0xf0 } else { model },
        stepping: leaf1.eax & 0xf,
        brand: String::from_utf8_lossy(&brand).trim_matches(['\0', ' ']).into(),
        flags,
        tsc_khz: crate::time::tsc_khz(),
        hwcap: leaf1.edx,
        hwcap2: 0,
        physical_bits: sizes as u8,
        virtual_bits: (sizes >> 8) as u8,
    }
}
