//! Compile-time configuration: limits and sizes.
