let steps = import ./steps.nix; in {
  description = "The ISO under a BIOS";
  boot = "iso";
  type = steps.shellAndPowerOff;
}
