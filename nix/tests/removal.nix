# Screen, terminal, keyboard, tablet and a folder of the host are taken away while programs have them open, come again and go again, told by ACPI's
# events, as QEMU does it by itself; and the power button.
let
  steps = import ./steps.nix;
  console = [ "virtconsole,bus=serial.0,chardev=none,id=port" ];
  devices = [
    "virtio-serial-pci,bus=slot1,id=serial"
    "virtio-keyboard-pci,bus=slot2,id=keyboard"
    "virtio-tablet-pci,bus=slot3,id=tablet"
    "virtio-9p-pci,bus=slot4,id=folder,fsdev=folder,mount_tag=folder"
  ];
  # Once `seen` is said, all of these commands.
  after = seen: commands: [
    { expect = seen; monitor = builtins.head commands; }
  ] ++ map (command: { expect = ""; monitor = command; }) (builtins.tail commands);
  remove = map (id: "device_del ${id}") [ "serial" "keyboard" "tablet" "folder" ];
  add = map (device: "device_add ${device}") (devices ++ console);
  haveGone = { expect = "(?s)(.*0000:0[1-4]:00.0 has gone){4}"; send = "forget_screen\n"; };
in
{
  description = "virtio-gpu, -console, -input and -9p are taken away while they are in use and come again, by ACPI; the power button";
  smp = 2;
  slots = 4;
  cmdline = "console=hvc0 console=ttyS0 shells=ttyS0";
  qemu = [ "-vga" "none" "-device" "virtio-gpu-pci" "-fsdev" "local,id=folder,path=.,security_model=none" "-chardev" "null,id=none" "-chardev" "null,id=other" ] ++ builtins.concatMap (device: [ "-device" device ]) (devices ++ console);
  type = [
    { expect = steps.prompt; send = "cat > /tmp/removal.sh << 'END'\n${builtins.readFile ./removal.sh}END\n"; }
  ] ++ steps.shell [ ". /tmp/removal.sh; use; echo all are used" ]
  ++ after "\nall are used" remove ++ [ haveGone ]
  ++ steps.shell [ "gone; count /tmp/before; before=$(pages); echo counted" ]
  ++ after "\ncounted" add ++ [
    { expect = "(?s)(?=.*tty: hvc0 is a virtio-console)(.*1 functions have come){4}"; send = "echo 1 > /sys/bus/pci/rescan\n"; }
  ] ++ steps.shell [ "use; echo all are used again" ]
  ++ after "\nall are used again" [ "device_del port" ] ++ [
    { expect = "writing hvc0 ended"; monitor = "device_add virtconsole,bus=serial.0,chardev=other,id=port2"; }
  ] ++ after "tty: hvc[0-9] is a virtio-console" remove ++ [ haveGone ]
  ++ steps.shell [
    "gone; count /tmp/after; diff /tmp/before /tmp/after && echo the same as before; echo $((before - $(pages))) pages less"
    "echo finished"
  ] ++ after "\nfinished" [ "system_powerdown" ];
  expect = [
    "0 virtio-gpu\n1\n3\nall are used\n"
    "(?s)(?=.*\nreading hvc0 ended: 0\n)(?=.*\nwriting hvc0 ended\n)(?=.*\nthe keyboard: No such device\n)(?=.*\nthe tablet: No such device\n)(?=.*\nlooking ended\n)(?=.*\nthe folder ended\n).*\nthe framebuffer: No such device\n"
    "0 virtio-gpu\n1\n3\nall are used again\n"
    "\nthe same as before\n0 pages less\n"
    "acpi: the power button was pressed\n(?s:.*)init: going down: power off"
  ];
  reject = [ "a thread has been waiting" "lockdep:" "cannot be used" "stays" "still there: " ];
  timeout = 90;
}
