let steps = import ./steps.nix; in {
  description = "Hogs of memory, processes, threads, descriptors and files in 64 MiB, and a shell that works afterwards";
  mem = "64M";
  smp = 2;
  type = steps.shell [ "systest --failures --limit 60 exhaustion; echo exhaustion ended with $?" ]
    ++ [ { expect = "exhaustion ended with 0"; } ]
    ++ steps.shellAndPowerOff;
  expect = [ "invoked oom-killer" "Out of memory: Killed process [0-9]+ \\(systest\\)" ];
  reject = [ "exhaustion ended with [1-9]" "Killed process 1 " ];
  timeout = 300;
}
