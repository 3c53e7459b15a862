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
        send = "clear; od -v -An -td2 -w24 /dev/input/event1\n";
      }
      { screen = "event1"; point = [{ left = 16000; top = 3000; }]; }
      { screen = " 3 +0 +16000 +0\n.* 3 +1 +3000 +0\n.* 0 +0 +0 +0\n"; press = "ctrl-c"; }
      { screen = "\\^C\n${prompt}"; send = "clear; od -v -An -td2 -w24 /dev/input/event2\n"; }
      { screen = "event2"; point = [{ x = 10; y = -20; } { click = "right"; }]; }
      { screen = " 2 +0 +10 +0\n.* 2 +1 +-20 +-1\n(.*\n)+.* 1 +273 +1 +0\n(.*\n)+.* 1 +273 +0 +0\n"; press = "ctrl-c"; }
      # A held key repeats: value 2.
      { screen = "\\^C\n${prompt}"; send = "clear; od -v -An -td2 -w24 /dev/input/event0\n"; }
      { screen = "event0"; hold = "spc"; }
      { screen = " 1 +57 +2 +0\n.* 0 +0 +0 +0\n.* 1 +57 +2 +0\n"; press = "ctrl-c"; }
      { screen = "\\^C\n${prompt}"; press = "ctrl-alt-delete"; }
    ];
  expect = [ "init: going down: reboot" ];
}
