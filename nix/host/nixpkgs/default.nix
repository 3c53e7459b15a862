# The packages, by nixpkgs' names and in nixpkgs' layout.
{ system, overlays ? [ ] }:
let
  lib = import ./lib.nix;
  host = builtins.fromJSON (builtins.readFile ./host.json);
  fromDebs = import ./debian.nix { inherit lib system host; };
  builders = import ./stdenv.nix { inherit lib system fromDebs; };
  efi = "/usr/share/OVMF";

  packages = builders // {
    inherit lib system fromDebs;
    callPackage = lib.callPackageWith final;
    acpica-tools = fromDebs { name = "acpica-tools"; debs = [ "acpica-tools" ]; };
    bash = fromDebs { name = "bash"; debs = [ "bash" ]; links."bin/sh" = "/usr/bin/bash"; };
    bashInteractive = final.bash; # `nix develop` asks for it
    busybox = fromDebs { name = "busybox"; debs = [ "busybox-static" ]; };
    pkgsStatic = { inherit (final) busybox; };
    e2fsprogs = fromDebs { name = "e2fsprogs"; debs = [ "e2fsprogs" ]; };
    gdb = fromDebs { name = "gdb"; debs = [ "gdb" ]; };
    gnumake = fromDebs { name = "gnumake"; debs = [ "make" ]; };
    grub2 = fromDebs {
      name = "grub";
      debs = [ "grub-common" ];
      also = [ "grub-pc-bin" ];
      links."lib/grub/i386-pc" = "/usr/lib/grub/i386-pc";
    };
    dosfstools = fromDebs { name = "dosfstools"; debs = [ "dosfstools" ]; };
    grub2_efi = fromDebs {
      name = "grub-efi";
      debs = [ "grub-common" ];
      also = [ "grub-efi-amd64-bin" ];
      links."lib/grub/x86_64-efi" = "/usr/lib/grub/x86_64-efi";
    };
    llvmPackages.lld = fromDebs {
      name = "lld";
      debs = [ "lld-14" ];
      links."bin/ld.lld" = "/usr/lib/llvm-14/bin/ld.lld";
    };
    mtools = fromDebs { name = "mtools"; debs = [ "mtools" ]; };
    musl = fromDebs {
      name = "musl";
      debs = [ "musl-dev" ];
      links."lib" = "/usr/lib/x86_64-linux-musl";
    };
    OVMF.fd = fromDebs {
      name = "OVMF-fd";
      debs = [ "ovmf" ];
      links."FV/OVMF_CODE.fd" = "${efi}/OVMF_CODE_4M.fd";
      links."FV/OVMF_VARS.fd" = "${efi}/OVMF_VARS_4M.fd";
    };
    python3 = fromDebs {
      name = "python3";
      debs = [ "python3.11-minimal" ];
      also = [ "libpython3.11-minimal" "libpython3.11-stdlib" ];
      links."bin/python3" = "/usr/bin/python3.11";
    };
    qemu = fromDebs {
      name = "qemu";
      debs = [ "qemu-system-x86" ];
      also = [ "qemu-system-data" "seabios" ];
      passthru.withoutSymbols = ''
          Debian has them in its archive of debug symbols, which is apart from the one that QEMU comes from: the package
          qemu-system-x86-dbgsym of the suite bookworm-debug (bookworm-proposed-updates-debug for a QEMU of a security
          update), added to apt's sources; or Debian's debuginfod server in DEBUGINFOD_URLS, which has the sources too.'';
    };
    rustPlatform.importCargoLock = import ./import-cargo-lock.nix { inherit lib system; inherit (final) runCommand; };
    util-linux = fromDebs { name = "util-linux"; debs = [ "util-linux" "fdisk" ]; };
    xorriso = fromDebs { name = "xorriso"; debs = [ "xorriso" ]; };
  };

  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;
in
final
