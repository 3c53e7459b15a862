let steps = import ./steps.nix; in {
  description = "A kernel panic in the release build: message, CPU, thread, registers, names, a failure status";
  type = steps.shell [ "echo c > /proc/sysrq-trigger" ];
  panics = true;
  expect = [
    "kernel panic on CPU 0: sysrq triggered a crash"
    "thread: [0-9]+ \"sh\""
    "rsp [0-9a-f]{16} rbp [0-9a-f]{16}"
    "cr3 [0-9a-f]{16}"
    "backtrace:\n(  ffffffff8[0-9a-f]{7} .*\n)*  ffffffff8[0-9a-f]{7} .*sysrq::crash\\+0x"
    "syscall::transfer::write\\+0x"
  ];
  status = 35;
  timeout = 60;
}
