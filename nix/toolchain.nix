# rustc, cargo, clippy, rustfmt and the libraries of each target, as rust-toolchain.toml names them.
{ rust-bin }: rust-bin.fromRustupToolchainFile ../rust-toolchain.toml
