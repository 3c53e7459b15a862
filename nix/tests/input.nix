{
  description = "virtio keyboard, tablet and mouse: what is typed reaches the shell, programs read events, held keys repeat";
  boot = "direct";
  mem = "128M";
  qemu = [ "-device" "virtio-keyboard-pci" "-device" "virtio-tablet-pci" "-device" "virtio-mouse-pci" ];
  type =
    let prompt = "root@rust-os:[^ ]*#"; in
    [
      { screen = prompt; send = "clear; grep Name /proc/bus/input/devices\n"; }
      {
        screen = "QEMU Virtio Keyboard\"(.*\n)+.*QEMU Virtio Tablet\"(.*\n)+.*QEMU Virtio Mouse\"(.*\n)+.*Explorer Mouse";
        send = "exec 3< /dev/input/event1 4< /dev/input/event2; clear; echo reading\n";
      }
      { screen = "\\Areading"; point = [{ left = 16000; top = 3000; } { x = 10; y = -20; } { click = "right"; }]; }
      { screen = "reading"; send = "od -v -An -td2 -w24 -N72 <&3; od -v -An -td2 -w24 -N168 <&4\n"; }
      {
        screen = " 3 +0 +16000 +0\n.* 3 +1 +3000 +0\n.* 0 +0 +0 +0\n"
          + ".* 2 +0 +10 +0\n.* 2 +1 +-20 +-1\n(.*\n)+.* 1 +273 +1 +0\n(.*\n)+.* 1 +273 +0 +0\n";
        send = "clear; dumpkmap > /tmp/old; { head -c 323 /tmp/old; printf 'q\\013'; tail -c +326 /tmp/old; } > /tmp/new;"
          + " loadkmap < /tmp/new; echo loaded; read x; loadkmap < /tmp/old; clear; echo got-$x\n";
      }
      # A keymap in which a is q, and back.
      { screen = "\\Aloaded\n"; send = "aaa\n"; }
      { screen = "\\Agot-qqq\n"; send = "exec 5< /dev/input/mice; clear; echo opened\n"; }
      # All mice as one at the PS/2 port.
      { screen = "\\Aopened"; point = [{ x = 10; y = -20; }]; }
      { screen = "opened"; send = "head -c 3 <&5 | od -An -tx1\n"; }
      { screen = " 08 0a 14\n"; send = "clear; cat\n"; }
      # A held key repeats.
      { screen = "\\A\n"; hold = "x"; }
      { screen = "\\Axxxxx"; press = "ctrl-alt-delete"; }
    ];
  expect = [ "init: going down: reboot" ];
}
