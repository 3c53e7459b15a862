let steps = import ./steps.nix; in {
  description = "The disk image under UEFI";
  boot = "disk";
  uefi = true;
  type = steps.shellAndPowerOff;
}
