let steps = import ./steps.nix; in {
  description = "The disk image on NVMe, whose root is a partition, and what sectors that fail do";
  boot = "disk";
  bus = "nvme";
  smp = 2;
  testDisks = true;
  faultyDisks = [ "nvme" ];
  type = [
    { expect = steps.prompt; send = "cat > /tmp/faulty.sh <<'END'\n${builtins.readFile ./faulty-disk.sh}END\n"; }
  ] ++ steps.shell [
    "sh /tmp/faulty.sh /dev/nvme1n1 /dev/vdb"
    "cat /sys/block/nvme0n1/serial /sys/block/nvme0n1/queue/fua; grep -c nvme /proc/interrupts"
    "poweroff"
  ];
  expect = [
    "fs: root is /dev/nvme0n1p[0-9] "
    "nvme1n1: no failures"
    # Four: each of two controllers has an interrupt for each CPU.
    "\nroot\n1\n4\n"
  ];
  reject = [ "wanted .*, found" ];
}
