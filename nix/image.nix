# An image: one content as a root file system, a hybrid ISO and a disk image.
# The flake gives it out as lib.mkImage.
{ lib, mkRootfs, mkIso, mkDisk, kernel, userland }:
{ name
  # Volume label of the ISO: capitals, digits, underscores.
, label ? "RUST_OS"
  # Packages whose bin/* go to /bin, beside busybox.
, programs ? [ userland ]
  # Folders laid over the root file system.
, files ? [ ../images/files ]
  # The kernel's command line; `root=` is added.
, cmdline ? "rw console=ttyS0"
  # The boot menu: one entry a title, with what it adds to the command line. The first is the default.
, menu ? [ { title = "rust-os"; cmdline = ""; } ]
  # Seconds that the boot menu waits.
, timeout ? 1
  # MiB of the root file system on the disk, and MiB left free in the one that the ISO carries.
, diskSize ? 64
, isoRoom ? 4
  # Whose kernel, and where things are put together; for the check `reproducible`.
, kernelPackage ? kernel
, place ? "tree"
}:
let
  content = { inherit name programs files place; };
  entriesFor = root: modules: map (entry: {
    inherit (entry) title;
    inherit modules;
    kernel = "/boot/kernel.elf";
    cmdline = lib.concatStringsSep " " (lib.filter (word: word != "") [ root cmdline entry.cmdline ]);
  }) menu;
  rootUuid = "6F735F74-7375-7200-8000-000000000013";
  bootFiles."boot/kernel.elf" = "${kernelPackage}/kernel.elf";
in
rec {
  inherit name cmdline;
  kernel = kernelPackage;
  rootfs = mkRootfs (content // { size = diskSize; });
  moduleRootfs = mkRootfs (content // { name = "${name}-module"; room = isoRoom; });

  # The root file system is a boot module here, so the ISO needs no disk driver.
  iso = mkIso {
    inherit name label timeout place;
    files = bootFiles // { "boot/rootfs.ext2" = moduleRootfs; };
    entries = entriesFor "root=/dev/ram0" [ { path = "/boot/rootfs.ext2"; name = "rootfs"; } ];
  };

  disk = mkDisk {
    inherit name timeout place rootfs rootUuid;
    files = bootFiles;
    entries = entriesFor "root=PARTUUID=${rootUuid}" [ ];
  };
}
