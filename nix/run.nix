# The apps: the standard image in QEMU, the same under a debugger, and the debugger.
{ lib, writeShellApplication, coreutils, gdb, mkImage, working, test-disks, userland, workspace, rust-os-qemu
  # The derivation, named without being a dependency: rust-os-qemu builds it when it is asked for.
, whenAsked ? package: builtins.unsafeDiscardStringContext package.drvPath
}:
let
  image = kernelPackage: mkImage (import ../images/standard.nix // { inherit kernelPackage; });
  release = image working.kernel;
  debug = image working.kernel-debug;
  tests = image workspace.kernel-tests;
  debug_tests = image workspace.kernel-debug-tests;

  environment = ''
    export RUST_OS_KERNEL_RELEASE=${release.kernel} RUST_OS_ROOTFS_RELEASE=${release.rootfs}
    export RUST_OS_ISO_RELEASE=${whenAsked release.iso} RUST_OS_DISK_RELEASE=${whenAsked release.disk}
    export RUST_OS_KERNEL_DEBUG=${whenAsked debug.kernel} RUST_OS_ROOTFS_DEBUG=${release.rootfs}
    export RUST_OS_ISO_DEBUG=${whenAsked debug.iso} RUST_OS_DISK_DEBUG=${whenAsked debug.disk}
    export RUST_OS_KERNEL_TESTS=${whenAsked tests.kernel} RUST_OS_ROOTFS_TESTS=${release.rootfs}
    export RUST_OS_ISO_TESTS=${whenAsked tests.iso} RUST_OS_DISK_TESTS=${whenAsked tests.disk}
    export RUST_OS_KERNEL_DEBUG_TESTS=${whenAsked debug_tests.kernel} RUST_OS_ROOTFS_DEBUG_TESTS=${release.rootfs}
    export RUST_OS_ISO_DEBUG_TESTS=${whenAsked debug_tests.iso} RUST_OS_DISK_DEBUG_TESTS=${whenAsked debug_tests.disk}
    export RUST_OS_TEST_DISKS=${test-disks}
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

  # Paths in line tables start with /rust-os, /vendor and what the toolchain has for the standard library.
  gdb = writeShellApplication {
    name = "gdb";
    runtimeInputs = [ coreutils gdb ];
    text = ''
      kernel=${working.kernel-debug}
      sources=$PWD
      if [ ! -e "$sources/kernel/src/main.rs" ]; then
        echo "gdb: no sources here: run this in the project's folder to see them" >&2
      fi
      # RUST_OS_GDB: where QEMU listens.
      exec gdb -q -iex "add-auto-load-safe-path $kernel" "$kernel/kernel.debug" \
        -ex "set rust-os-programs ${userland}/debug" -ex "set substitute-path /rust-os $sources" -ex "set substitute-path /vendor ${workspace.vendor}" \
        -ex "target remote ''${RUST_OS_GDB:-localhost:1234}" -ex kernel-entry "$@"
    '';
  };
}
