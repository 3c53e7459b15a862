# The app that compares the speed of the file system on a disk with Linux's: `make disk-speed`. No check: it times.
{ writeShellApplication, runCommand, python3, e2fsprogs, pkgsStatic, rust-os-qemu, workspace, linuxPackages ? null }:
let
  driver = runCommand "disk-speed-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
    cp ${./tests/cpio.py} $out/cpio.py
    cp ${./tests/disk_speed.py} $out/disk_speed.py
  '';
  linux = if linuxPackages == null then "" else "${linuxPackages.kernel}/bzImage";
  modules = if linuxPackages == null then "" else "${linuxPackages.kernel.modules or linuxPackages.kernel}/lib/modules";
in
writeShellApplication {
  name = "disk-speed";
  runtimeInputs = [ python3 e2fsprogs rust-os-qemu ];
  text = ''
    usage() {
      echo "usage: disk-speed [--rounds N] [--smp N] [--mem SIZE] [--measure 'OPTIONS of the program disk-speed']"
      exit "$1"
    }
    # RUST_OS_LINUX and RUST_OS_LINUX_MODULES: another Linux kernel, and the folder of those of its modules that a
    # virtio disk and ext4 need.
    linux=''${RUST_OS_LINUX:-${linux}}
    modules=''${RUST_OS_LINUX_MODULES-${modules}}
    [ -n "$linux" ] || { echo "disk-speed: RUST_OS_LINUX is to name a Linux kernel" >&2; exit 2; }
    rounds=3 smp=''${SMP:-1} mem=''${MEM:-512M} measure=
    while [ $# -gt 0 ]; do
      case $1 in
        --rounds | --smp | --mem | --measure)
          [ $# -ge 2 ] || usage 2 >&2
          declare "''${1#--}=$2"
          shift 2 ;;
        --help) usage 0 ;;
        *) usage 2 >&2 ;;
      esac
    done
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    linux=$(realpath "$linux")
    if [ -n "$modules" ]; then modules=$(realpath "$modules"); fi
    cd "$folder"
    python3 -B ${driver}/disk_speed.py --rounds "$rounds" --measure="$measure" --modules "$modules" --linux "$linux" \
      --busybox ${pkgsStatic.busybox}/bin/busybox --program ${workspace.userland}/bin/disk-speed \
      --kernel ${workspace.kernel}/kernel.elf -- rust-os-qemu --smp "$smp" --mem "$mem" --accel tcg
  '';
}
