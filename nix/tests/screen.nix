{
  description = "Screen and keyboard: shells on virtual consoles, an editor, Ctrl-Alt-Del";
  boot = "direct";
  type =
    let prompt = "root@rust-os:[^ ]*#"; in
    [
      { screen = prompt; send = "cd /tmp; clear; uname -a\n"; }
      { screen = "Linux rust-os .*\n.*${prompt}"; send = "ls --color=always -l /\n"; }
      { screen = "bin\n(.*\n)+.*var\n"; picture = "screen.png"; send = "vi greeting\n"; }
      # The editor has the whole screen, and leaves it as it was.
      { screen = "greeting\" \\[New file\\]|greeting \\[New File\\]|- greeting"; send = "iA line, with Caps & Signs: {[(<~>)]}."; }
      { screen = "^A line, with Caps & Signs: .\\[\\(<~>\\)\\]"; press = "esc"; }
      { screen = "- greeting"; send = ":wq\n"; }
      { screen = prompt; send = "clear; wc greeting\n"; }
      { screen = " 1 +7 +38 greeting"; press = "alt-f2"; }
      { screen = "Welcome to rust-os"; send = "tty\n"; }
      { screen = "/dev/tty2"; send = "seq 1 100\n"; }
      { screen = "\n99\n100\n"; press = "shift-pgup"; }
      { screen = "\n50\n51\n52\n"; press = "alt-f1"; }
      # A program has the screen to itself and gives it back; /dev/fb0 shows what the console shows.
      { screen = "1 +7 +38 greeting"; send = "clear; sysmon\n"; }
      { screen = "System monitor(.*\n)+.*CPU 0(.*\n)+.*tasks\n(.*\n)* +1 S .* init\n"; send = "q"; }
      { screen = "\\A${prompt}"; send = "clear; echo to be copied\n"; }
      { screen = "^to be copied\n${prompt}"; send = "dd if=/dev/fb0 of=line bs=4096 count=18; chvt 3\n"; }
      { screen = "Welcome to rust-os"; send = "cat /proc/fb; chvt 1\n"; }
      { screen = "18.0 records out"; send = "dd if=line of=/dev/fb0 bs=4096 seek=540\n"; }
      { screen = "seek=540\n(.*\n)+to be copied\n"; send = "clear; wc greeting\n"; }
      # Programs see keys too: kind 1, code 63, pressed; then the kernel's lights follow a lock: kind 17, code 1.
      { screen = "1 +7 +38 greeting"; send = "od -v -An -td2 -w24 /dev/input/event0\n"; }
      { screen = "event0"; press = "f5"; }
      { screen = " 1 +63 +1 +0\n"; press = "caps_lock"; }
      # The lock is this console's: while another one is shown its light is off.
      { screen = " 17 +1 +1 +0\n"; press = "alt-f2"; }
      { screen = "\n50\n51\n52\n"; press = "alt-f1"; }
      { screen = " 17 +1 +0 +0\n(.*\n)+.* 17 +1 +1 +0\n"; press = "caps_lock"; }
      { screen = " 17 +1 +0 +0\n(.*\n)+.* 17 +1 +1 +0\n(.*\n)+.* 17 +1 +0 +0\n"; press = "ctrl-c"; }
      # The mouse moved, a button went down and up, the wheel turned.
      { screen = "\\^C\n${prompt}"; send = "exec 3< /dev/input/event1; clear; echo reading\n"; }
      { screen = "\\Areading"; point = [{ x = 10; y = -20; } { click = "left"; } { click = "wheel-up"; }]; }
      { screen = "reading"; send = "od -v -An -td2 -w24 -N216 <&3\n"; }
      {
        screen = " 2 +0 +10 +0\n.* 2 +1 +-20 +-1\n(.*\n)+.* 1 +272 +1 +0\n(.*\n)+.* 1 +272 +0 +0\n(.*\n)+.* 2 +8 +1 +0\n";
        send = "clear; sleep 1000\n";
      }
      { screen = "\\A\n"; press = "ctrl-c"; }
      { screen = "\\A.C\n${prompt}"; press = "ctrl-alt-delete"; }
    ];
  # QEMU runs with -no-reboot.
  expect = [ "init: going down: reboot" ];
}
