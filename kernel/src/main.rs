//! The kernel: the operating system on top of `machine`.
#![no_std]
#![no_main]
