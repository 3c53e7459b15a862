//! The implementation of what `machine` asks of the kernel.
