{
  description = "The in-kernel tests";
  kernel = "kernel-tests";
  cmdline = "ktest";
  # A console whose lock a test holds while it panics.
  lines = [ "hvc0" ];
  type = [{ line = "hvc0"; expect = "\\(printed while the lock was held\\)\n\\(printed later\\)"; }];
  panics = true; # those that test panics
  expect = [ "ktest: [0-9]+ passed, 0 failed" ];
  status = 33;
}
