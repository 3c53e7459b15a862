# Steps that tests share.
rec {
  prompt = "root@rust-os:[^ ]*# ";

  # Types each command at a prompt.
  shell = commands: map (command: { expect = prompt; send = command + "\n"; }) commands;

  # A shell works, and the system ends cleanly.
  shellAndPowerOff = shell [ "uname -a" ] ++ [ { expect = "Linux rust-os "; } ] ++ shell [ "poweroff" ];
}
