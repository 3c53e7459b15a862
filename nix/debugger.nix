# The checks of the debugger: docs/debugging.md, played against the debug build, and its parts that need no debugger.
{ runCommand, python3, rust-os-qemu, run, images, mkImage, workspace, kernel-debug }:
let
  driver = runCommand "debugger-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
    cp ${./tests/debugger.py} $out/debugger.py
  '';
  project = runCommand "debugger-project" { } ''
    mkdir $out
    cp ${../Makefile} $out/Makefile
    cp ${../flake.nix} $out/flake.nix
  '';
  # The image of the debug build that `make run-debug BOOT=...` boots.
  image = mkImage (import ../images/standard.nix // { kernelPackage = kernel-debug; });

  # Plays a document on a machine, halted before its first instruction.
  play = name: document: machine: runCommand "check-${name}" { nativeBuildInputs = [ python3 rust-os-qemu ]; } ''
    export RUST_OS_STATE=$PWD/state
    ln -s ${workspace.sources}/* .
    python3 ${driver}/debugger.py ${document} ${project} ${run.gdb}/bin/gdb \
      rust-os-qemu --accel tcg --mem 128M ${machine} -- -S -chardev socket,path=gdb,server=on,wait=off,id=gdb -gdb chardev:gdb
    touch $out
  '';
in
{
  debugger = play "debugger" ../docs/debugging.md
    "--smp 2 --kernel ${kernel-debug}/kernel.elf --rootfs ${images.standard.rootfs}";
  debugger-bios = play "debugger-bios" ./tests/debugger-entry.md "--boot iso --iso ${image.iso}";
  debugger-uefi = play "debugger-uefi" ./tests/debugger-entry.md "--uefi --boot disk --disk ${image.disk}";

  debugger-parts = runCommand "check-debugger-parts" { nativeBuildInputs = [ python3 ]; } ''
    export PYTHONDONTWRITEBYTECODE=1
    python3 -m unittest discover -v -s ${workspace.sources}/kernel/debugger/tests
    touch $out
  '';
}
