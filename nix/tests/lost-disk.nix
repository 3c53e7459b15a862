let steps = import ./steps.nix; in {
  description = "How few requests a file costs; and a disk that is taken away while it is mounted: EIO, and nothing hangs";
  smp = 2;
  testDisks = true;
  type = [
    { expect = steps.prompt; send = "cat > /tmp/requests.sh <<'END'\n${builtins.readFile ./requests.sh}END\n"; }
  ] ++ steps.shell [
    "mount -t ext2 /dev/vdc /mnt; sh /tmp/requests.sh vdc /mnt"
    "echo synced > /mnt/synced; sync /mnt/synced; echo waits > /mnt/waits; sleep 1000 < /mnt/hello.txt &"
  ] ++ [
    { expect = steps.prompt; monitor = "drive_del test-ext2"; send = "echo 3 > /proc/sys/vm/drop_caches\n"; }
  ] ++ steps.shell [
    "cat /mnt/large > /tmp/large || echo reading failed"
    "echo more >> /mnt/waits; sync /mnt/waits || echo syncing failed"
    "dd if=/dev/vdc of=/tmp/sector count=1 iflag=direct || echo the device failed"
    "umount /mnt || echo still busy; kill %1; wait; umount /mnt && echo unmounted"
    "mount -t ext2 /dev/vdc /mnt || echo mounting failed"
    "cp /bin/busybox /tmp; sync; cmp /bin/busybox /tmp/busybox && echo the rest works"
    "poweroff"
  ];
  expect = [
    "\nrequests: as few as there should be\n"
    "\ncat: .*Input/output error\n(\\[.*\n)*reading failed\n"
    "\nsync: .*: Input/output error\n(\\[.*\n)*syncing failed\n"
    "\ndd: .*Input/output error\n(\\[.*\n)*the device failed\n"
    "\nstill busy\n(?s:.*)\nunmounted\n"
    "\nmounting failed\n"
    "\nthe rest works\n"
  ];
  reject = [ "\ntoo many\n" "a thread has been waiting" "lockdep:" ];
  timeout = 90;
}
