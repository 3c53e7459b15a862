//! An empty program, for a layer of outside crates.

fn main() {}
