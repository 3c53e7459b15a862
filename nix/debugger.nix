# The checks of the debugger: docs/debugging.md, played against the debug build, and its parts that need no debugger.
{ runCommand, python3, rust-os-qemu, run, images, workspace, kernel-debug }:
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
in
{
  debugger = runCommand "check-debugger" { nativeBuildInputs = [ python3 rust-os-qemu ]; } ''
    export RUST_OS_STATE=$PWD/state
    ln -s ${workspace.sources}/* .
    python3 ${driver}/debugger.py ${../docs/debugging.md} ${project} ${run.gdb}/bin/gdb \
      rust-os-qemu --accel tcg --smp 2 --mem 128M --kernel ${kernel-debug}/kernel.elf --rootfs ${images.standard.rootfs} \
      -- -S -chardev socket,path=gdb,server=on,wait=off,id=gdb -gdb chardev:gdb
    touch $out
  '';

  debugger-parts = runCommand "check-debugger-parts" { nativeBuildInputs = [ python3 ]; } ''
    export PYTHONDONTWRITEBYTECODE=1
    python3 -m unittest discover -v -s ${workspace.sources}/kernel/debugger/tests
    touch $out
  '';
}
