let steps = import ./steps.nix; in {
  description = "The disk image under a BIOS";
  boot = "disk";
  type = steps.shellAndPowerOff;
}
