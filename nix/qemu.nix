# rust-os-qemu: the virtual machine. It and the script beside it are the only place with QEMU's flags; the
# apps, the boot tests and the Makefile all go through it.
{ lib, writeShellApplication, coreutils, gnugrep, gdb, qemu, OVMF, srcOnly ? null
  # For RUN_QEMU_GDB: QEMU's debug symbols (an output of their own in nixpkgs) and sources, as derivations that are
  # built when they are asked for. A package set that has none says where they come from instead.
, whenAsked ? package: builtins.unsafeDiscardStringContext package.drvPath
}:
let
  hasSymbols = qemu ? debug && srcOnly != null;
in
writeShellApplication {
  name = "rust-os-qemu";
  runtimeInputs = [ coreutils gnugrep gdb qemu ];
  text = ''
    ovmf=${OVMF.fd}/FV
    qemu_symbols=${if hasSymbols then whenAsked qemu.debug else ""}
    qemu_sources=${if hasSymbols then whenAsked (srcOnly qemu) else ""}
    qemu_without_symbols=${lib.escapeShellArg (qemu.withoutSymbols or "this package set has none")}
  '' + builtins.readFile ./qemu.sh;
  meta.description = "Boot rust-os in QEMU";
}
