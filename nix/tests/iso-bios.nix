let steps = import ./steps.nix; in {
  description = "The ISO under a BIOS";
  boot = "iso";
  # Disks from which nothing boots, and that a BIOS would try first.
  testDisks = true;
  type = steps.shellAndPowerOff;
  # Megabytes with Limine, a page or two with GRUB.
  expect = [ "memory: [0-9]+ KiB of it held what the boot loader left" ];
}
