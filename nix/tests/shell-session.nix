let steps = import ./steps.nix; in {
  description = "What busybox prints here is what it prints on Linux";
  session = ./shell-session.sh;
  type = steps.shell [ "poweroff" ];
  timeout = 300;
}
