# File systems when things go wrong: machines killed while they write, and file systems with damage; and large trees of files.
{ runCommand, python3, e2fsprogs, rust-os-qemu, images, workspace }:
let
  driver = runCommand "integrity-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
    cp ${./tests/integrity.py} $out/integrity.py
    cp ${./tests/power_cut.sh} $out/power_cut.sh
  '';
  # `what` as integrity.py calls it, how often, and with which seed.
  check = name: { what, count, seed ? 1, kernel ? workspace.kernel }: runCommand name {
    nativeBuildInputs = [ python3 e2fsprogs rust-os-qemu ];
  } ''
    python3 ${driver}/integrity.py ${what} ${toString count} ${toString seed} \
      rust-os-qemu --test --smp 2 --mem 128M --kernel ${kernel}/kernel.elf --rootfs ${images.standard.rootfs}
    touch $out
  '';
in
{
  checks = {
    # The crate's own tests, in `unit-tests`, replay 350 more from records of what was written, in any order that a disk may
    # have written it in.
    power-cuts = check "check-power-cuts" { what = "power-cuts"; count = 16; };
    tree = check "check-tree" { what = "tree"; count = 1500; };
    # 500 in all, in two halves for two cores.
    broken-images = check "check-broken-images" { what = "broken-images"; count = 250; };
    broken-images-more = check "check-broken-images-more" { what = "broken-images"; count = 250; seed = 2; };
  };

  # On demand: `make integrity`, with 910 replayed cuts and 10,000 images in the crate's tests.
  long = runCommand "integrity-long" { } ''
    mkdir $out
    ln -s ${check "power-cuts-long" { what = "power-cuts"; count = 100; seed = 7; }} $out/power-cuts
    ln -s ${check "tree-long" { what = "tree"; count = 100000; seed = 7; }} $out/tree
    ln -s ${check "broken-images-long" { what = "broken-images"; count = 500; seed = 7; }} $out/broken-images
  '';
}
