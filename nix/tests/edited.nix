let steps = import ./steps.nix; in {
  description = "A kernel compiled on top of the last version's, as `make run` does it";
  kernel = "kernel-edited";
  type = steps.shellAndPowerOff;
  expect = [ "init: started as edited, /sbin/init" ];
}
