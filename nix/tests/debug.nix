let steps = import ./steps.nix; in {
  description = "The debug build: system tests on two CPUs, with every lock checked";
  kernel = "kernel-debug";
  smp = 2;
  mem = "512M";
  # Without what measures shares of time, and without the one test whose time limit a slow machine may exceed.
  type = steps.shell [ "systest --failures $(systest --list | grep -vE '^scheduling/|every_call_survives_wild_numbers'); echo systest ended with $?" ]
    ++ [ { expect = "systest ended with 0"; } ]
    ++ steps.shell [ "echo d > /proc/sysrq-trigger" ]
    ++ [ { expect = "locks held and waited for:"; } ]
    ++ steps.shell [ "cat /proc/lockdep_stats" ]
    ++ [ { expect = "violations: +0\n"; } ]
    ++ steps.shell [ "poweroff" ];
  reject = [ "systest ended with [1-9]" "lockdep:" "sleeping while atomic" ];
  timeout = 600;
}
