let line = send: { expect = "(?<=[\n-])monitor> "; send = send + "\r"; }; in {
  description = "The first process ends: the monitor comes up, also after a panic of its own, and `continue` ends the system";
  cmdline = "init=/bin/true panic=monitor";
  panics = true;
  type = [
    { expect = "the first process has ended: Exited\\(0\\); the monitor is left|no process is left to run the system; the monitor is left"; }
    { expect = "leaves it"; }
    (line "page off; block list; ps")
    { expect = "0: vda .*mounted\n(.*\n)+.*\"sysrq\" waits for sysrq"; }
    (line "panic on purpose")
    { expect = "kernel panic on CPU 0: the monitor was asked to panic: on purpose"; }
    (line "page off; block list; backtrace")
    { expect = "block: not after a panic: .*\n(.*\n)*.*monitor::commands::general::panic\\+0x"; }
    (line "continue")
  ];
  expect = [ "the first process has ended: Exited\\(0\\)" ];
  status = 35;
  timeout = 60;
}
