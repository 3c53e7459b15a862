let steps = import ./steps.nix; in {
  description = "The ISO under UEFI";
  boot = "iso";
  uefi = true;
  type = steps.shellAndPowerOff;
  # Megabytes, with Limine.
  expect = [ "memory: [0-9]+ KiB of it held what the boot loader left" ];
}
