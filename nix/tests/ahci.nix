let steps = import ./steps.nix; in {
  description = "A root disk on SATA, and what sectors that fail do to disks on SATA and virtio: EIO, and nothing else is lost";
  bus = "ahci";
  smp = 2;
  testDisks = true;
  faultyDisks = [ "ahci" "virtio" ];
  type = [
    { expect = steps.prompt; send = "cat > /tmp/faulty.sh <<'END'\n${builtins.readFile ./faulty-disk.sh}END\n"; }
  ] ++ steps.shell [
    "sh /tmp/faulty.sh /dev/sdb /dev/vdb; sh /tmp/faulty.sh /dev/vdc /dev/vdb"
    "cat /sys/block/sda/serial /sys/block/sda/queue/nr_requests"
    # A file as a disk.
    "dd if=/dev/vdb of=/tmp/file bs=64k; mount -t ext2 -o loop /tmp/file /mnt; cat /mnt/hello.txt"
    "cp /bin/busybox /mnt; umount /mnt; mount -t ext2 -o loop /tmp/file /mnt; cmp /bin/busybox /mnt/busybox && echo loop works"
    "umount /mnt; losetup -a; poweroff"
  ];
  expect = [
    "fs: root is /dev/sda "
    "(?s)(sdb: no failures.*vdc: no failures)"
    "\nroot\n32\n"
    "(?s)\nHello, world!\n.*\nloop works\n"
  ];
  reject = [ "wanted .*, found" "loop0: .*/tmp/file" ];
}
