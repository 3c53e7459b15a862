# rust-os-qemu: the virtual machine. It and the script beside it are the only place with QEMU's flags; the
# apps, the boot tests and the Makefile all go through it.
{ writeShellApplication, coreutils, gnugrep, qemu, OVMF }:
writeShellApplication {
  name = "rust-os-qemu";
  runtimeInputs = [ coreutils gnugrep qemu ];
  text = ''
    ovmf=${OVMF.fd}/FV
  '' + builtins.readFile ./qemu.sh;
  meta.description = "Boot rust-os in QEMU";
}
