# What `nix flake check` runs, one attribute a check.
{ lib, runCommand, gnugrep, python3, qemu, acpica-tools, workspace, mkImage, images, bootTest, stress, integrity, debugger }:
let
  bootTests = map (name: { inherit name; value = bootTest name (import (./tests + "/${name}.nix")); }) [
    "ahci"
    "balloon"
    "debug"
    "debug-ktest"
    "direct"
    "iso-bios"
    "iso-uefi"
    "disk-bios"
    "disk-uefi"
    "edited"
    "exhaustion"
    "file-systems"
    "gpu"
    "hotplug"
    "input"
    "ktest"
    "leaks"
    "lost-disk"
    "low-memory"
    "missing-root"
    "no-init"
    "monitor"
    "monitor-list"
    "monitor-screen"
    "nvme"
    "overlay"
    "panic"
    "removal"
    "screen"
    "scsi"
    "serial"
    "share"
    "shell-session"
    "smp"
    "systest"
    "vga-text"
  ];

  # Fails where `pattern` stands in `folder`, and says why it must not.
  absent = name: { folder, pattern, except ? "", why }: runCommand "check-${name}" { nativeBuildInputs = [ gnugrep ]; } ''
    cd ${folder}
    if grep -rnE ${lib.escapeShellArg pattern} . ${except}; then
      echo ${lib.escapeShellArg why} >&2
      exit 1
    fi
    touch $out
  '';

  # All that ships, built anew in one step, in other folders.
  elsewhere = mkImage (import ../images/standard.nix // {
    kernelPackage = workspace.elsewhere.kernel;
    programs = [ workspace.elsewhere.userland ];
    place = "another/place";
  });
  here = images.standard;
in
lib.listToAttrs bootTests // stress.checks // integrity.checks // debugger // workspace.checks // {
  unsafe-only-in-machine = absent "unsafe-only-in-machine" {
    folder = workspace.sources;
    pattern = ''(allow|expect|warn)\(unsafe_code|unsafe_code *=.*"(allow|warn)"'';
    # These make the system calls that no library makes.
    except = "--include=*.rs --include=Cargo.toml --exclude-dir=machine | grep -vE '^./userland/(stress|sysmon|systest)/src/sys/'";
    why = "unsafe code belongs into kernel/machine alone";
  };

  no-host-paths = absent "no-host-paths" {
    folder = ./.;
    pattern = "(^|[^]A-Za-z0-9_})*.-])/(usr|lib|bin|etc)/";
    except = "--include=*.nix --exclude-dir=host --exclude-dir=tests --exclude=rootfs.nix";
    why = "only nix/host may name files of the machine";
  };

  image-size = runCommand "check-image-size" { } ''
    size=$(stat -Lc %s ${here.iso})
    echo "the ISO has $size bytes"
    if [ "$size" -gt $((24 << 20)) ]; then
      echo "the ISO is to have at most 24 MiB" >&2
      exit 1
    fi
    touch $out
  '';

  # Tables of QEMU's machines, and our own, evaluated by us and by ACPICA, which Linux has.
  acpi = runCommand "check-acpi" { nativeBuildInputs = [ python3 qemu acpica-tools workspace.evaluate-aml ]; } ''
    python3 ${./tests/acpi.py} evaluate-aml ${./tests/acpi}
    touch $out
  '';

  # The judge of the boot test `systest`: the same program on the Linux that builds.
  systest-on-linux = runCommand "check-systest-on-linux" { } ''
    systest=${workspace.userland}/bin/systest
    # Nix's sandbox forbids set-user-id bits, and has one file system only. Shares of CPUs are not judged where other
    # builds take theirs.
    $systest --list > all
    grep -vE '^(scheduling/.*|attributes/chmod_sets_permissions|links/(hard_links|rename)_refuses?_what_is_wrong)$' all > wanted
    $systest --failures --dir "$PWD" $(cat wanted)
    touch $out
  '';

  # The judge of the boot tests `stress*`, a short time.
  stress-on-linux = runCommand "check-stress-on-linux" { } ''
    ${workspace.userland}/bin/stress --seconds 5 --jobs 2 --dir "$PWD"
    touch $out
  '';

  reproducible = runCommand "check-reproducible" { } ''
    same() { # NAME FILE FILE
      if cmp $2 $3; then echo "$1: same"; else echo "$1: differs between two builds" >&2; different=1; fi
    }
    different=
    same kernel ${here.kernel}/kernel.elf ${elsewhere.kernel}/kernel.elf
    for program in ${workspace.userland}/bin/*; do
      same $(basename $program) $program ${workspace.elsewhere.userland}/bin/$(basename $program)
    done
    same rootfs ${here.rootfs} ${elsewhere.rootfs}
    same iso ${here.iso} ${elsewhere.iso}
    same disk ${here.disk} ${elsewhere.disk}
    [ -z "$different" ]
    touch $out
  '';
}
