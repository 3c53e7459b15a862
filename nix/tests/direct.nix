let steps = import ./steps.nix; in {
  description = "Kernel and root disk given to QEMU (PVH)";
  boot = "direct";
  type = steps.shellAndPowerOff;
}
