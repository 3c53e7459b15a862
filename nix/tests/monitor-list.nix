{
  description = "A list of the monitor's commands as the kernel's command line, as the first system had it";
  kernel = "kernel-tests";
  cmdline = "mount 2; write-framebuffer hello!; exec 20 /bin/primes 15000; test";
  testDisks = true;
  smp = 2;
  panics = true; # those tests that test panics
  type = [
    { expect = "the root file system is /dev/vdc \\(ext2\\)\n"; }
    { screen = "(?m)^hello!\n"; }
    { expect = "(process \\d+ has ended: Exited\\(0\\)\n){20}"; }
    { expect = "\n\\d+ tests passed, 0 failed\n"; }
    { expect = "monitor> "; send = "exit\r"; }
  ];
  expect = [ "(163841\n(.*\n)*){20}" ];
  status = 33;
}
