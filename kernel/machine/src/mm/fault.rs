//! The exception table: which instructions may fault on user addresses, and where they go on.
//!
//! Each is a pair of addresses in the section `__ex_table`, written beside the instruction by the
//! macro [`extable`]. The page-fault handler asks [`lookup_fixup`] when an access of the kernel
//! cannot be resolved.
//!
//! # Soundness
//! The section holds nothing but entries of this layout, and the linker script sets its ends.

/// Writes an exception table entry inside `asm!`: a fault at label `$fault` continues at `$fixup`.
macro_rules! extable {
    ($fault:literal, $fixup:literal) => {
        concat!(
            ".pushsection __ex_table, \"a\"\n",
            ".balign 8\n",
            ".quad ",
            $fault,
            ", ",
            $fixup,
            "\n.popsection"
        )
    };
}
pub(super) use extable;

#[repr(C)]
struct Entry {
    fault: u64,
    fixup: u64,
}

unsafe extern "C" {
    static __ex_table_start: Entry;
    static __ex_table_end: Entry;
}

fn table() -> &'static [Entry] {
    let start = &raw const __ex_table_start;
    let end = &raw const __ex_table_end;
    let count = (end as usize - start as usize) / size_of::<Entry>();
    // SAFETY: the linker script places the entries, and nothing else, between the two symbols;
    // they lie in a read-only section.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// Where execution goes on if the instruction at `rip` faulted; `None` if it must not fault.
pub(crate) fn lookup_fixup(rip: u64) -> Option<u64> {
    table().iter().find(|entry| entry.fault == rip).map(|entry| entry.fixup)
}
