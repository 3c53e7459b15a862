# From a file of nix/tests to a check: tests/README.md describes the attributes.
{ lib, runCommand, writeText, python3, pkgsStatic, rust-os-qemu, images, test-disks, workspace }:
let
  driver = runCommand "boot-test-driver" { } ''
    mkdir $out
    cp ${./tests/driver.py} $out/driver.py
    cp ${./tests/screen.py} $out/screen.py
  '';
in
name: test:
let
  image = images.standard;
  boot = test.boot or "direct";
  kernel = workspace.${test.kernel or "kernel"};
  disks = lib.genList (index: "disk${toString index}.img") (lib.length (test.disks or [ ]));
  steps = import ./tests/steps.nix;

  # What each command of the session prints on the Linux that builds, from the same busybox.
  reference = commands: runCommand "${name}-reference.json" { nativeBuildInputs = [ python3 ]; } ''
    busybox=${pkgsStatic.busybox}/bin/busybox
    mkdir applets
    $busybox --install -s applets
    python=$(command -v python3)
    env -i PATH=$PWD/applets HOME=/ $python ${driver}/driver.py --reference ${commands} $busybox > $out
  '';

  specification = {
    session =
      if test ? session then {
        commands = test.session;
        reference = reference test.session;
        inherit (steps) prompt;
        end = "PS1='root@rust-os:# '; stty echo";
      } else null;
    lines = test.lines or [ ];
    type = test.type or [ ];
    expect = test.expect or [ ];
    reject = test.reject or [ ];
    panics = test.panics or false;
    status = test.status or 0;
    timeout = test.timeout or 120;
    vgaText = test.vgaText or false;
    inherit (workspace) font;
  };

  options = [ "--test" "--boot" boot ]
    ++ {
      direct = [ "--kernel" "${kernel}/kernel.elf" "--rootfs" image.rootfs ];
      iso = [ "--iso" image.iso ];
      disk = [ "--disk" image.disk ];
    }.${boot}
    ++ lib.optional (test.uefi or false) "--uefi"
    ++ lib.optionals (test.testDisks or false) [ "--test-disks" "${test-disks}" ]
    ++ [ "--smp" (test.smp or 1) "--mem" (test.mem or "256M") "--cmdline" (test.cmdline or "") ]
    ++ lib.concatMap (disk: [ "--drive" disk ]) disks
    ++ lib.optionals (test ? share) [ "--share" "shared" ]
    ++ lib.optionals (test.imageDisks or false) [ "--drive" "iso.img" "--drive" "disk.img" ]
    ++ [ "--bus" (test.bus or "virtio") "--slots" (test.slots or 0) ]
    ++ lib.concatMap (bus: [ "--faulty-drive" "${bus}:faulty-${bus}.img" ]) (test.faultyDisks or [ ])
    ++ lib.optionals (test ? qemu) ([ "--" ] ++ test.qemu);
in
runCommand "boot-${name}" {
  nativeBuildInputs = [ python3 rust-os-qemu ];
  meta.description = test.description;
} ''
  ${lib.concatStrings (lib.genList (index: ''
    truncate -s ${builtins.elemAt test.disks index} ${builtins.elemAt disks index}
  '') (lib.length disks))}
  ${lib.concatMapStrings (bus: "truncate -s 16M faulty-${bus}.img\n") (test.faultyDisks or [ ])}
  ${lib.concatStrings (lib.genList (index: ''
    truncate -s ${builtins.elemAt test.looseDisks index} loose${toString index}.img
  '') (lib.length (test.looseDisks or [ ])))}
  ${lib.optionalString (test.imageDisks or false) ''
    cp --sparse=always --no-preserve=mode ${image.iso} iso.img
    cp --sparse=always --no-preserve=mode ${image.disk} disk.img
  ''}
  ${lib.optionalString (test ? share) ''
    mkdir shared
    (cd shared; ${test.share.before})
  ''}
  # The log is for the eye: it has addresses and times, so it is no part of the result.
  python3 ${driver}/driver.py ${writeText "${name}.json" (builtins.toJSON specification)} \
    rust-os-qemu ${lib.escapeShellArgs options}
  ${lib.optionalString (test ? share) "(cd shared; ${test.share.after})"}
  # Pictures that it took.
  mkdir $out
  cp *.png $out/ 2> /dev/null || true
''
