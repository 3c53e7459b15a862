# The stress tests: the same work on the release and on the debug kernel, with and without injected faults.
{ lib, runCommand, bootTest }:
let
  # See kernel/src/fault_injection.rs.
  faults = "failslab=5,2,0,-1 fail_page_alloc=5,2,0,-1 fault_injection=spurious_wakeup:5,delay:5,preempt:50";
  variants = seconds: {
    stress = { inherit seconds; };
    stress-debug = { inherit seconds; kernel = "kernel-debug"; };
    stress-faults = { inherit seconds faults; };
    stress-debug-faults = { inherit seconds faults; kernel = "kernel-debug"; };
  };
  tests = seconds: lib.mapAttrs (name: arguments: bootTest name (import ./tests/stress.nix arguments)) (variants seconds);
in
{
  # For `nix flake check`.
  checks = tests 15;

  # An hour in all, on demand: `nix build .#stress-hour -L`.
  hour = runCommand "stress-hour" { } ''
    mkdir $out
    ${lib.concatStrings (lib.mapAttrsToList (name: test: "ln -s ${test} $out/${name}\n") (tests 900))}
  '';
}
