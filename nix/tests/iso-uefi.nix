let steps = import ./steps.nix; in {
  description = "The ISO under UEFI";
  boot = "iso";
  uefi = true;
  type = steps.shellAndPowerOff;
}
