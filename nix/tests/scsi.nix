let
  steps = import ./steps.nix;
  # Once `seen` is said.
  after = seen: command: { expect = seen; monitor = command; };
in
{
  description = "A root disk behind virtio-scsi, what sectors that fail do, and units that come and go: a disk, and as a CD";
  bus = "scsi";
  smp = 2;
  testDisks = true;
  faultyDisks = [ "scsi" ];
  looseDisks = [ "8M" ];
  qemu = [ "-blockdev" "driver=raw,node-name=loose,file.driver=file,file.filename=loose0.img,discard=unmap" ];
  type = [
    { expect = steps.prompt; send = "cat > /tmp/faulty.sh <<'END'\n${builtins.readFile ./faulty-disk.sh}END\n"; }
  ] ++ steps.shell [
    "sh /tmp/faulty.sh /dev/sdb /dev/vdb; cat /sys/block/sda/serial /sys/block/sda/device/modalias; echo looked"
  ] ++ [
    (after "\nlooked" "device_add scsi-hd,bus=scsi.0,scsi-id=9,lun=3,drive=loose,id=unit,serial=hot")
    { expect = "block: sdc: "; send = "\n"; }
  ] ++ steps.shell [
    # Blocks that are given back read as zeros.
    "head -c 1048576 /dev/zero | tr '\\0' x > /dev/sdc; sync; blkdiscard -o 65536 -l 65536 /dev/sdc"
    "echo 3 > /proc/sys/vm/drop_caches; head -c 1048576 /dev/sdc | tr -d '\\0' | wc -c"
    "cat /sys/block/sdc/serial; mke2fs -b 4096 /dev/sdc > /dev/null; mount -t ext2 /dev/sdc /mnt"
    "cp /bin/busybox /mnt; sync; echo waits > /mnt/waits; (while dd if=/dev/sdc of=/dev/null bs=64k iflag=direct 2> /dev/null; do :; done; echo the reader ended) & sleep 1; echo mounted"
  ] ++ [
    (after "\nmounted" "device_del unit")
    { expect = "the reader ended"; send = "\n"; }
  ] ++ steps.shell [
    "sync /mnt/waits || echo nothing can be written; ls /dev/sdc /sys/block/sdc; umount /mnt; echo gone"
  ] ++ [
    (after "\ngone" "device_add scsi-cd,bus=scsi.0,scsi-id=9,lun=3,drive=loose,id=unit")
    { expect = "block: sr0: "; send = "\n"; }
  ] ++ steps.shell [
    "mount -t ext2 -o ro /dev/sr0 /mnt && cmp /bin/busybox /mnt/busybox && echo the same; umount /mnt; cat /sys/block/sr0/ro"
    "dd if=/dev/zero of=/dev/sr0 count=4 || echo it cannot be written"
    "poweroff"
  ];
  expect = [
    "fs: root is /dev/sda "
    "sdb: no failures\nroot\nvirtio:d00000008v00001AF4\n"
    "\n983040\n(?s:.*)\nhot\n"
    "\nnothing can be written\n"
    "(?s)ls: /dev/sdc: No such file.*ls: /sys/block/sdc: No such file"
    "\nthe same\n1\n(?s:.*)\nit cannot be written\n"
  ];
  reject = [ "wanted .*, found" "a thread has been waiting" "lockdep:" ];
  timeout = 90;
}
