# The stress tests: the same work on the release and on the debug kernel, with and without injected faults.
{ lib, runCommand, bootTest }:
let
  # See kernel/src/fault_injection.rs.
  faults = "failslab=5,2,0,-1 fail_page_alloc=5,2,0,-1 fault_injection=spurious_wakeup:5,delay:5,preempt:50";
  variants = common: {
    stress = common;
    stress-debug = common // { kernel = "kernel-debug"; };
    stress-faults = common // { inherit faults; };
    stress-debug-faults = common // { inherit faults; kernel = "kernel-debug"; };
  };
  tests = common: lib.mapAttrs (name: arguments: bootTest name (import ./tests/stress.nix arguments)) (variants common);

  # An hour in all on so many CPUs.
  hour = smp: runCommand "stress-hour-${toString smp}" { } ''
    mkdir $out
    ${lib.concatStrings (lib.mapAttrsToList (name: test: "ln -s ${test} $out/${name}\n") (tests { inherit smp; seconds = 900; }))}
  '';
  numbers = [ 1 2 4 8 16 ];
in
{
  # For `nix flake check`.
  checks = tests { seconds = 45; };

  # On demand: `nix build .#stress-hour -L` for the usual number of CPUs, `.#stress-hour-8` for another.
  hours = { stress-hour = hour 4; }
    // lib.listToAttrs (map (smp: { name = "stress-hour-${toString smp}"; value = hour smp; }) numbers);
}
