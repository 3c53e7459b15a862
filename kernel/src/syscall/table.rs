//! The table of system calls: one row for each, by family.
//!
//! To add a call: write its function in the family's file, add a row here. A number that stands twice does not
//! compile. What is not listed answers ENOSYS and is logged once, by name.

use super::Function;
use abi::syscall as number;

/// Size of the lookup table: above the highest number there is.
const LIMIT: usize = 512;

/// Every call this kernel has: number and function.
#[rustfmt::skip]
const TABLE: &[(usize, Function)] = &[
    // Files
    // Directories
    // Descriptors
    // Memory
    // Processes
    // Signals
    // Identity
    // Time
    // System
];

static LOOKUP: [Option<Function>; LIMIT] = index(TABLE);

/// The function for a number, if there is one.
pub(super) fn lookup(number: u64) -> Option<Function> {
    LOOKUP.get(usize::try_from(number).ok()?).copied().flatten()
}

/// Linux's name of a number.
pub(crate) fn name_of(number: u64) -> Option<&'static str> {
    number::ALL.iter().find(|row| row.0 as u64 == number).map(|row| row.1)
}

const fn index(rows: &[(usize, Function)]) -> [Option<Function>; LIMIT] {
    let mut lookup = [None; LIMIT];
    let mut i = 0;
    while i < rows.len() {
        assert!(lookup[rows[i].0].is_none(), "a system call number stands twice in the table");
        lookup[rows[i].0] = Some(rows[i].1);
        i += 1;
    }
    lookup
}
