{
  description = "virtio-gpu: the console is on its screen and follows the size of the window, programs draw";
  boot = "direct";
  mem = "128M";
  # The last one counts.
  qemu = [ "-vga" "none" "-device" "virtio-gpu-pci" ];
  type =
    let prompt = "root@rust-os:[^ ]*#"; in
    [
      { screen = prompt; send = "clear; stty size; cat /proc/fb\n"; }
      { screen = "44 142\n0 virtio-gpu\n${prompt}"; resize = [ 1440 900 ]; }
      { screen = "44 142\n0 virtio-gpu\n${prompt}"; send = "clear; until stty size | grep '50 160'; do :; done\n"; }
      # The last row of a screen of 50, the last column of 160.
      { screen = "\\A50 160\n${prompt}"; send = "seq 1 200; printf '%160s\\n' end\n"; }
      { screen = "(.*\n){48} {157}end\n${prompt}"; resize = [ 720 360 ]; }
      { screen = "${prompt}\n\\Z"; send = "clear; until stty size | grep '20 80'; do :; done\n"; }
      { screen = "\\A20 80\n${prompt}"; send = "clear; sysmon\n"; }
      { screen = "System monitor(.*\n)+.*tasks\n"; send = "q"; }
      { screen = "\\A${prompt}"; send = "clear; echo done; poweroff\n"; }
    ];
  expect = [ "init: going down: power off" ];
}
