# The app that compares the speed of text on the screen with Linux's: `make console-speed`. No check: it times.
{ writeShellApplication, runCommand, python3, e2fsprogs, pkgsStatic, rust-os-qemu, workspace, linuxPackages ? null }:
let
  driver = runCommand "console-speed-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
    cp ${./tests/cpio.py} $out/cpio.py
    cp ${./tests/console_speed.py} $out/console_speed.py
  '';
in
writeShellApplication {
  name = "console-speed";
  runtimeInputs = [ python3 e2fsprogs rust-os-qemu ];
  text = ''
    # RUST_OS_LINUX: another Linux kernel; it needs a console on UEFI's framebuffer, and no modules for it.
    linux=''${RUST_OS_LINUX:-${if linuxPackages == null then "" else "${linuxPackages.kernel}/bzImage"}}
    [ -n "$linux" ] || { echo "console-speed: RUST_OS_LINUX is to name a Linux kernel" >&2; exit 2; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    linux=$(realpath "$linux")
    cd "$folder"
    python3 -B ${driver}/console_speed.py ${pkgsStatic.busybox}/bin/busybox "$linux" \
      rust-os-qemu --mem 512M --kernel ${workspace.kernel}/kernel.elf
  '';
}
