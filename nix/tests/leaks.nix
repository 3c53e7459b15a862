let steps = import ./steps.nix; in {
  description = "After thousands of processes, threads and files, memory and tasks are those of before";
  mem = "128M";
  smp = 2;
  type = steps.shell [ "systest --failures --limit 400 leaks; echo leaks ended with $?" ]
    ++ [ { expect = "leaks ended with 0"; } ]
    ++ steps.shell [ "poweroff" ];
  reject = [ "leaks ended with [1-9]" ];
  timeout = 600;
}
