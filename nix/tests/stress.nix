# Random work on several CPUs, each result checked, and the counts of tasks, files and memory afterwards those of
# before. A function, for nix/stress.nix: how long, on how many CPUs, on which
# kernel, and with what faults injected.
{ seconds, smp ? 4, kernel ? "kernel", faults ? "" }:
let
  steps = import ./steps.nix;
  options = "--jobs ${toString (smp + 2)} --leaks --dir /tmp --dir /root" + (if faults == "" then "" else " --inject");
in
{
  description = "Stress for ${toString seconds} s on ${toString smp} CPUs: kernel `${kernel}`, faults `${faults}`";
  inherit kernel smp;
  mem = "512M";
  cmdline = faults;
  type = steps.shell [ "stress --seconds ${toString seconds} ${options}; echo stress ended with $?" ]
    ++ [ { expect = "stress ended with 0"; } ]
    ++ steps.shell [ "poweroff" ];
  reject = [ "stress ended with [1-9]" "sched: a thread has been waiting" "lockdep:" "sleeping while atomic" ];
  timeout = seconds * 2 + 400;
}
