let steps = import ./steps.nix; in {
  description = "A shell in 64 MiB";
  mem = "64M";
  type = steps.shell [ "free -m" ] ++ steps.shellAndPowerOff;
}
