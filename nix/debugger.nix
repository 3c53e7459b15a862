# The checks of the debugger: docs/debugging.md, played against the debug build, and its parts that need no debugger.
{ lib, call, runCommand, writeShellApplication, bash, gnumake, python3, rust-os-qemu, run, checks, stress, shell, images, mkImage, workspace, kernel-debug }:
let
  driver = runCommand "debugger-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
    cp ${./tests/transcript.py} $out/transcript.py
    cp ${./tests/debugger.py} $out/debugger.py
    cp ${./tests/commands.py} $out/commands.py
  '';
  # The apps as they are, with all that they may be asked for built beforehand.
  apps =
    let whenAsked = package: package;
    in call ./run.nix { inherit whenAsked; rust-os-qemu = call ./qemu.nix { inherit whenAsked; }; };
  checkNames = map (name: "checks.x86_64-linux.${name}") (lib.attrNames checks);
  # Nix for what the Makefile and a reader ask it: it has the apps already.
  nix = writeShellApplication {
    name = "nix";
    text = ''
      while [ "''${1:-}" = --extra-experimental-features ]; do shift 2; done
      command=$1 what=
      shift
      while [ $# -gt 0 ]; do
        case $1 in
          .#*) what=''${1#.#} ;;
          -- | --command) shift; break ;;
        esac
        shift
      done
      case $command-$what in
        run-qemu) exec ${apps.qemu}/bin/qemu "$@" ;;
        run-debug) exec ${apps.debug}/bin/debug "$@" ;;
        run-gdb) exec ${apps.gdb}/bin/gdb "$@" ;;
        develop-) PATH=${lib.makeBinPath shell.nativeBuildInputs}:$PATH exec "$@" ;;
        build-kernel-debug) ln -sfn ${kernel-debug} result && echo "built: $what" ;;
        build-${lib.concatStringsSep " | build-" (lib.attrNames stress.hours ++ checkNames)}) echo "to be built: $what" ;;
        *) echo "nix: no $command of $what" >&2; exit 1 ;;
      esac
    '';
  };
  # The image of the debug build that `make run-debug BOOT=...` boots.
  image = mkImage (import ../images/standard.nix // { kernelPackage = kernel-debug; });

  # Plays a document on a machine, halted before its first instruction.
  play = name: document: machine: runCommand "check-${name}" { nativeBuildInputs = [ python3 rust-os-qemu ]; } ''
    export RUST_OS_STATE=$PWD/state
    ln -s ${workspace.sources}/* .
    python3 ${driver}/debugger.py ${document} ${run.gdb}/bin/gdb \
      rust-os-qemu --accel tcg --mem 128M ${machine} -- -S -chardev socket,path=gdb,server=on,wait=off,id=gdb -gdb chardev:gdb
    touch $out
  '';
in
{
  debugger = play "debugger" ../docs/debugging.md
    "--smp 2 --kernel ${kernel-debug}/kernel.elf --rootfs ${images.standard.rootfs}";
  debugger-bios = play "debugger-bios" ./tests/debugger-entry.md "--boot iso --iso ${image.iso}";
  debugger-uefi = play "debugger-uefi" ./tests/debugger-entry.md "--uefi --boot disk --disk ${image.disk}";

  debugger-commands = runCommand "check-debugger-commands" { nativeBuildInputs = [ bash gnumake python3 nix ]; } ''
    export HOME=$PWD PACKAGES=flake ACCEL=tcg RUST_OS_GDB=$PWD/gdb
    ln -s ${workspace.sources}/* .
    ln -s ${../Makefile} Makefile
    mkdir nix
    for script in ${./pick} ${./base}; do
      sed '1s|.*|#!${bash}/bin/bash|' $script > nix/''${script##*-}
    done
    chmod +x nix/*
    python3 ${driver}/commands.py ${../docs/debugging.md}
    touch $out
  '';

  debugger-parts = runCommand "check-debugger-parts" { nativeBuildInputs = [ python3 ]; } ''
    export PYTHONDONTWRITEBYTECODE=1
    python3 -m unittest discover -v -s ${workspace.sources}/kernel/debugger/tests
    touch $out
  '';
}
