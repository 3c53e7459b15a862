//! An empty library, for a layer of outside crates.
#![no_std]
