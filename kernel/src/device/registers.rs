//! Typed register blocks: [`registers!`] makes a struct of a table `offset => name: type, access`, whose methods give a
//! [`Register`] each, so that a register is read and written with its own width, and only in the ways that it allows.

use core::marker::PhantomData;
use machine::mm::{Mmio, MmioValue};

/// It can only be read.
pub(super) struct ReadOnly;
/// It can be read and written.
pub(super) struct ReadWrite;

/// A register of a block.
pub(super) struct Register<'a, T, A> {
    block: &'a Mmio,
    offset: usize,
    kind: PhantomData<(T, A)>,
}

impl<'a, T: MmioValue, A> Register<'a, T, A> {
    /// The one at `offset`, which lies in the block.
    pub(super) fn new(block: &'a Mmio, offset: usize) -> Self {
        Self { block, offset, kind: PhantomData }
    }

    /// Its value.
    pub(super) fn read(&self) -> T {
        self.block.read(self.offset)
    }
}

impl<T: MmioValue> Register<'_, T, ReadWrite> {
    /// Gives it a value.
    pub(super) fn write(&self, value: T) {
        self.block.write(self.offset, value);
    }

    /// Gives it a value made of the present one.
    pub(super) fn change(&self, change: impl FnOnce(T) -> T) {
        self.write(change(self.read()));
    }
}

/// See the module. `new` maps a block at the beginning of some registers; `None` if they are too short.
macro_rules! registers {
    ($(#[$doc:meta])* struct $name:ident ($length:literal) {
        $($(#[$field_doc:meta])* $offset:literal => $field:ident: $type:ty, $access:ident;)*
    }) => {
        $(#[$doc])*
        struct $name(machine::mm::Mmio);

        impl $name {
            fn new(registers: &machine::mm::Mmio, start: usize) -> Option<Self> {
                registers.slice(start, $length).map(Self)
            }

            $(
                $(#[$field_doc])*
                fn $field(&self) -> $crate::device::registers::Register<'_, $type, $crate::device::registers::$access> {
                    const { assert!($offset + size_of::<$type>() <= $length && $offset % size_of::<$type>() == 0) };
                    $crate::device::registers::Register::new(&self.0, $offset)
                }
            )*
        }
    };
}

pub(super) use registers;
