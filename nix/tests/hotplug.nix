# PCI Express hot-plug by the ports' own interrupts (`removal` has it by ACPI's events, as QEMU does it by itself): disks and a controller come, are mounted, and are taken away while programs use them.
let
  steps = import ./steps.nix;
  inherit (steps) prompt;
  drive = number: [ "-blockdev" "driver=raw,node-name=drive${number},file.driver=file,file.filename=loose${number}.img" ];
  add = device: { monitor = "device_add ${device}"; };
  remove = name: { monitor = "device_del ${name}"; };
  # Once `seen` is said.
  after = seen: step: step // { expect = seen; };
  # What must be the same when all is back: memory and addresses of devices, interrupts, entries in /sys.
  count = file: "(cat /proc/iomem; grep -o 'MSI.*' /proc/interrupts | sed 's/.* //'; ls /sys/bus/*/devices) > ${file}";
  pages = "$(sed -n 's/nr_device_pages //p' /proc/vmstat)";
  # Only the SATA controller, which was there at the beginning, with its disk, is missing.
  compare = "${count "/tmp/after"}; diff /tmp/before /tmp/after | grep '^[-+][^-+]'; echo $((before - ${pages})) pages less";
in
{
  description = "Disks come and go while they are mounted: EIO, nothing hangs, all that they had is given back";
  smp = 2;
  slots = 3;
  looseDisks = [ "8M" "8M" "8M" ];
  qemu = [ "-global" "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off" ] ++ drive "0" ++ drive "1" ++ drive "2"
    ++ [ "-device" "ahci,bus=slot3,id=controller" "-device" "ide-hd,bus=controller.0,drive=drive2" ];
  type = [
    { expect = prompt; send = "cat > /tmp/hotplug.sh << 'END'\n${builtins.readFile ./hotplug.sh}END\n"; }
  ] ++ steps.shell [ ". /tmp/hotplug.sh; ${count "/tmp/before"}; before=${pages}; echo counted" ] ++ [
    (after "\ncounted" (add "virtio-blk-pci,drive=drive0,bus=slot1,id=disk0"))
    (after "slot 1: 1 functions have come" (add "nvme,drive=drive1,serial=hot,bus=slot2,id=disk1"))
    { expect = "slot 2: 1 functions have come"; send = "\n"; }
  ] ++ steps.shell [
    "ls /sys/class/block /sys/bus/pci/drivers/nvme /sys/bus/virtio/drivers/virtio_blk | tr '\\n' ' '"
    "prepare vdb /virtio; prepare nvme0n1 /nvme; prepare sda /sata; echo prepared"
  ] ++ [
    (after "\nprepared" (remove "disk0"))
    (after "slot 1: what is in it is to go" (remove "disk1"))
    (after "slot 2: what is in it is to go" (remove "controller"))
    { expect = "(?s)(?=.*0000:03:00.0 has gone)(.*the \\w+ of \\w+ ended){6}"; send = "\n"; }
  ] ++ steps.shell [
    # While all are mounted and open still.
    compare
    "gone vdb /virtio; gone nvme0n1 /nvme; gone sda /sata"
  ] ++ [
    # A disk that is in use keeps its name.
    { expect = prompt; monitor = "device_add virtio-blk-pci,drive=drive0,bus=slot1,id=disk0"; }
    { expect = "block: vdc: "; send = "\n"; }
  ] ++ steps.shell [
    "mount -t ext2 /dev/vdc /other && cat /other/safe; cmp /other/safe /virtio/safe && echo the same"
    "umount /virtio /nvme /sata /other && echo unmounted"
    "poweroff"
  ];
  expect = [
    "nvme: 0000:02:00.0 +.*virtio_blk: virtio1 virtio2 +.*block: nvme0n1 sda vda vdb "
    "(\n-.*(0000:03:00.0|ahci)){4}\n16 pages less\n"
    "vdb cannot be synced\n(?s:.*)nvme0n1 cannot be synced\n(?s:.*)sda cannot be synced\n"
    "\nsafe\nthe same\n(?s:.*)\nunmounted\n"
  ];
  reject = [ "a thread has been waiting" "lockdep:" "is still found" "cannot be used" ];
  timeout = 90;
}
