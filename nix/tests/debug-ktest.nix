{
  description = "The in-kernel tests in the debug build, on two CPUs: there every rule for locks is checked, and broken once";
  kernel = "kernel-debug-tests";
  smp = 2;
  cmdline = "ktest";
  panics = true; # those that test panics
  expect = [ "ktest: [0-9]+ passed, 0 failed" ];
  status = 33;
}
