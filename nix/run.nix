# The apps: the standard image in QEMU, the same under a debugger, and the debugger.
{ lib, writeShellApplication, gdb, qemu, mkImage, images, kernel-debug, rust-os-qemu }:
let
  release = images.standard;
  debug = mkImage (import ../images/standard.nix // { kernelPackage = kernel-debug; });

  # The derivation, named without being a dependency: rust-os-qemu builds it when it is asked for.
  whenAsked = package: builtins.unsafeDiscardStringContext package.drvPath;

  environment = ''
    export RUST_OS_KERNEL_RELEASE=${release.kernel} RUST_OS_ROOTFS_RELEASE=${release.rootfs}
    export RUST_OS_ISO_RELEASE=${whenAsked release.iso} RUST_OS_DISK_RELEASE=${whenAsked release.disk}
    export RUST_OS_KERNEL_DEBUG=${whenAsked debug.kernel} RUST_OS_ROOTFS_DEBUG=${release.rootfs}
    export RUST_OS_ISO_DEBUG=${whenAsked debug.iso} RUST_OS_DISK_DEBUG=${whenAsked debug.disk}
  '';
in
{
  qemu = writeShellApplication {
    name = "qemu";
    runtimeInputs = [ rust-os-qemu ];
    text = environment + ''exec rust-os-qemu "$@"'';
  };

  debug = writeShellApplication {
    name = "debug";
    runtimeInputs = [ rust-os-qemu ];
    text = environment + ''exec rust-os-qemu --build-mode debug --debug "$@"'';
  };

  gdb = writeShellApplication {
    name = "gdb";
    runtimeInputs = [ gdb ];
    text = ''
      # Paths in the kernel's line tables start with /rust-os; run this in the project's folder.
      exec gdb ${kernel-debug}/kernel.debug -ex "set substitute-path /rust-os $PWD" \
        -ex "target remote localhost:1234" -ex "hbreak kernel_main" "$@"
    '';
  };
}
