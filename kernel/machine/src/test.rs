//! The registry of in-kernel tests: `#[kernel_test]` puts each into a section of its own.
//!
//! # Soundness
//! Only [`register_test!`](crate::register_test) places things into the section, each a [`KernelTest`];
//! the linker script gives its bounds.

use core::arch::asm;

/// One in-kernel test.
pub struct KernelTest {
    /// Module path and function name.
    pub name: &'static str,
    /// Fails by panicking.
    pub run: fn(),
    /// Turns that round: it passes only if it panics, with a message that contains this.
    pub should_panic: Option<&'static str>,
}

/// All in-kernel tests, in the order of the linker.
pub fn all() -> &'static [KernelTest] {
    unsafe extern "C" {
        static __kernel_tests_start: u8;
        static __kernel_tests_end: u8;
    }
    let start = (&raw const __kernel_tests_start).cast::<KernelTest>();
    let end = &raw const __kernel_tests_end;
    let count = (end as usize - start as usize) / size_of::<KernelTest>();
    // SAFETY: see Soundness.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// A mistake that the CPU notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A read of address 8.
    NullRead,
    /// A read of an address that no address is.
    NonCanonicalRead,
    /// An instruction that there is not.
    InvalidOpcode,
}

/// Makes the mistake, for tests of what follows.
pub fn provoke(fault: Fault) -> ! {
    let address: u64 = match fault {
        Fault::NullRead => 8,
        Fault::NonCanonicalRead => 1 << 63,
        Fault::InvalidOpcode => {
            // SAFETY: traps and touches nothing.
            unsafe { asm!("ud2", options(nomem, nostack)) };
            0
        }
    };
    // SAFETY: traps, for nothing is mapped there, and writes nothing but its register.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) address => _, options(nostack, readonly)) };
    unreachable!("{fault:?} went unnoticed")
}

/// Registers a test; called by `#[kernel_test]`.
#[macro_export]
macro_rules! register_test {
    ($function:ident, $name:expr, $should_panic:expr) => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".kernel_tests")]
            static TEST: $crate::test::KernelTest =
                $crate::test::KernelTest { name: $name, run: $function, should_panic: $should_panic };
        };
    };
}
