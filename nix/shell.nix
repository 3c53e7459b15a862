# The development shell: `nix develop`.
{ mkShell, toolchain, llvmPackages, rust-os-qemu, qemu, gdb, e2fsprogs, xorriso, mtools }:
mkShell {
  packages = [ toolchain llvmPackages.lld rust-os-qemu qemu gdb e2fsprogs xorriso mtools ];
  CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER = "ld.lld";
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER = "ld.lld";
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS =
    "-Clinker-flavor=ld.lld -Clink-self-contained=yes -Ctarget-feature=+crt-static -Crelocation-model=static";
}
