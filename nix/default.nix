# Everything that the flake gives out, by name. `pkgs` is nixpkgs with rust-overlay, or the set of the same
# names in nix/host. `base`: an earlier version of the project, whose kernel the one in `run` is compiled on
# top of; null: `run` has the kernel of the images. A file takes what its argument list names, from `pkgs` or from this set.
{ pkgs, base ? null, limine ? pkgs.limine-full or null }:
let
  # Not lib.callPackageWith: that adds attributes (override) to what comes out, and a check is a derivation.
  call = file:
    let function = import file;
    in args: function (builtins.intersectAttrs (builtins.functionArgs function) (pkgs // self) // args);

  self = {
    toolchain = call ./toolchain.nix { };

    workspace = call ./workspace.nix { };
    inherit (self.workspace) kernel kernel-debug kernel-tests userland;

    # The kernels to work on.
    working =
      let on = official: args:
        if base == null then official else self.workspace.kernelOn (call ./workspace.nix { root = base; }) args;
      in {
        kernel = on self.kernel { name = "kernel"; };
        kernel-debug = on self.kernel-debug { name = "kernel-debug"; profile = "dev"; };
      };

    mkRootfs = call ./rootfs.nix { };
    mkIso = call ./iso.nix { };
    mkDisk = call ./disk.nix { };
    mkImage = call ./image.nix { };
    bootloader =
      if limine == null then call ./bootloader/grub.nix { } else call ./bootloader/limine.nix { inherit limine; };
    images = call ../images { };

    test-disks = call ./test-disks.nix { };
    rust-os-qemu = call ./qemu.nix { };
    run = call ./run.nix { };

    bootTest = call ./boot-test.nix { };
    stress = call ./stress.nix { };
    integrity = call ./integrity.nix { };
    debugger = call ./debugger.nix { inherit call; };
    console-speed = call ./console-speed.nix { };
    disk-speed = call ./disk-speed.nix { };
    checks = call ./checks.nix { };
    shell = call ./shell.nix { };
    formatter = self.workspace.formatter;
  };
in
self
