//! CPU and memory made safe: the only crate with `unsafe`.
#![no_std]
