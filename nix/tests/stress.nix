# Random work on four CPUs, each result checked, and the counts of tasks, files and memory afterwards those of
# before. A function, for nix/stress.nix: how long, on which kernel, and with what faults injected.
{ seconds, kernel ? "kernel", faults ? "" }:
let
  steps = import ./steps.nix;
  options = "--jobs 6 --leaks --dir /tmp --dir /root" + (if faults == "" then "" else " --inject");
in
{
  description = "Stress for ${toString seconds} s: kernel `${kernel}`, faults `${faults}`";
  inherit kernel;
  smp = 4;
  mem = "512M";
  cmdline = faults;
  type = steps.shell [ "stress --seconds ${toString seconds} ${options}; echo stress ended with $?" ]
    ++ [ { expect = "stress ended with 0"; } ]
    ++ steps.shell [ "poweroff" ];
  reject = [ "stress ended with [1-9]" "sched: a thread has been waiting" "lockdep:" "sleeping while atomic" ];
  timeout = seconds * 2 + 400;
}
