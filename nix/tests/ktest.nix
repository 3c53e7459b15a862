{
  description = "The in-kernel tests";
  kernel = "kernel-tests";
  cmdline = "ktest";
  panics = true; # those that test panics
  expect = [ "ktest: [0-9]+ passed, 0 failed" ];
  status = 33;
}
