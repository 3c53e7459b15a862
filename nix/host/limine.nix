# The images with Limine instead of GRUB, on a machine whose packages lack Limine:
#
#   nix/host/nix build --file nix/host/limine.nix --arg limine FOLDER iso -o result-iso
#
# FOLDER has Limine's released binaries in share/limine (limine-bios.sys, limine-bios-cd.bin,
# limine-uefi-cd.bin, BOOTX64.EFI) and its installer, compiled from the limine.c beside them, as bin/limine.
# Boot them with `rust-os-qemu --iso result-iso` (in `nix develop`), with and without --uefi.
{ limine, inputs ? ../../.state/host }:
let
  pkgs = import (inputs + "/nixpkgs") {
    system = "x86_64-linux";
    overlays = [ (import (inputs + "/rust-overlay")) ];
  };
in
(import ../. { inherit pkgs; limine = builtins.path { path = limine; name = "limine"; }; }).images.standard
