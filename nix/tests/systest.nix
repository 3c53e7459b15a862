let steps = import ./steps.nix; in {
  description = "The system tests, which Linux passes too (check systest-on-linux)";
  mem = "512M";
  type = steps.shell [ "systest --failures; echo systest ended with $?" ]
    ++ [ { expect = "systest ended with 0"; } ]
    ++ steps.shell [ "poweroff" ];
  reject = [ "systest ended with [1-9]" ];
  timeout = 600;
}
