let steps = import ./steps.nix; in {
  description = "What busybox prints here is what it prints on Linux";
  # No message of the kernel between what the programs print.
  cmdline = "quiet";
  session = ./shell-session.sh;
  type = steps.shell [ "poweroff" ];
  timeout = 300;
}
